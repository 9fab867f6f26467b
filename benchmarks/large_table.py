"""A million rows through `fit`, ten million through `predict`: time and memory.

    python benchmarks/large_table.py fit [--rows 1000000]       one epoch of nvp.fit against the bare compiled steps
    python benchmarks/large_table.py predict [--rows 10000000]  log p of rows mapped from a file
    python benchmarks/large_table.py start                      from import to the first log_prob and training step

Prints one JSON line. Run each in a process of its own: peak memory is the process's.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

COLUMNS = 8


def rows_of(count: int) -> np.ndarray:
    """Correlated, skewed columns; float32 [count, 8]."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(count, COLUMNS)).astype(np.float32)
    z[:, 1:] += 0.7 * z[:, :-1]
    z[:, 0] = np.exp(0.5 * z[:, 0])
    return z


def peak() -> int:
    """The largest resident memory so far, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def fit_epoch(count: int) -> dict[str, Any]:
    """The second of two epochs of `fit`, and as many calls of its own compiled training function on one batch."""
    import keras
    import tensorflow as tf

    import tfp_nvp as nvp

    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: ends.append(time.perf_counter()),
        on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()),
    )
    x = rows_of(count)
    start = time.perf_counter()
    model = nvp.fit(x, epochs=2, seed=0, verbose=0, callbacks=[clock])
    total = time.perf_counter() - start
    memory = peak()
    steps = int(model.optimizer.iterations.numpy()) // 2
    per_call = model.steps_per_execution
    batch = tf.data.Dataset.from_tensors((tf.constant(x[:1024]),)).repeat().prefetch(1)
    iterator = iter(batch)
    model.train_function(iterator)
    start = time.perf_counter()
    for _ in range(steps // per_call):
        model.train_function(iterator)
    bare = time.perf_counter() - start
    return {
        "rows": count,
        "steps per epoch": steps,
        "epoch, s": round(ends[3] - ends[2], 1),  # with its validation
        "bare steps, s": round(bare, 1),
        "two epochs and all before, s": round(total, 1),
        "compiled": model.jit_compile,
        "peak, MB": memory,
    }


def predict(count: int) -> dict[str, Any]:
    """`predict` over a file, written here, that is mapped into memory."""
    import tfp_nvp as nvp

    model = nvp.FlowModel(nvp.NeuralSplineFlow([COLUMNS], num_layers=4, hidden_units=64, seed=0))
    model.compile(jit_compile=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        file = np.lib.format.open_memmap(path, "w+", np.float32, (count, COLUMNS))
        for first in range(0, count, 1_000_000):
            file[first : first + 1_000_000] = rows_of(min(1_000_000, count - first))
        del file
        x = np.load(path, mmap_mode="r")
        model.predict(x[:100_000], verbose=0)
        before = anonymous()
        start = time.perf_counter()
        log_prob = model.predict(x)
        seconds = time.perf_counter() - start
        return {
            "rows": len(log_prob),
            "s": round(seconds, 1),
            "rows per second": round(count / seconds),
            "file, MB": round(path.stat().st_size / 2**20),
            "memory gained, MB": anonymous() - before,
        }


def anonymous() -> int:
    """Memory of the process that is not of files, in MB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return round(int(line.split()[1]) / 1024)


def first_steps(count: int) -> dict[str, Any]:
    """Seconds from import to first results, in the order in which a user meets them."""
    times: dict[str, Any] = {}

    def timed(name: str, call: Any) -> Any:
        start = time.perf_counter()
        result = call()
        times[name] = round(time.perf_counter() - start, 3)
        return result

    def libraries() -> None:
        import keras
        import tensorflow
        import tensorflow_probability

        del keras, tensorflow, tensorflow_probability

    timed("import tensorflow, tensorflow_probability, keras", libraries)
    timed("import tfp_nvp", lambda: __import__("tfp_nvp"))
    import keras
    import tensorflow as tf

    import tfp_nvp as nvp

    x = rows_of(512)
    for name, recipe in (("RealNVP", nvp.RealNVP), ("NeuralSplineFlow", nvp.NeuralSplineFlow)):
        flow = timed(f"{name}, 12 layers", lambda recipe=recipe: recipe([COLUMNS], num_layers=12, seed=0))
        timed(f"{name}: first log_prob, eager", lambda flow=flow: flow.log_prob(x))
        timed(f"{name}: next log_prob, eager", lambda flow=flow: flow.log_prob(x))
        for compiled in (False, True):
            model = nvp.FlowModel(flow)
            model.compile(keras.optimizers.Adam(), jit_compile=compiled)
            tf.config.run_functions_eagerly(False)
            kind = "XLA" if compiled else "graph"
            timed(f"{name}: first training step, {kind}", lambda model=model: model.fit(x, batch_size=512, verbose=0))
    return times


def main() -> None:
    """Runs one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["fit", "predict", "start"])
    parser.add_argument("--rows", type=int)
    arguments = parser.parse_args()
    run, rows = {"fit": (fit_epoch, 1_000_000), "predict": (predict, 10_000_000), "start": (first_steps, 0)}[
        arguments.what
    ]
    print(json.dumps(run(arguments.rows or rows)))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
