"""`serving.Client` gives over the wire, in chunks, what `serving.load` gives from the folder."""

import numpy as np
import pytest

from tests.serving.rounding import IN_ANOTHER_BATCH, within
from tests.serving.wire.conftest import assert_close, in_python, inputs_of
from tfp_nvp import serving

pytest.importorskip("tests.serving.wire.clients")


@pytest.fixture(params=["grpc", "http"])
def address(request, server):
    return f"{request.param}://localhost:{server.port if request.param == 'grpc' else server.rest_port}"


@pytest.mark.parametrize("name", ["spline", "spline64", "encoder_of_two", "scalar", "digits"])
def test_every_signature(name, models, address):
    case = models(name)
    with serving.Client(address, name, chunk_rows=3) as client:
        client.wait_until_available(version=1)
        assert client.signatures == case.served.signatures
        assert client.event_shape == case.served.event_shape
        assert client.event_dtype == case.served.event_dtype
        assert client.conditions == case.served.conditions
        for signature, inputs in inputs_of(case, 8).items():
            assert_close(case, client.predict(signature, inputs), in_python(case, signature, inputs))


def test_strings_come_back_as_bytes(changing, address):
    word = np.array([["cat", "größe"], ["", 'a"b\n']])
    expected = serving.load(changing["labelled"] / "2").predict("shout", {"word": word})
    assert expected["loud"].tolist() == [[b"CAT", "GRößE".encode()], [b"", b'A"B\n']]
    with serving.Client(address, "labelled", version="canary") as client:
        for n in (2, 1, 0):
            found = client.predict("shout", {"word": word[:n]})
            for name, values in expected.items():
                assert (found[name].dtype, found[name].tolist()) == (object, values[:n].tolist())


def test_samples_do_not_depend_on_the_chunks(models, address):
    with serving.Client(address, "spline", chunk_rows=7) as small, serving.Client(address, "spline") as large:
        # The same rows in chunks of another size: tens of roundings.
        np.testing.assert_allclose(small.sample(50, seed=3), large.sample(50, seed=3), **IN_ANOTHER_BATCH)
        assert small.sample(0).shape == (0, 2)


def test_errors_are_exceptions(address):
    with serving.Client(address, "nobody") as client, pytest.raises(serving.NotFound):
        client.log_prob([[0.0, 0.0]])
    with serving.Client(address, "spline") as client:
        with pytest.raises(ValueError, match="has no signature 'score'; it offers"):
            client.score([[0.0, 0.0]])
        with pytest.raises(ValueError, match="`x` must have shape"):
            client.log_prob([[0.0]])
        assert client.status() == {1: "AVAILABLE"}
    with serving.Client(address, "spline", version=77) as client, pytest.raises(serving.NotFound):
        client.log_prob([[0.0, 0.0]])


def test_large_arrays_under_batching(models, batching_server):
    z = np.random.default_rng(0).normal(size=(3000, 3)).astype(np.float32)
    address = f"grpc://localhost:{batching_server.port}"
    with serving.Client(address, "mixture_base", chunk_rows=16, concurrency=4) as client:
        x, log_det = client.decode(z)
    expected = models("mixture_base").served.decode(z)
    # A graph against eager mode, through all layers: hundreds of roundings.
    np.testing.assert_allclose(x, expected[0], **within())
    np.testing.assert_allclose(log_det, expected[1], **within())
