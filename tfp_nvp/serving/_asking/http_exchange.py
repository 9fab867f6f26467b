"""Requests over HTTP whose answers are bounded in time and in size."""

from __future__ import annotations

import concurrent.futures
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from tfp_nvp.serving._asking.access import Access
from tfp_nvp.serving._asking.errors import ServingError, TimedOut, Unavailable, too_large
from tfp_nvp.serving._asking.transport import LARGEST_ANSWER

_BLOCK = 2**16  # bytes


class Answer(NamedTuple):
    """Status, reason and content of an answer, and where it redirects to."""

    status: int
    reason: str
    content: bytes
    location: str


class HttpExchange:
    """A session that follows no redirects and unpacks no compressed answers.

    Its sockets are closed after a timeout, and by `close`, so that no thread goes on reading.
    """

    def __init__(self, access: Access):
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter())
        self._session.headers.update({"Accept-Encoding": "identity", **access.headers})
        if "authorization" in access.headers:
            self._session.auth = _as_it_is  # else one from ~/.netrc would replace it
        self._options = {
            "verify": True if access.ca is None else str(access.ca),
            "cert": None if access.certificate is None else tuple(map(str, access.certificate)),
        }
        self._under_way: set[_Exchange] = set()

    def ask(self, method: str, url: str, data: bytes | None, timeout: float) -> Answer:
        """Sends a request and returns the answer.

        Raises:
          ServingError: `TimedOut` if it is not whole after `timeout` seconds, `Unavailable` if the connection is lost.
        """
        exchange = _Exchange()
        self._under_way.add(exchange)
        try:
            # The timeout of `requests` applies to each read from the socket; its error says more, so it comes first.
            return exchange.run(lambda: self._read(method, url, data, timeout), timeout + 0.1)
        except concurrent.futures.TimeoutError as error:
            raise TimedOut(f"{url}: no whole answer within {timeout:.3g} s") from error
        except requests.RequestException as error:
            raise _error_type(error)(f"{url}: {error}") from error
        finally:
            self._under_way.discard(exchange)

    def close(self) -> None:
        """Ends all connections, those in use too."""
        self._session.close()
        for exchange in list(self._under_way):
            exchange.cut()

    def _read(self, method: str, url: str, data: bytes | None, timeout: float) -> Answer:
        options = {"timeout": timeout, "allow_redirects": False, "stream": True, **self._options}
        with self._session.request(method, url, data=data, **options) as response:
            encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
            if encoding not in ("", "identity"):
                raise ServingError(f"{url}: the answer is compressed, which was not asked for: {encoding[:50]!r}.")
            content = bytearray()
            for block in response.iter_content(_BLOCK):
                content += block
                if len(content) > LARGEST_ANSWER:
                    raise too_large(f"{url}: the answer is larger than {LARGEST_ANSWER:,} bytes")
            location = response.headers.get("Location", "")
            return Answer(response.status_code, response.reason or "", bytes(content), location)


class _Exchange:
    """One request, in a thread of its own, and its socket, noted by the connection once it is sent."""

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self._is_cut = False

    def run(self, work: Callable[[], Answer], seconds: float) -> Answer:
        """Returns `work()`; cuts the connection and raises `TimeoutError` after `seconds`."""
        done: concurrent.futures.Future[Answer] = concurrent.futures.Future()

        def run() -> None:
            _thread.exchange = self
            try:
                done.set_result(work())
            except BaseException as error:
                done.set_exception(error)

        threading.Thread(target=run, name="tfp_nvp-request", daemon=True).start()
        try:
            return done.result(seconds)
        except concurrent.futures.TimeoutError:
            self.cut()
            raise

    def note(self, connected: socket.socket | None) -> None:
        self.socket = connected
        if self._is_cut:
            self.cut()

    def cut(self) -> None:
        """Ends the connection, which wakes the thread that reads from it."""
        self._is_cut = True
        if self.socket is not None:
            with contextlib.suppress(OSError, ValueError):
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)  # of TLS too, without its goodbye


_thread = threading.local()


class _Noting:
    """A connection that notes its socket in the exchange of the thread."""

    sock: socket.socket | None

    def request(self, *arguments: Any, **options: Any) -> None:
        super().request(*arguments, **options)  # type: ignore[misc]
        _thread.exchange.note(self.sock)


class _Http(_Noting, HTTPConnection): ...


class _Https(_Noting, HTTPSConnection): ...


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


def _as_it_is(request: Any) -> Any:
    return request


def _error_type(error: requests.RequestException) -> type[ServingError]:
    """`TimedOut` for an answer that stalls, `Unavailable` for a lost connection, `ServingError` for all else."""
    if isinstance(error, (requests.exceptions.SSLError, requests.exceptions.InvalidURL)):
        return ServingError  # a wrong certificate is a ConnectionError too
    if isinstance(error, requests.ConnectTimeout):
        return Unavailable
    if isinstance(error, requests.Timeout) or "ReadTimeoutError" in (type(each).__name__ for each in error.args):
        return TimedOut
    lost = isinstance(error, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError))
    return Unavailable if lost else ServingError
