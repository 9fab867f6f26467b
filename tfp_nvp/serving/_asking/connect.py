"""Chooses the transport for an address."""

from __future__ import annotations

import importlib

from tfp_nvp._extras import install
from tfp_nvp.serving._asking.access import Access
from tfp_nvp.serving._asking.address import Address
from tfp_nvp.serving._asking.transport import Transport


def connect(address: Address, access: Access, model: str, version: int | str | None) -> Transport:
    """The transport for an address's scheme.

    Raises:
      ImportError: if the package for it is missing.
    """
    if address.scheme.startswith("grpc"):
        _require("grpc", "tensorflow-serving-api", "gRPC")
        _require("tensorflow_serving.apis", "tensorflow-serving-api", "gRPC")
        from tfp_nvp.serving._asking.over_grpc import Grpc

        return Grpc(address, access, model, version)
    _require("requests", "requests", "REST")
    from tfp_nvp.serving._asking.over_rest import Rest

    return Rest(address, access, model, version)


def _require(module: str, package: str, what: str) -> None:
    """Raises `ImportError`, with the way out, if a module of an optional package is missing."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"A client over {what} needs the package {package}: {install('client')}") from error
