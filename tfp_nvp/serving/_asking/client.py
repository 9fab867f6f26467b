"""A client of TensorFlow Serving that takes and returns arrays."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.serving._asking.access import Access
from tfp_nvp.serving._asking.address import Address
from tfp_nvp.serving._asking.connect import connect
from tfp_nvp.serving._asking.errors import ServingError, Unavailable
from tfp_nvp.serving._asking.queries import Arrays, Queries, in_dtype
from tfp_nvp.serving._asking.transport import Transport
from tfp_nvp.serving._folders.versions import LARGEST

_LONGEST_PAUSE = 2.0  # seconds, before a request is sent again


class Client(Queries):
    """The methods of `ServedFlow`, answered by a model server.

    A request may safely be sent twice, as its outputs depend on its inputs only. It is sent again, after a growing and
    random pause, if the server was too busy to run it or the connection was lost (UNAVAILABLE, RESOURCE_EXHAUSTED; over
    REST 429, 502 and 503); but not after a timeout, which would add to the load of a slow server.

    Arrays are sent in chunks of `chunk_rows`, a few at a time, so that no message is too large for a server. An array
    mapped from a file is read and cast chunk by chunk. Several threads may share a client. Strings are returned as
    bytes, as by `ServedFlow`. Arrays without rows are answered without a request.

    Redirects are not followed, compressed answers over REST and answers of more than 512 MiB are refused, and those
    that are not as the signature says raise `ServingError`.

    Args:
      address: "grpc://host:8500" or "http://host:8501"; "grpcs" and "https" are encrypted. The default port of "https"
        is 443, of "http" 80. gRPC needs the package `tensorflow-serving-api`, REST `requests`; the
        extra `client` has both. A user and password before the host are sent as basic authentication.
      model: the name it is served under.
      version: a number, or a label ("stable"); by default the server's newest.
      timeout: seconds for one chunk, from the first try to the last byte of the answer, pauses included.
      retries: how many times a chunk may be sent again.
      chunk_rows: rows per request, at most; not above the server's `max_batch_size` if it batches and does not split.
      concurrency: requests under way at once, of all threads that share the client. A server with its own defaults
        refuses more than four for each of its processors.
      headers: sent with every request, such as `{"authorization": "Bearer …"}`; in gRPC they are metadata. No error and
        no `repr` shows their values.
      ca: a PEM file of the certificates to trust, instead of those of the system.
      certificate: PEM files of the client's certificate and its key, for a server that asks for one.

    Raises:
      ValueError: if an argument is out of its range.
      FileNotFoundError: if a file is missing.
      ImportError: if the package for the address is missing.

    A server's errors raise `serving.NotFound` (a `LookupError`), `InvalidRequest` (a `ValueError`), `TimedOut` (a
    `TimeoutError`), `Unavailable` (a `ConnectionError`) or another `ServingError`.

    >>> client = Client("grpc://localhost:8500", "two_moons")      # connects at the first request
    >>> client.close()
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        version: int | str | None = None,
        timeout: float = 60.0,
        retries: int = 5,
        chunk_rows: int = 1024,
        concurrency: int = 2,
        headers: Mapping[str, str] | None = None,
        ca: str | os.PathLike | None = None,
        certificate: tuple[str | os.PathLike, str | os.PathLike] | None = None,
    ):
        if not isinstance(model, str) or not model:
            raise ValueError(f"`model` must be the name a model is served under; got {model!r}.")
        if version is not None and not (isinstance(version, str) and version):
            version = checks.integer("version", version, 1, LARGEST)
        self.model, self.version = model, version
        self.timeout = checks.positive("timeout", timeout)
        self.retries = checks.integer("retries", retries, 0)
        self.chunk_rows = checks.integer("chunk_rows", chunk_rows, 1)
        self.concurrency = checks.integer("concurrency", concurrency, 1)
        parsed = Address.parse(address)
        self.address = str(parsed)
        access = Access(parsed, headers, ca, certificate)
        self._transport: Transport = connect(parsed, access, model, version)
        self._turns = threading.BoundedSemaphore(self.concurrency)
        self._pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="tfp_nvp-client")
        self._closed = False
        self._metadata: dict[str, tuple[dict[str, tf.TensorSpec], dict[str, tf.TensorSpec]]] = {}

    @property
    def signatures(self) -> list[str]:
        """The names of the server's signatures."""
        return sorted(set(self._known()) - {"serving_default"})

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        specs = self._inputs_of("log_prob")
        columns = {name: getattr(spec, "columns", None) for name, spec in specs.items()}
        return {name: names for name, names in columns.items() if names}

    def status(self) -> dict[int, str]:
        """State of each version the server has, or had: "AVAILABLE", "LOADING", "END", …"""
        return self._patiently(self._transport.status)

    def wait_until_available(self, version: int | None = None, timeout: float = 60.0) -> None:
        """Waits until this version, or any, is served; raises the last error after `timeout` seconds."""
        self._check_open()
        end = time.monotonic() + checks.positive("timeout", timeout)
        version = None if version is None else checks.integer("version", version, 1)
        while True:
            try:
                states = self._transport.status(timeout=max(0.1, end - time.monotonic()))
                if "AVAILABLE" in (states.values() if version is None else [states.get(version)]):
                    return
                error: ServingError = Unavailable(f"{self._where} has no such version that is available, but {states}.")
            except ServingError as raised:
                error = raised
            if time.monotonic() >= end:
                raise error
            time.sleep(0.1)

    def refresh(self) -> None:
        """Forgets the signatures, to ask for them again: for a new version with other inputs."""
        self._metadata = {}

    def close(self) -> None:
        """Ends its threads and connections. Later requests raise `ServingError`."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._where})"

    @property
    def _where(self) -> str:
        version = "" if self.version is None else f" version {self.version}"
        return f"{self.model}{version} at {self.address}"

    def _check_open(self) -> None:
        if self._closed:
            raise ServingError(f"The client of {self._where} is closed.")

    def _known(self) -> dict[str, tuple[dict[str, tf.TensorSpec], dict[str, tf.TensorSpec]]]:
        self._check_open()
        if not self._metadata:
            self._metadata = self._patiently(self._transport.metadata)
        return self._metadata

    def _inputs_of(self, signature: str) -> dict[str, tf.TensorSpec]:
        if signature not in self._known():
            raise ValueError(f"{self._where} has no signature {signature!r}; it offers {self.signatures}.")
        return self._known()[signature][0]

    def _run_rows(self, signature: str, inputs: Arrays) -> Arrays:
        n = len(next(iter(inputs.values())))
        wanted, specs = self._known()[signature]
        if not n:  # no request: REST can't express an empty array's shape
            shapes = {name: [0, *(size or 0 for size in spec.shape[1:])] for name, spec in specs.items()}
            return {name: np.empty(shapes[name], spec.dtype.as_numpy_dtype) for name, spec in specs.items()}
        starts = range(0, n, self.chunk_rows)

        def ask(start: int) -> Arrays:
            chunk = {
                name: np.ascontiguousarray(in_dtype(rows[start : start + self.chunk_rows], wanted[name]))
                for name, rows in inputs.items()
            }
            return self._patiently(lambda timeout: self._transport.predict(signature, chunk, specs, timeout))

        if len(starts) == 1:
            return ask(0)
        outputs: Arrays = {}
        try:
            for start, answer in _in_order(self._pool, ask, starts, ahead=2 * self.concurrency):
                for name, rows in answer.items():
                    if name not in outputs:
                        outputs[name] = np.empty([n, *rows.shape[1:]], rows.dtype)
                    outputs[name][start : start + len(rows)] = rows
        except (RuntimeError, CancelledError):
            self._check_open()  # another thread may have closed the pool or the connection
            raise
        return outputs

    def _patiently(self, ask: Callable[..., Any]) -> Any:
        """Calls `ask(timeout=...)` in its turn, again after `Unavailable`, as far as `retries` and `timeout` allow."""
        with self._turns:  # kept in the pauses too: others would meet the same busy server
            self._check_open()
            end = time.monotonic() + self.timeout
            for count in range(self.retries + 1):
                try:
                    return ask(timeout=max(1e-3, end - time.monotonic()))
                except Unavailable:
                    pause = random.uniform(0.5, 1.0) * min(_LONGEST_PAUSE, 0.1 * 2.0**count)
                    if count == self.retries or time.monotonic() + pause >= end:
                        raise
                    time.sleep(pause)
            raise AssertionError  # the last try returned or raised


def _in_order(
    pool: ThreadPoolExecutor, call: Callable[[int], Any], items: range, ahead: int
) -> Iterator[tuple[int, Any]]:
    """Yields (item, call(item)) in order; at most `ahead` calls are submitted and not yet yielded."""
    waiting: deque[tuple[int, Future]] = deque()
    left = iter(items)
    try:
        while True:
            for item in left:
                waiting.append((item, pool.submit(call, item)))
                if len(waiting) >= ahead:
                    break
            if not waiting:
                return
            item, future = waiting.popleft()
            yield item, future.result()
    finally:
        for _, future in waiting:
            future.cancel()
        for _, future in waiting:
            if not future.cancelled():
                with contextlib.suppress(Exception):
                    future.result()
