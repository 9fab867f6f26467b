"""Writes the requests that TensorFlow Serving runs before it serves a version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

# Field numbers of tensorflow_serving/apis: prediction_log.proto, predict.proto, model.proto.
_PREDICTION_LOG_PREDICT_LOG = 6
_PREDICT_LOG_REQUEST = 1
_REQUEST_MODEL_SPEC, _REQUEST_INPUTS = 1, 2
_MODEL_NAME, _MODEL_SIGNATURE = 1, 3
_MAP_KEY, _MAP_VALUE = 1, 2

Arrays = dict[str, np.ndarray]


def write_warmup(folder: Path, model_name: str, requests: dict[str, Arrays]) -> Path:
    """Writes one request for each signature to `folder/assets.extra/tf_serving_warmup_requests`.

    Args:
      folder: a version's folder.
      model_name: the name it is served under.
      requests: inputs by name, for each signature; preferably one row each, as a server that
        batches refuses a version whose request exceeds its largest batch.
    """
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests.items():
            writer.write(prediction_log(model_name, signature, inputs))
    return path


def prediction_log(model_name: str, signature: str, inputs: Arrays) -> bytes:
    """A `tensorflow.serving.PredictionLog` of one predict request, in protobuf's wire format.

    Written by hand, so that exporting does not need the package `tensorflow-serving-api`.
    """
    spec = _field(_MODEL_NAME, model_name.encode()) + _field(_MODEL_SIGNATURE, signature.encode())
    request = _field(_REQUEST_MODEL_SPEC, spec)
    for name, value in inputs.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        request += _field(_REQUEST_INPUTS, _field(_MAP_KEY, name.encode()) + _field(_MAP_VALUE, tensor))
    return _field(_PREDICTION_LOG_PREDICT_LOG, _field(_PREDICT_LOG_REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field: tag, length, content."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """An integer in seven bits a byte, the lowest first; the top bit is set in all but the last."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
