"""Latency of served flows: the native loader on our exports, zuko and nflows as TorchScript, and bare matrix products.

    python benchmarks/serving.py --out DIR [--torch PYTHON] [--workloads NAME ...] [--batch-sizes N ...] [--rounds N]
                                 [--seconds-per-case S] [--threads N]

Ours is answered by tests/serving/native/loader.c, compiled here: TensorFlow's own loader, XLA off and no Python, as
in a model server, without its network; every signature of an exported `AnomalyDetector` is timed. `--torch` is a
Python with torch, zuko and nflows, for serving_torch.py: peers have a counterpart of some signatures, and draw samples
from their own generator. The floor is there too: one product for every matrix of our flow, and nothing else. (For
samples of a MAF, whose elements come one after the other, it is far from reach.) All have the same number of threads.
The workers take turns, for `--seconds-per-case` each, in each of the rounds, so that a machine that drifts hits all
alike. DIR gets serving.json and serving.md: medians over rounds of each round's p50 and p99, in microseconds, and our
rows per second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import tfp_nvp as nvp
from tests.serving.native.process import Process, compile_loader
from tfp_nvp import transformers
from tfp_nvp.bijectors import Chain, Coupling, Reverse
from tfp_nvp.conditioners import MLP
from tfp_nvp.distributions import StandardNormal
from tfp_nvp.training import AnomalyDetector, FlowModel

WORKLOADS: dict[str, dict[str, Any]] = {
    "realnvp64": {"kind": "realnvp", "dim": 64, "layers": 8, "hidden": [256, 256], "residual": False},
    "nsf64": {"kind": "nsf", "dim": 64, "layers": 5, "hidden": [128, 128], "bins": 8, "residual": False},
    "maf64": {"kind": "maf", "dim": 64, "layers": 5, "hidden": [256, 256], "residual": False},
    # What `nvp.fit` makes of 5,000 rows of two columns or more.
    "moons": {"kind": "nsf", "dim": 2, "layers": 6, "hidden": [64], "bins": 8, "residual": True},
}
OPS = ("log_prob", "score", "encode", "decode", "sample", "sample_tempered")
PEERS = {"floor": OPS, **dict.fromkeys(("zuko", "nflows"), ("log_prob", "encode", "decode", "sample"))}
MOST_RUNS = 20_000


def flow_of(w: dict[str, Any]) -> nvp.Flow:
    """The workload's flow, of the same networks as in the other libraries."""
    d, layers, hidden = w["dim"], w["layers"], w["hidden"]
    if w["kind"] == "realnvp":
        return nvp.RealNVP([d], num_layers=layers, hidden_units=hidden, seed=0)
    if w["kind"] == "maf":
        return nvp.MAF([d], num_layers=layers, hidden_units=hidden, seed=0)
    spline = transformers.RationalQuadratic(num_bins=w["bins"])
    if w["residual"]:
        return nvp.NeuralSplineFlow(
            [d], num_layers=layers, hidden_units=hidden[0], num_blocks=1, transformer=spline, seed=0
        )
    parts = []
    for i in range(layers):
        conditioner = MLP(spline.num_parameters * (d - d // 2), hidden_units=hidden, seed=i)
        parts += [Coupling(spline, conditioner, nvp.masks.half(d)), Reverse()]
    return nvp.Flow(StandardNormal([d]), Chain(parts))


class Native:
    """A process that serves one export."""

    def __init__(self, loader: Path, name: str, scratch: Path, threads: int):
        self.name, self.scratch = name, scratch
        flow = flow_of(WORKLOADS[name])
        rng = np.random.default_rng(0)
        flow.initialize(rng.normal(size=[64, *flow.event_shape]))
        for variable in flow.trainable_variables:  # else the first networks end in zeros
            variable.assign_add(0.02 * rng.normal(size=variable.shape).astype(variable.dtype.name))
        self.kernels = [[int(n) for n in v.shape] for v in flow.trainable_variables if v.shape.rank == 2]
        detector = AnomalyDetector(FlowModel(flow))  # an export of which has `score` too
        detector.calibrate(rng.normal(size=[199, *flow.event_shape]).astype(np.float32), 0.1)
        folder = nvp.serving.export(detector, scratch / name, verify=False)
        self.requests = Process(loader, folder, scratch)
        command = [str(loader), str(folder), "/dev/stdin", str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def time(self, op: str, batch: int, count: int) -> np.ndarray:
        """Nanoseconds of each of `count` requests."""
        rng, file = np.random.default_rng(1), self.scratch / f"{self.name}.ns"
        values = rng.normal(size=[batch, WORKLOADS[self.name]["dim"]]).astype(np.float32)
        if op.startswith("sample"):
            inputs = {"seed": rng.integers(2**31 - 1, size=[batch, 2], dtype=np.int32)}
        else:
            inputs = {"z" if op == "decode" else "x": values}
        if op == "sample_tempered":
            inputs["temperature"] = np.full([batch], 0.7, np.float32)
        self.requests.lines = []
        self.requests.ask("timed", op, inputs, f"time {count} {file}")
        self.process.stdin.write("\n".join(self.requests.lines) + "\n")
        self.process.stdin.flush()
        if self.process.stdout.readline() != f"timed {file}\n":
            raise RuntimeError(f"The loader failed on {self.name}, {op}.")
        return np.fromfile(file, np.int64)


class Torch:
    """A process for all peers."""

    def __init__(self, python: str, threads: int):
        script = Path(__file__).with_name("serving_torch.py")
        self.command = [python, "-W", "ignore", str(script), str(threads)]
        # Threads that wait by spinning, as they do by default, take the machine from whoever else is on it.
        waiting = {"OMP_WAIT_POLICY": "PASSIVE"}
        self.environment = {**os.environ, **waiting, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self.process = self.start()

    def start(self) -> subprocess.Popen:
        """A new process."""
        return subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.environment
        )

    def time(self, peer: str, native: Native, op: str, batch: int, count: int) -> np.ndarray:
        """Nanoseconds of each of `count` calls.

        Raises:
          RuntimeError: with what went wrong there.
        """
        workload = {**WORKLOADS[native.name], "kernels": native.kernels}
        ask = {"peer": peer, "name": native.name, "workload": workload, "op": op, "batch": batch, "count": count}
        self.process.stdin.write(json.dumps(ask) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            self.process = self.start()
            raise RuntimeError(f"the process ended with status {code}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return np.array(answer["ns"])


class Table:
    """Figures of every case, by worker and round."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.counts: dict[tuple, int] = {}
        self.failures: dict[tuple, str] = {}
        self.rounds: dict[tuple, list[tuple[float, float]]] = {}

    def add(self, case: tuple, time: Any) -> None:
        """Another round of a case (workload, op, batch, worker)."""
        if case in self.failures:
            return
        try:
            if case not in self.counts:
                estimate = np.median(time(3)) / 1e9
                self.counts[case] = int(np.clip(self.seconds / estimate, 3, MOST_RUNS))
            found = time(self.counts[case]) / 1e3
        except RuntimeError as error:
            self.failures[case] = str(error)
            print(f"{case}: {error}", file=sys.stderr)
            return
        self.rounds.setdefault(case, []).append((float(np.median(found)), float(np.quantile(found, 0.99))))

    def figures(self) -> list[dict[str, Any]]:
        """One row per case: medians over rounds."""
        rows = []
        for case, rounds in self.rounds.items():
            p50, p99 = np.median(rounds, axis=0)
            row = dict(zip(("workload", "op", "batch", "worker"), case, strict=True))
            figures = {"p50_us": round(p50, 1), "p99_us": round(p99, 1), "rows_per_s": round(1e6 * case[2] / p50)}
            rows.append({**row, **figures, "runs": self.counts[case], "rounds": len(rounds)})
        return rows

    def markdown(self, workers: list[str]) -> str:
        """A line for each workload, operation and batch size."""
        found = {(row["workload"], row["op"], row["batch"], row["worker"]): row for row in self.figures()}
        head = ["workload", "signature", "batch", "rows/s", *(f"{worker} p50 / p99 µs" for worker in workers)]
        head += [f"ours / {worker}" for worker in workers[1:]]
        lines = [head, ["---", "---", *["---:"] * (len(head) - 2)]]
        for *case, worker in found:
            if worker != workers[0]:
                continue
            rows = [found.get((*case, other)) for other in workers]
            line = [*map(str, case), f"{rows[0]['rows_per_s']:,}"]
            line += ["–" if row is None else f"{row['p50_us']:,.0f} / {row['p99_us']:,.0f}" for row in rows]
            line += ["–" if row is None else f"{rows[0]['p50_us'] / row['p50_us']:.2f}" for row in rows[1:]]
            lines.append(line)
        notes = [f"\n{' '.join(map(str, case))}: {why}" for case, why in self.failures.items()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n" + "\n".join(notes)


def main() -> None:
    """Runs all rounds; writes the table after each workload, and prints it at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--torch", default=None, help="a Python with torch, zuko and nflows; by default no peers")
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=list(WORKLOADS))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 8, 64, 512, 4096])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds-per-case", type=float, default=0.3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    peers = list(PEERS) if arguments.torch else []
    table = Table(arguments.seconds_per_case)
    with tempfile.TemporaryDirectory() as scratch:
        loader = compile_loader(Path(scratch))
        if loader is None:
            sys.exit("A C compiler is needed.")
        natives = [Native(loader, name, Path(scratch), arguments.threads) for name in arguments.workloads]
        torch = Torch(arguments.torch, arguments.threads) if peers else None
        for _ in range(arguments.rounds):
            for native in natives:
                for op in OPS:
                    for batch in arguments.batch_sizes:
                        case = native.name, op, batch
                        table.add((*case, "ours"), partial(native.time, op, batch))
                        for peer in (each for each in peers if op in PEERS[each]):
                            table.add((*case, peer), partial(torch.time, peer, native, op, batch))
                found = {"arguments": {k: str(v) for k, v in vars(arguments).items()}, "figures": table.figures()}
                (arguments.out / "serving.json").write_text(json.dumps(found, indent=1) + "\n")
                (arguments.out / "serving.md").write_text(table.markdown(["ours", *peers]))
        for each in (*natives, torch):
            if each is not None:
                each.process.stdin.close()
                each.process.wait(timeout=60)
    print(table.markdown(["ours", *peers]))


if __name__ == "__main__":
    main()
