"""The versions of a model: found by polling its folder, loaded, served, and unloaded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.serving.wire.model_server.errors import Code, ServingError, as_serving_error, invalid
from tests.serving.wire.model_server.servable import Servable

Policy = Callable[[set[int]], set[int]]


def latest(num_versions: int = 1) -> Policy:
    """The policy that wants the largest versions there are."""
    return lambda found: set(sorted(found)[-num_versions:])


def specific(wanted: Iterable[int]) -> Policy:
    """The policy that wants the versions given."""
    chosen = frozenset(wanted)
    return lambda found: found & chosen


class State(NamedTuple):
    """Of a version: its state's name in the API, and the error that ended it."""

    name: str
    error: ServingError | None = None


class Loading(NamedTuple):
    """How versions are loaded.

    Attributes:
      threads: that load, for all models.
      retries: how many times a version that does not load is tried again.
      interval: seconds between two tries.
    """

    threads: ThreadPoolExecutor
    retries: int = 5
    interval: float = 60.0


class Model:
    """A model's folder, served.

    Args:
      name: what clients call it.
      base_path: the folder; children whose names are integers are versions.
      load: from a version's folder to a `Servable`, warm.
      policy: from the versions found to those to serve.
      loading: by which threads versions are loaded, and how often they are tried.
    """

    def __init__(self, name: str, base_path: Path, load: Callable[[Path], Servable], policy: Policy, loading: Loading):
        self.name, self._base_path, self._load, self._policy = name, base_path, load, policy
        self._loading = loading
        self._labels: Mapping[str, int] = {}
        self._states: dict[int, State] = {}
        self._serving: dict[int, Servable] = {}
        self._in_flight: dict[int, int] = {}
        self._changed = threading.Condition()

    def check_labels(self, labels: Mapping[str, int], allow_unavailable: bool) -> None:
        """Refuses labels of versions that are not available; if they are allowed, a label that moves to one.

        The real server looks before it loads what the same configuration asks for: when it starts, nothing is there.

        Raises:
          ServingError: FAILED_PRECONDITION.
        """
        for label, version in labels.items():
            moves = self._labels.get(label, version) != version
            if version not in self._serving and (moves or not allow_unavailable):
                raise ServingError(
                    Code.FAILED_PRECONDITION,
                    f"Request to assign label to version {version} of model {self.name}, which is not currently "
                    "available for inference",
                )

    def configure(self, policy: Policy, labels: Mapping[str, int]) -> None:
        """Another policy, for the next `poll`, and other labels, from now on."""
        self._policy, self._labels = policy, labels

    def poll(self) -> None:
        """Loads what is new, serves it, and only then unloads what is not wanted any more.

        A version that fails all its tries is not tried again, and leaves the one before it in place.
        """
        found = self._found()
        wanted = self._policy(set(found))
        failed = {version for version, state in self._states.items() if state.error is not None}
        new = sorted(wanted - set(self._serving) - failed)
        list(self._loading.threads.map(lambda version: self._bring_up(version, found[version]), new))
        if wanted & set(self._serving):
            for version in sorted(set(self._serving) - wanted):
                self._take_down(version)

    @property
    def states(self) -> dict[int, State]:
        """Of every version ever seen."""
        with self._changed:
            return dict(sorted(self._states.items()))

    @contextmanager
    def lease(self, version: int | None = None, label: str | None = None) -> Iterator[tuple[int, Servable]]:
        """A version, by default the newest served, that is not unloaded meanwhile.

        Raises:
          ServingError: NOT_FOUND if it is not served, INVALID_ARGUMENT for an unknown label.
        """
        if label is not None:
            if label not in self._labels:
                raise invalid(f"Unrecognized servable version label: {label}")
            version = self._labels[label]
        with self._changed:
            chosen = max(self._serving, default=None) if version is None else version
            if chosen not in self._serving:
                request = f"Latest({self.name})" if version is None else f"Specific({self.name}, {version})"
                raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {request}")
            servable = self._serving[chosen]
            self._in_flight[chosen] = self._in_flight.get(chosen, 0) + 1
        try:
            yield chosen, servable
        finally:
            with self._changed:
                self._in_flight[chosen] -= 1
                self._changed.notify_all()

    def _found(self) -> dict[int, Path]:
        children = self._base_path.iterdir() if self._base_path.is_dir() else ()
        return {int(child.name): child for child in children if child.name.isdecimal() and child.is_dir()}

    def _bring_up(self, version: int, folder: Path) -> None:
        self._set(version, State("LOADING"))
        for tries_left in range(self._loading.retries, -1, -1):
            try:
                servable = self._load(folder)
                break
            except Exception as error:  # of any kind: the version can't be served
                if not tries_left:
                    self._set(version, State("END", as_serving_error(error)))
                    return
                time.sleep(self._loading.interval)
        with self._changed:
            self._serving[version], self._states[version] = servable, State("AVAILABLE")

    def _take_down(self, version: int) -> None:
        with self._changed:
            servable = self._serving.pop(version)
            self._states[version] = State("UNLOADING")
            self._changed.wait_for(lambda: not self._in_flight.get(version))
        servable.close()
        self._set(version, State("END"))

    def _set(self, version: int, state: State) -> None:
        with self._changed:
            self._states[version] = state
