"""Imports point one way, and only to Keras 3."""

import ast
import graphlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

import tfp_nvp
from tfp_nvp._names import NAMES

ROOT = Path(tfp_nvp.__file__).parent

#: From the lowest: each may import what stands before its line, and itself.
ORDER = [
    {"_names"},
    {"_estimates", "_extras", "_keywords", "_portable", "_registered", "_warnings", "_watch"},
    {"_captured"},
    {"_nameable"},
    {"_limits"},
    {"_serialization"},
    {"_module"},
    {"_contraction", "_grids", "_roots", "checks", "shapes", "tables", "_circle", "_finite", "_forward_mode"},
    {"masks"},
    {"transformers", "conditioners", "solvers"},
    {"bijectors"},
    {"distributions"},
    {"any_order", "flows"},
    {"training"},
    {"evaluation", "inference", "serving", "sklearn", "testing"},
    {"__init__"},
    {"_stubs", "cli"},
    {"__main__"},
]
#: The same of the folders within a package.
FOLDERS = {
    "training": [{"_candidates", "_models"}, {"_matching", "_tables"}, {"_anomalies", "_any_order"}],
    "serving": [{"_folders"}, {"_asking", "_exporting", "_deploying"}],
}
FILES = sorted(ROOT.rglob("*.py"))


def module_of(path: Path) -> str:
    """A file's module: "tfp_nvp.bijectors.chain"; of an `__init__.py`, the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(["tfp_nvp", *(part for part in parts if part != "__init__")])


MODULES = {module_of(path): path for path in FILES}


def levels(order: list[set[str]]) -> dict[str, int]:
    return {name: level for level, names in enumerate(order) for name in names}


LEVEL = levels(ORDER)


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


def defining(nodes: Iterable[ast.AST]) -> set[str]:
    """The modules of ours that are imported, for a public name the one that defines it."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = NAMES.get(str(node.module), {}).get(alias.name, f"{node.module}.{alias.name}")
                found.add(name if name in MODULES else str(node.module))
    return found & MODULES.keys()


def run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a module that run when it is imported: all but functions, and what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from run_on_import(child)


def on_import(source: str) -> set[str]:
    """The modules of ours that a module imports when it is imported itself."""
    return defining(run_on_import(ast.parse(source)))


def ever(source: str) -> set[str]:
    """The modules of ours that a module imports, in functions too."""
    return defining(ast.walk(ast.parse(source)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path):
    part = part_of(path)
    upward = {other for other in imported_parts(path.read_text()) - {part} if LEVEL[other] >= LEVEL[part]}
    assert not upward, f"{part} may not import {sorted(upward)}"


@pytest.mark.parametrize("package", FOLDERS)
def test_imports_between_folders_point_one_way(package: str):
    level = levels(FOLDERS[package])
    for path in (ROOT / package).glob("*/*.py"):
        folder = path.parent.name
        others = {module.split(".")[2] for module in ever(path.read_text()) if module.startswith(f"tfp_nvp.{package}.")}
        upward = {other for other in others - {folder} if level[other] >= level[folder]}
        assert not upward, f"{module_of(path)} may not import {sorted(upward)}"


def test_private_folders_are_imported_within_their_package_only():
    for path in FILES:
        for package in FOLDERS.keys() - {part_of(path)}:
            private = {name for name in imported_modules(path.read_text()) if name.startswith(f"tfp_nvp.{package}._")}
            assert not private, f"{module_of(path)} may not import {sorted(private)}"


@pytest.mark.parametrize("imports", [on_import, ever])
def test_no_modules_import_each_other(imports: Callable[[str], set[str]]):
    graph = {module: imports(path.read_text()) for module, path in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


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


def test_what_runs_on_import_is_seen():
    line = "from tfp_nvp.bijectors import Chain"
    assert on_import(line) == on_import(f"try:\n    {line}\nfinally:\n    pass") == {"tfp_nvp.bijectors.chain"}
    assert not on_import(f"if TYPE_CHECKING:\n    {line}")
    assert not on_import(f"def f():\n    {line}")
    assert ever(f"def f():\n    {line}") == {"tfp_nvp.bijectors.chain"}
