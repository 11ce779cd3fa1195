"""The parts of the Explore page; each module draws one region of it."""
