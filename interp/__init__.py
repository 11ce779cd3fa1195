"""Probes of attention heads: what each does, how sure we are, and whether it causes anything."""
