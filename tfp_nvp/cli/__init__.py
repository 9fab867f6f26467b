"""The command line: `tfp-nvp` and `python -m tfp_nvp`.

It checks its input before it imports TensorFlow.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from tfp_nvp._extras import install


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits: 0 when done, 2 after one line on stderr, 130 after Ctrl-C.

    Args:
      arguments: of the command line; `sys.argv[1:]` by default.
    """
    try:
        import click

        from tfp_nvp.cli.commands import tfp_nvp
    except ImportError as error:
        _fail(f"The command line needs its extras ({error.name} is missing): {install('cli')}")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not set(arguments) - {"--debug"}:
        arguments = ["--help"]
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            sys.exit(tfp_nvp.main(arguments, prog_name="tfp-nvp", standalone_mode=False) or 0)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except click.ClickException as error:
        _fail(error.format_message())
    except BrokenPipeError:  # who read the output has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if "--debug" in arguments:
            raise
        _fail(_in_words(error))


def _in_words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    if isinstance(error, (ValueError, TypeError, OSError, ImportError)) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}. `tfp-nvp --debug` shows where it came from."


def _warn(message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any) -> None:
    if issubclass(category, (UserWarning, RuntimeWarning)):  # those that a user can act on
        print(f"tfp-nvp: warning: {' '.join(str(message).split())}", file=sys.stderr)  # noqa: T201


def _fail(message: str) -> NoReturn:
    print(f"tfp-nvp: error: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    sys.exit(2)
