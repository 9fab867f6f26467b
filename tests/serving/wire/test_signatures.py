"""Over the wire, every signature of every model gives what it gives in Python."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.rounding import IN_ANOTHER_BATCH
from tests.serving.wire.conftest import assert_close, in_python, inputs_of

clients = pytest.importorskip("tests.serving.wire.clients")

N = 5


def dtyped(values, expected):
    """Lists out of JSON as arrays of the types expected."""
    return {key: np.array(values[key], expected[key].dtype) for key in expected}


def test_grpc_gives_the_numbers_of_python(case, grpc_client):
    for name, inputs in inputs_of(case, N).items():
        answer = grpc_client.predict(case.name, name, inputs)
        assert answer.version == 1
        assert_close(case, answer.outputs, in_python(case, name, inputs))


def test_columns_of_rest_give_the_numbers_of_python(case, rest_client):
    for name, inputs in inputs_of(case, N).items():
        columns = {key: clients.as_json(value) for key, value in inputs.items()}
        values = rest_client.predict(case.name, signature_name=name, inputs=columns)["outputs"]
        expected = in_python(case, name, inputs)
        named = values if len(expected) > 1 else dict.fromkeys(expected, values)
        assert_close(case, dtyped(named, expected), expected)
        if len(columns) == 1:  # a lone input needs no name
            lone = rest_client.predict(case.name, signature_name=name, inputs=next(iter(columns.values())))
            assert lone["outputs"] == values


def test_rows_of_rest_give_the_numbers_of_python(case, rest_client):
    for name, inputs in inputs_of(case, N).items():
        columns = {key: clients.as_json(value) for key, value in inputs.items()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        predictions = rest_client.predict(case.name, signature_name=name, instances=rows)["predictions"]
        expected = in_python(case, name, inputs)
        keyed = predictions if len(expected) > 1 else [dict.fromkeys(expected, row) for row in predictions]
        stacked = {key: [row[key] for row in keyed] for key in expected}
        assert_close(case, dtyped(stacked, expected), expected)
        if len(columns) == 1:
            (values,) = columns.values()
            lone = rest_client.predict(case.name, signature_name=name, instances=values)
            assert lone["predictions"] == predictions


def test_the_default_signature_is_log_prob(case, grpc_client, rest_client):
    inputs = inputs_of(case, N)["log_prob"]
    expected = in_python(case, "log_prob", inputs)
    assert_close(case, grpc_client.predict(case.name, "", inputs).outputs, expected)
    columns = {key: clients.as_json(value) for key, value in inputs.items()}
    values = rest_client.predict(case.name, inputs=columns)["outputs"]
    assert_close(case, dtyped({"log_prob": values}, expected), expected)


def test_metadata_lists_signatures_with_types_and_shapes(case, grpc_client, rest_client):
    found = grpc_client.signatures(case.name)
    assert {name for name in found if not name.startswith("__")} == {*case.served.signatures, "serving_default"}
    for name in (*case.served.signatures, "serving_default"):
        function = case.served._loaded.signatures[name]
        for infos, specs in (
            (found[name].inputs, function.structured_input_signature[1]),
            (found[name].outputs, function.structured_outputs),
        ):
            assert set(infos) == set(specs)
            for key, spec in specs.items():
                assert tf.as_dtype(infos[key].dtype) == spec.dtype
                assert tf.TensorShape(infos[key].tensor_shape).as_list() == spec.shape.as_list()
                assert infos[key].tensor_shape.dim[0].size == -1
    document = rest_client.get(f"{case.name}/metadata").json()
    assert document["model_spec"]["name"] == case.name
    x = document["metadata"]["signature_def"]["signature_def"]["log_prob"]["inputs"]["x"]
    assert [int(dim["size"]) for dim in x["tensor_shape"]["dim"]] == [-1, *case.served.event_shape]


def test_status_is_available(case, grpc_client, rest_client):
    assert grpc_client.states(case.name) == {1: ("AVAILABLE", 0)}
    for path in (case.name, f"{case.name}/versions/1"):
        assert rest_client.get(path).json() == {
            "model_version_status": [
                {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
            ]
        }


def test_versions_and_labels(models, grpc_client, rest_client):
    x = inputs_of(models("uniform_base"), N)["log_prob"]["x"]
    for which, version in (({"version": 1}, 1), ({"label": "stable"}, 1), ({"label": "canary"}, 2), ({}, 2)):
        assert grpc_client.predict("labelled", "log_prob", {"x": x}, **which).version == version
    expected = rest_client.predict("labelled", instances=x.tolist())
    for path in ("labelled/versions/1", "labelled/labels/stable", "labelled/labels/canary"):
        assert rest_client.post(f"{path}:predict", {"instances": x.tolist()}).json() == expected


def test_an_output_filter_leaves_out_the_rest(models, grpc_client):
    case = models("spline")
    inputs = inputs_of(case, N)["encode"]
    answer = grpc_client.predict("spline", "encode", inputs, outputs=["log_det"])
    expected = in_python(case, "encode", inputs)
    assert_close(case, answer.outputs, {"log_det": expected["log_det"]})


def test_strings_may_be_base64(models, rest_client):
    case = models("encoder_of_two")
    inputs = inputs_of(case, N)["log_prob"]
    columns = {key: clients.as_json(value) for key, value in inputs.items()}
    plain = rest_client.predict(case.name, inputs=columns)
    codes = {"cat": "Y2F0", "dog": "ZG9n", "cow": "Y293"}
    columns["condition_word"] = [{"b64": codes[word]} for word in columns["condition_word"]]
    assert rest_client.predict(case.name, inputs=columns) == plain


def test_large_messages(models, server, grpc_client):
    """Requests may be large; answers above 4 MiB need a client that takes them."""
    seed = np.zeros([600_000, 2], np.int32)
    seed[:, 1] = np.arange(len(seed))
    outputs = grpc_client.predict("stock_flow", "sample", {"seed": seed}).outputs
    expected = in_python(models("stock_flow"), "sample", {"seed": seed[-3:]})["x"]
    # The same rows in a batch of another size: tens of roundings.
    np.testing.assert_allclose(outputs["x"][-3:], expected, **IN_ANOTHER_BATCH)
    stock = clients.GrpcClient(server.port, options=())
    with pytest.raises(clients.grpc.RpcError) as caught:
        stock.predict("stock_flow", "sample", {"seed": seed})
    assert caught.value.code() == clients.grpc.StatusCode.RESOURCE_EXHAUSTED
    stock.channel.close()


def test_json_is_what_other_languages_read(models, rest_client):
    """Names of outputs as keys, no NaN, and float32 with the digits it has, not those of a double."""
    x = inputs_of(models("spline"), N)["encode"]["x"]
    text = rest_client.post("spline:predict", {"signature_name": "encode", "instances": x.tolist()}).text
    rows = json.loads(text, parse_constant=lambda name: pytest.fail(name))["predictions"]
    assert all(set(row) == {"z", "log_det"} for row in rows)
    assert max(len(repr(number)) for row in rows for number in [row["log_det"], *row["z"]]) <= 15
