"""One question a file; each turns a measurement into a Result."""
