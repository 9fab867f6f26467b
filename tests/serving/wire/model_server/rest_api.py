"""The REST API."""

from __future__ import annotations

import gzip
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2, predict_pb2

from tests.serving.wire.model_server import json_tensors
from tests.serving.wire.model_server.core import Core
from tests.serving.wire.model_server.errors import as_serving_error, invalid

_MODEL = r"(?i:/v1/models)/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(_MODEL + ":predict")
_STATUS = re.compile(_MODEL + "(?P<metadata>/metadata)?")


def respond(core: Core, method: str, path: str, body: bytes) -> dict[str, Any]:
    """The answer to a request as JSON.

    Raises:
      ServingError, tf.errors.OpError: instead of an answer.
    """
    if method == "POST" and (match := _PREDICT.fullmatch(path)):
        return _predict(core, _spec(match), body)
    if method == "GET" and (match := _STATUS.fullmatch(path)):
        return _metadata(core, _spec(match)) if match["metadata"] else _status(core, _spec(match))
    raise invalid(f"Malformed request: {method} {path}")


def _predict(core: Core, spec: model_pb2.ModelSpec, body: bytes) -> dict[str, Any]:
    document = json_tensors.parse(body)
    spec.signature_name = document.get("signature_name", "")
    name = spec.signature_name or "serving_default"
    with core.lease(spec) as (_, servable):
        if name not in servable.signatures:  # gRPC says FAILED_PRECONDITION
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        dtypes = {key: tf.as_dtype(info.dtype) for key, info in servable.signatures[name].inputs.items()}
    inputs, in_rows = json_tensors.read_inputs(document, dtypes)
    request = predict_pb2.PredictRequest(model_spec=spec)
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value, dtypes[key]))
    response = core.predict(request)
    outputs = {key: tf.make_ndarray(value) for key, value in response.outputs.items()}
    return json_tensors.write_outputs(outputs, in_rows)


def _status(core: Core, spec: model_pb2.ModelSpec) -> dict[str, Any]:
    return _as_json(core.status(spec))


def _metadata(core: Core, spec: model_pb2.ModelSpec) -> dict[str, Any]:
    request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
    response = core.metadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    return {"model_spec": _as_json(response.model_spec), "metadata": {"signature_def": _as_json(signatures)}}


def _as_json(message: Any) -> dict[str, Any]:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _spec(match: re.Match) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=unquote(match["name"]))
    if match["version"]:
        if int(match["version"]) >= 2**63:
            raise invalid(f"Failed to convert version: {match['version']} to numeric.")
        spec.version.value = int(match["version"])
    if match["label"]:
        spec.version_label = unquote(match["label"])
    return spec


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    core: Core
    threads: threading.Semaphore
    metrics_path: str | None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits for the client's acknowledgement
    server: _Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.threads:  # the others wait
            if self.path == self.server.metrics_path:
                self._write(200, self.server.core.metrics().encode(), "text/plain")
            elif not self.path.lower().startswith("/v1/"):
                self._write(404, b"")
            else:
                self._respond(body)

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET

    def _respond(self, body: bytes) -> None:
        try:
            if self.headers.get("Content-Encoding", "").lower() == "gzip":
                body = gzip.decompress(body)
            status, answer = 200, respond(self.server.core, self.command, self.path, body)
        except Exception as error:  # every failure becomes a status
            failed = as_serving_error(error)
            status, answer = failed.http_status, {"error": failed.message}
        self._write(status, json.dumps(answer, indent=4).encode())

    def _write(self, status: int, content: bytes, content_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Nothing: tests send thousands of requests."""


def start_rest(
    core: Core, port: int, num_threads: int, metrics_path: str | None = None
) -> tuple[ThreadingHTTPServer, int]:
    """Serves on `port`, or a free one for 0; the server and its port."""
    server = _Server(("127.0.0.1", port), _Handler)
    server.core, server.threads, server.metrics_path = core, threading.Semaphore(num_threads), metrics_path
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, server.server_address[1]
