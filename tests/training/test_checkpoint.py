"""A fit that is killed or out of time goes on where it was."""

import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import tfp_nvp as nvp
from tests.training.small import small


def quick(x, **arguments):
    return nvp.fit(x, **{"flow": small, "epochs": 5, "batch_size": 64, "seed": 0, "verbose": 0, **arguments})


class Killed(BaseException):
    pass


class Kill(keras.callbacks.Callback):
    """Interrupts the fit within an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch, self.begun = epoch, []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.append(epoch)

    def on_train_batch_end(self, batch, logs=None):
        if self.begun[-1] == self.epoch:
            raise Killed


def test_a_killed_fit_goes_on_to_the_same_end(x, tmp_path):
    weight = np.linspace(0.5, 1.5, len(x))
    whole = quick(x, sample_weight=weight)
    with pytest.raises(Killed):
        quick(x, sample_weight=weight, checkpoint_dir=tmp_path / "new", callbacks=[Kill(3)])
    seen = Kill(None)
    resumed = quick(x, sample_weight=weight, checkpoint_dir=tmp_path / "new", callbacks=[seen])
    assert seen.begun == [3, 4]
    assert set(resumed.history.history) == set(whole.history.history)
    for name, values in whole.history.history.items():
        np.testing.assert_allclose(resumed.history.history[name], values, rtol=1e-5)
    np.testing.assert_allclose(resumed.log_prob(x), whole.log_prob(x), rtol=1e-4, atol=1e-4)

    # One that has ended is returned at once, also without its seed; other arguments are refused.
    again = quick(x, sample_weight=weight, checkpoint_dir=tmp_path / "new", seed=None, callbacks=[seen])
    assert seen.begun == [3, 4]
    np.testing.assert_array_equal(again.log_prob(x), resumed.log_prob(x))
    assert again.history.history == resumed.history.history
    for other, what in [({"seed": 1}, "settings"), ({"epochs": 6}, "settings"), ({"flow": nvp.NICE}, "flow")]:
        with pytest.raises(ValueError, match=f"`checkpoint_dir` holds a fit of other .*{what}"):
            quick(x, sample_weight=weight, checkpoint_dir=tmp_path / "new", **other)
    with pytest.raises(ValueError, match="holds a fit of other data: "):
        quick(x + 1, sample_weight=weight, checkpoint_dir=tmp_path / "new")


def test_a_damaged_file_is_refused(x, tmp_path):
    for content in (b"", b"PK\x03\x04 broken", b"\x93NUMPY"):
        (tmp_path / "fit.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"damaged, .*Delete it"):
            quick(x, checkpoint_dir=tmp_path)
    np.savez(tmp_path / "fit.npz", state=np.array("[]"))
    with pytest.raises(ValueError, match="damaged"):
        quick(x, checkpoint_dir=tmp_path)


def test_a_time_limit_ends_a_fit_which_can_go_on(x, tmp_path, capsys):
    started = time.monotonic()
    model = quick(x, epochs=100_000, time_limit=1.0, checkpoint_dir=tmp_path, verbose=1)
    assert time.monotonic() - started < 60
    run = len(model.history.history["loss"])
    assert 1 <= run < 100_000
    assert f"Stopped in epoch {run} of 100000: the time limit of 1 s is reached" in capsys.readouterr().err
    best = min(model.history.history["val_nll"])
    held_out = np.random.default_rng(0).permutation(len(x))[: round(0.2 * len(x))]
    assert -np.mean(model.log_prob(x[held_out])) <= best + 1e-3
    further = quick(x, epochs=100_000, time_limit=3.0, checkpoint_dir=tmp_path)
    assert len(further.history.history["loss"]) >= run
    for wrong in (0, -1.0, float("nan"), "1"):
        with pytest.raises((TypeError, ValueError), match="`time_limit`"):
            quick(x, time_limit=wrong)


SCRIPT = """
import sys, pathlib, time
import keras, numpy as np
import tfp_nvp as nvp

class Pause(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3 and "--pause" in sys.argv:
            pathlib.Path("ready").touch()
            time.sleep(600)

x = np.random.default_rng(0).normal(size=(100, 2))
flow = nvp.RealNVP([2], num_layers=1, hidden_units=[8], seed=0)
model = nvp.fit(x, flow=flow, epochs=5, seed=0, verbose=0, checkpoint_dir="state", callbacks=[Pause()])
np.save("log_prob.npy", model.log_prob(x))
"""


@pytest.mark.slow
def test_a_fit_goes_on_after_kill_9(tmp_path):
    command = [sys.executable, "-c", SCRIPT]
    process = subprocess.Popen([*command, "--pause"], env=dict(os.environ), cwd=tmp_path)
    deadline = time.time() + 240
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
        assert time.time() < deadline
        time.sleep(0.2)
    time.sleep(1.0)  # the state is written at the same moment
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    subprocess.run(command, env=dict(os.environ), cwd=tmp_path, check=True)
    x = np.random.default_rng(0).normal(size=(100, 2))
    whole = nvp.fit(x, flow=small, epochs=5, seed=0, verbose=0)
    np.testing.assert_allclose(np.load(tmp_path / "log_prob.npy"), whole.log_prob(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("folder", "error"), [("gs://bucket/fit", ValueError), ("", ValueError), (3, TypeError)])
def test_a_folder_that_is_none_is_refused_before_anything_is_written(folder, error, x, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match="`checkpoint_dir` must"):
        nvp.fit(x, flow=small, epochs=1, seed=0, verbose=0, checkpoint_dir=folder)
    assert list(tmp_path.iterdir()) == []
