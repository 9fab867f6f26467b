"""The table of public names says what there is, and nothing is imported before it is used."""

import ast
import importlib
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tfp_nvp as nvp
from tests.training.small import small
from tfp_nvp._names import NAMES
from tfp_nvp._registered import CLASSES
from tfp_nvp._stubs import stub

ROOT = Path(nvp.__file__).parent
PUBLIC = [(package, name, module) for package, names in NAMES.items() for name, module in names.items()]


def run(source: str, *arguments: object, script: Path) -> str:
    """What a script prints in a process of its own."""
    script.write_text(source)
    done = subprocess.run([sys.executable, script, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("package", "name", "module"), PUBLIC)
def test_a_name_is_defined_in_the_module_of_the_table(package: str, name: str, module: str):
    value = getattr(importlib.import_module(package), name)
    assert (value.__name__ if module == f"{package}.{name}" else value.__module__) == module


@pytest.mark.parametrize(("package", "name", "module"), PUBLIC)
def test_no_module_takes_the_place_of_a_name(package: str, name: str, module: str):
    assert module == f"{package}.{name}" or importlib.util.find_spec(f"{package}.{name}") is None


@pytest.mark.parametrize("package", NAMES)
def test_a_package_shows_its_public_names_and_no_others(package: str):
    found = importlib.import_module(package)
    assert sorted(found.__all__) == sorted(NAMES[package])
    assert {name for name in dir(found) if not name.startswith("__")} == set(NAMES[package])
    assert all(hasattr(found, name) for name in dir(found))
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        found.Nothing  # noqa: B018


def test_the_version_is_shown():
    assert "__version__" in dir(nvp)


@pytest.mark.parametrize("package", NAMES)
def test_stubs_agree_with_the_table(package: str):
    path, text = stub(package)
    assert path.read_text() == text, "python -m tfp_nvp._stubs writes it"


def test_every_stub_is_of_a_public_package():
    assert sorted(ROOT.rglob("*.pyi")) == sorted(stub(package)[0] for package in NAMES)


def test_import_waits_for_no_other_package(tmp_path):
    source = "import sys, tfp_nvp\nassert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    run(source, script=tmp_path / "script.py")


def test_the_command_line_checks_its_input_first(tmp_path):
    source = """
import sys
from tfp_nvp.cli import main
try:
    main(["fit", "missing.csv", "--out", "run"])
except SystemExit as error:
    assert error.code == 2 and "tensorflow" not in sys.modules
"""
    run(source, script=tmp_path / "script.py")


def test_a_script_named_as_the_command_line(tmp_path):
    run("import tfp_nvp; tfp_nvp.RealNVP", script=tmp_path / "tfp-nvp.py")


def test_every_class_of_keras_files_is_known():
    found = {}
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and any("register_keras" in ast.unparse(d) for d in node.decorator_list):
                found[node.name] = ".".join(["tfp_nvp", *path.relative_to(ROOT).with_suffix("").parts])
    assert found.items() <= CLASSES.items()
    for name, module in CLASSES.items():
        getattr(importlib.import_module(module), name)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> tuple[Path, float]:
    """A folder of a model's file, and the same as an earlier version wrote it; and a density by that model."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("fitted")
    model = nvp.fit(rng.normal(size=[40, 2]), rng.normal(size=[40, 1]), flow=small, epochs=1, seed=0, verbose=0)
    model.save(folder / "new.keras")
    before = {"_models.flow_model": "flow_model", "_models.standardize": "table", "_tables.regression": "regression"}
    with zipfile.ZipFile(folder / "new.keras") as new, zipfile.ZipFile(folder / "old.keras", "w") as old:
        for name in new.namelist():
            content = new.read(name)
            if name == "config.json":  # as it was written when these modules had other places
                for now, then in before.items():
                    assert f"tfp_nvp.training.{now}".encode() in content
                    content = content.replace(f"tfp_nvp.training.{now}".encode(), f"tfp_nvp.training.{then}".encode())
            old.writestr(name, content)
    return folder, float(model.log_prob([[0.0, 1.0]], condition=[[2.0]])[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        "import keras, tfp_nvp",
        pytest.param("import tfp_nvp, keras", marks=pytest.mark.exhaustive),
        pytest.param("import tfp_nvp, tensorflow, keras", marks=pytest.mark.exhaustive),
    ],
)
def test_a_keras_file_is_loaded_after_an_import_alone(imports: str, fitted, tmp_path):
    folder, expected = fitted
    source = f"import sys\n{imports}\nmodel = keras.saving.load_model(sys.argv[1])\n"
    source += "print(float(model.log_prob([[0.0, 1.0]], condition=[[2.0]])[0]))"
    for file in ("new.keras", "old.keras"):
        assert float(run(source, folder / file, script=tmp_path / "script.py")) == pytest.approx(expected, abs=5e-4)
