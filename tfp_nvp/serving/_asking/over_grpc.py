"""Requests to a model server over gRPC."""

from __future__ import annotations

from typing import Any

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfp_nvp.serving._asking.access import Access
from tfp_nvp.serving._asking.address import Address
from tfp_nvp.serving._asking.errors import error_of
from tfp_nvp.serving._asking.specs import Arrays, Specs, check_shape, specs_of_protos, understood
from tfp_nvp.serving._asking.transport import LARGEST_ANSWER, Transport


class Grpc(Transport):
    """TensorFlow Serving's gRPC API, with the stubs of `tensorflow-serving-api`."""

    def __init__(self, address: Address, access: Access, model: str, version: int | str | None):
        self._address, self._metadata = address, tuple(access.headers.items())
        self._spec = model_pb2.ModelSpec(name=model)
        if isinstance(version, str):
            self._spec.version_label = version
        elif version is not None:
            self._spec.version.value = version
        self._channel = _channel(address, access)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def predict(self, signature: str, inputs: Arrays, outputs: Specs, timeout: float) -> Arrays:
        request = predict_pb2.PredictRequest(model_spec=self._spec)
        request.model_spec.signature_name = signature
        for name, rows in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(rows))
        n = len(next(iter(inputs.values())))
        response = self._call(self._prediction.Predict, request, timeout)
        with understood(str(self._address)):
            return {name: _array(name, response.outputs, spec, n) for name, spec in outputs.items()}

    def metadata(self, timeout: float) -> dict[str, tuple[Specs, Specs]]:
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=self._spec, metadata_field=["signature_def"]
        )
        response = self._call(self._prediction.GetModelMetadata, request, timeout)
        with understood(str(self._address)):
            signatures = get_model_metadata_pb2.SignatureDefMap()
            if not response.metadata["signature_def"].Unpack(signatures):
                raise ValueError("there is no map of signatures")
            return {
                name: (specs_of_protos(signature.inputs), specs_of_protos(signature.outputs))
                for name, signature in signatures.signature_def.items()
                if not name.startswith("__")
            }

    def status(self, timeout: float) -> dict[int, str]:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=self._spec)
        statuses = self._call(self._models.GetModelStatus, request, timeout).model_version_status
        with understood(str(self._address)):
            name = get_model_status_pb2.ModelVersionStatus.State.Name
            return {status.version: name(status.state) for status in statuses}

    def close(self) -> None:
        self._channel.close()

    def _call(self, method: Any, request: Any, timeout: float) -> Any:
        try:
            return method(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise error_of(error.code().name, error.details() or "") from error


def _channel(address: Address, access: Access) -> grpc.Channel:
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", LARGEST_ANSWER)]
    if not address.is_encrypted:
        return grpc.insecure_channel(address.host, options)
    certificate, key = (
        (None, None) if access.certificate is None else (each.read_bytes() for each in access.certificate)
    )
    roots = None if access.ca is None else access.ca.read_bytes()
    return grpc.secure_channel(address.host, grpc.ssl_channel_credentials(roots, key, certificate), options)


def _array(name: str, outputs: Any, spec: tf.TensorSpec, n: int) -> Any:
    """An output as an array; its stated shape is checked first, as a few bytes can state any."""
    if name not in outputs:
        raise KeyError(f"there is no output {name!r}")
    tensor = outputs[name]
    check_shape(name, [dim.size for dim in tensor.tensor_shape.dim], spec, n)
    if tensor.dtype != spec.dtype.as_datatype_enum:
        raise TypeError(f"the output {name!r} is {tf.as_dtype(tensor.dtype).name}, not {spec.dtype.name}")
    return tf.make_ndarray(tensor)
