"""The kernels compile for chips that are not here: nothing spilled, tensor cores, lean loops.

Instructions are counted per element of the innermost loop, of which 2 to 4 are arithmetic that no
kernel can do without; a loop over its budget has lost its pipeline, its wide loads or its fusing.
"""

import pytest

pytest.importorskip("triton")

from tests.interp.stats import ahead

CORE = frozenset({"ENTROPY", "SQUARE"})
HEAT = frozenset({"BLOCKS"})
ALL = {"rows": frozenset(ahead.SUMS), "columns": HEAT}
BUDGET = {("rows", CORE): 9.5, ("columns", frozenset()): 6.0, ("columns", HEAT): 8.0}
KINDS = ("bf16", "fp16", "fp32")


@pytest.fixture(autouse=True)
def tools() -> None:
    """Nvidia's disassembler, which Triton brings along on Linux."""
    if not all((ahead.TOOLS / name).exists() for name in ("cuobjdump", "nvdisasm", "ptxas")):
        pytest.skip(f"triton came without cuobjdump and nvdisasm in {ahead.TOOLS}")


def holds(machine: ahead.Machine, kind: str, chip: str) -> None:
    """What every kernel that ships must be."""
    assert machine.spilled == 0, machine
    assert machine.shared <= ahead.CHIPS[chip][2], machine
    # float32 keeps its digits and goes without tensor cores where they would round to 10 bits.
    assert machine.tensor > 0 or kind == "fp32", machine


@pytest.mark.parametrize("chip", ahead.CHIPS)
@pytest.mark.parametrize(("name", "on"), [("rows", CORE), ("columns", frozenset())])
def test_shipped_kernels_compile_well(name: str, on: frozenset[str], chip: str) -> None:
    machine = ahead.compiled(name, 64, "bf16", chip, on)
    holds(machine, "bf16", chip)
    if chip in ("sm_90a", "sm_100a"):
        assert 2 < machine.per_element <= BUDGET[name, on], machine


@pytest.mark.parametrize("d", [128, 256])
@pytest.mark.parametrize("name", ALL)
def test_wide_heads_in_single_precision_spill_nothing(name: str, d: int) -> None:
    holds(ahead.compiled(name, d, "fp32", "sm_90a", ALL[name]), "fp32", "sm_90a")


@pytest.mark.slow
@pytest.mark.parametrize("chip", ahead.CHIPS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [32, 64, 80, 96, 128, 256])
@pytest.mark.parametrize("name", ALL)
def test_every_width_and_type_with_every_sum(name: str, d: int, kind: str, chip: str) -> None:
    holds(ahead.compiled(name, d, kind, chip, ALL[name]), kind, chip)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["CAPPED", "BIASED", "WINDOWED"])
@pytest.mark.parametrize("name", ALL)
def test_every_option(name: str, option: str) -> None:
    holds(ahead.compiled(name, 64, "bf16", "sm_90a", ALL[name] | {option}), "bf16", "sm_90a")


@pytest.mark.slow
@pytest.mark.parametrize("d", [64, 128])
def test_the_heat_map_is_lean(d: int) -> None:
    machine = ahead.compiled("columns", d, "bf16", "sm_90a", HEAT)
    assert machine.per_element <= BUDGET["columns", HEAT] + d / 128, machine
