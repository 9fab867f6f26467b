"""Types and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfp_nvp.checks import local_path


class Names(click.ParamType):
    """Column names separated by commas."""

    name = "a,b,c"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[str]:
        names = value if isinstance(value, list) else [name.strip() for name in value.split(",")]
        if not all(names) or len(set(names)) != len(names):
            self.fail(f"{value!r} must be different column names with commas between, such as a,b,c.", param, ctx)
        return names


class LocalPath(click.Path):
    """A path on this machine's file systems."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            local_path(param.name, value)
        except (TypeError, ValueError) as error:
            self.fail(str(error), param, ctx)
        return super().convert(value, param, ctx)


class Fraction(click.FloatRange):
    """A float range without NaN, which is neither below nor above a bound."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        number = super().convert(value, param, ctx)
        return number if number == number else self.fail(f"{value!r} is not a number.", param, ctx)


def data_options(command: Any) -> Any:
    """Adds the options for reading a table."""
    for option in (
        click.option(
            "--header/--no-header", default=None, help="Whether text has a header line; found out by default."
        ),
        click.option("--key", help="Which array of an .npz file with several."),
        click.option("--condition", "condition_columns", type=Names(), help="Columns to condition on."),
        click.option("--columns", type=Names(), help="Columns to model; all but the condition's by default."),
    ):
        command = option(command)
    return command


def out_option(what: str) -> Any:
    return click.option("--out", "-o", required=True, type=LocalPath(), help=what)


seed_option = click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
path_type = LocalPath()
