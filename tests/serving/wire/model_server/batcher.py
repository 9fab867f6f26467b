"""Merges concurrent runs of a session along the first dimension."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tests.serving.wire.model_server.errors import Code, ServingError, invalid

Arrays = dict[str, np.ndarray]
Run = Callable[[Arrays, list[str]], list[np.ndarray]]


class BatchingParameters(NamedTuple):
    """What a batching parameters file says; sizes in rows, the timeout in seconds."""

    max_batch_size: int = 1000
    batch_timeout: float = 0.0
    allowed_batch_sizes: tuple[int, ...] = ()
    enable_large_batch_splitting: bool = False
    max_enqueued_batches: int = 10

    @classmethod
    def parse(cls, text: str) -> BatchingParameters:
        """From the text form of the server's `BatchingParameters`, of which unknown fields are ignored.

        Raises:
          ValueError: if the allowed sizes do not increase up to the largest, or no batch may wait.
        """
        values = dict(re.findall(r"(\w+)\s*\{\s*value\s*:\s*(\w+)\s*\}", text))
        allowed = tuple(int(size) for size in re.findall(r"allowed_batch_sizes\s*:\s*(\d+)", text))
        made = cls(
            int(values.get("max_batch_size", 1000)),
            int(values.get("batch_timeout_micros", 0)) / 1e6,
            allowed,
            values.get("enable_large_batch_splitting") == "true",
            int(values.get("max_enqueued_batches", 10)),
        )
        if made.max_enqueued_batches < 1:
            raise ValueError(f"`max_enqueued_batches` must be positive; got {made.max_enqueued_batches}.")
        if allowed and (sorted(set(allowed)) != list(allowed) or allowed[-1] != made.max_batch_size):
            raise ValueError(f"`allowed_batch_sizes` must increase up to {made.max_batch_size}; got {allowed}.")
        return made


@dataclass
class _Task:
    feeds: Arrays
    size: int
    done: Future = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """Runs requests for the same tensors together.

    Args:
      run: from feeds and the names of fetches to values.
      parameters: how large, and how long to wait for others.
    """

    def __init__(self, run: Run, parameters: BatchingParameters):
        self._run, self._parameters = run, parameters
        self._queues: dict[tuple, _Queue] = {}
        self._lock = threading.Lock()

    def run(self, feeds: Arrays, fetches: list[str]) -> list[np.ndarray]:
        """As `run`, perhaps with others' rows in the same call.

        A request of no rows is not run: it waits until one with rows joins its batch, and then both fail.

        Raises:
          ServingError: INVALID_ARGUMENT if inputs have no or unequal first dimensions, too many rows for a batch, or
            a neighbour without rows;
            FAILED_PRECONDITION if the outputs do not have the batch's rows, or a neighbour's shapes are different;
            UNAVAILABLE if too many wait already.
        """
        size, largest = _num_rows(feeds), self._parameters.max_batch_size
        if size > largest and not self._parameters.enable_large_batch_splitting:
            raise invalid(f"Task size {size} is larger than the largest batch, {largest}.")
        names = sorted(fetches)
        queue = self._queue(tuple(sorted(feeds)), tuple(names))
        starts = range(0, max(size, 1), largest)
        tasks = [
            _Task({name: value[i : i + largest] for name, value in feeds.items()}, min(largest, size - i))
            for i in starts
        ]
        queue.put(tasks)
        parts = [task.done.result() for task in tasks]
        values = dict(zip(names, map(np.concatenate, zip(*parts, strict=True)), strict=True))
        return [values[name] for name in fetches]

    def close(self) -> None:
        """Ends the threads."""
        for queue in self._queues.values():
            queue.end()

    def _queue(self, inputs: tuple[str, ...], fetches: tuple[str, ...]) -> _Queue:
        with self._lock:
            key = (inputs, fetches)
            if key not in self._queues:
                self._queues[key] = _Queue(self._run, list(fetches), self._parameters)
            return self._queues[key]


class _Queue:
    """Tasks for the same tensors, in order of arrival, and the thread that runs them; None ends it."""

    def __init__(self, run: Run, fetches: list[str], parameters: BatchingParameters):
        self._run, self._fetches, self._parameters = run, fetches, parameters
        self._tasks: list[_Task | None] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._loop, daemon=True).start()

    def put(self, tasks: list[_Task]) -> None:
        """All tasks of a request, or none and `ServingError`, UNAVAILABLE, if the queue is too full for them."""
        with self._changed:
            self._check_room(sum(task.size for task in tasks))
            self._tasks += tasks
            self._changed.notify()

    def end(self) -> None:
        with self._changed:
            self._tasks.append(None)
            self._changed.notify()

    def _check_room(self, size: int) -> None:
        """As the real server: exact for requests that may be split, but any that fit the open batch are let in."""
        largest, most = self._parameters.max_batch_size, self._parameters.max_enqueued_batches
        full = "The batch scheduling queue to which this task was submitted is full;"
        count, last = self._waiting()
        if self._parameters.enable_large_batch_splitting:
            room = (most - count) * largest + largest - last
            if size > room:
                message = f"{full} task size is {size} but scheduling capacity is only {room}"
                raise ServingError(Code.UNAVAILABLE, message)
        elif last + size > largest and count >= most:
            message = f"{full} currently {count} batches enqueued and max_enqueued_batches is {most}"
            raise ServingError(Code.UNAVAILABLE, message)

    def _waiting(self) -> tuple[int, int]:
        """How many batches the tasks will make, the open one included, and the rows of the last."""
        count, last = 1, 0
        for task in self._tasks:
            if last + task.size > self._parameters.max_batch_size:
                count, last = count + 1, 0
            last += task.size
        return count, last

    def _loop(self) -> None:
        while batch := self._next():
            try:
                results = self._run_merged(batch)
            except Exception as error:  # every client of the batch learns of it
                for task in batch:
                    task.done.set_exception(error)
            else:
                for task, result in zip(batch, results, strict=True):
                    task.done.set_result(result)

    def _next(self) -> list[_Task]:
        """The next batch, once it is full or its first task has waited enough; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: any(task is None or task.size for task in self._tasks))
            if self._tasks[0] is None:
                return []
            wait = self._tasks[0].since + self._parameters.batch_timeout - time.monotonic()
            self._changed.wait_for(lambda: self._count_that_fit()[1], timeout=max(wait, 0.0))
            count, _ = self._count_that_fit()
            batch, self._tasks = self._tasks[:count], self._tasks[count:]
            return batch

    def _count_that_fit(self) -> tuple[int, bool]:
        """How many tasks fit into one batch, and whether it can't take more."""
        total = 0
        for i, task in enumerate(self._tasks):
            if task is None or total + task.size > self._parameters.max_batch_size:
                return i, True
            total += task.size
        return len(self._tasks), total == self._parameters.max_batch_size

    def _run_merged(self, batch: list[_Task]) -> list[list[np.ndarray]]:
        sizes = [task.size for task in batch]
        if 0 in sizes:
            raise invalid("Batching session: a task of the batch has no rows.")
        total = sum(sizes)
        padded = next((size for size in self._parameters.allowed_batch_sizes if size >= total), total)
        feeds = {name: _merge([task.feeds[name] for task in batch], padded - total) for name in batch[0].feeds}
        outputs = self._run(feeds, self._fetches)
        for value in outputs:
            if np.ndim(value) == 0:
                raise ServingError(Code.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions.")
            if len(value) != padded:
                raise ServingError(Code.FAILED_PRECONDITION, f"Batched output has {len(value)} rows, inputs {padded}.")
        split = [np.split(value[:total], np.cumsum(sizes)[:-1]) for value in outputs]
        return [list(parts) for parts in zip(*split, strict=True)]


def _num_rows(feeds: Arrays) -> int:
    if not feeds:
        raise invalid("A batched run must have at least one input.")
    if any(np.ndim(value) == 0 for value in feeds.values()):
        raise invalid("Batched inputs must have at least one dimension.")
    sizes = {len(value) for value in feeds.values()}
    if len(sizes) > 1:
        raise invalid("Batched inputs must have equal 0th dimensions.")
    return sizes.pop()


def _merge(parts: list[np.ndarray], num_padding: int) -> np.ndarray:
    """The parts one after the other, then the last one's first row `num_padding` times."""
    if len({part.shape[1:] for part in parts}) > 1:
        raise ServingError(Code.FAILED_PRECONDITION, "Inputs of different tasks have different shapes.")
    if len({part.dtype for part in parts}) > 1:
        raise ServingError(Code.INTERNAL, "Inputs of different tasks have different types.")
    return np.concatenate([*parts, *[parts[-1][:1]] * num_padding])
