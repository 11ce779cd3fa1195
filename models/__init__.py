"""Transformers whose every attention head can show the matrix it applies."""

__version__ = "0.1.0"
