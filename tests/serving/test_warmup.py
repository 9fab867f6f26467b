"""The warmup file holds one valid request of each signature."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from tfp_nvp.serving._exporting.warmup import prediction_log

# PredictionLog { predict_log { request { model_spec { name: "m" signature_name: "sample" }
#                 inputs { key: "seed" value { DT_INT32, shape [1, 2], content 1, 2 } } } } },
# as tensorflow-serving-api 2.21.0 writes it.
GOLDEN = bytes.fromhex(
    "322f0a2d0a0b0a016d1a0673616d706c65121e0a0473656564121608031208120208011202080222080100000002000000"
)


def fields(message):
    """The length-delimited fields of a message as (number, content), by the protobuf encoding's definition."""
    at, found = 0, []
    while at < len(message):
        tag, at = varint(message, at)
        assert tag & 7 == 2
        size, at = varint(message, at)
        found.append((tag >> 3, message[at : at + size]))
        at += size
    assert at == len(message)
    return found


def varint(message, at):
    value = shift = 0
    while True:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if message[at - 1] < 0x80:
            return value, at


def parse(record):
    """Model name, signature and inputs of a PredictionLog that holds a predict request."""
    ((six, log),) = fields(record)
    ((one, request),) = fields(log)
    assert (six, one) == (6, 1)  # PredictionLog.predict_log, PredictLog.request
    spec = dict(fields(dict(fields(request))[1]))
    entries = [dict(fields(content)) for number, content in fields(request) if number == 2]
    inputs = {e[1].decode(): tf.make_ndarray(tensor_pb2.TensorProto.FromString(e[2])) for e in entries}
    return spec[1].decode(), spec[3].decode(), inputs


def test_bytes():
    record = prediction_log("m", "sample", {"seed": np.array([[1, 2]], np.int32)})
    assert record == GOLDEN
    name, signature, inputs = parse(GOLDEN)
    assert (name, signature) == ("m", "sample")
    assert inputs["seed"].tolist() == [[1, 2]]


def test_long_fields():
    x = np.arange(60_000, dtype=np.float64).reshape(1, -1)
    _, _, inputs = parse(prediction_log("m" * 300, "log_prob", {"x": x}))
    np.testing.assert_array_equal(inputs["x"], x)


def test_one_request_of_one_row_for_each_signature(case):
    records = records_of(case.folder)
    assert [signature for _, signature, _ in records] == ["log_prob", "sample"] + (
        [*(["sample_tempered"] if case.has_temperature else []), "encode", "decode"] if case.is_flow else []
    )
    for name, signature, inputs in records:
        function = case.served._loaded.signatures[signature]
        assert name == case.name  # the folder's
        assert all(len(rows) == 1 for rows in inputs.values())
        outputs = function(**{key: tf.constant(value) for key, value in inputs.items()})
        assert all(np.isfinite(value.numpy()).all() for value in outputs.values())


def records_of(folder):
    file = str(folder / "assets.extra" / "tf_serving_warmup_requests")
    return [parse(record.numpy()) for record in tf.data.TFRecordDataset(file)]


def test_the_package_of_the_server_parses_it(exported):
    """Runs where `tensorflow-serving-api` is installed; exporting does not need it."""
    pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    case = exported("encoder_of_two")
    file = str(case.folder / "assets.extra" / "tf_serving_warmup_requests")
    for record, (name, signature, inputs) in zip(
        tf.data.TFRecordDataset(file).as_numpy_iterator(), records_of(case.folder), strict=True
    ):
        request = pb2.PredictionLog.FromString(record).predict_log.request
        assert (request.model_spec.name, request.model_spec.signature_name) == (name, signature)
        assert set(request.inputs) == set(inputs)
        for key, value in inputs.items():
            np.testing.assert_array_equal(tf.make_ndarray(request.inputs[key]), value)
