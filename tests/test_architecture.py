"""The house rules that a machine can check: layers, sizes, what may not be imported or written."""

import ast
import re
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
SOURCES = [
    p for folder in ("models", "interp", "app") for p in sorted((ROOT / folder).rglob("*.py"))
]


def test_layers_hold():
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


VARIANT_FILES = [
    p for p in sorted((ROOT / "models/attention").glob("*.py"))
    if p.stem not in {"__init__", "contract", "heads"}
]  # fmt: skip


@pytest.mark.parametrize("path", VARIANT_FILES, ids=lambda p: p.stem)
def test_a_variant_knows_the_contract_and_no_other_variant(path):
    allowed = {"models.attention.contract", "models.attention.heads", "models.forms"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("models"):
            assert node.module in allowed or node.module.startswith("models.kernels.")
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("models") for alias in node.names)


@pytest.mark.parametrize("path", VARIANT_FILES, ids=lambda p: p.stem)
def test_a_variant_is_one_paper_in_a_file(path):
    """Pure maths: no hooks, no GPU calls, no branching on names; its docstring cites a year."""
    text = path.read_text()
    assert re.search(r"(19|20)\d\d", ast.get_docstring(ast.parse(text)))
    assert not re.search(r"register_\w*hook|\.cuda\(|name ==", text)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_short_and_say_what_they_are(path):
    text = path.read_text()
    assert text.count("\n") <= 300
    assert ast.get_docstring(ast.parse(text)), "the first line says what the file is"


FORBIDDEN_CALLS = {"eval", "exec", "compile"}
FORBIDDEN_MODULES = {"pickle", "dill", "joblib", "shelve", "marshal"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_runs_or_unpickles_what_others_wrote(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
            assert not FORBIDDEN_MODULES & {name.split(".")[0] for name in names}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in FORBIDDEN_CALLS
        if isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
            risky = {"unsafe_allow_html", "trust_remote_code", "allow_pickle"}
            assert node.arg not in risky or node.value.value is False
        if isinstance(node, ast.Attribute):
            assert node.attr != "load" or getattr(node.value, "id", "") != "torch"
