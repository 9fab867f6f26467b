"""Exports in processes that are killed, run side by side, or have no space left: `durability_child.py FOLDER`.

TensorFlow is imported once, and used only in forked children, as it may not be forked after its first use.
"""

import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import Flow, RealNVP
from tfp_nvp.serving import export, load, set_label
from tfp_nvp.serving._folders.versions import versions


def export_one(path: Path, loc: float | None = None, **arguments: Any) -> int:
    """Exports a small model with `loc`, by default what its version will be, as a weight; returns the version."""
    loc = max(versions(path), default=0) + 1 if loc is None else loc
    model = tfp.distributions.Independent(tfp.distributions.Normal(tf.Variable([loc] * 3, dtype="float32"), 1.0), 1)
    return int(export(model, path, verify=False, **arguments).name)


def forked(work: Callable[[], Any]) -> tuple[int, int]:
    """The id of a child process that works and ends, and a pipe with what it returned, or raised, as JSON."""
    out, into = os.pipe()
    child = os.fork()
    if child:
        os.close(into)
        return child, out
    try:
        os.close(out)
        answer = {"returned": work()}
    except BaseException as error:
        answer = {"raised": [each.__name__ for each in type(error).__mro__], "message": str(error)[:500]}
    with contextlib.suppress(OSError):
        os.write(into, json.dumps(answer).encode())
    os._exit(0)


def answer_of(child: int, out: int) -> dict[str, Any]:
    """Waits for a child; what it wrote, or the signal that ended it."""
    with os.fdopen(out) as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    return json.loads(text) if text else {"signal": os.waitstatus_to_exitcode(status)}


def killed(path: Path) -> dict[str, Any]:
    """Kills a child that exports and labels without end, 5 times after random times."""
    rng, ends = random.Random(0), []

    def work() -> None:
        while True:
            version = export_one(path, labels=["latest"])
            for i in range(20):
                set_label(path, f"again-{i}", version)

    for _ in range(5):
        before = len(versions(path))
        child, out = forked(work)
        end = time.monotonic() + 120.0
        while len(versions(path)) == before and time.monotonic() < end:  # until it is at it
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.5))
        os.kill(child, signal.SIGKILL)
        ends.append(answer_of(child, out))
    return {"ends": ends, "next": answer_of(*forked(lambda: export_one(path, labels=["after"])))}


def verified(path: Path) -> dict[str, Any]:
    """Kills a child that exports a flow with labels, and verifies it, three times after random times."""
    rng, ends, left = random.Random(1), [], set()

    def names() -> set[str]:
        return {child.name for child in path.glob("*")}

    def work() -> None:
        flow = small_flow()
        while True:
            export(flow, path, labels=["stable"], verify=True)

    for _ in range(3):
        before = names()
        child, out = forked(work)
        end = time.monotonic() + 120.0
        while not names() - before and time.monotonic() < end:  # until it is at it
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 2.5))
        os.kill(child, signal.SIGKILL)
        ends.append(answer_of(child, out))
        left |= names()

    def finish() -> int:
        return int(export(small_flow(), path, labels=["after"], verify=True).name)

    return {"ends": ends, "left": sorted(left), "next": answer_of(*forked(finish))}


def small_flow() -> Flow:
    """A flow that is the same in every process."""
    flow = RealNVP([2], num_layers=2, hidden_units=[4], seed=0)
    flow.initialize(tf.random.stateless_normal([32, 2], [0, 0]))
    for i, variable in enumerate(flow.trainable_variables):
        variable.assign_add(0.1 * tf.random.stateless_normal(variable.shape, [i, 1]))
    return flow


def together(path: Path) -> dict[str, Any]:
    """Three processes that export to one folder at the same time, four versions each; [version, loc] of each."""
    locs = [[10 * i + j for j in range(4)] for i in range(3)]
    children = [forked(lambda mine=mine: [(export_one(path, loc), loc) for loc in mine]) for mine in locs]
    return {"answers": [answer_of(*child) for child in children]}


def labelled(path: Path) -> dict[str, Any]:
    """Four processes that set 25 labels each at the same time."""
    answer_of(*forked(lambda: export_one(path)))
    names = [[f"label-{i}-{j}" for j in range(25)] for i in range(4)]
    children = [forked(lambda mine=mine: [set_label(path, label, 1) for label in mine]) for mine in names]
    return {"answers": [answer_of(*child) for child in children]}


def limited(path: Path) -> dict[str, Any]:
    """Exports, with labels, where no file may be larger than some bytes; the last is enough."""

    def work(size: int) -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return str(export_one(path, labels=["new"]))

    answer_of(*forked(lambda: export_one(path)))
    sizes = [0, 60, 500, 10_000, 1_000_000]
    return {str(size): [answer_of(*forked(lambda size=size: work(size))), look(path)] for size in sizes}


def full(path: Path) -> dict[str, Any] | None:
    """Exports to a file system with some KiB left; None where this process may not mount one."""
    path.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(path)], check=False).returncode:
        return None
    model, found = path / "m", {}
    answer_of(*forked(lambda: export_one(model)))
    for left in (0, 32, 44, 48, 52, 128):
        stuffing = path / "stuffing"
        free = os.statvfs(path).f_bavail * os.statvfs(path).f_frsize
        with stuffing.open("wb") as file:
            file.write(b"0" * max(0, free - left * 1024))
        found[str(left)] = [answer_of(*forked(lambda: export_one(model, labels=["new"]))), look(model)]
        stuffing.unlink()
    return found


def look(path: Path) -> dict[str, Any]:
    """What is in a model's folder, and what each version answers, in a process of its own."""

    def work() -> dict[str, Any]:
        names = sorted(child.name for child in path.iterdir())
        rows = {name: load(path / name).log_prob([[float(name)] * 3]).tolist() for name in names if name.isdecimal()}
        return {"names": names, "answers": rows}

    return answer_of(*forked(work))


WORKS = (killed, verified, together, labelled, limited, full)

if __name__ == "__main__":
    works = {work.__name__: work(Path(sys.argv[1]) / work.__name__) for work in WORKS}
    (Path(sys.argv[1]) / "found.json").write_text(json.dumps(works))
