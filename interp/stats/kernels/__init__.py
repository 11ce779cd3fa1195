"""Triton kernels of the row pass and the column pass, and what turns them into statistics."""
