"""Probes of attention heads: what each does, how sure we are, and whether it causes anything."""

import models  # noqa: F401  (its thread settings must stand before numpy is imported)
