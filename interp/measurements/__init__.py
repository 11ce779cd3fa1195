"""Forward passes that several probes share, and their controls."""
