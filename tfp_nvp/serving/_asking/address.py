"""The address of a model server."""

from __future__ import annotations

import base64
import contextlib
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Address:
    """A server's scheme (grpc, grpcs, http or https), "host:port", and the path before REST's own.

    Attributes:
      scheme, host, path: as above.
      authorization: the header for the user and password of an address, or None; `repr` and `str` do not show it.
    """

    scheme: str
    host: str
    path: str
    authorization: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}{self.path}"

    @property
    def is_encrypted(self) -> bool:
        """Whether requests go over TLS."""
        return self.scheme in ("grpcs", "https")

    @classmethod
    def parse(cls, address: str) -> Address:
        """Parses "grpc://host:8500" or "http://user:password@host:8501"; the default port of https is 443, of http 80.

        Raises:
          ValueError: if it is no such address; the message does not show user and password.
        """
        with contextlib.suppress(ValueError):
            parts = urlsplit(address) if isinstance(address, str) else urlsplit("")
            port = _PORTS.get(parts.scheme) if parts.port is None else parts.port
            if parts.scheme in ("grpc", "grpcs", "http", "https") and parts.hostname and port:
                login, _, host = parts.netloc.rpartition("@")
                host = host if parts.port else f"{host.rstrip(':')}:{port}"
                return cls(parts.scheme, host, parts.path.rstrip("/"), _basic(login) if login else None)
        shown = re.sub(r"^([^/]*//)?.*@", r"\1…@", address, flags=re.DOTALL) if isinstance(address, str) else address
        raise ValueError(f"`address` must be like grpc://host:8500 or http://host:8501; got {shown!r}.")


def _basic(login: str) -> str:
    """The header of basic authentication (RFC 7617) for "user:password"."""
    return "Basic " + base64.b64encode(unquote(login).encode()).decode()
