"""A server with the files and flags of `write_deployment` starts with labels, follows them, and survives its callers.

Callers without rows, too many callers and a broken version have each stopped servers with other flags.
"""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

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


@pytest.fixture(scope="module", params=KINDS)
def deployed(request, tmp_path_factory):
    """A server of two models, their folder, and the files of its deployment."""
    root = tmp_path_factory.mktemp("deployed")
    for name in ("m", "other"):
        export_one(root / "models" / name, 1)
    deployment = write_deployment(root / "models", root / "serving")
    running = start_with(request.param, flags_of(deployment), root / "log")
    yield running, root / "models", deployment.folder
    stop(running)


def test_requests_without_rows_hang_nobody(deployed):
    running, _, _ = deployed

    def ask(_):
        rest = clients.RestClient(running.rest_port)
        answer = rest.post("m:predict", {"signature_name": "log_prob", "inputs": {"x": []}})
        rest.close()
        return answer.status_code

    with ThreadPoolExecutor(40) as pool:
        assert set(pool.map(ask, range(40))) == {200}
    rest = clients.RestClient(running.rest_port)
    assert rest.predict("m", inputs={"x": [1.0]})["outputs"] == pytest.approx([-0.5 * np.log(2.0 * np.pi)])
    rest.close()


def test_many_callers_are_all_answered(deployed):
    running, _, _ = deployed
    client = clients.GrpcClient(running.port)

    def ask(i):
        return float(client.predict("m", "log_prob", {"x": np.float32([1.0, i])}).outputs["log_prob"][0])

    with ThreadPoolExecutor(64) as pool:  # the default is four for each processor
        assert len(list(pool.map(ask, range(640)))) == 640
    client.channel.close()


def test_a_broken_version_stops_nobody(deployed):
    running, models, _ = deployed
    client = clients.GrpcClient(running.port)
    (models / "m" / "2" / "variables").mkdir(parents=True)
    (models / "m" / "2" / "saved_model.pb").write_bytes((models / "m" / "1" / "saved_model.pb").read_bytes()[:100])
    begin = time.monotonic()
    export_one(models / "other", 2)
    client.wait_for("other", 2, "AVAILABLE", timeout=30.0)
    assert client.wait_for("m", 2, "END", timeout=30.0) != 0
    assert time.monotonic() - begin < 45.0  # five tries, a minute apart, are the server's default
    assert client.predict("m", "log_prob", {"x": np.float32([1.0])}).version == 1
    client.channel.close()


def test_what_watches_it_sees_it(deployed):
    """The health check of compose, the probes of Kubernetes and the page that Prometheus reads."""
    yaml, requests = pytest.importorskip("yaml"), pytest.importorskip("requests")
    running, _, folder = deployed
    check = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["cpu"]["healthcheck"]["test"]
    assert check[:3] == ["CMD", "bash", "-c"]

    def health(script):
        script = script.replace("$$", "$").replace("/8501", f"/{running.rest_port}")
        return subprocess.run(["bash", "-c", script], capture_output=True, check=False, timeout=30.0).returncode

    assert health(check[3]) == 0
    assert health(check[3].replace("/models/m/", "/models/none/")) != 0
    deployment, _ = yaml.safe_load_all((folder / "kubernetes.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    address = f"http://127.0.0.1:{running.rest_port}"
    for probe in ("startupProbe", "readinessProbe"):
        assert requests.get(address + container[probe]["httpGet"]["path"], timeout=30.0).status_code == 200
    (scrape,) = yaml.safe_load((folder / "prometheus.yml").read_text())["scrape_configs"]
    page = requests.get(address + scrape["metrics_path"], timeout=30.0)
    assert page.status_code == 200
    assert ':tensorflow:serving:request_count{model_name="m"' in page.text
