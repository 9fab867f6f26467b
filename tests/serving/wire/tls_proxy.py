"""Proxies in front of a model server, which want TLS with a client's certificate and a token, as gateways do."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc

FOLDER = Path(__file__).parent / "tls"
CA, CERTIFICATE = FOLDER / "ca.pem", (FOLDER / "client.pem", FOLDER / "client.key")
_SERVER = FOLDER / "server.pem", FOLDER / "server.key"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != self.server.wanted:
            self._write(401, b'{"error": "who are you?"}')
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream)
        upstream.request(self.command, self.path, body)
        answer = upstream.getresponse()
        self._write(answer.status, answer.read())
        upstream.close()

    do_POST = do_GET

    def _write(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Nothing: a client without a certificate ends the connection."""


@contextlib.contextmanager
def rest_proxy(upstream: int, wanted: str) -> Iterator[str]:
    """The address of a proxy of the REST port `upstream`, for requests with the header `Authorization: wanted`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_SERVER)
    context.load_verify_locations(CA)
    context.verify_mode = ssl.CERT_REQUIRED
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.upstream, server.wanted = upstream, wanted
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        yield f"https://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class _Forward(grpc.GenericRpcHandler):
    """Passes the bytes of any call on, if the token is right."""

    def __init__(self, channel: grpc.Channel, wanted: str):
        self._channel, self._wanted = channel, wanted

    def service(self, details: Any) -> grpc.RpcMethodHandler:
        known = dict(details.invocation_metadata).get("authorization") == self._wanted

        def call(request: bytes, context: grpc.ServicerContext) -> bytes:
            if not known:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
            try:
                return self._channel.unary_unary(details.method)(request, timeout=context.time_remaining())
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())

        return grpc.unary_unary_rpc_method_handler(call)


@contextlib.contextmanager
def grpc_proxy(upstream: int, wanted: str) -> Iterator[str]:
    """The address of a proxy of the gRPC port `upstream`, for calls with the metadata `authorization: wanted`."""
    certificate, key = (file.read_bytes() for file in _SERVER)
    credentials = grpc.ssl_server_credentials([(key, certificate)], CA.read_bytes(), require_client_auth=True)
    with grpc.insecure_channel(f"127.0.0.1:{upstream}") as channel:
        server = grpc.server(ThreadPoolExecutor(4), handlers=[_Forward(channel, wanted)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        yield f"grpcs://localhost:{port}"
        server.stop(0).wait()
