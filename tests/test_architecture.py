"""The house rules that a machine can check: layers, sizes, what may not be imported or written."""

import ast
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
SOURCES = [
    p for folder in ("models", "interp", "app") for p in sorted((ROOT / folder).rglob("*.py"))
]


def test_layers_hold():
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_every_variant_stands_alone_in_the_linter_settings():
    settings = (ROOT / "pyproject.toml").read_text()
    shared = {"__init__", "contract", "heads"}
    for path in (ROOT / "models/attention").glob("*.py"):
        if path.stem not in shared:
            assert f'"models.attention.{path.stem}"' in settings


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
