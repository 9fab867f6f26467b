"""docs/tables.md runs, block after block."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_python_blocks_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "tables"}
    for number, block in enumerate(BLOCKS, 1):
        exec(compile(block, f"docs/tables.md, Python block {number}", "exec"), namespace)
    printed = re.findall(r"^# (.*)$", BLOCKS[1], flags=re.MULTILINE)
    assert repr(namespace["nvp"].Schema.of(namespace["people"].drop(columns="income_missing"))).splitlines() == printed
    model, people = namespace["model"], namespace["people"]
    assert namespace["filled"].notna().all(axis=None)
    assert (namespace["draws"][:, 1] > 0).numpy().all()
    south = model.quantile(0.5, "age", given={"region": "south"}).item()
    assert abs(south - people["age"][people["region"] == "south"].median()) <= 2
    assert model.attributions(namespace["odd"])["flat"].min() > 2.0
