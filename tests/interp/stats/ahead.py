"""The kernels compiled for chips that are not here, and what their machine code holds."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from interp.stats.kernels.columns import column_pass
from interp.stats.kernels.config import config, split
from interp.stats.kernels.rows import row_pass

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
KERNELS = {"rows": row_pass, "columns": column_pass}
CHIPS = {  # name: target, key in the table of block sizes, bytes of shared memory of one program
    "sm_80": (GPUTarget("cuda", 80, 32), "sm_8x", 99 << 10),  # as sm_86, which has less
    "sm_90a": (GPUTarget("cuda", 90, 32), "sm_9x", 227 << 10),
    "sm_100a": (GPUTarget("cuda", 100, 32), "sm_10x", 227 << 10),
    "gfx942": (GPUTarget("hip", "gfx942", 64), "hip", 64 << 10),
}
TENSOR_CORES = r"\b(?:HMMA|HGMMA|UTCHMMA)\b"
FLAGS = ("CAPPED", "BIASED", "WINDOWED", "UPCAST", "BLOCKS")
SUMS = ("ENTROPY", "SQUARE", "DISTANCE", "VALUED")
RICH = {"CAPPED", "BIASED", "WINDOWED", "DISTANCE", "VALUED"}
WHOLE = ("Q_AT", "K_AT", "START", "TILES", "Q_TILES", "K_TILES")


@dataclass(frozen=True)
class Loop:
    """An innermost loop of machine code."""

    instructions: int  # per element of the tile
    tensor: int  # matrix instructions
    exps: int


@dataclass(frozen=True)
class Machine:
    """What one kernel became."""

    registers: int
    spilled: int  # loads and stores of spilled registers, or bytes of stack
    shared: int  # bytes
    tensor: int  # matrix instructions
    per_element: float  # instructions of the leanest loop with exponentials, 0 where not counted


def compiled(name: str, d: int, kind: str, chip: str, on: frozenset[str]) -> Machine:
    """One pass for heads d wide, compiled with the block sizes that it ships with."""
    target, family, _ = CHIPS[chip]
    size = config(name, d, 4 if kind == "fp32" else 2, family, bool(on & RICH))
    source = described(KERNELS[name], d, kind, size.rows, size.columns, on)
    binary = triton.compile(source, target=target, options=size.options)
    if target.backend == "hip":
        return of_gcn(binary)
    return of_sass(binary, size.rows * size.columns / (32 * size.warps))


def described(
    kernel: triton.JITFunction, d: int, kind: str, rows: int, columns: int, on: frozenset[str]
) -> ASTSource:
    """Types of the arguments, and what is known of them when a tensor of torch is passed."""
    width = split(d)
    fixed = {"D": d, "WIDTH": width.width, "TAIL": width.tail, "ROWS": rows, "COLUMNS": columns}
    fixed |= {name: name in on for name in FLAGS + SUMS}
    missing = {"Q_BIAS", "K_BIAS"} if "BIASED" not in on else set()
    missing |= set() if "VALUED" in on else {"NORM"}
    signature, constants, known = {}, {}, {}
    for at, name in enumerate(kernel.arg_names):
        if name in fixed or name in missing:
            signature[name], constants[(at,)] = "constexpr", fixed.get(name)
            continue
        signature[name] = (
            f"*{kind}"
            if name in ("Q", "K")
            else "*i32"
            if name in WHOLE
            else "*fp32"
            if name.isupper()
            else "fp32"
            if name in ("scale", "cap")
            else "i32"
        )
        # Without this no copy is asynchronous, and no loop a pipeline.
        if name.isupper() or name.endswith(("_batch", "_head", "_step")):
            known[(at,)] = [["tt.divisibility", 16]]
    return ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=known)


def of_gcn(binary: object) -> Machine:
    """From AMD's assembly text."""
    text = binary.asm["amdgcn"]

    def number(name: str) -> int:
        return int(re.search(rf"\.{name}:\s*(\d+)", text)[1])

    return Machine(
        registers=number("vgpr_count"),
        spilled=number("vgpr_spill_count") + number("private_segment_fixed_size"),
        shared=binary.metadata.shared,
        tensor=len(re.findall(r"\bv_mfma", text)),
        per_element=0.0,
    )


def of_sass(binary: object, elements: float) -> Machine:
    """From Nvidia's, by the tools that come with Triton; `elements` of a tile per thread."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary.asm["cubin"])
        file.flush()
        used = tool("cuobjdump", "-res-usage", file.name)
        code, labels = listing(tool("nvdisasm", "-c", file.name))
    registers, stack = re.search(r"REG:(\d+) STACK:(\d+)", used).groups()
    loops = [code[a:b] for a, b in innermost(code, labels)]
    lean = min((len(x) for x in loops if count(r"\bMUFU\.EX2\b", x) >= elements), default=0)
    return Machine(
        registers=int(registers),
        spilled=int(stack) + count(r"\b(?:LDL|STL)\b", code),
        shared=binary.metadata.shared,
        tensor=count(TENSOR_CORES, code),
        per_element=lean / elements,
    )


def tool(name: str, *arguments: str) -> str:
    """What one of the bundled tools prints."""
    ran = subprocess.run([TOOLS / name, *arguments], capture_output=True, text=True, check=True)
    return ran.stdout


def listing(text: str) -> tuple[list[str], dict[str, int]]:
    """Instructions in order, and before which of them each label stands."""
    code, labels = [], {}
    for line in text.splitlines():
        if label := re.match(r"\s*(\.L_x_\d+):", line):
            labels[label[1]] = len(code)
        elif instruction := re.match(r"\s*/\*[0-9a-f]+\*/\s+(.*?);", line):
            code.append(instruction[1])
    return code, labels


def innermost(code: list[str], labels: dict[str, int]) -> list[tuple[int, int]]:
    """Loops without a loop inside: from a label to the jump back to it."""
    jumps = [(at, re.search(r"\bBRA\b.*`\((\.L_x_\d+)\)", x)) for at, x in enumerate(code)]
    loops = [(labels[to[1]], at + 1) for at, to in jumps if to and labels[to[1]] <= at]
    return [
        (a, b)
        for a, b in loops
        if not any((a, b) != (c, d) and a <= c and d <= b for c, d in loops)
    ]


def count(pattern: str, code: list[str]) -> int:
    """Instructions that match."""
    return sum(bool(re.search(pattern, x)) for x in code)
