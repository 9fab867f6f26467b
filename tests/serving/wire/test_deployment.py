"""A server with the files and flags of `write_deployment`: it starts with labels, and follows them as they move."""

import time

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.serving.wire.processes import KINDS, start_with, stop
from tfp_nvp.serving import export, set_label, write_deployment

clients = pytest.importorskip("tests.serving.wire.clients")

ALLOW = "--allow_version_labels_for_unavailable_models=true"


def export_one(path, version, **arguments):
    """A model whose log_prob at `version` is that of a normal's mode."""
    model = tfp.distributions.Normal(tf.Variable(float(version)), 1.0)
    assert export(model, path, verify=False, **arguments).name == str(version)


def flags_of(deployment):
    """Those it starts the server with, but for ports, and with less waiting."""
    own = [flag for flag in deployment.command[1:] if not flag.startswith(("--port=", "--rest_api_port="))]
    return [*own, "--model_config_file_poll_wait_seconds=1"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_follows_the_labels(kind, tmp_path):
    models, out = tmp_path / "models", tmp_path / "serving"
    export_one(models / "m", 1)
    export_one(models / "m", 2)
    deployment = write_deployment(models, out)
    running = start_with(kind, flags_of(deployment), tmp_path / "log")
    client = clients.GrpcClient(running.port)

    def answers(version, label=None, before=None):
        """Waits until `label` means `version`, and until then what it meant before."""
        deadline = time.monotonic() + 60.0
        while time.monotonic() < deadline:
            try:
                found = client.predict("m", "log_prob", {"x": np.float32([version])}, label=label)
            except clients.grpc.RpcError:
                assert before is None  # a label that is there is never lost
            else:
                if found.version == version:
                    return float(found.outputs["log_prob"][0])
                assert found.version == before
            time.sleep(0.05)
        pytest.fail(f"{label} is not {version}: {(tmp_path / 'log').read_text()[-1000:]}")

    mode = pytest.approx(-0.5 * np.log(2.0 * np.pi))
    try:
        assert answers(2) == mode
        set_label(models / "m", "stable", 1)  # of a version that is not loaded: the label is new
        write_deployment(models, out)
        assert answers(1, "stable") == mode
        export_one(models / "m", 3, labels=["canary", "stable"])  # moves to one that is loaded a moment later
        write_deployment(models, out)
        assert answers(3, "stable", before=1) == mode
        assert answers(3, "canary") == mode
        set_label(models / "m", "stable", 2)  # and back, to one that was there before there were labels
        write_deployment(models, out)
        assert answers(2, "stable", before=3) == mode
    finally:
        client.channel.close()
        stop(running)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_starts_with_labels_by_the_flag_of_the_deployment(kind, tmp_path):
    models, out = tmp_path / "models", tmp_path / "serving"
    export_one(models / "m", 1, labels=["stable"])
    flags = flags_of(write_deployment(models, out))
    assert ALLOW in flags
    stop(start_with(kind, flags, tmp_path / "log"))
    with pytest.raises(RuntimeError, match=r"(?s)Failed to start server.*not currently available for inference"):
        start_with(kind, [flag for flag in flags if flag != ALLOW], tmp_path / "other")
