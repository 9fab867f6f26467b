"""Translates a served model for other runtimes, into files beside the SavedModel."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from tfp_nvp.serving._exporting.c_source import c_source
from tfp_nvp.serving._exporting.lite_model import lite_model, run_lite
from tfp_nvp.serving._exporting.onnx_models import needs_onnx, onnx_models, run_onnx
from tfp_nvp.serving._exporting.portable import portable_functions
from tfp_nvp.serving._exporting.signatures import Signature
from tfp_nvp.serving._exporting.verify import Case, compare
from tfp_nvp.serving._folders.model_card import EXTRA

FORMATS = ("c", "onnx", "tflite")
#: Files within a version's folder; of ONNX one for each signature.
C_FILE, LITE_FILE, ONNX_FOLDER = f"{EXTRA}/model.c", f"{EXTRA}/model.tflite", f"{EXTRA}/onnx"


def checked_formats(formats: Collection[str]) -> tuple[str, ...]:
    """Raises an error if the argument is no collection of names of formats, or one of them needs a missing package."""
    if isinstance(formats, str) or not isinstance(formats, Collection):
        raise TypeError(f"`formats` must be a list of names, such as ['c']; got {formats!r}.")
    unknown = [each for each in formats if each not in FORMATS]
    if unknown:
        raise ValueError(f"`formats` must be of {list(FORMATS)}; got {unknown[0]!r}.")
    if "onnx" in formats:
        needs_onnx()
    return tuple(dict.fromkeys(formats))


def translate(name: str, signatures: dict[str, Signature], formats: Collection[str]) -> dict[str, bytes]:
    """The contents of a model's files by their paths.

    Raises:
      ValueError: for a format that can't hold the model.
    """
    files = {}
    if "c" in formats:
        files[C_FILE] = c_source(name, signatures).encode()
    if "onnx" in formats or "tflite" in formats:
        functions, variables = portable_functions(signatures)
        if "onnx" in formats:
            models = onnx_models(functions)
            files |= {f"{ONNX_FOLDER}/{signature}.onnx": model for signature, model in models.items()}
        if "tflite" in formats:
            files[LITE_FILE] = lite_model(functions, variables)
    return files


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes them into a version's folder."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def check_files(files: Mapping[str, bytes], cases: Mapping[str, Case], computed_in: str | None = None) -> None:
    """Runs every case in the runtimes of ONNX and LiteRT; C needs a compiler, and is not run.

    `computed_in` is the dtype that computed what is expected, if another than the files'.

    Raises:
      RuntimeError: if an output is not as expected.
    """
    for path, content in files.items():
        for name, case in cases.items():
            try:
                if path == LITE_FILE:
                    outputs = run_lite(content, name, case.inputs)
                elif path == f"{ONNX_FOLDER}/{name}.onnx":
                    outputs = run_onnx(content, case.inputs)
                else:
                    continue
                for key, expected in case.outputs.items():
                    compare(f"{name}/{key}", outputs[key], expected, computed_in)
            except Exception as error:  # a runtime may raise anything
                reason = " ".join(str(error).split())[:300]
                raise RuntimeError(
                    f"{path} failed its check: {name} gave {type(error).__name__}: {reason}. Leave its format out."
                ) from error
