"""How to install what an optional part of the package needs."""

from __future__ import annotations


def install(extra: str) -> str:
    """The command for an extra; the package is on no registry yet."""
    return f"pip install '.[{extra}]' in a checkout of tfp_nvp"
