"""Fits of one kind share their graphs, so that only the first one traces and compiles them."""

from __future__ import annotations

import collections
import functools
import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp._names import NAMES
from tfp_nvp.training._models.flow_model import FlowModel

#: The graphs of so many kinds of fits are kept, the latest ones.
KEPT = 4


class Graph(NamedTuple):
    """A traced function of several steps.

    Attributes:
      run: takes an iterator; returns how many batches it took, and the logs after the last one.
      places: what the guard of the model calls the numbers that it checks.
    """

    run: Any
    places: list[str]


#: Kind -> (step, form of a batch) -> graph.
_graphs: collections.OrderedDict[str, dict[tuple[str, str], Graph]] = collections.OrderedDict()
_lock = threading.Lock()
#: The variables of the model whose steps run, by thread.
_running = threading.local()


def is_of_known_parts(flow: Any) -> bool:
    """Whether a recipe that `fit` was given makes flows of parts whose computation their configuration says.

    So do the default, None, and recipes of this package with arguments of plain numbers and text. A class or a function
    of the user's may be another one under the same name the next time.
    """
    arguments: dict[str, Any] = {}
    if isinstance(flow, functools.partial) and not flow.args:
        flow, arguments = flow.func, flow.keywords
    try:
        json.dumps(arguments)
    except (TypeError, ValueError):
        return False
    name = getattr(flow, "__name__", None)
    return flow is None or (name in NAMES["tfp_nvp.flows"] and flow.__module__ == NAMES["tfp_nvp.flows"][name])


def share_graphs(model: FlowModel) -> None:
    """Lets a compiled model train and evaluate by the graphs of an earlier one that differs in its weights alone.

    A graph is a function of the variables that it reads and writes, which is called with those of the model. Two models
    are of one kind if their configurations, optimizers' included, are equal but for names: all that is no weight
    follows from these, as long as `is_of_known_parts`.

    Args:
      model: compiled, with an optimizer that is built. Under a strategy of several devices nothing is shared.
    """
    if tf.distribute.has_strategy() or model.run_eagerly:
        return
    kind = _kind(model)
    with _lock:
        graphs = _graphs.setdefault(kind, {})
        _graphs.move_to_end(kind)
        while len(_graphs) > KEPT:
            _graphs.popitem(last=False)
    model.train_function = Steps(model, "train", model.train_step, graphs)
    model.test_function = Steps(model, "test", model.test_step, graphs)


class Steps:
    """Several steps of a model on the next batches of an iterator, as Keras' own functions for training take them.

    Args:
      model: whose weights are used.
      name: of the step.
      step: from a batch to logs.
      graphs: those of the model's kind, to which new ones are added.
    """

    def __init__(self, model: FlowModel, name: str, step: Callable, graphs: dict[tuple[str, str], Graph]):
        self._model, self._name, self._step, self._graphs = model, name, step, graphs
        self._own: dict[tuple[str, str], Graph] = {}
        of_keras = (*model.variables, *model.metrics_variables, *model.optimizer.variables)
        self._variables = [*(variable.value for variable in of_keras), model._guard.first]

    def __call__(self, iterator: tf.data.Iterator) -> dict[str, tf.Tensor]:
        key = (self._name, repr(iterator.element_spec))
        graph = self._own.get(key) or self._graphs.get(key) or self._trace(key, iterator)
        self._model._guard.places = graph.places
        _running.handles = [variable.handle for variable in self._variables]
        taken, logs = graph.run(iterator)
        if not int(taken):
            raise StopIteration
        return logs

    def _trace(self, key: tuple[str, str], iterator: tf.data.Iterator) -> Graph:
        run = _several(self._step, iterator, self._model.steps_per_execution, self._model.jit_compile)
        graph = Graph(run, self._model._guard.places)
        places = {id(variable.handle): place for place, variable in enumerate(self._variables)}
        captures: list[Any] = [
            _Handle(places[id(tensor)]) if id(tensor) in places else tensor for tensor in run.captured_inputs
        ]
        if any(tf.is_tensor(capture) and capture.dtype == tf.resource for capture in captures):
            self._own[key] = graph  # a user's callback or layer has other variables
        else:
            run.set_external_captures(captures)
            self._graphs[key] = graph
        return graph


class _Handle:
    """Gives a graph the variable in one place of the list of the running model."""

    def __init__(self, place: int):
        self._place = place

    def __call__(self) -> tf.Tensor:
        return _running.handles[self._place]


def _several(step: Callable, iterator: tf.data.Iterator, count: int, jit_compile: bool) -> Any:
    """A concrete function of up to `count` steps on the batches of an iterator."""

    def with_none(batch: Any) -> Any:
        return step(tf.nest.map_structure(lambda part: None if _is_absent(part) else part, batch))

    one = tf.function(with_none, jit_compile=jit_compile, autograph=False).get_concrete_function(iterator.element_spec)
    nothing = tf.nest.map_structure(lambda log: np.zeros(log.shape, log.dtype.as_numpy_dtype), one.structured_outputs)

    def run(iterator: tf.data.Iterator) -> tuple[tf.Tensor, Any]:
        def body(taken: tf.Tensor, more: tf.Tensor, logs: Any) -> tuple[tf.Tensor, tf.Tensor, Any]:
            batch = iterator.get_next_as_optional()
            return tf.cond(
                batch.has_value(),
                lambda: (taken + 1, tf.constant(True), one(batch.get_value())),
                lambda: (taken, tf.constant(False), logs),
            )

        start = (tf.constant(0), tf.constant(True), tf.nest.map_structure(tf.constant, nothing))
        taken, _, logs = tf.while_loop(lambda taken, more, logs: more & (taken < count), body, start)
        return taken, logs

    return tf.function(run, autograph=False).get_concrete_function(iterator)


def _is_absent(part: Any) -> bool:
    """Whether a part of a batch is Keras' stand-in for None."""
    return isinstance(part, tf.experimental.Optional)


def _kind(model: FlowModel) -> str:
    """A digest of a model's configuration without names."""
    config = _without_names(keras.saving.serialize_keras_object(model))
    facts = [config, model.jit_compile, model.steps_per_execution]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _without_names(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: _without_names(value) for key, value in config.items() if key != "name"}
    return [_without_names(value) for value in config] if isinstance(config, (list, tuple)) else config
