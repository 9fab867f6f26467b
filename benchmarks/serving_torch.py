"""zuko and nflows as TorchScript, and the bare matrix products, for benchmarks/serving.py, which starts this script.

A line of JSON on stdin, `{"peer", "name", "workload", "op", "batch", "count"}`, is answered by one on stdout:
`{"ns": [...]}` or `{"error": why}`. Functions are traced by `torch.jit.trace` for each batch size, frozen, and run in
inference mode. A trace that gives other values than its function is refused, and calls of more than two seconds
are not timed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

WARM_UP = 5
TOO_LONG = 2_000_000_000

Made = tuple[torch.nn.Module, dict[str, Callable]]
Maker = Callable[[dict[str, Any]], Made]


def zuko(w: dict[str, Any]) -> Made:
    """A flow, and functions of data or latents by the names of our signatures; sampling is given normal numbers."""
    from zuko import flows

    d, common = w["dim"], {"transforms": w["layers"], "hidden_features": w["hidden"]}
    if w["kind"] == "realnvp":
        flow = flows.RealNVP(d, **common)
    elif w["kind"] == "maf":
        flow = flows.MAF(d, **common)
    else:
        flow = flows.NSF(d, bins=w["bins"], passes=2, residual=w["residual"], **common)
    return flow, {
        "log_prob": lambda x: flow().log_prob(x),
        "encode": lambda x: flow().transform.call_and_ladj(x),
        "decode": lambda z: flow().transform.inv.call_and_ladj(z),
        "sample": lambda z: flow().transform.inv(z),
    }


def nflows(w: dict[str, Any]) -> Made:
    """A flow, and functions of data or latents by the names of our signatures; sampling is given normal numbers."""
    from nflows import distributions, flows, nn, transforms

    def network(inputs: int, outputs: int) -> torch.nn.Module:
        if w["residual"]:
            return nn.nets.ResidualNet(inputs, outputs, hidden_features=w["hidden"][0], num_blocks=1)
        return _NoContext(nn.nets.MLP([inputs], [outputs], hidden_sizes=w["hidden"]))

    d, hidden, layers = w["dim"], w["hidden"], []
    for i in range(w["layers"]):
        mask = torch.arange(d) % 2 if i % 2 else 1 - torch.arange(d) % 2
        if w["kind"] == "maf":
            layers += [
                transforms.ReversePermutation(d),
                transforms.MaskedAffineAutoregressiveTransform(
                    d, hidden[0], num_blocks=len(hidden), use_residual_blocks=False
                ),
            ]
        elif w["kind"] == "realnvp":
            layers.append(transforms.AffineCouplingTransform(mask, network))
        else:
            layers.append(
                transforms.PiecewiseRationalQuadraticCouplingTransform(
                    mask, network, num_bins=w["bins"], tails="linear", tail_bound=5.0
                )
            )
    flow = flows.Flow(transforms.CompositeTransform(layers), distributions.StandardNormal([d]))
    return flow, {
        "log_prob": flow.log_prob,
        "encode": flow._transform,
        "decode": flow._transform.inverse,
        "sample": lambda z: flow._transform.inverse(z)[0],
    }


class _NoContext(torch.nn.Module):
    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, context: Any = None) -> torch.Tensor:
        return self.network(x)


class Operation(torch.nn.Module):
    """A function of a flow as a module, for the tracer: of data, or of latents that it draws."""

    def __init__(self, flow: torch.nn.Module, function: Callable, op: str):
        super().__init__()
        self.flow, self.function, self.draws = flow, function, op == "sample"

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(torch.randn_like(x) if self.draws else x)


class Products(torch.nn.Module):
    """The matrix products of all layers, and nothing else."""

    def __init__(self, shapes: list[list[int]]):
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(*shape, bias=False) for shape in shapes)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [layer(x[:, : layer.in_features]) for layer in self.layers]


class Peer:
    """Flows and traces, made once."""

    def __init__(self) -> None:
        self.flows: dict[tuple[str, str], Any] = {}
        self.traces: dict[tuple, Any] = {}

    def function(self, ask: dict[str, Any]) -> tuple[Callable, torch.Tensor]:
        """What is to be timed, and its argument."""
        w, op, batch = ask["workload"], ask["op"], ask["batch"]
        if ask["peer"] == "floor":
            widest = max(inputs for inputs, _ in w["kernels"])
            return Products(w["kernels"]), torch.randn(batch, widest)
        if w["kind"] == "maf" and op in ("sample", "decode"):
            raise RuntimeError("not traced: a network for every element and layer, which takes the tracer minutes")
        torch.manual_seed(0)
        of_flow = ask["peer"], ask["name"]
        if of_flow not in self.flows:
            self.flows[of_flow] = MAKERS[ask["peer"]](w)
        flow, functions = self.flows[of_flow]
        operation = Operation(flow, functions[op], op).eval()
        x = torch.randn(batch, w["dim"])
        key = (*of_flow, op, batch)  # run on a batch of another size, traces of nflows have crashed the process
        if key not in self.traces:
            self.traces[key] = torch.jit.freeze(torch.jit.trace(operation, x, check_trace=False))
            if not same(self.traces[key], operation, x):
                raise RuntimeError("the trace gives other values than the flow")
        return self.traces[key], x


def same(traced: Any, operation: torch.nn.Module, x: torch.Tensor) -> bool:
    """Whether a trace gives what the operation gives."""
    results = []
    for each in (traced, operation):
        torch.manual_seed(1)
        found = each(x)
        results.append(found if isinstance(found, tuple) else (found,))
    return all(a.shape == b.shape and torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(*results, strict=True))


def timed(function: Callable, x: torch.Tensor, count: int) -> list[int]:
    """Nanoseconds of each of `count` calls."""
    found = []
    for i in range(count + WARM_UP):
        start = time.perf_counter_ns()
        function(x)
        found.append(time.perf_counter_ns() - start)
        if i == 1 and found[-1] > TOO_LONG:
            raise RuntimeError(f"one call takes {found[-1] / 1e9:.1f} s")
    return found[WARM_UP:]


MAKERS: dict[str, Maker] = {"zuko": zuko, "nflows": nflows}


def main() -> None:
    """Answers until stdin ends."""
    torch.set_num_threads(int(sys.argv[1]))
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not break the protocol
    peer = Peer()
    for line in sys.stdin:
        ask = json.loads(line)
        try:
            with torch.inference_mode():
                answer: dict[str, Any] = {"ns": timed(*peer.function(ask), ask["count"])}
        except Exception as error:  # the table says so
            answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
