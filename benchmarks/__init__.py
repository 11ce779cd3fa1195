"""What Headlamp costs and whether its numbers are right: grid, load, verify; see the Makefile."""

import os

# As in the Makefile: torch's thread pools must not spin while they wait for a busy core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TQDM_DISABLE", "1")
