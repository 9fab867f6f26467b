"""Requests to a model server over gRPC and over REST."""

from __future__ import annotations

import abc
import base64
import concurrent.futures
import contextlib
import importlib
import json
import threading
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import numpy as np
import tensorflow as tf

from tfp_nvp.serving._asking.errors import InvalidRequest, NotFound, ServingError, TimedOut, Unavailable, error_of

Arrays = dict[str, np.ndarray]
Specs = dict[str, tf.TensorSpec]

_LARGEST_MESSAGE = 2**31 - 1  # bytes; gRPC's default for received messages is 4 MB
_PORTS = {"http": 80, "https": 443}
_IN_A_PATH = "!$&'()*+,;=@"  # no need to quote these


class Address(NamedTuple):
    """A server's scheme (grpc, grpcs, http or https), "host:port", and the path before REST's own."""

    scheme: str
    host: str
    path: str

    @classmethod
    def parse(cls, address: str) -> Address:
        """Parses "grpc://host:8500" or "http://host:8501"; the default port of https is 443, of http 80."""
        with contextlib.suppress(ValueError):
            parts = urlsplit(address) if isinstance(address, str) else urlsplit("")
            port = _PORTS.get(parts.scheme) if parts.port is None else parts.port
            if parts.scheme in ("grpc", "grpcs", "http", "https") and parts.hostname and port:
                host = parts.netloc if parts.port else f"{parts.netloc.rstrip(':')}:{port}"
                return cls(parts.scheme, host, parts.path.rstrip("/"))
        raise ValueError(f"`address` must be like grpc://host:8500 or http://host:8501; got {address!r}.")


class Transport(abc.ABC):
    """Requests about one model over one protocol.

    Every method raises `ServingError`: `TimedOut` if the answer is not complete after `timeout` seconds.
    """

    @abc.abstractmethod
    def predict(self, signature: str, inputs: Arrays, outputs: Specs, timeout: float) -> Arrays:
        """Outputs by name of a signature with the output specs `outputs`; strings as bytes."""

    @abc.abstractmethod
    def metadata(self, timeout: float) -> dict[str, tuple[Specs, Specs]]:
        """Inputs and outputs of each signature."""

    @abc.abstractmethod
    def status(self, timeout: float) -> dict[int, str]:
        """State of each version."""

    @abc.abstractmethod
    def close(self) -> None:
        """Ends the connections."""


def connect(address: Address, model: str, version: int | str | None) -> Transport:
    """The transport for an address's scheme."""
    transport = Grpc if address.scheme.startswith("grpc") else Rest
    return transport(address, model, version)


class Grpc(Transport):
    """TensorFlow Serving's gRPC API, with the stubs of `tensorflow-serving-api`."""

    def __init__(self, address: Address, model: str, version: int | str | None):
        self._grpc = _imported("grpc", "tensorflow-serving-api", "gRPC")
        apis = "tensorflow_serving.apis"
        _imported(apis, "tensorflow-serving-api", "gRPC")
        self._predict, self._metadata, self._status, prediction, models, model_pb2 = (
            importlib.import_module(f"{apis}.{name}")
            for name in (
                "predict_pb2",
                "get_model_metadata_pb2",
                "get_model_status_pb2",
                "prediction_service_pb2_grpc",
                "model_service_pb2_grpc",
                "model_pb2",
            )
        )
        self._spec = model_pb2.ModelSpec(name=model)
        if isinstance(version, str):
            self._spec.version_label = version
        elif version is not None:
            self._spec.version.value = version
        options = [(f"grpc.max_{way}_message_length", _LARGEST_MESSAGE) for way in ("send", "receive")]
        if address.scheme == "grpcs":
            credentials = self._grpc.ssl_channel_credentials()
            self._channel = self._grpc.secure_channel(address.host, credentials, options)
        else:
            self._channel = self._grpc.insecure_channel(address.host, options)
        self._prediction = prediction.PredictionServiceStub(self._channel)
        self._models = models.ModelServiceStub(self._channel)

    def predict(self, signature: str, inputs: Arrays, outputs: Specs, timeout: float) -> Arrays:
        request = self._predict.PredictRequest(model_spec=self._spec)
        request.model_spec.signature_name = signature
        for name, rows in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(rows))
        response = self._call(self._prediction.Predict, request, timeout)
        return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}

    def metadata(self, timeout: float) -> dict[str, tuple[Specs, Specs]]:
        request = self._metadata.GetModelMetadataRequest(model_spec=self._spec, metadata_field=["signature_def"])
        packed = self._call(self._prediction.GetModelMetadata, request, timeout).metadata["signature_def"]
        signatures = self._metadata.SignatureDefMap()
        packed.Unpack(signatures)
        return {
            name: (_specs_of_protos(signature.inputs), _specs_of_protos(signature.outputs))
            for name, signature in signatures.signature_def.items()
            if not name.startswith("__")
        }

    def status(self, timeout: float) -> dict[int, str]:
        request = self._status.GetModelStatusRequest(model_spec=self._spec)
        statuses = self._call(self._models.GetModelStatus, request, timeout).model_version_status
        return {status.version: self._status.ModelVersionStatus.State.Name(status.state) for status in statuses}

    def close(self) -> None:
        self._channel.close()

    def _call(self, method: Any, request: Any, timeout: float) -> Any:
        try:
            return method(request, timeout=timeout)
        except self._grpc.RpcError as error:
            raise error_of(error.code().name, error.details() or "") from error


class Rest(Transport):
    """TensorFlow Serving's REST API, in its column format."""

    def __init__(self, address: Address, model: str, version: int | str | None):
        self._requests = _imported("requests", "requests", "REST")
        self._session = self._requests.Session()
        self._url = f"{address.scheme}://{address.host}{address.path}/v1/models/{quote(model, _IN_A_PATH)}"
        if isinstance(version, str):
            self._url += f"/labels/{quote(version, _IN_A_PATH)}"
        elif version is not None:
            self._url += f"/versions/{version}"

    def predict(self, signature: str, inputs: Arrays, outputs: Specs, timeout: float) -> Arrays:
        n = len(next(iter(inputs.values())))
        body = {"signature_name": signature, "inputs": {name: _to_json(rows) for name, rows in inputs.items()}}
        answer = self._call("POST", ":predict", timeout, "outputs", body)
        if len(outputs) == 1:  # a single output comes without its name
            answer = dict.fromkeys(outputs, answer)
        return {name: _from_json(answer[name], spec, n) for name, spec in outputs.items()}

    def metadata(self, timeout: float) -> dict[str, tuple[Specs, Specs]]:
        signatures = self._call("GET", "/metadata", timeout, "metadata")["signature_def"]["signature_def"]
        return {
            name: (_specs_of_json(signature["inputs"]), _specs_of_json(signature["outputs"]))
            for name, signature in signatures.items()
            if not name.startswith("__")
        }

    def status(self, timeout: float) -> dict[int, str]:
        statuses = self._call("GET", "", timeout, "model_version_status")
        return {int(status["version"]): status["state"] for status in statuses}

    def close(self) -> None:
        self._session.close()

    def _call(self, method: str, path: str, timeout: float, key: str, body: Any = None) -> Any:
        """Sends a request, and returns the value of `key` in the answer."""
        errors = self._requests.exceptions
        data = None if body is None else json.dumps(body).encode()
        try:
            # NaN and infinities are not JSON, but Python and the server's parser read them.
            # The timeout of `requests` applies to each read from the socket; its error says more, so it comes first.
            response = _within(
                timeout + 0.1, lambda: self._session.request(method, self._url + path, data=data, timeout=timeout)
            )
        except concurrent.futures.TimeoutError as error:
            raise TimedOut(f"{self._url}: no whole answer within {timeout:.3g} s") from error
        except errors.RequestException as error:
            # A wrong certificate is a ConnectionError too, and so is an answer that stalls.
            stalled = isinstance(error, errors.Timeout) or "ReadTimeoutError" in map(_type_name, error.args)
            lost = isinstance(error, errors.ConnectionError) and not isinstance(error, errors.SSLError)
            never_there = isinstance(error, errors.ConnectTimeout)
            error_type = TimedOut if stalled and not never_there else Unavailable if lost else ServingError
            raise error_type(f"{self._url}: {error}") from error
        try:
            answer = response.json()
        except ValueError:
            answer = {"error": response.text[:300]}
        if response.ok:
            if not isinstance(answer, dict) or key not in answer:
                raise ServingError(f"{self._url} is no model server; it answers {response.text[:300]!r}.")
            return answer[key]
        message = answer.get("error", response.reason) if isinstance(answer, dict) else response.reason
        error_types = {400: InvalidRequest, 404: NotFound, 502: Unavailable, 503: Unavailable, 504: TimedOut}
        raise error_types.get(response.status_code, ServingError)(f"{self._url}: {message}")


def _within(seconds: float, work: Callable[[], Any]) -> Any:
    """Runs `work()` in a new thread; abandons it and raises `TimeoutError` after `seconds`."""
    done: concurrent.futures.Future = concurrent.futures.Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="tfp_nvp-request", daemon=True).start()
    return done.result(seconds)


def _type_name(value: Any) -> str:
    return type(value).__name__


def _imported(module: str, package: str, what: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"A client over {what} needs the package {package}: pip install tfp-nvp[client]") from error


def _to_json(rows: np.ndarray) -> Any:
    """Converts rows to nested lists for JSON; strings to base64."""
    if rows.dtype.kind in "OSU":
        encoded = [tf.compat.as_bytes(text) for text in rows.ravel()]
        objects = np.empty([rows.size], object)
        objects[:] = [{"b64": base64.b64encode(text).decode()} for text in encoded]
        return objects.reshape(rows.shape).tolist()
    return rows.tolist()


def _from_json(value: Any, spec: tf.TensorSpec, n: int) -> np.ndarray:
    """Converts nested lists from JSON to an array; strings to bytes, as in gRPC."""
    if spec.dtype == tf.string:
        value = np.vectorize(_bytes_of_json, otypes=[object])(np.asarray(value, object))
    return np.asarray(value, spec.dtype.as_numpy_dtype).reshape([n, *spec.shape[1:]])


def _bytes_of_json(text: Any) -> bytes:
    """Decodes a string, or base64, which the server uses for outputs named "…_bytes"."""
    return base64.b64decode(text["b64"]) if isinstance(text, dict) else text.encode()


def _specs_of_protos(tensors: Any) -> Specs:
    return {
        name: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype), name=name)
        for name, info in tensors.items()
    }


def _specs_of_json(tensors: dict[str, Any]) -> Specs:
    specs = {}
    for name, info in tensors.items():
        sizes = [int(dim["size"]) for dim in info["tensor_shape"].get("dim", [])]
        dtype = tf.as_dtype(info["dtype"].removeprefix("DT_").lower())
        specs[name] = tf.TensorSpec([None if size < 0 else size for size in sizes], dtype, name=name)
    return specs
