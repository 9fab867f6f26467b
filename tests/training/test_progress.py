"""What a fit says while it runs, on stderr."""

import io
import re
import sys

import numpy as np
import pytest

import tfp_nvp as nvp
from tests.training.small import small


class Notebook(io.StringIO):
    """A stream like a Jupyter notebook's: no terminal, and a carriage return starts the line anew."""

    def shown(self) -> list[str]:
        return [line.split("\r")[-1].rstrip() for line in self.getvalue().split("\n")]


Notebook.__module__ = "ipykernel.iostream"


@pytest.mark.parametrize("where", ["notebook", "file"])
def test_progress_is_told_from_the_beginning_to_the_end(where, x, monkeypatch, capsys):
    stream = Notebook() if where == "notebook" else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    nvp.fit(x, flow=small, epochs=3, seed=0, verbose=1)
    text = stream.getvalue()
    assert re.search(r"^Fitting \d+ weights to 205 rows × 2, validating on 51: at most 3 epochs of \d+ steps", text)
    assert "compiling   0%|" in text
    assert re.search(
        r"epoch 3/3 100%\|[█#]+\| \d\d:\d\d, at most 00:00 left, nll -?\d.*, validation -?\d[\d.]* nats", text
    )
    assert re.search(
        r"Ended after all 3 epochs; the weights are those of epoch \d, with a validation loss of .* nats", text
    )
    assert capsys.readouterr().out == ""  # nothing of it goes to stdout
    if where == "notebook":
        first, bar, end, rest = Notebook.shown(stream)
        assert (first.startswith("Fitting"), end.startswith("Ended"), rest) == (True, True, "")
        assert bar.startswith("epoch 3/3 100%")
        assert "at most" in text.split("\r")[2]  # the time left, from the first step on
    else:
        assert text.count("\r") <= 6  # a file does not get a line for each step


def test_an_early_stop_is_told(rng, capsys):
    x = rng.normal(size=(100, 2))
    nvp.fit(x, flow=small, batch_size=10, epochs=2000, learning_rate=0.5, seed=0, verbose=1)
    end = capsys.readouterr().err.splitlines()[-1]
    found = re.fullmatch(
        r"Stopped after epoch (\d+) of 2000: validation has not improved for (\d+) epochs; the weights are those "
        r"(?:of epoch (\d+)|from before the first step), with a validation loss of .* nats",
        end,
    )
    assert found, end
    assert int(found[1]) - int(found[3] or 0) == int(found[2])


def test_silence_is_kept(x, capsys):
    nvp.fit(x, flow=small, epochs=1, seed=0, verbose=0)
    captured = capsys.readouterr()
    assert "Fitting" not in captured.err + captured.out
    assert not np.char.count(captured.err, "\r")
