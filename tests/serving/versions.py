"""Exports of one TensorFlow run natively in another: `python -m tests.serving.versions export|check FOLDER [NAME …]`.

`make test-versions` exports with the oldest and with the newest TensorFlow, and checks each export with both: the
loader of a model server, without Python (`native/loader.c`), must give what the exporting TensorFlow computed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.serving.native.process import Arrays, Process, assert_equal, compile_loader

_INPUT, _OUTPUT = "in.", "out."


def write(folder: Path, *names: str) -> None:
    """Exports the models of the tests, by default all, with inputs and outputs of each signature beside them."""
    from tests.serving.conftest import CASES, RECIPES, Exported
    from tfp_nvp.serving import export
    from tfp_nvp.training import FlowModel

    for name in names or CASES | RECIPES:
        model = (CASES | RECIPES)[name]()
        version = export(model, folder / name, version=1, verify=False)
        distribution = model.distribution if isinstance(model, FlowModel) else model
        for signature, case in Exported(name, model, distribution, version).tried.items():
            arrays = {f"{_INPUT}{key}": value for key, value in case.inputs.items()}
            arrays |= {f"{_OUTPUT}{key}": value for key, value in case.outputs.items()}
            texts = {key: value.astype("U") if value.dtype == object else value for key, value in arrays.items()}
            np.savez(folder / name / f"{signature}.npz", **texts)
        print(f"exported by {tf.__version__}: {name}", flush=True)  # noqa: T201


def check(folder: Path, *names: str) -> None:
    """Runs every signature of the exports in a folder, by default all, and compares it with what is beside it.

    Raises:
      AssertionError: if one differs.
    """
    names = names or tuple(sorted(path.name for path in folder.iterdir() if path.is_dir()))
    assert names, f"no exports in {folder}"
    with tempfile.TemporaryDirectory() as scratch:
        loader = compile_loader(Path(scratch))
        assert loader is not None, "a C compiler is needed"
        for name in names:
            where = Path(scratch) / name
            where.mkdir()
            process, expected = Process(loader, folder / name / "1", where), {}
            for file in sorted((folder / name).glob("*.npz")):
                inputs, expected[file.stem] = _read(file)
                process.ask(file.stem, file.stem, inputs)
            process.answers()
            for signature, outputs in expected.items():
                assert_equal(process.outputs[signature], outputs)
            print(f"run by {tf.__version__}: {name}, {len(expected)} signatures", flush=True)  # noqa: T201


def _read(file: Path) -> tuple[Arrays, Arrays]:
    """Inputs and outputs, texts as objects."""
    with np.load(file) as stored:
        arrays = {key: value.astype(object) if value.dtype.kind == "U" else value for key, value in stored.items()}
    return tuple(
        {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
        for prefix in (_INPUT, _OUTPUT)
    )


if __name__ == "__main__":
    {"export": write, "check": check}[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
