"""What Headlamp costs and whether its numbers are right: grid, load, verify; see the Makefile."""

import os

# As in the Makefile: two torch thread pools that spin while they wait take each other's cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
