"""What the documents point to is there."""

import math
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp import checks, flows
from tfp_nvp.bijectors import Bijector
from tfp_nvp.testing import check_bijector

ROOT = Path(__file__).parents[1]
# Those of docs/reference and docs/sources are written by `make docs`.
OF_DOCS = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "benchmarks").glob("*.md")])
PAGES = sorted([*ROOT.glob("*.md"), *OF_DOCS, *(ROOT / "saved_models").glob("*.md")])


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    lines = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", lines, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_named_in_the_text_exist(page: Path):
    for name in re.findall(r"`((?:tfp_nvp|tests|examples|docs|benchmarks)/[\w/.]+\.\w+)`", page.read_text()):
        assert "NAME" in name or (ROOT / name).exists(), name


def test_the_folders_are_those_of_the_package():
    """docs/architecture.md lists every folder of the package, and no other."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = re.search(r"^## The folders.*?(^\|.*?)^$", text, flags=re.DOTALL | re.MULTILINE).group(1)
    rows = table.strip().splitlines()
    names = re.findall(r"`([\w/]+)`", " ".join(row.split("|")[1] for row in rows))
    listed = {name.rstrip("/") for name in names} - {"tests", "benchmarks", "examples", "docs"}
    folders = {
        str(path.parent.relative_to(ROOT / "tfp_nvp"))
        for path in (ROOT / "tfp_nvp").rglob("*.py")
        if path.name != "__init__.py" and path.parent.name != "tfp_nvp"
    }
    assert listed - {"saved_models", "conformance"} == folders


def test_the_bijector_of_contributing_is_one(rng):
    text = (ROOT / "CONTRIBUTING.md").read_text()
    block = re.search(r"^ *```python\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE).group(1)
    namespace: dict = {"Any": Any, "Bijector": Bijector, "checks": checks, "math": math, "tf": tf}
    exec(textwrap.dedent(block), namespace)
    layer = namespace["Spread"]([3])
    layer.log_scale.assign(0.5)
    names = ["inverse_of_forward", "forward_log_det", "inverse_log_det", "batch_shapes", "variables_tracked", "float64"]
    assert [check.status for check in check_bijector(layer, rng.normal(size=[6, 3]), only=names)] == ["passed"] * 6


def run_page(name: str) -> dict[str, Any]:
    """Runs all Python of a page, and returns its names."""
    text = (ROOT / "docs" / f"{name}.md").read_text()
    namespace: dict = {"__name__": name}
    for block in re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        exec(compile(block, f"docs/{name}.md", "exec"), namespace)
    return namespace


@pytest.mark.slow
def test_python_of_the_page_on_inference_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = run_page("inference")
    assert namespace["samples"].shape == (1000, 2)
    assert (np.abs(namespace["samples"]) <= 1.0).all()
    assert namespace["losses"][-1] < namespace["losses"][0]


@pytest.mark.exhaustive
def test_python_of_the_page_on_bayesian_models_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = run_page("bayesian")
    assert namespace["sample"].ess > 1500
    assert namespace["chains"].worst_r_hat < 1.2
    assert abs(namespace["found"].value - namespace["sample"].log_evidence) < 0.1
    assert (namespace["events"].noise > 0.0).numpy().all()


@pytest.mark.exhaustive
def test_python_of_the_page_on_continuous_flows_runs():
    namespace = run_page("continuous_flows")
    assert namespace["error_in_nats"] < 1e-3
    assert np.isfinite(namespace["one_pass"].log_prob(namespace["x"])).all()


@pytest.mark.exhaustive
def test_python_of_the_page_on_fine_tuning_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = run_page("fine_tuning")
    assert namespace["after"] < namespace["before"] - 1.0
    kept = [weight.numpy() for layer in namespace["couplings"][:-1] for weight in layer.weights]
    for value, wanted in zip(kept, namespace["frozen"], strict=True):
        np.testing.assert_array_equal(value, wanted)


def test_python_of_the_page_on_scaling_runs():
    assert np.isfinite(run_page("scaling")["model"].history.history["loss"]).all()


@pytest.mark.exhaustive
def test_python_of_the_page_of_families_runs():
    names = run_page("families")
    assert np.isfinite(names["flow"].log_prob(names["flow"].sample(2, seed=0))).all()


@pytest.mark.parametrize(
    "name", ["coming_from", "loading", "memory", "nan", "negative_losses", "own_transformer", "seeds", "units"]
)
def test_python_of_a_short_page_runs(name: str, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_page(name)
    expected = {
        "coming_from": lambda: names["after"] < names["before"],
        "nan": lambda: "row" in names["refused"] and len(names["stopped"]) == 1 and names["finite"],
        "negative_losses": lambda: abs(names["gained"] - math.log(1000.0)) < 1e-4,
    }
    assert expected.get(name, lambda: True)()


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["anomalies", "choosing", "conditional", "first_density", "index", "inside_tfp"])
def test_python_of_a_longer_page_runs(name: str, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_page(name)
    expected = {
        "anomalies": lambda: names["found"] > 0.6 and names["difference"] < 1e-3,
        "conditional": lambda: abs(names["covered"] - 0.9) < 0.05 and names["gain"] > 0.2,
        "first_density": lambda: names["nll"] < names["gaussian"] - 0.5 and names["difference"] < 1e-4,
    }
    assert expected.get(name, lambda: True)()


def test_the_page_of_families_names_every_recipe():
    text = (ROOT / "docs" / "families.md").read_text()
    of_images = {"Glow", "ImageRealNVP", "FlowPlusPlus", "SubscaleFlow"}  # docs/image_flows.md has them
    assert {name for name in flows.__all__ if f"`{name}" not in text and f".{name}(" not in text} == of_images
