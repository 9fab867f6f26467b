"""A Keras model around a distribution."""

from __future__ import annotations

import textwrap
import types
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp._module import apply_settings, settings_of
from tfp_nvp._serialization import deserialize, serialize
from tfp_nvp._watch import report_step, watch_steps
from tfp_nvp.distributions.fittable import as_fittable
from tfp_nvp.training._models.data import STREAMS, Rows, as_bits, checked_data, event_and_condition, rows_at_once
from tfp_nvp.training._models.default_signature import default_signature
from tfp_nvp.training._models.first_edition import first_edition_layers
from tfp_nvp.training._models.non_finite import NonFiniteGuard, StopOnNonFinite

tfd = tfp.distributions


@keras.saving.register_keras_serializable("tfp_nvp")
class FlowModel(keras.Model):
    """Fits any `tfd.Distribution` with Keras: `compile`, `fit`, `evaluate`, `predict`, `save`.

    Without a condition the data are the inputs, `fit(x)`. With one, they are Keras'
    inputs and targets: `fit(condition_inputs, x)` for p(x | encoder(condition_inputs)).

        loss = mean of −log p(x) + regularizers' losses,    in nats

    Batches of a stream are x, `(condition_inputs, x)`, or with sample weights `(x, x, weights)`
    and `(condition_inputs, x, weights)`.

    This is the loss of `compile()` by default. `evaluate` reports `loss` and `nll`, the negative
    log-likelihood alone, and of a `Dequantized` distribution `bits_per_dim`. `predict` gives log p of
    each row; for a conditional model `predict((condition_inputs, x))`. NaN or infinite data are refused before
    the first step; of a stream only the first batch is checked, which a one-shot stream then lacks. If a
    loss or gradient is not finite while training, the weights of the last finite step are kept, training
    stops, and a warning names the first layer that was not finite.

    Args:
      distribution: ours or stock, with events of a known shape and batch shape [].
      encoder: a Keras layer from condition inputs to the condition; None if the inputs are the condition.
      name: name of the model.

    Raises:
      TypeError: if `distribution` is not a `tfd.Distribution` or `encoder` not a Keras layer.
      ValueError: if the distribution has a batch, or there is an encoder and no condition.

    >>> import numpy as np, tfp_nvp as nvp
    >>> model = nvp.FlowModel(nvp.RealNVP([2], num_layers=2, hidden_units=[8], seed=0))
    >>> model.compile(optimizer="adam")
    >>> history = model.fit(np.zeros((64, 2)) + [[1.0, 2.0]] * 64, epochs=1, verbose=0)
    >>> model.predict(np.zeros((3, 2)), verbose=0).shape
    (3,)
    """

    def __init__(self, distribution: tfd.Distribution, encoder: keras.layers.Layer | None = None, **kwargs: Any):
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
        # Casting inputs to a half-precision policy would degrade the data; conditioners cast their own.
        dtype = fittable.density_dtype.name
        super().__init__(dtype=dtype, autocast=False, **kwargs)
        self._fittable = fittable
        self.distribution = distribution
        self.encoder = encoder
        self.nll_metric = keras.metrics.Mean(name="nll", dtype=dtype)
        self._guard = NonFiniteGuard()
        self.built = True

    @property
    def is_conditional(self) -> bool:
        """Whether the distribution takes a condition."""
        return self._fittable.condition_shape is not None

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

        Data-dependent layers are initialized from the first rows, unless they are already.

        Raises:
          ValueError: if there is nothing to train, the data are not finite or of a wrong shape.
        """
        if not self.trainable_variables and self.weights:
            raise ValueError("There is nothing to train: all weights are frozen. Set `trainable = True` on some layer.")
        if not self.trainable_variables:
            raise ValueError(
                "There is nothing to train: the distribution has no trainable variables that tf.Module can find. "
                "Parameters must be tf.Variables, and networks built and held as attributes."
            )
        x, y, kwargs["sample_weight"], first = self._checked(x, y, kwargs.get("sample_weight"), "x")
        if isinstance(x, (tf.data.Dataset, types.GeneratorType)):
            kwargs.setdefault("shuffle", False)  # Keras would warn that it can't
        if isinstance(kwargs.get("validation_data"), (tuple, list)):
            x_val, y_val, weights = (*kwargs["validation_data"], None, None)[:3]
            kwargs["validation_data"] = self._checked(x_val, y_val, weights, "validation_data")[:3]
        elif kwargs.get("validation_data") is not None:
            kwargs["validation_data"] = self._checked(kwargs["validation_data"], None, None, "validation_data")[0]
        if not isinstance(kwargs.get("callbacks"), keras.callbacks.CallbackList):
            kwargs["callbacks"] = [StopOnNonFinite(self._guard), *tf.nest.flatten(kwargs.get("callbacks") or [])]
        self._prepare(*first)
        self._guard.reset()
        return super().fit(x, y, batch_size=batch_size, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any) -> Any:
        """As in Keras, after a check of the data. The class describes `x` and `y`."""
        if not kwargs.get("_use_cached_eval_dataset"):
            x, y, kwargs["sample_weight"], _ = self._checked(x, y, kwargs.get("sample_weight"), "x")
        return super().evaluate(x, y, batch_size=batch_size, **kwargs)

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
            parts = tf.nest.map_structure(np.asanyarray, parts)  # a mapped file is not read
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
        condition = self._condition(condition, training=bool(training))
        if self.encoder is not None:
            report_step(self.encoder, condition, condition)
        return self.distribution.log_prob(
            self._fittable.as_events(x), condition=self._fittable.as_conditions(condition)
        )

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> tf.Tensor:
        """Mean negative log-likelihood, weighted as Keras does, and the regularizers' losses."""
        if self._compile_loss is not None:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        weights = 1.0 if sample_weight is None else tf.cast(sample_weight, y_pred.dtype)
        loss = tf.reduce_mean(-y_pred * weights)
        return tf.add_n([loss, *(tf.cast(extra, loss.dtype) for extra in self.losses)])

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        inputs, x, weights = event_and_condition(self, data)
        with tf.GradientTape() as tape, watch_steps() as steps:
            log_prob = self(inputs, training=True)
            loss = self._compute_loss(inputs, x, log_prob, weights, training=True)
            scaled = self.optimizer.scale_loss(loss)
        variables = self.trainable_weights
        gradients = tape.gradient(scaled, variables)
        self._guard.apply(self.optimizer, gradients, variables, inputs, steps, loss)
        return self._update_metrics(inputs, x, log_prob, weights, loss)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        inputs, x, weights = event_and_condition(self, data)
        log_prob = self(inputs, training=False)
        loss = self._compute_loss(inputs, x, log_prob, weights, training=False)
        return self._update_metrics(inputs, x, log_prob, weights, loss)

    def predict_step(self, data: Any) -> tf.Tensor:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self((x, y) if self.is_conditional and y is not None else x, training=False)

    def _update_metrics(self, inputs: Any, x: Any, log_prob: Any, weights: Any, loss: Any) -> dict[str, tf.Tensor]:
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(log_prob)[0])
        self.nll_metric.update_state(-log_prob, sample_weight=weights)
        return self.compute_metrics(inputs, x, log_prob, sample_weight=weights)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        logs["nll"] = self.nll_metric.result()
        return logs | self._fittable.metrics_of(logs["nll"])

    def _symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # Only an encoder of unknown input shape lacks weights after `__init__`; the optimizer's are made here.
        if self.encoder is not None and not self.encoder.built:
            return
        if self.optimizer is not None and not self.optimizer.built and self.trainable_variables:
            self.optimizer.build(self.trainable_variables)

    def _prepare(self, condition: Any, x: np.ndarray) -> None:
        """Builds encoder and optimizer and initializes data-dependent layers from the first rows, where still to do."""
        condition = self._condition(condition) if self.is_conditional else None
        self._symbolic_build()
        if not self._fittable.is_initialized and len(x) > 1:
            self._fittable.initialize(x, condition)

    # The distribution, with the encoder in front.

    def log_prob(self, x: Any, condition: Any = None, **kwargs: Any) -> tf.Tensor:
        """log p(x) or log p(x | encoder(condition)), in nats: [..., *event] → [...]; `kwargs` as the distribution's."""
        return self.distribution.log_prob(x, **self._condition_kwargs(condition), **kwargs)

    def bits_per_dim(self, x: Any, condition: Any = None, **kwargs: Any) -> tf.Tensor:
        """Bits per dimension of integers under a `Dequantized` distribution, whose `kwargs` it takes."""
        return self.distribution.bits_per_dim(x, **self._condition_kwargs(condition), **kwargs)

    def sample(self, sample_shape: Any = (), seed: Any = None, condition: Any = None, **kwargs: Any) -> tf.Tensor:
        """Samples [*sample_shape, *batch of the condition, *event]."""
        return self.distribution.sample(sample_shape, seed=seed, **self._condition_kwargs(condition), **kwargs)

    def sample_and_log_prob(
        self, sample_shape: Any = (), seed: Any = None, condition: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Samples and their log-density in nats, from one evaluation."""
        return self.distribution.experimental_sample_and_log_prob(
            sample_shape, seed=seed, **self._condition_kwargs(condition)
        )

    def encode(self, x: Any, condition: Any = None, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Latents and log |det ∂z/∂x| of data under a `Flow`; None for the log-det under `Dequantized`."""
        return self.distribution.encode(x, **self._condition_kwargs(condition), **kwargs)

    def decode(self, z: Any, condition: Any = None) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Data and log |det ∂x/∂z| of latents under a `Flow`; None for the log-det under `Dequantized`."""
        return self.distribution.decode(z, **self._condition_kwargs(condition))

    def given(self, condition: Any) -> tfd.Distribution:
        """The distribution at one condition, as a plain `tfd.Distribution`."""
        return self.distribution.given(self._condition(condition))

    def _condition(self, condition: Any, training: bool = False) -> Any:
        if self.encoder is None or condition is None:
            return condition
        if isinstance(condition, (list, tuple)) and not any(hasattr(value, "shape") for value in condition):
            condition = np.asarray(condition)  # a list of numbers is one input, a list of arrays several
        return self.encoder(tf.nest.map_structure(tf.convert_to_tensor, condition), training=training)

    def _condition_kwargs(self, condition: Any) -> dict[str, Any]:
        return {"condition": self._condition(condition)} if self.is_conditional or condition is not None else {}

    # Saving.

    def get_config(self) -> dict[str, Any]:
        encoder = None if self.encoder is None else keras.saving.serialize_keras_object(self.encoder)
        config = {"name": self.name, "distribution": serialize(self.distribution), "encoder": encoder}
        return config | {"settings": settings_of(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> FlowModel:
        encoder = keras.saving.deserialize_keras_object(config["encoder"], custom_objects=custom_objects)
        distribution = deserialize(config["distribution"], custom_objects)
        model = cls(distribution, encoder, name=config["name"])
        apply_settings(model, config.get("settings", []))
        return model

    def compile_from_config(self, config: dict[str, Any]) -> None:
        # Keras does not compile a model that overrides `compile`; ours takes Keras' arguments.
        self.compile(**keras.saving.deserialize_keras_object(config))

    # SavedModels.

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Refuses to write the one function that Keras would: `tfp_nvp.export(model, path)` writes all signatures.

        Raises:
          NotImplementedError: always.
        """
        raise NotImplementedError(
            f"FlowModel.export writes nothing: call `tfp_nvp.export(model, {str(filepath)!r})`. It writes a version's "
            "folder there, with signatures for log_prob, sample, encode and decode, and checks it."
        )

    @property
    def _default_save_signature(self) -> Any:
        return default_signature(self)

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        if save_type == "savedmodel" and self._default_save_signature is None:
            warnings.warn(
                f"{self.name} has no signature in a SavedModel that TensorFlow writes, because its inputs are integers "
                "or not known. Use `tfp_nvp.export(model, path)`.",
                stacklevel=2,
            )
        return super()._trackable_children(save_type, **kwargs)

    # Files of version 0.1 hold the weights as a list of layers. Keras reads the attributes once, by their names.

    def load_own_variables(self, store: Any) -> None:
        if "flow_layers" in (getattr(store, "h5_file", None) or ()):
            self.__dict__["_first_edition"] = first_edition_layers(self._fittable.parts())
        super().load_own_variables(store)

    def __dir__(self) -> list[str]:
        if "_first_edition" in self.__dict__:
            return ["encoder", "flow_layers"]
        return [name for name in super().__dir__() if name != "flow_layers"]

    @property
    def flow_layers(self) -> list[keras.layers.Layer]:
        """The layers of the distribution from the data to the base; once, those of a file of version 0.1 being read."""
        return self.__dict__.pop("_first_edition", None) or self._fittable.parts()

    def get_build_config(self) -> dict:
        return {}

    def build_from_config(self, config: dict) -> None:
        """Builds nothing: `__init__` has made all weights."""


@keras.saving.register_keras_serializable("tfp_nvp")
class LossFunction(keras.losses.Loss):
    """A user's loss function, called in a model's dtype.

    Args:
      function: from events and log-probs to a loss, or one for each row.
      dtype: of both.
    """

    def __init__(self, function: Any, *, dtype: str, name: str = "loss_function"):
        super().__init__(name=name, dtype=dtype)
        self._function = function

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return self._function(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        function = keras.saving.serialize_keras_object(self._function)
        return {"function": function, "dtype": self.dtype, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LossFunction:
        return cls(**{**config, "function": keras.saving.deserialize_keras_object(config["function"])})
