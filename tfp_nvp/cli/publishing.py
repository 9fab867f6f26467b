"""The commands `export` and `serve`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from tfp_nvp.cli import models
from tfp_nvp.cli.options import path_type

_keep_option = click.option(
    "--keep",
    type=click.IntRange(1),
    help="Remove all versions but so many of the newest, and those with labels. All stay by default.",
)


def _keep_newest(folder: Path, keep: int | None) -> None:
    from tfp_nvp import serving

    removed = [] if keep is None else serving.remove_old_versions(folder, keep)
    if removed:
        click.echo(f"Removed: {', '.join(f'{folder}/{version}' for version in removed)}")


@click.command(short_help="Write a SavedModel for TensorFlow Serving.")
@click.argument("model", type=path_type)
@click.argument("out", type=path_type)
@click.option("--label", "labels", multiple=True, help="A name for this version, such as canary; may be repeated.")
@_keep_option
@click.option(
    "--weights-dtype", type=click.Choice(["float16", "bfloat16"]), help="Store weights in half the bytes or less."
)
@click.option(
    "--compute",
    type=click.Choice(["bfloat16"]),
    help="Compute the networks of couplings and autoregressive layers in this dtype.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(["c", "onnx", "tflite"]),
    multiple=True,
    help="Also write files for another runtime in assets.extra: C99, ONNX, or LiteRT; may be repeated.",
)
def export(
    model: Path,
    out: Path,
    labels: tuple[str, ...],
    keep: int | None,
    weights_dtype: str | None,
    compute: str | None,
    formats: tuple[str, ...],
) -> None:
    """Write MODEL as the next version in the folder OUT, for TensorFlow Serving."""
    fitted = models.load_model(model, images=True)
    from tfp_nvp import serving

    version = serving.export(
        fitted.flow,
        out,
        labels=labels,
        weights_dtype=weights_dtype,
        compute=compute,
        formats=formats,
        card=fitted.about(),
    )
    click.echo(f"Exported: {version}")
    _keep_newest(out, keep)
    card: dict[str, Any] = serving.read_card(version) or {}
    click.echo(f"Size: {card['size']['total']:,} bytes, of which the graph {card['size']['files']['saved_model.pb']:,}")
    for path in card["translations"]:
        click.echo(f"Also: {version / path}")
    if compute is not None:
        cost = card["compute"]
        click.echo(
            f"Networks in {compute}: log_prob of {cost['speed_rows']:,} rows is {cost['speed']:.2g} times as fast here "
            f"and off by {cost['mean_error']:.2g} nats on average, {cost['max_error']:.2g} at most"
        )
    if weights_dtype is not None:
        error = card["weights"]
        click.echo(
            f"Weights in {weights_dtype}: log_prob of {error['rows']} rows is off by {error['mean_error']:.2g} nats on "
            f"average, {error['max_error']:.2g} at most"
        )


def _as_before(at_first: Any) -> str:
    """The default of a remembered option in `--help`."""
    return f"as before; at first {at_first}"


@click.command(short_help="Configure a model server, and start it where it is installed.")
@click.argument("models_folder", metavar="DIR", type=path_type)
@click.option(
    "--out", "-o", type=path_type, default=Path("serving"), show_default=True, help="Folder for what the server reads."
)
@click.option("--port", type=click.IntRange(1, 65535), show_default=_as_before(8500), help="Of gRPC.")
@click.option("--rest-port", type=click.IntRange(1, 65535), show_default=_as_before(8501), help="Of REST.")
@click.option(
    "--name", show_default=_as_before("DIR's"), help="Of the Deployment, the Service and the compose project."
)
@click.option(
    "--batching/--no-batching",
    default=None,
    show_default=_as_before("off"),
    help="Whether to merge requests, for a GPU. A request of no rows, of any client, can then stop the server.",
)
@click.option(
    "--max-batch-size",
    type=click.IntRange(1),
    show_default=_as_before(1024),
    help="With --batching: rows of one request or run.",
)
@click.option(
    "--batch-timeout-micros",
    type=click.IntRange(0),
    show_default=_as_before(1000),
    help="With --batching: how long a request waits for others.",
)
@click.option("--image-tag", show_default=_as_before("2.20.0"), help="Of the container image tensorflow/serving.")
@_keep_option
@click.option("--overwrite", is_flag=True, help="Replace all files that you have changed.")
@click.option(
    "--overwrite-file", "overwritten", multiple=True, metavar="NAME", help="Replace this one. May be given again."
)
@click.option("--write-only", is_flag=True, help="Start nothing.")
def serve(
    models_folder: Path,
    out: Path,
    port: int | None,
    keep: int | None,
    write_only: bool,
    overwrite: bool,
    overwritten: tuple[str, ...],
    **options: Any,
) -> None:
    """Serve the exported models in DIR: the folder of one model (DIR/1, …) or of several (DIR/NAME/1, …).

    Writes the configuration of TensorFlow Serving, of Docker Compose, Kubernetes and Prometheus to --out, then becomes
    tensorflow_model_server if that is installed. Files that you have changed since stay, unless there is something new
    to write into them: then nothing is written, and the files are named.
    """
    if not models_folder.is_dir():
        raise FileNotFoundError(f"{models_folder}: no such folder. `tfp-nvp export` writes models.")
    from tfp_nvp import serving

    options["overwrite"] = overwrite or overwritten
    deployment = serving.write_deployment(models_folder, out, grpc_port=port, **options)
    for folder in deployment.models.values():
        _keep_newest(folder, keep)
    click.echo(f"Models: {', '.join(deployment.models)}")
    click.echo(f"Configuration: {out}")
    for notice in deployment.notices:
        click.echo(notice)
    if deployment.kept:
        click.echo(f"Kept as you changed them: {', '.join(deployment.kept)}")
    if shutil.which(deployment.command[0]) is None:
        click.echo(
            f"tensorflow_model_server is not installed; with Docker: docker compose -f {out}/compose.yaml up cpu"
        )
    elif not write_only:
        click.echo(" ".join(deployment.command))
        sys.stdout.flush()
        os.execv(deployment.command[0], deployment.command)
