"""Imports point one way, and only to Keras 3."""

import ast
from pathlib import Path

import pytest

import tfp_nvp

ROOT = Path(tfp_nvp.__file__).parent

#: From the lowest: each may import what stands before its line, and itself.
ORDER = [
    {"checks", "shapes"},
    {"masks"},
    {"transformers", "conditioners"},
    {"bijectors"},
    {"distributions"},
    {"flows"},
    {"training"},
    {"evaluation", "serving", "testing"},
    {"__init__"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}
FILES = sorted(ROOT.rglob("*.py"))


def part_of(path: Path) -> str:
    """The package or module of ours that a file belongs to."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported_modules(source: str) -> set[str]:
    """Every module that is imported, `from a import b` as both `a` and `a.b`, in functions too."""
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            modules |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def imported_parts(source: str) -> set[str]:
    """The parts of ours that are imported; `__init__` for the package as a whole."""
    modules = [module.split(".") for module in imported_modules(source)]
    parts = {module[1] for module in modules if module[0] == "tfp_nvp" and len(module) > 1}
    whole = {"__init__"} if ["tfp_nvp"] in modules and not parts else set()
    return whole | {part for part in parts if (ROOT / part).is_dir() or (ROOT / f"{part}.py").exists()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path):
    part = part_of(path)
    upward = {other for other in imported_parts(path.read_text()) - {part} if LEVEL[other] >= LEVEL[part]}
    assert not upward, f"{part} may not import {sorted(upward)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_keras_is_keras_3(path: Path):
    source = path.read_text()
    forbidden = ("tf_keras", "tensorflow.keras", "tensorflow.python")
    assert not {module for module in imported_modules(source) if module.startswith(forbidden)}
    attributes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
    assert not [node.lineno for node in attributes if ast.unparse(node) == "tf.keras"]


def test_the_order_is_of_all_parts_there_are():
    assert {part_of(path) for path in FILES} <= set(LEVEL)


def test_an_import_upward_is_seen():
    assert imported_parts("def f():\n    from tfp_nvp.flows import NICE") == {"flows"}
    assert imported_parts("from tfp_nvp import masks, shapes") == {"masks", "shapes"}
    assert imported_parts("import tfp_nvp as nvp") == {"__init__"}
