"""Clients of a model server: stock gRPC stubs, and plain HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import grpc
import numpy as np
import requests
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

Arrays = dict[str, np.ndarray]

_TIMEOUT = 60.0  # seconds
_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


class Answer(NamedTuple):
    """Outputs by name, and the version that gave them."""

    version: int
    outputs: Arrays


class GrpcClient:
    """Asks over gRPC.

    Args:
      port: on this machine.
      options: of the channel; by default without a limit to the size of messages.
    """

    def __init__(self, port: int, options: Sequence[tuple[str, Any]] = _UNLIMITED):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=options)
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, name: str, signature: str, inputs: Arrays, outputs: Sequence[str] = (), **which: Any) -> Answer:
        """Runs a signature.

        Args:
          name: the model's.
          signature: "" for the default.
          inputs: by name.
          outputs: those wanted; all by default.
          **which: `version` or `label`.

        Raises:
          grpc.RpcError: with the server's status.
        """
        request = predict_pb2.PredictRequest(model_spec=_spec(name, **which), output_filter=outputs)
        request.model_spec.signature_name = signature
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        response = self._predictions.Predict(request, timeout=_TIMEOUT)
        arrays = {key: tf.make_ndarray(value) for key, value in response.outputs.items()}
        return Answer(response.model_spec.version.value, arrays)

    def signatures(self, name: str, **which: Any) -> dict[str, Any]:
        """The SignatureDefs by name."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=_spec(name, **which), metadata_field=["signature_def"]
        )
        response = self._predictions.GetModelMetadata(request, timeout=_TIMEOUT)
        unpacked = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(unpacked)
        return dict(unpacked.signature_def)

    def states(self, name: str, **which: Any) -> dict[int, tuple[str, int]]:
        """State and error code of each version."""
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=_spec(name, **which))
        response = self._models.GetModelStatus(request, timeout=_TIMEOUT)
        to_name = get_model_status_pb2.ModelVersionStatus.State.Name
        return {each.version: (to_name(each.state), each.status.error_code) for each in response.model_version_status}

    def wait_for(self, name: str, version: int, state: str, timeout: float = 60.0) -> int:
        """Waits until a version is in a state; its error code.

        Raises:
          TimeoutError: if it does not get there.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            current, code = self.states(name).get(version, ("", 0))
            if current == state:
                return code
            time.sleep(0.05)
        raise TimeoutError(f"Version {version} of {name} is not {state}: {self.states(name)}")


class RestClient:
    """Asks over HTTP; one for each thread.

    Args:
      port: on this machine.
    """

    def __init__(self, port: int):
        self._url, self._session = f"http://127.0.0.1:{port}", requests.Session()

    def get(self, path: str) -> requests.Response:
        """GET /v1/models/`path`."""
        return self._session.get(f"{self._url}/v1/models/{path}", timeout=_TIMEOUT)

    def post(self, path: str, body: Any, headers: Any = None) -> requests.Response:
        """POST to /v1/models/`path`; bytes as they are, anything else as JSON, with NaN and Infinity."""
        data = body if isinstance(body, bytes) else json.dumps(body)
        return self._session.post(f"{self._url}/v1/models/{path}", data=data, headers=headers, timeout=_TIMEOUT)

    def request(self, method: str, path: str) -> requests.Response:
        """Another method on /v1/models/`path`."""
        return self._session.request(method, f"{self._url}/v1/models/{path}", timeout=_TIMEOUT)

    def predict(self, name: str, **body: Any) -> Any:
        """What a prediction answers.

        Raises:
          requests.HTTPError: for any other status than 200.
        """
        response = self.post(f"{name}:predict", body)
        response.raise_for_status()
        return response.json()

    def close(self) -> None:
        """Closes its connections."""
        self._session.close()


def as_json(value: np.ndarray) -> Any:
    """Nested lists."""
    if value.dtype == object:
        return [tf.compat.as_text(each) for each in value]
    return value.tolist()


def _spec(name: str, version: int | None = None, label: str | None = None) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=name)
    if version is not None:
        spec.version.value = version
    if label is not None:
        spec.version_label = label
    return spec
