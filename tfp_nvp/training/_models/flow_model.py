"""A Keras model around a distribution."""

from __future__ import annotations

import textwrap
import types
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks, tables
from tfp_nvp._estimates import drawn_from
from tfp_nvp._watch import report_step, watch_steps
from tfp_nvp.distributions._base import STOCK_TRANSFORMED, data_range_of
from tfp_nvp.distributions.fittable import as_fittable
from tfp_nvp.shapes import rows_at_once
from tfp_nvp.training._models import replicas
from tfp_nvp.training._models.data import (
    STREAMS,
    Rows,
    as_batches,
    as_bits,
    checked_data,
    checked_validation,
    event_and_condition,
)
from tfp_nvp.training._models.files import Files
from tfp_nvp.training._models.fit_optimizer import start_schedule, steps_to_come
from tfp_nvp.training._models.loss_function import LossFunction
from tfp_nvp.training._models.monitored import Monitored
from tfp_nvp.training._models.non_finite import NonFiniteGuard, StopOnNonFinite
from tfp_nvp.training._models.queries import Queries
from tfp_nvp.training._models.schema import Schema

tfd = tfp.distributions


@keras.saving.register_keras_serializable("tfp_nvp")
class FlowModel(Queries, Files):
    """Fits any `tfd.Distribution` with Keras: `compile`, `fit`, `evaluate`, `predict`, `save`.

    Without a condition the data are the inputs, `fit(x)`. With one, they are Keras'
    inputs and targets: `fit(condition_inputs, x)` for p(x | encoder(condition_inputs)).

        loss = mean of −w log p(x) + regularizers' losses,    in nats

    with sample weights w, none of which may be negative, or 1. This is the loss of `compile()` by default. `evaluate`
    reports `loss` and `nll`, the negative log-likelihood alone, Σ −w log p(x) / Σw, and of a `Dequantized` distribution
    `bits_per_dim`, which other models have as a method. `predict` gives log p of each row; for a conditional model
    `predict((condition_inputs, x))`. NaN or infinite data are refused before the first step; of a stream only the first
    batch is checked, which a one-shot stream then lacks. If a loss or gradient is not finite while training, the
    weights of the last finite step are kept, training stops, and a warning names the first layer that was not finite.

    Values on a grid, as `schema` tells, get uniform noise of one step in every training step, or their density would
    collapse onto them. Their `nll` in `evaluate` and validation is the mean over four seeded draws of the noise;
    `log_prob` and `predict` give the density at x itself.

    Batches of a stream (an iterator, a `tf.data.Dataset`, a `PyDataset`) are x, `(condition_inputs, x)`, or with
    sample weights `(x, x, weights)` and `(condition_inputs, x, weights)`; those without rows are passed over.

    Args:
      distribution: ours or stock, with events of a known shape and batch shape [].
      encoder: a Keras layer from condition inputs to the condition; None if the inputs are the condition.
      schema: names, bounds and grids of a table's columns, as `fit` finds them; None for other data.
      name: name of the model.

    Raises:
      TypeError: if `distribution` is not a `tfd.Distribution` or `encoder` not a Keras layer.
      ValueError: if the distribution has a batch, there is an encoder and no condition, or the base of a stock
        `TransformedDistribution` has a support that its bijector does not map.

    >>> import numpy as np, tfp_nvp as nvp
    >>> model = nvp.FlowModel(nvp.RealNVP([2], num_layers=2, hidden_units=[8], seed=0))
    >>> model.compile(optimizer="adam")
    >>> history = model.fit(np.zeros((64, 2)) + [[1.0, 2.0]] * 64, epochs=1, verbose=0)
    >>> model.predict(np.zeros((3, 2)), verbose=0).shape
    (3,)
    """

    def __init__(
        self,
        distribution: tfd.Distribution,
        encoder: keras.layers.Layer | None = None,
        *,
        schema: Schema | None = None,
        **kwargs: Any,
    ):
        fittable = as_fittable(distribution)
        if encoder is not None and not isinstance(encoder, keras.layers.Layer):
            raise TypeError(f"`encoder` must be a Keras layer or model; got {encoder!r}.")
        if distribution.batch_shape.rank:
            raise ValueError(
                f"`distribution` must have batch shape []; it has {distribution.batch_shape.as_list()}. "
                "Wrap it in tfd.Independent to make the batch part of the event."
            )
        if encoder is not None and fittable.condition_shape is None:
            raise ValueError("`encoder` makes a condition, and the distribution takes none; give it a condition_shape.")
        if type(distribution) in STOCK_TRANSFORMED:  # a `Flow` has checked itself
            data_range_of(distribution.distribution, distribution.bijector)
        # Casting inputs to a half-precision policy would degrade the data; conditioners cast their own.
        dtype = fittable.density_dtype.name
        super().__init__(dtype=dtype, autocast=False, **kwargs)
        self._fittable = fittable
        self.distribution = distribution
        self.encoder = encoder
        self.schema = None if schema is None else checks.instance("schema", schema, Schema, "tfp_nvp.fit(x).schema")
        event_shape, size = self.distribution.event_shape, None if self.schema is None else self.schema.size
        if event_shape.rank == 1 and size not in (None, event_shape[0]):
            raise ValueError(f"`schema` must be of the {event_shape[0]} columns of the distribution; it is of {size}.")
        self.nll_metric = keras.metrics.Mean(name="nll", dtype=dtype)
        self._guard = NonFiniteGuard()
        self.built = True

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The layers of the distribution from the data to the base, and the encoder: the rows of `summary()`."""
        return [*self.flow_layers, *([] if self.encoder is None else [self.encoder])]

    def __repr__(self) -> str:
        encoder = "" if self.encoder is None else f"\n  encoder: {self.encoder!r}"
        return f"{type(self).__name__}()\n" + textwrap.indent(f"distribution: {self.distribution!r}", "  ") + encoder

    # Keras.

    def compile(self, optimizer: Any = "adam", loss: Any = None, **kwargs: Any) -> None:
        """As in Keras; the loss is the mean negative log-likelihood unless one is given.

        Your own `loss` or metric is called with the events and their log-probs.
        """
        if self.dtype != "float32" and callable(loss) and not isinstance(loss, keras.losses.Loss):
            loss = LossFunction(loss, dtype=self.dtype)  # Keras would call it in float32
        super().compile(optimizer=optimizer, loss=loss, **kwargs)
        self.__dict__["_loss_tracker"] = keras.metrics.Mean(name="loss", dtype=self.dtype)
        self._symbolic_build()

    def fit(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any
    ) -> keras.callbacks.History:
        """As in Keras, after a check of the data. The class describes `x` and `y`.

        A model without a schema takes the names of a frame's columns for its own. Data-dependent layers are
        initialized from the first rows, unless they are already. A model of `nvp.fit`, loaded ones too, starts a new
        learning-rate schedule that spans this call (from `initial_epoch=0`), with the highest rate of its fit; with
        another optimizer whose schedule is spent, a warning says so.

        Raises:
          ValueError: if there is nothing to train, the data are not finite or of a wrong shape.
        """
        if not self.compiled:
            raise ValueError(
                'The model is not compiled: call `model.compile(optimizer="adam")` before `fit`. The loss is the '
                "negative log-likelihood unless you give another."
            )
        if batch_size is not None:
            batch_size = checks.integer("batch_size", batch_size, 1)
        if kwargs.get("validation_split"):
            checks.number("validation_split", kwargs["validation_split"], checks.INNER_FRACTION)
        self._check_trainable()
        replicas.check_strategy(self.distribute_strategy)
        if kwargs.get("class_weight") is not None:
            raise ValueError(
                "`class_weight` must be None: a density has no classes as targets. Weigh the rows, with "
                "`sample_weight=weight_of_class[classes]`."
            )
        names = (
            tables.columns_of(y if self.is_conditional else x),
            tables.columns_of(x if self.is_conditional else None),
        )
        x, y, kwargs["sample_weight"], first = self._checked(x, y, kwargs.get("sample_weight"), "x")
        if self.schema is None and any(names):
            self.schema = Schema(columns=names[0], condition_columns=names[1])
        if isinstance(x, (tf.data.Dataset, types.GeneratorType)):
            kwargs.setdefault("shuffle", False)  # Keras would warn that it can't
        if kwargs.get("validation_data") is not None:
            parts = checked_validation(kwargs["validation_data"])
            checked = self._checked(*parts, "validation_data")[:3]
            kwargs["validation_data"] = checked[0] if isinstance(checked[0], STREAMS) else checked
        if not isinstance(kwargs.get("callbacks"), keras.callbacks.CallbackList):
            kwargs["callbacks"] = [StopOnNonFinite(self._guard), *tf.nest.flatten(kwargs.get("callbacks") or [])]
        self._prepare(*first)
        self._guard.reset()
        if self.optimizer is not None and not kwargs.get("initial_epoch"):
            start_schedule(self, steps_to_come(x, batch_size, kwargs))
        return super().fit(x, y, batch_size=batch_size, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any) -> Any:
        """As in Keras, after a check of the data. The class describes `x` and `y`."""
        if not kwargs.get("_use_cached_eval_dataset"):
            x, y, kwargs["sample_weight"], _ = self._checked(x, y, kwargs.get("sample_weight"), "x")
        return super().evaluate(x, y, batch_size=batch_size, **kwargs)

    def _check_trainable(self) -> None:
        if not self.trainable_variables and self.weights:
            raise ValueError("There is nothing to train: all weights are frozen. Set `trainable = True` on some layer.")
        if not self.trainable_variables:
            raise ValueError(
                "There is nothing to train: the distribution has no trainable variables that tf.Module can find. "
                "Parameters must be tf.Variables, and networks built and held as attributes."
            )

    def _checked(self, x: Any, y: Any, weights: Any, name: str) -> tuple[Any, Any, Any, Any]:
        """Checks data; returns them in the form that Keras is given, and their first rows."""
        x, y, first = checked_data(self, x, y, name, weights)
        if not isinstance(x, STREAMS):
            x, y, weights = (as_bits(data, self.dtype) for data in (x, y, weights))
        return x, y, weights, first

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """log p of each row, [n], in nats; see the class for conditional models.

        NumPy arrays are read batch by batch, so one mapped from a file (`np.load(path, mmap_mode="r")`) may
        exceed the memory.

        Args:
          x: rows, or (condition_inputs, rows), or a stream of either.
          batch_size: rows at a time; by default as many as make 262,144 numbers.
          kwargs: as in Keras: `verbose`, `callbacks`, `steps`.
        """
        if isinstance(x, Iterator):
            x = (batch for batch in as_batches(self, x))
        if not isinstance(x, STREAMS):
            parts = x if isinstance(x, tuple) else (x,)
            if self.is_conditional and len(parts) != 2:
                raise ValueError(
                    "A conditional model predicts log p(x | condition): call `predict((condition_inputs, x))`. "
                    "For draws, use `sample(n, condition=condition_inputs)`."
                )
            if not self.is_conditional and len(parts) != 1:
                raise ValueError(f"The distribution takes no condition: call `predict(x)`; got {len(parts)} parts.")
            size = rows_at_once(self.distribution.event_shape) if batch_size is None else batch_size
            batch_size = checks.integer("batch_size", size, 1)
            parts = (
                *(self._accepts.condition(part, batch=True, cast=False) for part in parts[:-1]),
                self._accepts.events(parts[-1], cast=False),  # a mapped file is not read
            )
            parts = tf.nest.map_structure(np.asanyarray, parts)
            arrays = tf.nest.flatten(parts)
            if all(array.ndim for array in arrays):
                counts = [len(array) for array in arrays]
                if len(set(counts)) > 1:
                    raise ValueError(f"`x` must have a condition for each row; got {counts} rows.")
                if not counts[0]:
                    return np.zeros([0], self.dtype)
                x, batch_size = Rows(parts, batch_size), None
        return super().predict(x, batch_size=batch_size, **kwargs)

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        """log p [n] of events x [n, ...], or of (condition_inputs, x)."""
        if not self.is_conditional:
            return self.distribution.log_prob(self._fittable.as_events(inputs))
        condition, x = inputs
        condition = self._encoded(self._accepts.condition(condition, batch=True), training=bool(training))
        if self.encoder is not None:
            report_step(self.encoder, condition, condition)
        return self.distribution.log_prob(
            self._fittable.as_events(x), condition=self._fittable.as_conditions(condition)
        )

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> tf.Tensor:
        """Mean negative log-likelihood, weighted as Keras does, and the regularizers' losses.

        On several devices, the losses of the replicas add up to that of the batch, as Keras' do.
        """
        if self._compile_loss is not None:
            loss = super().compute_loss(x, y, y_pred, sample_weight, training)
            return tf.cast(loss, y_pred.dtype)  # Keras casts losses to float32
        weights = 1.0 if sample_weight is None else tf.cast(sample_weight, y_pred.dtype)
        loss = self._share(y_pred) * tf.reduce_mean(-y_pred * weights)
        extras = [tf.cast(extra, loss.dtype) / replicas.num_replicas() for extra in self.losses]
        return tf.add_n([loss, *extras])

    def _share(self, log_prob: tf.Tensor) -> tf.Tensor:
        """The factor of this replica's loss in that of the batch: by rows, where Keras' own losses count replicas."""
        if self._compile_loss is not None:
            return tf.constant(1.0 / replicas.num_replicas(), log_prob.dtype)
        return replicas.share_of_rows(tf.shape(log_prob)[0], log_prob.dtype)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        self._check_trainable()  # weights may be frozen since `compile`
        inputs, x, weights = event_and_condition(self, data)
        inputs = self._dequantized(inputs, self.optimizer.iterations, training=True)
        step = tf.cast(self.optimizer.iterations, tf.int64)
        seed = replicas.own_seed(tf.stack([step, tf.constant(2, tf.int64)]))
        with tf.GradientTape() as tape, watch_steps() as steps, drawn_from(seed) as draw:
            log_prob = self(inputs, training=True)
            loss = self._compute_loss(inputs, x, log_prob, weights, training=True)
            share = self._share(log_prob)
            loss = tf.add_n([loss, *(share * tf.cast(penalty, loss.dtype) for penalty in draw.penalties)])
            scaled = self.optimizer.scale_loss(loss)
        variables = self.trainable_weights
        gradients = tape.gradient(scaled, variables)
        self._guard.apply(self.optimizer, gradients, variables, inputs, weights, steps, loss)
        return self._update_metrics(inputs, x, log_prob, weights, loss, training=True)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        inputs, x, weights = event_and_condition(self, data)
        log_prob = self(self._dequantized(inputs, self.nll_metric.count, training=False), training=False)
        if self._noise_draws:
            log_prob = tf.reduce_mean(tf.reshape(log_prob, [-1, self._noise_draws]), axis=1)
        loss = self._compute_loss(inputs, x, log_prob, weights, training=False)
        return self._update_metrics(inputs, x, log_prob, weights, loss)

    def predict_step(self, data: Any) -> tf.Tensor:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self((x, y) if self.is_conditional and y is not None else x, training=False)

    @property
    def _noise_draws(self) -> int:
        return 0 if self.schema is None else self.schema.noise_draws

    def _dequantized(self, inputs: Any, number: Any, training: bool) -> Any:
        """Inputs whose events have the noise of `Schema.with_noise`, new for each `number`.

        To validate, rows are repeated for `schema.noise_draws` draws.
        """
        if self.schema is None or not self.schema.has_noise:
            return inputs
        if not training:
            inputs = tf.nest.map_structure(lambda value: tf.repeat(value, self._noise_draws, axis=0), inputs)
        seed = replicas.own_seed(tf.stack([tf.cast(number, tf.int64), tf.constant(0 if training else 1, tf.int64)]))
        if not self.is_conditional:
            return self.schema.with_noise(tf.cast(inputs, self.dtype), seed)
        condition, x = inputs
        return condition, self.schema.with_noise(tf.cast(x, self.dtype), seed)

    def _update_metrics(
        self, inputs: Any, x: Any, log_prob: Any, weights: Any, loss: Any, training: bool = False
    ) -> dict[str, tf.Tensor]:
        rows = tf.shape(log_prob)[0]
        # The mean of no rows is NaN.
        loss = tf.where(rows > 0, loss / self._share(log_prob), tf.zeros_like(loss))
        self._loss_tracker.update_state(loss, sample_weight=rows)
        self.nll_metric.update_state(-log_prob, sample_weight=weights)
        return self.compute_metrics(inputs, x, log_prob, sample_weight=weights)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Keras' list, in which its callbacks find that less is better of the model's own metrics."""
        others = [metric for metric in super().metrics if metric is not self.nll_metric]
        return [*others, Monitored(self.nll_metric, self._fittable)]

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        logs["nll"] = self.nll_metric.result()
        return replicas.reducible(logs | self._fittable.metrics_of(logs["nll"]))

    def _symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # Only an encoder of unknown input shape lacks weights after `__init__`; the optimizer's are made here.
        if self.encoder is not None and not self.encoder.built:
            return
        if self.optimizer is not None and not self.optimizer.built and self.trainable_variables:
            self.optimizer.build(self.trainable_variables)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # Keras would take a batch of every replica off the data and average them, which uneven ones can't be.
        with self.distribute_strategy.scope():
            self._symbolic_build()

    def _prepare(self, condition: Any, x: np.ndarray) -> None:
        """Builds encoder and optimizer and initializes data-dependent layers from the first rows, where still to do."""
        condition = self._encoded(self._accepts.condition(condition, batch=True)) if self.is_conditional else None
        self._maybe_symbolic_build()
        if not self._fittable.is_initialized and len(x) > 1:
            self._fittable.initialize(x, condition)
