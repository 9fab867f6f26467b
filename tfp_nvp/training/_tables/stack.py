"""Fits a mixture of flows and of simpler densities, weighted by the likelihood of rows that each has not seen."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp.bijectors import Chain
from tfp_nvp.distributions import Flow, MixtureOfFlows
from tfp_nvp.training._candidates.candidates import as_distribution, candidates_for, out_of_fold_log_prob
from tfp_nvp.training._candidates.expectation_maximization import Array, fit_weights
from tfp_nvp.training._models.flow_model import FlowModel
from tfp_nvp.training._models.standardize import Standardize
from tfp_nvp.training._tables.columns import Columns
from tfp_nvp.training._tables.fit_split import Request, fit_split, schema_of, standardization
from tfp_nvp.training._tables.part import Part
from tfp_nvp.training._tables.progress import say
from tfp_nvp.training._tables.split import folds
from tfp_nvp.training._tables.time_limit import TimeLimit

#: The flows together have at least this weight: the other densities have light tails.
LEAST = 0.02
#: Rows at a time, in eager execution.
_AT_ONCE = 4096


def fit_stack(request: Request, members: int, seed: int, time_limit: TimeLimit | None) -> FlowModel:
    """Fits one flow for each fold of the rows, and beside them Gaussian mixtures and kernel densities.

    A flow is fitted to all folds but one, which decides when to stop; so each row has one flow that has not seen it.
    The weights of the mixture are those under which these held-out rows are most likely (Smyth & Wolpert 1999), the
    flows counting as one density. All flows are kept, and the other densities are fitted to all rows. With a condition
    there are flows alone.

    Args:
      request: what `fit` was asked for.
      members: how many folds.
      seed: of folds, weights and orders.
      time_limit: for all flows together; each ends after its share.
    """
    table, order = request.table, np.random.default_rng(seed).permutation(len(request.table))
    fold = folds(table, members, seed)
    # One plan for all: flows of folds of different sizes would not share their graphs.
    plan = request.plan_of(table.take(fold != np.bincount(fold).argmax()))
    dtype = request.flow_of(plan, seed).dtype
    columns = request.inspect(table, dtype)
    schema = schema_of(columns, table)
    noisy = dataclasses.replace(table, x=schema.with_noise(table.x, [seed, 2]).numpy())
    encoder = None
    if table.condition is not None:
        encoder = Standardize.of(table.condition, dtype.name, table.weight)
    flows, log_prob = [], np.empty(len(table))
    for number in range(members):
        train, held = table.take(order[fold[order] != number]), np.flatnonzero(fold == number)
        if request.verbose:
            say(f"Flow {number + 1} of {members}")
        flow = _other_start(request, plan, seed, number)
        limit = None if time_limit is None else time_limit.share(members - number)
        model = fit_split(
            request, columns, flow, train, table.take(held), plan, seed + number, encoder=encoder, time_limit=limit
        )
        log_prob[held] = _log_prob(model, noisy.take(held))
        flows.append(model)
    names, densities, others = _others(columns, noisy, fold, dtype, seed)
    log_probs = np.column_stack([log_prob, *others])
    weights = _weights(log_probs, table.weight)
    distribution = _mixture([model.distribution for model in flows], densities, weights, log_probs, table.weight)
    model = FlowModel(distribution, encoder, schema=schema)
    model.compile(plan.optimizer(), jit_compile=plan.jit_compile, steps_per_execution=plan.steps_per_execution)
    model.history = flows[0].history
    if request.verbose:
        say(_summary(["flows", *names], weights, log_probs, table.weight))
    return model


def _other_start(request: Request, plan: Any, seed: int, number: int) -> Any:
    """A flow with the weights of another seed. Its permutations are those of the first, whose graphs it shares."""
    flow = request.flow_of(plan, seed)
    if number and isinstance(flow, keras.layers.Layer):
        flow.set_weights(request.flow_of(plan, seed + number).get_weights())
    return flow


def _log_prob(model: FlowModel, rows: Part) -> Array:
    """log p [n] of rows in the data's own units."""
    found = []
    for start in range(0, len(rows), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        condition = None if rows.condition is None else rows.condition[some]
        found.append(np.asarray(model.log_prob(rows.x[some], condition=condition), np.float64))
    return np.concatenate(found)


def _others(
    columns: Columns, noisy: Part, fold: np.ndarray, dtype: tf.DType, seed: int
) -> tuple[list[str], list[Flow], list[Array]]:
    """Names, densities and held-out log p [n] of what is no flow; nothing with a condition or angles."""
    if noisy.condition is not None or columns.periodic.any():
        return [], [], []
    layers, rows = standardization(columns, dtype, noisy, noisy, None, None)
    chain = Chain(layers)
    log_det = np.asarray(chain.inverse_log_det_jacobian(tf.constant(noisy.x, dtype), 1), np.float64)
    x = rows.numpy().astype(np.float64)
    names, densities, log_probs = [], [], []
    for candidate in candidates_for(x, fold, noisy.weight, seed):
        found = out_of_fold_log_prob(candidate, x, fold, noisy.weight, seed)
        components = candidate.fit(x, noisy.weight, seed)
        names.append(candidate.name)
        densities.append(Flow(as_distribution(components, dtype), chain, name=re.sub(r"\W+", "_", candidate.name)))
        log_probs.append(found + log_det)
    return names, densities, log_probs


def _weights(log_probs: Array, weight: Array | None) -> Array:
    weights = fit_weights(log_probs, weight)
    if weights[0] < LEAST:
        weights[1:] *= (1.0 - LEAST) / weights[1:].sum()
        weights[0] = LEAST
    return weights


def _mixture(
    flows: list[Flow], others: list[Flow], weights: Array, log_probs: Array, weight: Array | None
) -> MixtureOfFlows:
    scores = np.average(log_probs, axis=0, weights=weight)
    kept = [i for i in range(len(others)) if weights[i + 1] > 0.0]
    return MixtureOfFlows(
        [*flows, *(others[i] for i in kept)],
        weights=[*[weights[0] / len(flows)] * len(flows), *(weights[i + 1] for i in kept)],
        scores=[*[scores[0]] * len(flows), *(scores[i + 1] for i in kept)],
    )


def _summary(names: list[str], weights: Array, log_probs: Array, weight: Array | None) -> str:
    """The densities, from the heaviest, with what each alone would have had."""
    scores = np.average(log_probs, axis=0, weights=weight)
    lines = [f"{'weight':>7}  {'held-out NLL alone':>18}"]
    for i in sorted(range(len(names)), key=lambda i: -weights[i]):
        lines.append(f"{weights[i]:7.3f}  {-scores[i]:18.4f}  {names[i]}")
    return "\n".join(lines)
