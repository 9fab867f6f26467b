"""The commands. Each checks its input, then starts TensorFlow, then writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from tfp_nvp import __version__
from tfp_nvp._names import VECTOR_FLOWS
from tfp_nvp.cli import images, mixed, models, outputs, tables
from tfp_nvp.cli.demo import run as run_demo
from tfp_nvp.cli.fitting import Split, fit_outputs, fit_table, parse_periodic, parse_support, say
from tfp_nvp.cli.info import describe
from tfp_nvp.cli.options import Fraction, data_options, out_option, path_type, seed_option
from tfp_nvp.cli.publishing import export, serve

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=_CONTEXT, no_args_is_help=False)
@click.version_option(__version__, prog_name="tfp-nvp")
@click.option("--debug", is_flag=True, help="Show where an error came from.")
def tfp_nvp(debug: bool) -> None:
    """Normalizing flows for tables, and models of tables with words and gaps: fit, evaluate, sample, plot, export."""


@tfp_nvp.command(short_help="Fit a flow to a table, or a model of mixed columns; write it, numbers, pictures.")
@click.argument("data", type=path_type)
@out_option("A new folder for the model, metrics.json and pictures.")
@click.option(
    "--model",
    "kind",
    type=click.Choice(["flow", "table"]),
    help="A flow of numbers, or a model of a table with words, dates and gaps; by default what the columns need.",
)
@click.option(
    "--schema", type=path_type, help="Of a table: a JSON file that says what columns are, as a fit writes it."
)
@click.option("--flow", help=f"One of {', '.join(VECTOR_FLOWS)}; by default what suits the data's shape and size.")
@data_options
@click.option(
    "--support",
    multiple=True,
    metavar="[NAME=]LOW:HIGH",
    help="Hard bounds, of one column or all; either end may be empty.",
)
@click.option(
    "--periodic",
    multiple=True,
    metavar="[NAME=]LOW:HIGH",
    help="Both ends are one point, as hour=0:24; of one column or all.",
)
@click.option(
    "--validation-split",
    type=Fraction(0, 0.9, min_open=True),
    help="Of the rows that are not held out; decides when to stop. By default 0.2 of fewer than 5,000 rows, else 0.1.",
)
@click.option("--test-split", type=Fraction(0, 0.9), default=0.1, show_default=True, help="Held out, for the test NLL.")
@click.option(
    "--stack",
    is_flag=True,
    default=None,
    help="Fit a mixture of flows, one for each of five folds, and of simpler densities: better for few rows.",
)
@click.option("--epochs", type=click.IntRange(1), help="At most so many.")
@click.option("--batch-size", type=click.IntRange(1))
@click.option(
    "--time-limit", type=click.FloatRange(0, min_open=True), help="Seconds for the fit; keeps the best so far."
)
@click.option(
    "--checkpoint-dir",
    type=path_type,
    help="A folder for the state of the fit. The same command, after it was killed or out of time, goes on from there.",
)
@seed_option
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
def fit(
    data: Path,
    out: Path,
    kind: str | None,
    schema: Path | None,
    flow: str | None,
    columns: list[str] | None,
    condition_columns: list[str] | None,
    key: str | None,
    header: bool | None,
    support: tuple[str, ...],
    periodic: tuple[str, ...],
    validation_split: float | None,
    test_split: float,
    seed: int,
    quiet: bool,
    **options: Any,
) -> None:
    """Fit a model to the rows of DATA (.csv, .tsv, .txt, .parquet, .npy or .npz).

    A flow where all columns are numbers without gaps, or where an option is one of flows; else a model of the table,
    with what each column was taken for on the screen and in schema.json.
    """
    outputs.check_free(out)
    recipe = None if flow is None else models.flow_name(flow)
    table = tables.read_table(data, key=key, header=header)
    columns, conditions = _chosen(table, columns, condition_columns)
    of_flows = {"--flow": flow, "--condition": conditions, "--support": support, "--periodic": periodic}
    of_flows |= {"--checkpoint-dir": options["checkpoint_dir"], "--stack": options["stack"]}
    if _is_mixed(kind, schema, table, columns, [name for name, value in of_flows.items() if value], quiet):
        known = {name: value for name, value in options.items() if value is not None}
        mixed.fit(
            table,
            columns,
            out,
            schema_file=schema,
            test_split=test_split,
            validation_split=validation_split,
            seed=seed,
            quiet=quiet,
            **known,
        )
        return
    x = table.varying(columns)
    condition = table.varying(conditions) if conditions else None
    bounds, periods = parse_support(support, columns, x), parse_periodic(periodic, columns)
    split = Split.of(len(x), test=test_split, validation=validation_split, columns=len(columns), seed=seed)
    options = {name: value for name, value in options.items() if value is not None}
    model, metrics = fit_table(
        x, condition, split, recipe, bounds, columns, conditions, quiet=quiet, periodic=periods, **options
    )
    say("Drawing pictures", quiet)
    with outputs.new_folder(out) as folder:
        fit_outputs(model, x, condition, {"data": data.name} | metrics, seed, folder)
    _say_fit(metrics, out, quiet)


def _is_mixed(
    kind: str | None, schema: Path | None, table: tables.Table, columns: list[str], of_flows: list[str], quiet: bool
) -> bool:
    """Whether a `TableModel` is fitted, and says so.

    Raises:
      ValueError: if options contradict each other.
    """
    if kind == "table" or schema is not None:
        if of_flows or kind == "flow":
            other = of_flows[0] if of_flows else "--model flow"
            raise ValueError(f"{other} is an option of flows, which --{'model table' if kind else 'schema'} is not.")
        say("Model of a table of mixed columns", quiet)
        return True
    if kind == "flow" or of_flows:
        return False
    found = mixed.not_numbers(table, columns)
    if found:
        name, what = next(iter(found.items()))
        say(f"Model of a table of mixed columns: {name!r} has {what}. --model flow refuses them.", quiet)
    return bool(found)


@tfp_nvp.command(short_help="Mean negative log-likelihood of a table or of images.")
@click.argument("model", type=path_type)
@click.argument("data", type=path_type)
@data_options
@click.option(
    "--num-samples",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Of images: draws of the noise for each; more give a tighter bound.",
)
@seed_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(model: Path, data: Path, num_samples: int, seed: int, as_json: bool, **reading: Any) -> None:
    """Mean negative log-likelihood of the rows of DATA under MODEL (a fit's or export's folder, or a .keras file).

    DATA may be images, integers [n, h, w] or [n, h, w, c] in a .npy or .npz file; a model of integers then gives bits
    per dimension. --condition is the name of an array of the file.
    """
    conditions = reading["condition_columns"]
    pictures = images.read_images(data, reading["key"], conditions[0] if conditions else None)
    if pictures is not None:
        if reading["columns"] or reading["header"] is not None or len(conditions or []) > 1:
            raise ValueError(f"{data.name}: images have no --columns or --header, and one --condition at most.")
        _evaluate_images(model, pictures, num_samples, seed, as_json)
        return
    table = _read(data, reading)
    if mixed.is_table_model(model):
        _refuse_columns(reading)
        scores = mixed.evaluate(model, table)
        if as_json:
            _echo_json(scores)
        else:
            click.echo(f"NLL  {scores['nll']:.4f} ± {scores['standard_error']:.4f} nats ({scores['rows']:,} rows)")
        return
    fitted = models.load_any(model, images=True)
    x, condition, _ = _for_model(fitted, table, **reading)
    nll, error = fitted.nll(x, condition)
    bits = nll / np.log(2) / fitted.size
    if as_json:
        draws = {"noise_draws": fitted.noise_draws} if fitted.noise_draws else {}
        _echo_json({"rows": len(x), "nll": nll, "standard_error": error, "bits_per_dim": bits} | draws)
        return
    noisy = ", of values on a grid with noise of one step" if fitted.noise_draws else ""
    click.echo(f"NLL            {nll:.4f} ± {error:.4f} nats ({len(x):,} rows{noisy})")
    click.echo(f"bits per dim   {bits:.4f}")


@tfp_nvp.command(short_help="Draw samples into a table.")
@click.argument("model", type=path_type)
@click.option(
    "-n", "n", type=click.IntRange(1), required=True, help="How many samples; given conditions, for each of them."
)
@out_option("A new .csv, .tsv, .parquet or .npy file.")
@click.option("--condition", "condition_file", type=path_type, help="A table with the condition's columns.")
@click.option(
    "--given", multiple=True, metavar="NAME=VALUE", help="Of the model of a table: a value to condition on; repeatable."
)
@seed_option
@click.option(
    "--round/--no-round",
    "round_",
    default=True,
    show_default=True,
    help="Whether columns whose data lie on a grid, such as integers, get values of the grid.",
)
def sample(
    model: Path, n: int, out: Path, condition_file: Path | None, given: tuple[str, ...], seed: int, round_: bool
) -> None:
    """Draw samples from MODEL (a fit's or export's folder, or a .keras file) into a table."""
    tables.check_writable(out)
    outputs.check_free(out)
    if mixed.is_table_model(model):
        mixed.check_writable(out)
        if condition_file is not None:
            raise ValueError(f"{model}: of the model of a table, give values by --given NAME=VALUE, not --condition.")
        click.echo(f"{mixed.sample(model, n, given, seed, out):,} samples: {out}")
        return
    if given:
        raise ValueError(f"{model}: --given is for models of tables with mixed columns; use --condition.")
    table = None if condition_file is None else tables.read_table(condition_file)
    fitted = models.load_any(model)
    if fitted.is_conditional != (table is not None):
        needs = "needs a condition: give a table of it with --condition"
        raise ValueError(f"{model}: the model {needs if table is None else 'takes no condition'}.")
    names = fitted.columns or [f"x{i + 1}" for i in range(fitted.size)]
    outputs.check_space(n * (1 if table is None else len(table.frame)), len(names), out)
    if table is None:
        values = fitted.sample(n, seed, round=round_)
    else:
        conditions = fitted.condition_columns or table.columns
        condition = table.select(conditions)
        drawn = fitted.sample(n, seed, condition, round=round_).reshape(-1, fitted.size)
        values, names = np.hstack([np.repeat(condition, n, axis=0), drawn]), [*conditions, *names]
    with outputs.new_file(out) as file:
        tables.write_table(values, names, file)
    click.echo(f"{len(values):,} samples: {out}")


@tfp_nvp.command(short_help="Log-density of each row of a table.")
@click.argument("model", type=path_type)
@click.argument("data", type=path_type)
@out_option("A new .csv, .tsv or .parquet file.")
@data_options
@click.option("--id", "id_column", help="A column of DATA to write beside the numbers.")
def score(model: Path, data: Path, out: Path, id_column: str | None, **reading: Any) -> None:
    """Write log p, in nats, of each row of DATA under MODEL, row by row; rows of low numbers are unusual."""
    mixed.check_writable(out)
    outputs.check_free(out)
    table = _read(data, reading)
    if id_column is not None and id_column not in table.columns:
        raise ValueError(f"--id: {table.name} has no column {id_column!r}; it has {', '.join(table.columns[:20])}.")
    if mixed.is_table_model(model):
        _refuse_columns(reading)
        log_prob = mixed.load(model).log_prob(mixed.frame_of(table, table.columns))
    else:
        fitted = models.load_any(model)
        columns = reading.pop("columns") or (None if fitted.columns else _others(table, reading, id_column))
        x, condition, _ = _for_model(fitted, table, columns, **reading)
        log_prob = fitted.log_prob(x, condition)
    with outputs.new_file(out) as file:
        tables.write_scores(log_prob, None if id_column is None else table.frame[id_column], file)
    click.echo(f"{len(log_prob):,} rows, mean {np.mean(log_prob):.4f} nats: {out}")


@tfp_nvp.command(short_help="What is known of a model.")
@click.argument("model", type=path_type)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(model: Path, as_json: bool) -> None:
    """Print what the files of MODEL say (a fit's folder, a .keras file, or an export's folder), without loading it."""
    facts = describe(model)
    if as_json:
        click.echo(json.dumps(facts))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {value}")


@tfp_nvp.command(short_help="Fill the gaps of a table.")
@click.argument("model", type=path_type)
@click.argument("data", type=path_type)
@out_option("A new .csv, .tsv or .parquet file.")
@click.option(
    "--num-samples",
    type=click.IntRange(1),
    help="Draw so many tables, told apart by a column `imputation`; by default one table of best guesses.",
)
@seed_option
def impute(model: Path, data: Path, out: Path, num_samples: int | None, seed: int) -> None:
    """Fill the missing cells of DATA by MODEL (the folder of a fit to a table with words or gaps)."""
    mixed.check_writable(out)
    outputs.check_free(out)
    table = tables.read_table(data)
    if not mixed.is_table_model(model):
        raise ValueError(f"{model}: not a model of a table with gaps. Fit one: tfp-nvp fit DATA --model table.")
    filled = mixed.impute(model, table, num_samples, seed, out)
    click.echo(f"{filled:,} cells filled: {out}")


@tfp_nvp.command(short_help="Draw a table against samples.")
@click.argument("model", type=path_type)
@click.argument("data", type=path_type)
@out_option("A new folder for the pictures.")
@data_options
@seed_option
def plot(model: Path, data: Path, out: Path, seed: int, **reading: Any) -> None:
    """Draw the rows of DATA against samples of MODEL, and the density of two columns."""
    outputs.check_free(out)
    table = _read(data, reading)
    fitted = models.load_any(model)
    x, condition, columns = _for_model(fitted, table, **reading)
    with outputs.new_folder(out) as folder:
        models.draw_corner(fitted, x, condition, columns, seed, folder / "corner.png")
        if fitted.size == 2 and condition is None:
            models.draw_density(fitted, x, columns, folder / "density.png")
    click.echo(f"Pictures: {out}")


tfp_nvp.add_command(export)
tfp_nvp.add_command(serve)


@tfp_nvp.command(short_help="All of it, on real data and on two moons.")
@click.option(
    "--out", "-o", type=path_type, default=Path("demo"), show_default=True, help="Folder for models and pictures."
)
@click.option(
    "--saved-models", type=path_type, default=Path("saved_models"), show_default=True, help="Folder for exports."
)
@click.option("--epochs", type=click.IntRange(1), help="At most so many.")
@seed_option
def demo(out: Path, saved_models: Path, epochs: int | None, seed: int) -> None:
    """Fit, plot, export and serve a spline flow on real data and on two moons: some minutes."""
    run_demo(out, saved_models, epochs=epochs, seed=seed)


def _evaluate_images(model: Path, pictures: images.Images, num_samples: int, seed: int, as_json: bool) -> None:
    scores = images.score_images(models.load_any(model, images=True), pictures, num_samples=num_samples, seed=seed)
    if as_json:
        _echo_json(scores)
        return
    draws = "1 draw" if num_samples == 1 else f"{num_samples} draws"
    click.echo(
        f"bits per dim   {scores['bits_per_dim']:.4f} ± {scores['standard_error']:.4f} "
        f"({scores['rows']:,} images, {draws} of the noise)"
    )
    click.echo(f"NLL            {scores['nll']:.2f} nats")


def _echo_json(numbers: dict[str, Any]) -> None:
    click.echo(json.dumps({key: value if np.isfinite(value) else None for key, value in numbers.items()}))


def _others(table: tables.Table, reading: dict[str, Any], id_column: str | None) -> list[str]:
    """The columns of a table but those of the condition and the rows' names."""
    return [name for name in table.columns if name not in {*(reading["condition_columns"] or []), id_column}]


def _refuse_columns(reading: dict[str, Any]) -> None:
    if reading["columns"] or reading["condition_columns"]:
        raise ValueError("A model of a table takes its columns by name: leave out --columns and --condition.")


def _read(data: Path, reading: dict[str, Any]) -> tables.Table:
    return tables.read_table(data, key=reading.pop("key"), header=reading.pop("header"))


def _chosen(
    table: tables.Table, columns: list[str] | None, conditions: list[str] | None
) -> tuple[list[str], list[str]]:
    conditions = conditions or []
    columns = columns or [name for name in table.columns if name not in conditions]
    both = sorted(set(columns) & set(conditions))
    if both:
        raise ValueError(f"column {both[0]!r} is both modelled and conditioned on.")
    if not columns:
        raise ValueError(f"{table.name}: no column is left to model.")
    return columns, conditions


def _for_model(
    model: models.Model, table: tables.Table, columns: list[str] | None, condition_columns: list[str] | None
) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Selects the given columns, or those of the fit, in its order; returns events, conditions and names."""
    if len(model.event_shape) != 1:
        raise ValueError(f"{table.name}: a table, but the model is of events {list(model.event_shape)}.")
    columns, conditions = _chosen(
        table,
        _in_order(table, columns, model.columns, "columns"),
        _in_order(table, condition_columns, model.condition_columns, "condition"),
    )
    if len(columns) != model.size:
        raise ValueError(
            f"{table.name}: the model is of {model.size} columns; got {len(columns)}. Choose with --columns."
        )
    if bool(conditions) != model.is_conditional:
        raise ValueError(f"the model {'needs' if model.is_conditional else 'takes no'} --condition columns.")
    return table.select(columns), table.select(conditions) if conditions else None, columns


def _in_order(table: tables.Table, chosen: list[str] | None, fitted: list[str], option: str) -> list[str]:
    """The columns of the fit; the chosen ones where the fit or the table has no names."""
    if chosen is None or len(chosen) != len(fitted) or not tables.are_names(fitted) or not table.is_named:
        return chosen or fitted
    if set(chosen) != set(fitted):
        raise ValueError(
            f"{table.name}: the model was fitted to the columns {', '.join(fitted)}; --{option} names "
            f"{', '.join(chosen)}. Leave it out, or rename the columns in the file."
        )
    return fitted


def _say_fit(metrics: dict[str, Any], out: Path, quiet: bool) -> None:
    if quiet:
        return
    nll = metrics["nll"]
    if nll["test"] is not None:
        click.echo(
            f"Test NLL: {nll['test']:.4f} ± {nll['test_standard_error']:.4f} nats ({metrics['rows']['test']:,} rows"
            f"{', of values on a grid with noise of one step' if nll['noise_draws'] else ''})"
        )
    click.echo(f"Model, metrics.json and pictures: {out}")
