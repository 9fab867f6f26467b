"""What a client shows a server to be answered: headers and certificates."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfp_nvp import checks
from tfp_nvp.serving._asking.address import Address


class Access:
    """Headers, such as a token, and certificates for TLS. Neither its `repr` nor its errors show a header's value.

    Args:
      address: of the server; its user and password make an Authorization header, unless there is one.
      headers: texts of printable ASCII by name; gRPC sends them as metadata, with names in small letters.
      ca: a PEM file of the certificates to trust instead of the system's.
      certificate: PEM files of the client's certificate and of its key.

    Raises:
      TypeError, ValueError: if headers are not as above, a file is no certificate or key, or `ca` or `certificate` is
        given for an address without encryption.
      FileNotFoundError: if a file is missing.
    """

    def __init__(
        self,
        address: Address,
        headers: Mapping[str, str] | None = None,
        ca: str | os.PathLike | None = None,
        certificate: tuple[str | os.PathLike, str | os.PathLike] | None = None,
    ):
        self.headers = _checked_headers(headers)
        if address.authorization is not None:
            self.headers.setdefault("authorization", address.authorization)
        self.ca = None if ca is None else _existing("ca", ca)
        self.certificate = None if certificate is None else _pair(certificate)
        for name, value in (("ca", ca), ("certificate", certificate)):
            if value is not None and not address.is_encrypted:
                raise ValueError(f"`{name}` needs an encrypted address, grpcs://… or https://…; got {address}.")
        self._check_files()

    def __repr__(self) -> str:
        return f"Access(headers={sorted(self.headers)}, ca={self.ca}, certificate={self.certificate is not None})"

    def _check_files(self) -> None:
        """Raises `ValueError` if a file does not hold what it should."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if self.ca is not None:
                context.load_verify_locations(self.ca)
        except ssl.SSLError as error:
            raise ValueError(f"`ca` must be a file of certificates in PEM form; {self.ca} is not: {error}.") from error
        try:
            if self.certificate is not None:
                context.load_cert_chain(*self.certificate, password="")  # else OpenSSL asks at the terminal
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(
                "`certificate` must be a certificate and its key without a password, both in PEM form; "
                f"{' and '.join(map(str, self.certificate or ()))} are not: {error}."
            ) from error


def _checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers by name in small letters."""
    if headers is not None and not isinstance(headers, Mapping):
        raise TypeError(f"`headers` must be a dict of texts by name; got {type(headers).__name__}.")
    checked: dict[str, str] = {}
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_.-]+", name) or name.lower().endswith("-bin"):
            raise ValueError(
                f"`headers` must have names of letters, digits, '_', '.' and '-', not '…-bin'; got {name!r}."
            )
        if not isinstance(value, str) or not re.fullmatch(r"[ -~]*", value):
            raise ValueError(f"`headers` must have values of printable ASCII; that of {name!r} is not.")
        checked[name.lower()] = value
    return checked


def _existing(name: str, path: Any) -> Path:
    file = checks.local_path(name, path)
    if not file.is_file():
        raise FileNotFoundError(f"`{name}` must be a file in PEM form; there is no file {file}.")
    return file


def _pair(certificate: Any) -> tuple[Path, Path]:
    if not isinstance(certificate, (tuple, list)) or len(certificate) != 2:
        raise TypeError(f"`certificate` must be two files, (certificate, key); got {certificate!r}.")
    return _existing("certificate", certificate[0]), _existing("certificate", certificate[1])
