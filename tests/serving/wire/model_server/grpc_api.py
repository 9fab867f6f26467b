"""The gRPC services."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from tests.serving.wire.model_server.core import Core
from tests.serving.wire.model_server.errors import as_serving_error

_REFUSING = 16  # threads that only refuse


class _Threads:
    """As many threads as the server has for calls: one more call is refused at once."""

    def __init__(self, most: int):
        self._free = threading.Semaphore(most)

    def answer(self, context: grpc.ServicerContext, method: Callable[[Any], Any], request: Any) -> Any:
        if not self._free.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted")
        try:
            return method(request)
        except Exception as error:  # every failure becomes a status
            failed = as_serving_error(error)
            context.abort(failed.code, failed.message)
        finally:
            self._free.release()


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, core: Core, threads: _Threads):
        self._core, self._threads = core, threads

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._threads.answer(context, self._core.predict, request)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._threads.answer(context, self._core.metadata, request)


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, core: Core, threads: _Threads):
        self._core, self._threads = core, threads

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        return self._threads.answer(context, self._core.status, request.model_spec)


def start_grpc(core: Core, port: int, max_threads: int) -> tuple[grpc.Server, int]:
    """Serves on `port`, or a free one for 0; the server and its port.

    As in the real server, requests may be of any size: it is the client's own limit, 4 MiB by default, that
    refuses a large answer.
    """
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
    server, threads = grpc.server(ThreadPoolExecutor(max_threads + _REFUSING), options=options), _Threads(max_threads)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_PredictionService(core, threads), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(core, threads), server)
    chosen = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, chosen
