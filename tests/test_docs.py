"""The docs are true: what they name exists, and what exists is named."""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from interp.registry import PROBES
from models import table
from models.registry import VARIANTS
from models.transformer import Transformer, TransformerConfig

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_every_path_in_the_tree_exists():
    tree = README.split("```\n.\n")[1].split("```")[0]
    folders: list[str] = []
    found = 0
    for line in tree.splitlines():
        match = re.match(r"([│ ]*)[├└]── (\S+)", line)
        if not match:
            continue
        depth = len(match[1]) // 4
        folders = [*folders[:depth], match[2]]
        assert (ROOT / "/".join(part.rstrip("/") for part in folders)).exists(), line
        found += 1
    assert found > 20


def test_the_table_of_variants_is_the_registrys():
    """`make table` writes it; tests/models/test_reference.py measures the errors it states."""
    text = (ROOT / "models/README.md").read_text()
    assert text.split(table.START)[1].split(table.END)[0] == table.table()
    for variant in VARIANTS.values():
        assert (ROOT / "models" / table.file(variant)).exists()


def test_every_probe_stands_in_its_table():
    probes = (ROOT / "interp/README.md").read_text()
    for name, probe in PROBES.items():
        assert f"| `{name}` | {probe.question} |" in probes


def test_every_tap_is_named_in_the_docs():
    docs = (ROOT / "models/README.md").read_text()
    model = Transformer(TransformerConfig(variant="delta", positions="learned"))
    taps = {
        n.rsplit(".", 1)[-1] for n, _ in model.named_modules() if "hook_" in n.rsplit(".", 1)[-1]
    }
    assert len(taps) > 20
    for tap in taps:
        assert tap in docs, tap


def test_every_setting_is_documented():
    pattern = re.compile(r"environ(?:\.get)?[\(\[]\"(HEADLAMP_\w+|PORT)\"")
    used = {
        name
        for folder in ("models", "interp", "app")
        for path in (ROOT / folder).rglob("*.py")
        for name in pattern.findall(path.read_text())
    }
    assert {"HEADLAMP_HOME", "PORT"} <= used
    for name in used:
        assert f"`{name}`" in README


def test_make_targets_in_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|^)make ([a-z]+)", README, re.M)):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_the_table_of_growth_names_variants_that_exist():
    text = (ROOT / "docs/variants.md").read_text()
    named = set(re.findall(r"^\| `(\w+)` \|", text, re.M))
    assert named <= set(VARIANTS) and len(named) >= 60


def commands() -> list[str]:
    """Every `-m module` of the Makefile and the docs, and every benchmark."""
    folders = ("app", "interp", "models", "tests", "benchmarks", "docs")
    docs = [ROOT / "README.md", *(p for f in folders for p in (ROOT / f).rglob("*.md"))]
    named = re.compile(r"-m ((?:app|interp|models|tests|benchmarks)(?:\.\w+)*)")
    said = {m for path in (ROOT / "Makefile", *docs) for m in named.findall(path.read_text())}
    return sorted(said | {f"benchmarks.{p.stem}" for p in (ROOT / "benchmarks").glob("[a-z]*.py")})


@pytest.mark.parametrize("name", commands())
def test_every_command_that_is_named_can_start(name: str):
    """It is there, and so is all that it imports; what it does has tests of its own."""
    is_folder = find_spec(name).submodule_search_locations
    import_module(f"{name}.__main__" if is_folder else name)
