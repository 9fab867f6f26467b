"""Training on several devices and machines, which share each batch, is that on one."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("replicas")]


def start(name: str, **environment: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.training.replicas_child", name]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


def result(process: subprocess.Popen) -> dict:
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(output.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def devices() -> dict:
    return result(start("devices"))


def test_two_devices_give_the_weights_of_one(devices):
    assert devices["equal"]["weights"] < 1e-5
    assert devices["equal"]["loss"] < 1e-5


def test_a_step_that_one_replica_finds_not_finite_is_applied_by_none(devices):
    guard = devices["guard"]
    assert any("First not finite: the data" in message for message in guard["messages"])
    assert guard["moved"] == 0.0
    assert guard["iterations"] == 2


def test_a_table_is_fitted_saved_and_loaded(devices):
    assert devices["table"]["log_prob"] > -3.5
    assert devices["table"]["loaded_error"] < 1e-5


def test_two_machines_give_the_weights_of_one():
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            ports.append(f"localhost:{free.getsockname()[1]}")
    workers = [
        start("machine", TF_CONFIG=json.dumps({"cluster": {"worker": ports}, "task": {"type": "worker", "index": i}}))
        for i in range(2)
    ]
    weights = [result(process)["weights"] for process in (*workers, start("machine"))]
    np.testing.assert_allclose(weights[0], weights[1], rtol=0, atol=0)
    np.testing.assert_allclose(weights[0], weights[2], rtol=0, atol=1e-5)
