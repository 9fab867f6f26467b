"""New versions replace old ones while clients ask: no request fails, and each is answered by one version."""

import contextlib
import functools
import itertools
import shutil
import threading
import time

import numpy as np
import pytest

from tests.serving.conftest import affine, shaken
from tests.serving.rounding import within
from tests.serving.wire.conftest import BATCHING
from tests.serving.wire.processes import config_of, stop
from tfp_nvp import RealNVP
from tfp_nvp.serving import ServedFlow, export

clients = pytest.importorskip("tests.serving.wire.clients")

NEW_VERSIONS = (2, 3)
MODEL = "swapped"
POOL = 60


class Hammer(threading.Thread):
    """Asks until it is told to stop; keeps (version or None, values), or the error."""

    def __init__(self, ask):
        super().__init__()
        self._ask, self._stopped = ask, threading.Event()
        self.answers, self.error = [], None

    def run(self):
        try:
            while not self._stopped.is_set():
                self.answers.append(self._ask())
        except Exception as error:  # the test's thread looks at it
            self.error = error

    def finish(self):
        self._stopped.set()
        self.join()


@contextlib.contextmanager
def at_work(hammers, rests):
    """While open, they ask without a pause; no request may fail."""
    for hammer in hammers:
        hammer.start()
    try:
        yield
    finally:
        for hammer in hammers:
            hammer.finish()
        for rest in rests:
            rest.close()
    for hammer in hammers:
        assert hammer.error is None, hammer.error


def test_versions_are_swapped_under_load(changing, server, rng, tmp_path):
    x = rng.normal(size=[5, 3]).astype(np.float32)
    expected = {1: ServedFlow(changing[MODEL] / "1").log_prob(x)}
    for version in NEW_VERSIONS:  # an export under load would take the test's time
        flow = shaken(RealNVP([3], num_layers=2, hidden_units=[8], seed=version), seed=version)
        expected[version] = ServedFlow(export(flow, tmp_path, version=version, verify=False)).log_prob(x)
    grpc, rests = clients.GrpcClient(server.port), [clients.RestClient(server.rest_port)]

    def ask_grpc():
        answer = grpc.predict(MODEL, "log_prob", {"x": x})
        return answer.version, answer.outputs["log_prob"]

    def ask_rest(rest):
        return None, np.array(rest.predict(MODEL, instances=x.tolist())["predictions"], np.float32)

    hammers = [Hammer(ask_grpc) for _ in range(3)] + [Hammer(lambda rest=rest: ask_rest(rest)) for rest in rests]
    with at_work(hammers, rests):
        for version in NEW_VERSIONS:
            (tmp_path / str(version)).rename(changing[MODEL] / str(version))
            grpc.wait_for(MODEL, version, "AVAILABLE")
            grpc.wait_for(MODEL, version - 1, "END")
            time.sleep(0.3)
    for hammer in hammers:
        seen = []
        for version, values in hammer.answers:
            # Batches of other sizes are summed in other orders; versions differ by far more.
            (match,) = [v for v, e in expected.items() if np.allclose(values, e, **within())]
            assert version in (match, None)
            seen.append(match)
        assert seen == sorted(seen)  # nobody goes back
        assert seen[0] == 1
        assert seen[-1] == NEW_VERSIONS[-1]
    assert grpc.states(MODEL) == {1: ("END", 0), 2: ("END", 0), 3: ("AVAILABLE", 0)}
    with pytest.raises(clients.grpc.RpcError) as caught:
        grpc.predict(MODEL, "log_prob", {"x": x}, version=1)
    assert caught.value.code() == clients.grpc.StatusCode.NOT_FOUND
    grpc.channel.close()


class RandomRows:
    """Requests of random rows out of a pool, of two signatures in turn; each row must come as it would alone."""

    def __init__(self, ask, inputs, expected, seed):
        self._ask, self._inputs, self._expected, self._rng = ask, inputs, expected, np.random.default_rng(seed)
        self._signatures = itertools.cycle(inputs)

    def __call__(self):
        signature = next(self._signatures)
        rows = self._rng.integers(POOL, size=self._rng.integers(1, 30))
        version, found = self._ask(signature, self._inputs[signature][rows])
        np.testing.assert_allclose(found, self._expected[signature][rows], **within())
        return version


def test_batches_stay_apart_while_versions_of_equal_weights_arrive(launch, tmp_path_factory, rng):
    """Everything together: batching with padding, both protocols, two signatures, and three new versions."""
    folder, flow = tmp_path_factory.mktemp("models") / MODEL, affine()
    alone = ServedFlow(export(flow, folder, verify=False))
    inputs = {
        "log_prob": rng.normal(size=[POOL, 3]).astype(np.float32),
        "sample": rng.integers(-(2**31), 2**31, size=[POOL, 2]).astype(np.int32),
    }
    expected = {
        "log_prob": alone.log_prob(inputs["log_prob"]),
        "sample": alone.predict("sample", {"seed": inputs["sample"]})["x"],
    }
    for values in expected.values():  # else a neighbour's answer would pass for one's own
        assert len(np.unique(values.reshape(POOL, -1).round(3), axis=0)) > POOL * 0.9
    server = launch(config_of({MODEL: folder}), BATCHING)
    grpc, rests = clients.GrpcClient(server.port), [clients.RestClient(server.rest_port) for _ in range(2)]
    names = {"log_prob": ("x", "log_prob"), "sample": ("seed", "x")}

    def ask_grpc(signature, values):
        name, output = names[signature]
        answer = grpc.predict(MODEL, signature, {name: values})
        return answer.version, answer.outputs[output]

    def ask_rest(rest, signature, values):
        found = rest.predict(MODEL, signature_name=signature, inputs=values.tolist())["outputs"]
        return None, np.array(found, np.float32)

    asks = [ask_grpc] * 3 + [functools.partial(ask_rest, rest) for rest in rests]
    hammers = [Hammer(RandomRows(ask, inputs, expected, seed)) for seed, ask in enumerate(asks)]
    with at_work(hammers, rests):
        for version in (2, 3, 4):
            shutil.copytree(folder / "1", folder / ".copy")
            (folder / ".copy").rename(folder / str(version))
            grpc.wait_for(MODEL, version, "AVAILABLE")
            grpc.wait_for(MODEL, version - 1, "END")
        time.sleep(0.3)
    for hammer in hammers:
        assert len(hammer.answers) > 20
        seen = [version for version in hammer.answers if version is not None]
        assert seen == sorted(seen)  # nobody goes back
    assert {version for hammer in hammers for version in hammer.answers} == {None, 1, 2, 3, 4}
    grpc.channel.close()
    stop(server)
