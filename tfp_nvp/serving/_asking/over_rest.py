"""Requests to a model server over REST."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlsplit

from tfp_nvp.serving._asking.access import Access
from tfp_nvp.serving._asking.address import Address
from tfp_nvp.serving._asking.errors import (
    InvalidRequest,
    NotFound,
    ServingError,
    TimedOut,
    Unavailable,
    too_large,
)
from tfp_nvp.serving._asking.http_exchange import Answer, HttpExchange
from tfp_nvp.serving._asking.json_arrays import from_json, to_json
from tfp_nvp.serving._asking.specs import Arrays, Specs, specs_of_json, understood
from tfp_nvp.serving._asking.transport import Transport

_IN_A_PATH = "!$&'()*+,;=@"  # no need to quote these
_ERRORS = {
    400: InvalidRequest,
    404: NotFound,
    429: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: TimedOut,
}


class Rest(Transport):
    """TensorFlow Serving's REST API, in its column format."""

    def __init__(self, address: Address, access: Access, model: str, version: int | str | None):
        self._http = HttpExchange(access)
        self._url = f"{address}/v1/models/{quote(model, _IN_A_PATH)}"
        if isinstance(version, str):
            self._url += f"/labels/{quote(version, _IN_A_PATH)}"
        elif version is not None:
            self._url += f"/versions/{version}"

    def predict(self, signature: str, inputs: Arrays, outputs: Specs, timeout: float) -> Arrays:
        n = len(next(iter(inputs.values())))
        body = {"signature_name": signature, "inputs": {name: to_json(rows) for name, rows in inputs.items()}}
        answer = self._call("POST", ":predict", timeout, "outputs", body)
        if len(outputs) == 1:  # a single output comes without its name
            answer = dict.fromkeys(outputs, answer)
        with understood(self._url):
            return {name: from_json(name, answer[name], spec, n) for name, spec in outputs.items()}

    def metadata(self, timeout: float) -> dict[str, tuple[Specs, Specs]]:
        answer = self._call("GET", "/metadata", timeout, "metadata")
        with understood(self._url):
            return {
                name: (specs_of_json(signature["inputs"]), specs_of_json(signature["outputs"]))
                for name, signature in answer["signature_def"]["signature_def"].items()
                if not name.startswith("__")
            }

    def status(self, timeout: float) -> dict[int, str]:
        answer = self._call("GET", "", timeout, "model_version_status")
        with understood(self._url):
            return {int(status["version"]): str(status["state"]) for status in answer}

    def close(self) -> None:
        self._http.close()

    def _call(self, method: str, path: str, timeout: float, key: str, body: Any = None) -> Any:
        """Sends a request, and returns the value of `key` in the answer."""
        # NaN and infinities are not JSON, but Python and the server's parser read them.
        data = None if body is None else json.dumps(body).encode()
        answer = self._http.ask(method, self._url + path, data, timeout)
        text = answer.content[:300].decode(errors="replace")
        try:
            document = json.loads(answer.content)
        except (ValueError, RecursionError):
            document = {"error": text}
        if answer.status != 200:
            raise self._error(answer, document)
        if not isinstance(document, dict) or key not in document:
            raise ServingError(f"{self._url} is no model server; it answers {text!r}.")
        return document[key]

    def _error(self, answer: Answer, document: Any) -> ServingError:
        if 300 <= answer.status < 400:
            return ServingError(
                f"{self._url}: the server redirects to {_host_of(answer.location)} ({answer.status}), which is not "
                "followed; give the address that answers."
            )
        message = document.get("error", answer.reason) if isinstance(document, dict) else answer.reason
        message = f"{self._url}: {str(message)[:1000]}"
        if answer.status == 413:
            return too_large(message)
        error = _ERRORS.get(answer.status, ServingError)(message)
        error.code = "RESOURCE_EXHAUSTED" if answer.status == 429 else error.code
        return error


def _host_of(location: str) -> str:
    """The scheme and host of an address; the rest may be secret."""
    try:
        parts = urlsplit(location)
        return f"{parts.scheme}://{parts.hostname}" if parts.hostname else "another path"
    except ValueError:
        return "elsewhere"
