"""A frozen Result computed again, by the code that made it, from what it says was asked."""

from interp.recompute.again import MAKERS, work_again

__all__ = ["MAKERS", "work_again"]
