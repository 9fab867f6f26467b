"""What clients get wrong is answered with the code that TensorFlow Serving gives, and the server goes on."""

import gzip
import json

import numpy as np
import pytest

from tests.serving.rounding import IN_ANOTHER_BATCH
from tests.serving.wire.conftest import assert_close, in_python, inputs_of

clients = pytest.importorskip("tests.serving.wire.clients")
grpc = clients.grpc

INVALID, MISSING, PRECONDITION = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
)


@pytest.fixture(autouse=True)
def still_answers(models, grpc_client, rest_client):
    """After each test both APIs answer as before."""
    yield
    case = models("conditional")
    inputs = inputs_of(case, 3)["log_prob"]
    expected = in_python(case, "log_prob", inputs)
    assert_close(case, grpc_client.predict(case.name, "", inputs).outputs, expected)
    columns = {key: value.tolist() for key, value in inputs.items()}
    values = np.array(rest_client.predict(case.name, inputs=columns)["outputs"], np.float32)
    assert_close(case, {"log_prob": values}, expected)


def code_of(client, *arguments, **which):
    with pytest.raises(grpc.RpcError) as caught:
        client.predict(*arguments, **which)
    assert caught.value.details()
    return caught.value.code()


@pytest.mark.parametrize(
    ("name", "signature", "which", "code"),
    [
        ("nothing", "", {}, MISSING),
        ("", "", {}, INVALID),
        ("conditional", "", {"version": 7}, MISSING),
        ("conditional", "", {"label": "stable"}, INVALID),
        ("conditional", "score", {}, PRECONDITION),
    ],
)
def test_unknown_models_versions_and_signatures(name, signature, which, code, models, grpc_client):
    inputs = inputs_of(models("conditional"), 2)["log_prob"]
    assert code_of(grpc_client, name, signature, inputs, **which) == code


def test_status_and_metadata_of_what_is_not_there(grpc_client, rest_client):
    for ask in (grpc_client.states, grpc_client.signatures):
        for name, which in (("nothing", {}), ("conditional", {"version": 7})):
            with pytest.raises(grpc.RpcError) as caught:
                ask(name, **which)
            assert caught.value.code() == MISSING
    for path in ("nothing", "nothing/metadata", "conditional/versions/7", "conditional/versions/7/metadata"):
        response = rest_client.get(path)
        assert response.status_code == 404
        assert set(response.json()) == {"error"}


def changed(inputs, change):
    return {key: value for key, value in (inputs | change).items() if value is not None}


@pytest.mark.parametrize(
    "change",
    [
        {"x": None},
        {"condition": None},
        {"y": np.zeros([2, 2], np.float32)},
        {"x": None, "X": np.zeros([2, 2], np.float32)},
        {"x": np.zeros([2, 2], np.float64)},
        {"x": np.zeros([2, 2], np.int32)},
        {"x": np.array([b"a", b"b"], object)},
        {"x": np.zeros([2, 3], np.float32)},
        {"x": np.zeros([2], np.float32)},
        {"x": np.float32(0.0)},
        {"x": np.zeros([2, 1, 2], np.float32)},
        {"condition": np.zeros([2, 4], np.float32)},
        {"condition": np.zeros([3, 3], np.float32)},
    ],
    ids=lambda change: ",".join(f"{key}:{getattr(value, 'shape', None)}" for key, value in change.items()),
)
def test_inputs_that_do_not_fit(change, models, grpc_client):
    inputs = changed(inputs_of(models("conditional"), 2)["log_prob"], change)
    assert code_of(grpc_client, "conditional", "log_prob", inputs) == INVALID


def test_outputs_that_are_not_there(models, grpc_client):
    inputs = inputs_of(models("conditional"), 2)["encode"]
    for outputs in (["x"], ["z", "z"]):
        with pytest.raises(grpc.RpcError) as caught:
            grpc_client.predict("conditional", "encode", inputs, outputs=outputs)
        assert caught.value.code() == INVALID


# A server feeds what it gets: it does not compare shapes with the signature's, so the graph has to.


@pytest.mark.parametrize(
    ("name", "signature", "key", "shape"),
    [
        ("conditional", "log_prob", "x", [3, 1]),
        ("conditional", "log_prob", "x", [1, 2]),
        ("conditional", "log_prob", "condition", [3, 1]),
        ("conditional", "log_prob", "condition", [1, 3]),
        ("conditional", "log_prob", "condition", []),
        ("conditional", "sample", "seed", [3, 3]),
        ("conditional", "sample", "seed", [1, 2]),
        ("conditional", "sample_tempered", "temperature", []),
        ("conditional", "sample_tempered", "temperature", [1]),
        ("conditional", "decode", "z", [3, 3]),
        ("encoder", "log_prob", "x", []),
        ("encoder", "log_prob", "x", [3]),
        ("maf", "log_prob", "x", [3, 1]),
        ("stock", "log_prob", "x", [3, 1]),
        ("stock", "log_prob", "x", [3, 2, 1]),
        ("scalar", "log_prob", "x", [3, 2]),
        ("scalar", "log_prob", "x", []),
        pytest.param("digits", "log_prob", "x", [3, 4, 4, 2]),
    ],
)
def test_no_shape_but_the_signatures_is_answered(name, signature, key, shape, models, grpc_client):
    inputs = inputs_of(models(name), 3)[signature]
    inputs[key] = np.ones(shape, inputs[key].dtype)
    assert code_of(grpc_client, name, signature, inputs) == INVALID


def test_no_rows(case, grpc_client):
    for name, inputs in inputs_of(case, 1).items():
        empty = {key: value[:0] for key, value in inputs.items()}
        outputs = grpc_client.predict(case.name, name, empty).outputs
        assert_close(case, outputs, in_python(case, name, empty))
        assert all(len(value) == 0 for value in outputs.values())


@pytest.mark.parametrize("name", ["spline", "conditional", "encoder", "maf", "iaf", "uniform_base", "stock"])
def test_rows_that_are_no_numbers_harm_themselves_only(name, models, grpc_client, rest_client):
    inputs = inputs_of(models(name), 4)["log_prob"]
    good = grpc_client.predict(name, "log_prob", inputs).outputs["log_prob"]
    inputs["x"] = inputs["x"].copy()
    inputs["x"][0] = np.nan
    inputs["x"][1] = np.inf
    over_grpc = grpc_client.predict(name, "log_prob", inputs).outputs["log_prob"]
    assert np.isnan(over_grpc[0])
    assert not np.isfinite(over_grpc[1])
    # JSON keeps nine digits; batches of other sizes differ by tens of roundings.
    np.testing.assert_allclose(over_grpc[2:], good[2:], **IN_ANOTHER_BATCH)
    columns = {key: value.tolist() for key, value in inputs.items()}
    over_rest = rest_client.predict(name, inputs=columns)["outputs"]
    np.testing.assert_allclose(over_rest, over_grpc, **IN_ANOTHER_BATCH)


ROW = {"x": [0.0, 0.0], "condition": [0.0, 0.0, 0.0]}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("conditional:predict", b"", 400),
        ("conditional:predict", b'{"instances": [', 400),
        ("conditional:predict", [], 400),
        ("conditional:predict", {}, 400),
        ("conditional:predict", {"instances": []}, 400),
        ("conditional:predict", {"instances": ROW}, 400),
        ("conditional:predict", {"instances": [ROW], "inputs": ROW}, 400),
        ("conditional:predict", {"instances": [[0.0, 0.0]]}, 400),
        ("conditional:predict", {"instances": [ROW, [0.0, 0.0]]}, 400),
        ("conditional:predict", {"instances": [ROW, {"x": [0.0, 0.0]}]}, 400),
        ("conditional:predict", {"instances": [ROW, ROW | {"x": [0.0]}]}, 400),
        ("conditional:predict", {"instances": [ROW | {"x": [0.0, "0.0"]}]}, 400),
        ("conditional:predict", {"instances": [ROW | {"x": [0.0, None]}]}, 400),
        ("conditional:predict", b'{"instances": [{"x": [0.0, 1e400], "condition": [0, 0, 0]}]}', 400),
        ("conditional:predict", json.dumps({"instances": [ROW]}).encode("utf-16"), 400),
        ("conditional:predict", {"inputs": {"x": [[0.0, 0.0]]}}, 400),
        ("conditional:predict", {"signature_name": "score", "instances": [ROW]}, 400),
        ("conditional:predict", {"signature_name": 1, "instances": [ROW]}, 400),
        ("stock:predict", {"instances": [[0.0, 0.0, 0.0]]}, 400),
        ("stock:predict", {"signature_name": "sample", "instances": [[0.5, 1]]}, 400),
        ("stock:predict", {"signature_name": "sample", "instances": [[2**31, 1]]}, 400),
        ("nothing:predict", {"instances": [ROW]}, 404),
        ("conditional/versions/7:predict", {"instances": [ROW]}, 404),
        ("conditional/versions/99999999999999999999:predict", {"instances": [ROW]}, 400),
        ("conditional/labels/stable:predict", {"instances": [ROW]}, 400),
        ("conditional:guess", {"instances": [ROW]}, 400),
    ],
)
def test_rest_errors(path, body, status, rest_client):
    response = rest_client.post(path, body)
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}


GOOD = json.dumps({"instances": [ROW]}).encode()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (GOOD + b" and more", {}),
        (GOOD[:-1] + b', "instances": 3}', {}),
        (gzip.compress(GOOD), {"Content-Encoding": "gzip"}),
    ],
    ids=["trailing text", "a key twice", "gzip"],
)
def test_what_the_parser_of_the_server_takes(body, headers, rest_client):
    response = rest_client.post("conditional:predict", body, headers=headers)
    assert response.status_code == 200, response.text
    assert response.json() == rest_client.predict("conditional", instances=[ROW])


@pytest.mark.parametrize(
    ("number", "finite"),
    [("1e39", False), ("-1e300", False), ("Inf", False), ("123456789012345678901234567890", False), ("1e-400", True)],
)
def test_numbers_beyond_the_dtype(number, finite, rest_client):
    body = b'{"instances": [{"x": [0.0, %s], "condition": [0, 0, 0]}]}' % number.encode()
    response = rest_client.post("conditional:predict", body)
    assert response.status_code == 200, response.text
    assert np.isfinite(response.json()["predictions"][0]) == finite or number[:2] == "12"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_methods_that_there_are_not(method, rest_client):
    response = rest_client.request(method, "conditional:predict")
    assert response.status_code == 400
    assert set(response.json()) == {"error"}
