"""The state of a fit in a file, from which a fit that was killed goes on."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from typing import Any

import keras
import numpy as np

from tfp_nvp import checks
from tfp_nvp.training._tables.best_weights import BestWeights
from tfp_nvp.training._tables.part import Part
from tfp_nvp.training._tables.time_limit import TimeLimit

FILE = "fit.npz"


class Checkpoint(keras.callbacks.Callback):
    """Writes the whole state of a fit at the beginning of each epoch, and at its end; a fit of the same starts there.

    The file is replaced in one step: a process that is killed leaves the last whole one.

    Args:
      folder: made if it is not there.

    Raises:
      ValueError: if its file is not one of ours, or is damaged.
    """

    def __init__(self, folder: str | os.PathLike):
        super().__init__()
        self._file = checks.local_path("checkpoint_dir", folder) / FILE
        self._arrays: dict[str, np.ndarray] = {}
        self._state: dict[str, Any] = {}
        self._history: dict[str, list[float]] = {}
        self._identity: dict[str, str] = {}
        self._seed = 0
        self._file.parent.mkdir(parents=True, exist_ok=True)
        if self._file.exists():
            self._read()

    @property
    def seed(self) -> int | None:
        """The seed of the fit in the file; None if there is none."""
        return self._state.get("seed")

    def identify(self, train: Part, held_out: Part, plan: Any, seed: int, flow: Any) -> None:
        """Says of what fit the states are.

        Raises:
          ValueError: if the file is of another.
        """
        self._seed = seed
        self._identity = {
            "data": _digest(train, held_out),
            "settings (sizes, schedule, seed)": repr((plan, seed)),
            "flow": repr((flow.name, [tuple(variable.shape) for variable in flow.variables])),
        }
        before = self._state.get("identity", self._identity)
        others = [name for name, value in self._identity.items() if before.get(name) != value]
        if others:
            raise ValueError(
                f"`checkpoint_dir` holds a fit of other {' and other '.join(others)}: {self._file}. Call `fit` with "
                "the same arguments to go on with it; for another fit give another folder, or delete the file."
            )

    def start(self, best: BestWeights, time_limit: TimeLimit | None, epochs: int) -> int:
        """The epoch to start with, `epochs` of a fit that has ended.

        Args:
          best: the callback whose state is kept too.
          time_limit: a fit that this has ended goes on the next time.
          epochs: of the fit.
        """
        self._best, self._time_limit = best, time_limit
        return epochs if self._state.get("ended") else self._state.get("epoch", 0)

    def on_train_begin(self, logs: Any = None) -> None:
        state = self._state
        if not state:
            return
        for kind, variables in self._variables().items():
            for number, variable in enumerate(variables):
                variable.assign(self._arrays[f"{kind}_{number}"])
        count = sum(name.startswith("best_") for name in self._arrays)
        self._best.best_weights = [self._arrays[f"best_{i}"] for i in range(count)] if count else None
        for name in ("best", "wait", "best_epoch", "stopped_epoch"):
            setattr(self._best, name, state[name])
        self._history = state["history"]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch:  # here, and not at the end of the last epoch, the averaged weights are back in their place
            self._write(epoch, ended=False)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name, value in (logs or {}).items():
            self._history.setdefault(name, []).append(float(value))

    def on_train_end(self, logs: Any = None) -> None:
        history = getattr(self.model, "history", None)
        if not isinstance(history, keras.callbacks.History):
            history = self.model.history = keras.callbacks.History()
        history.history = {name: list(values) for name, values in self._history.items()}
        history.epoch = list(range(len(self._history.get("loss", ()))))
        if not (self._time_limit and self._time_limit.reached):
            self._write(len(history.epoch), ended=True)

    def _variables(self) -> dict[str, list[Any]]:
        metrics = {id(v) for v in self.model.metrics_variables}
        model = [v for v in self.model.variables if id(v) not in metrics]  # seeds of dropout too
        return {"model": model, "optimizer": list(self.model.optimizer.variables)}

    def _write(self, epoch: int, ended: bool) -> None:
        best = self._best
        arrays: dict[str, Any] = {
            f"{kind}_{i}": np.asarray(v) for kind, group in self._variables().items() for i, v in enumerate(group)
        }
        arrays |= {f"best_{i}": np.asarray(value) for i, value in enumerate(best.best_weights or ())}
        state = {
            "identity": self._identity,
            "seed": self._seed,
            "epoch": epoch,
            "ended": ended,
            "best": None if best.best is None else float(best.best),
            "wait": best.wait,
            "best_epoch": best.best_epoch,
            "stopped_epoch": best.stopped_epoch,
            "history": self._history,
        }
        arrays["state"] = np.array(json.dumps(state))
        new = self._file.with_name(f"{FILE}.{os.getpid()}")
        try:
            with new.open("wb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._file)
        finally:
            new.unlink(missing_ok=True)

    def _read(self) -> None:
        try:
            with self._file.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                self._arrays = {name: file[name] for name in file.files}
            self._state = json.loads(str(self._arrays.pop("state")))
            if not isinstance(self._state, dict) or "identity" not in self._state:
                raise ValueError("no state of a fit")
        except (ValueError, KeyError, AttributeError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"`checkpoint_dir` holds a file that is damaged, {self._file}: {error}. Delete it."
            ) from None


def _digest(*parts: Part) -> str:
    """A SHA-256 of the numbers of all parts."""
    digest = hashlib.sha256()
    for part in parts:
        for array in (part.x, part.condition, part.weight):
            digest.update(
                b"none" if array is None else repr(array.shape).encode() + np.ascontiguousarray(array).tobytes()
            )
    return digest.hexdigest()
