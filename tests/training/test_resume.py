"""A fit that is killed goes on from its last epoch."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

SCRIPT = """
import sys, time, pathlib
import keras, numpy as np
import tfp_nvp as nvp

folder = pathlib.Path(sys.argv[1])
x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32") * [3.0, 0.2] + 1.0
model = nvp.FlowModel(nvp.RealNVP([2], num_layers=2, hidden_units=[8], seed=0))
model.compile(keras.optimizers.Adam(1e-2))


class Log(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 4 and "--pause" in sys.argv:
            (folder / "ready").touch()
            time.sleep(600)

    def on_epoch_end(self, epoch, logs=None):
        with open(folder / "epochs", "a") as file:
            file.write(f"{epoch}\\n")


callbacks = [Log()] if "--whole" in sys.argv else [keras.callbacks.BackupAndRestore(folder / "backup"), Log()]
model.fit(x, epochs=6, batch_size=64, shuffle=False, callbacks=callbacks, verbose=0)
np.save(folder / "log_prob.npy", model.predict(x, verbose=0))
np.save(folder / "steps.npy", int(model.optimizer.iterations))
"""


def start(folder: Path, *options: str) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), *options], env=dict(os.environ))


@pytest.mark.slow
def test_training_resumes_after_kill_9(tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(killed, "--pause")
    deadline = time.time() + 240
    while not (killed / "ready").exists():
        assert process.poll() is None
        assert time.time() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert start(killed).wait() == 0
    assert start(whole, "--whole").wait() == 0
    assert (killed / "epochs").read_text().split() == ["0", "1", "2", "3", "4", "5"]
    assert np.load(killed / "steps.npy") == 6
    np.testing.assert_allclose(np.load(killed / "log_prob.npy"), np.load(whole / "log_prob.npy"), rtol=1e-4, atol=1e-4)
