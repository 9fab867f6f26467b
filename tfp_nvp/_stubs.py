"""`python -m tfp_nvp._stubs` writes the public names for editors and type checkers: an `__init__.pyi` per package."""

from __future__ import annotations

from pathlib import Path

from tfp_nvp._names import NAMES

_ROOT = Path(__file__).parent


def stub(package: str) -> tuple[Path, str]:
    """The stub file of a public package and its text."""
    file = _ROOT.joinpath(*package.split(".")[1:], "__init__.pyi")
    lines = [_line(package, name, module) for name, module in NAMES[package].items()]
    version = ["", "__version__: str"] if package == "tfp_nvp" else []
    return file, "\n".join(["# Written by `python -m tfp_nvp._stubs`.", "", *sorted(lines), *version, ""])


def _line(package: str, name: str, module: str) -> str:
    return f"from {package if module == f'{package}.{name}' else module} import {name} as {name}"


if __name__ == "__main__":
    for package in NAMES:
        path, text = stub(package)
        path.write_text(text, encoding="utf-8")
