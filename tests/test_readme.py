"""The README's Python runs, block after block, and its statements about the code hold."""

import inspect
import re
from pathlib import Path

import pytest

import tfp_nvp as nvp
from tfp_nvp import flows
from tfp_nvp.cli.commands import tfp_nvp as commands

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_python_blocks_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert BLOCKS
    namespace: dict = {"__name__": "readme"}
    for number, block in enumerate(BLOCKS, 1):
        exec(compile(block, f"README.md, Python block {number}", "exec"), namespace)
    assert (tmp_path / "saved_models" / "two_moons" / "1" / "saved_model.pb").exists()


@pytest.mark.parametrize("name", flows.__all__)
def test_every_flow_is_in_the_table(name: str):
    assert re.search(rf"^\| `{name}` ", README, flags=re.MULTILINE)


def test_commands_and_their_options_exist():
    lines = re.findall(r"^(?:tfp-nvp|python -m tfp_nvp) (\S+)(.*)$", README, flags=re.MULTILINE)
    assert {command for command, _ in lines} == set(commands.commands)
    for command, arguments in lines:
        known = {option for each in commands.commands[command].params for option in each.opts}
        assert set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", arguments)) <= known, command


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (Path(__file__).parents[1] / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", README)) <= targets


def test_arguments_of_the_fit_shown_exist():
    for call in re.findall(r"nvp\.fit\((.*?)\)\s", README):
        assert set(re.findall(r"(\w+)=", call)) <= set(inspect.signature(nvp.fit).parameters)
