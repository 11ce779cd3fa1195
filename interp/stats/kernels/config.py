"""Block sizes by head width, precision and chip: a table, since autotuning needs a chip at hand.

Every entry is compiled ahead of time in the tests, which look for spills and count instructions.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Config:
    """What a pass is launched with."""

    rows: int  # queries of a block
    columns: int  # keys of a block
    warps: int
    stages: int  # depth of the software pipeline

    @property
    def options(self) -> dict[str, object]:
        """As Triton takes them; multiply and add are one instruction."""
        return {"num_warps": self.warps, "num_stages": self.stages, "enable_fp_fusion": True}


@dataclass(frozen=True)
class Split:
    """A head width as a power of two and a rest, so that 80 costs 64 + 16 and not 128."""

    width: int
    tail: int  # 0: there is no rest


WIDEST = 256


def split(d: int) -> Split:
    """Widths that Triton can multiply; ValueError where a head is wider than was ever compiled."""
    if d > WIDEST:
        raise ValueError(
            f"heads are {d} wide and the triton kernels hold {WIDEST} at most; "
            "ask for backend='algebra'"
        )
    width = max(16, 1 << (d.bit_length() - 1))
    if d <= width:
        return Split(width, 0)
    return Split(width, max(16, 1 << (d - width - 1).bit_length()))


Sizes = dict[tuple[str, int], tuple[Config, Config, Config]]  # heads up to 64, 128 and 256 wide

# float32 has no tensor cores that keep its digits: small tiles, whose operands fit in registers.
SINGLE = (Config(32, 32, 4, 2),) * 3
# The same on chips for which the compiler unrolls more: wide heads spill unless more warps share.
SINGLE_HOPPER = (Config(32, 32, 4, 2), Config(32, 32, 8, 2), Config(32, 32, 8, 2))
# An eighth of a megabyte of shared memory and asynchronous matrix instructions. Tall row blocks,
# because every program reads all keys through the second-level cache.
HOPPER: Sizes = {
    ("rows", 2): (Config(128, 128, 8, 3), Config(128, 128, 8, 3), Config(128, 64, 8, 2)),
    ("columns", 2): (Config(128, 128, 8, 3), Config(128, 128, 8, 3), Config(64, 128, 8, 2)),
    ("rows", 4): SINGLE_HOPPER,
    ("columns", 4): SINGLE_HOPPER,
}
# At most 99 KB of shared memory: graphics cards have no more.
SMALL: Sizes = {
    ("rows", 2): (Config(128, 128, 8, 2), Config(128, 64, 8, 2), Config(64, 64, 8, 2)),
    ("columns", 2): (Config(128, 128, 8, 2), Config(64, 128, 8, 2), Config(64, 64, 8, 2)),
    ("rows", 4): SINGLE,
    ("columns", 4): SINGLE,
}
# At most 64 KB of shared memory, and threads by 64.
AMD: Sizes = {
    ("rows", 2): (Config(128, 64, 4, 2), Config(128, 64, 4, 1), Config(64, 32, 4, 1)),
    ("columns", 2): (Config(64, 128, 4, 2), Config(64, 64, 4, 1), Config(32, 64, 4, 1)),
    ("rows", 4): SINGLE,
    ("columns", 4): SINGLE,
}
# So small that a test of a hundred tokens has tiles of every kind.
INTERPRETED: Sizes = {
    (name, size): (Config(32, 64, 4, 1),) * 3 for name in ("rows", "columns") for size in (2, 4)
}
TABLE = {"sm_9x": HOPPER, "sm_10x": HOPPER, "hip": AMD, "interpreter": INTERPRETED}


def config(name: str, d: int, nbytes: int, family: str, rich: bool = False) -> Config:
    """Block sizes of a pass, "rows" or "columns", for heads d wide of elements of that size.

    `rich` passes do more per weight than entropy and squares: more registers, so smaller tiles.
    """
    found = TABLE.get(family, SMALL)[name, nbytes][2 if d > 128 else 1 if d > 64 else 0]
    if not rich or found.rows * found.columns < 1 << 14:
        return found
    if name == "rows":
        return replace(found, columns=found.columns // 2)
    return replace(found, rows=found.rows // 2)
