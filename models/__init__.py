"""Transformers whose every attention head can show the matrix it applies."""

import os

# Before torch is imported anywhere: idle OpenMP threads that spin starve everything else, and
# with two of them on two busy cores decoding falls to a tenth.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
