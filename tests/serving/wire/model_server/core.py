"""What both APIs ask of the models."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2, predict_pb2

from tests.serving.wire.model_server.errors import Code, ServingError, as_serving_error, invalid
from tests.serving.wire.model_server.servable import Servable, from_proto
from tests.serving.wire.model_server.versions import Model


class Core:
    """The models by name.

    Every method raises `ServingError` or `tf.errors.OpError` instead of answering.
    """

    def __init__(self, models: Iterable[Model]):
        self.models = {model.name: model for model in models}
        self._counts: collections.Counter[tuple[str, str]] = collections.Counter()

    def metrics(self) -> str:
        """The page for Prometheus: how many requests were answered, by model and status."""
        lines = [
            f':tensorflow:serving:request_count{{model_name="{name}",status="{status}"}} {count}'
            for (name, status), count in sorted(self._counts.items())
        ]
        return "\n".join(["# TYPE :tensorflow:serving:request_count counter", *lines, ""])

    def predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        """Runs a signature, and counts the request."""
        status = "OK"
        try:
            return self._predict(request)
        except Exception as error:
            status = as_serving_error(error).code.name
            raise
        finally:
            self._counts[request.model_spec.name, status] += 1

    def _predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        inputs = {name: from_proto(value) for name, value in request.inputs.items()}
        with self.lease(request.model_spec) as (version, servable):
            outputs = servable.predict(request.model_spec.signature_name, inputs, list(request.output_filter))
        response = predict_pb2.PredictResponse()
        signature_name = request.model_spec.signature_name or "serving_default"
        response.model_spec.CopyFrom(_spec(request.model_spec.name, version, signature_name))
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response

    def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """The signatures of a version."""
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        if set(request.metadata_field) != {"signature_def"}:
            raise invalid(f"Metadata fields {list(request.metadata_field)} are not supported")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        with self.lease(request.model_spec) as (version, servable):
            for name, signature in servable.signatures.items():
                signatures.signature_def[name].CopyFrom(signature)
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=_spec(request.model_spec.name, version))
        response.metadata["signature_def"].Pack(signatures)
        return response

    def status(self, spec: model_pb2.ModelSpec) -> get_model_status_pb2.GetModelStatusResponse:
        """The states of all versions, or of the one asked for."""
        model = self.models.get(spec.name)
        states = {} if model is None else model.states
        if not states:
            raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {spec.name}")
        if spec.HasField("version"):
            version = spec.version.value
            if version not in states:
                raise ServingError(Code.NOT_FOUND, f"Could not find version {version} of model {spec.name}")
            states = {version: states[version]}
        response = get_model_status_pb2.GetModelStatusResponse()
        for version, state in sorted(states.items(), reverse=True):
            added = response.model_version_status.add(version=version, state=state.name)
            if state.error is not None:
                added.status.error_code, added.status.error_message = state.error.code.value[0], state.error.message
            else:
                added.status.SetInParent()
        return response

    @contextmanager
    def lease(self, spec: model_pb2.ModelSpec) -> Iterator[tuple[int, Servable]]:
        """The version that a request means, for as long as it is answered."""
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        if spec.name not in self.models:
            raise ServingError(Code.NOT_FOUND, f"Servable not found for request: Latest({spec.name})")
        version = spec.version.value if spec.HasField("version") else None
        label = spec.version_label if spec.HasField("version_label") else None
        with self.models[spec.name].lease(version, label) as leased:
            yield leased


def _spec(name: str, version: int, signature_name: str = "") -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=name, signature_name=signature_name)
    spec.version.value = version
    return spec
