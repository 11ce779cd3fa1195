"""Attention variants, one paper a file; `contract.py` says what each must offer."""
