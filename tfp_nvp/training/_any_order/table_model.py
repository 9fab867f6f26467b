"""A Keras model of a table whose columns may be of any type."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._module import apply_settings, settings_of
from tfp_nvp._serialization import checked
from tfp_nvp.any_order.cells import Cells
from tfp_nvp.any_order.network import AnyOrderNetwork
from tfp_nvp.any_order.schema import Schema
from tfp_nvp.training._any_order.evaluator import Evaluator
from tfp_nvp.training._any_order.questions import Questions
from tfp_nvp.training._any_order.subsets import estimated_nll, random_subset
from tfp_nvp.training._models.data import checked_weights
from tfp_nvp.training._models.fit_optimizer import start_schedule, steps_to_come
from tfp_nvp.training._models.non_finite import NonFiniteGuard, StopOnNonFinite

#: Random sets of known cells for each row that is validated on.
_VALIDATION_DRAWS = 4


@keras.saving.register_keras_serializable("tfp_nvp")
class TableModel(Questions, keras.Model):
    """An any-order autoregressive density of the rows of a table: mixed columns, missing cells, any question.

        log p(x) = Σ_s log p(x_σ(s) | x_σ(1), …, x_σ(s−1)),    in nats

    One network gives p(x_j | known cells) for every column j and any set of known cells. So the density of some columns
    given others is that of the order σ in which the given ones come first and the others follow as the schema has
    them; cells that are missing, or of columns that are not asked for, are left out of the order, and so marginalized.
    Every such density is normalized: categories and integers have masses, real numbers densities. Those of different
    orders are not exactly the same; `log_prob(orders=K)` is their mixture.

    It is trained on random sets of known cells: the loss is an unbiased estimate of the mean of −log p over all orders
    and rows. A missing cell is not known, and not asked for. This assumes that cells are missing at random: whether one
    is missing may depend on cells that are there, not on its own value. Where it does, model the fact too, as a further
    column: `df["income_missing"] = df["income"].isna()`.

    Args:
      schema: whose columns are completed and fitted, as `fit_table` makes it.
      hidden_units, num_blocks, dropout, activation: of the network, a `conditioners.ResidualMLP`.
      num_components: of the mixture of logistics of each real or whole number.
      num_bins: of the spline of each periodic number.
      seed: of the initial weights and of dropout.
      name: of the model.

    References: Uria, Murray & Larochelle (2014), "A Deep and Tractable Density Estimator", arXiv:1310.1757;
    Hoogeboom, Gritsenko, Bastings, Poole, van den Berg & Salimans (2022), "Autoregressive Diffusion Models",
    arXiv:2110.02037.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        hidden_units: int = 192,
        num_blocks: int = 3,
        dropout: float = 0.1,
        activation: str = "relu",
        num_components: int = 10,
        num_bins: int = 12,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.schema = checks.instance("schema", schema, Schema, "tfp_nvp.Schema.of(df)")
        self._sizes = {
            "hidden_units": hidden_units,
            "num_blocks": num_blocks,
            "dropout": dropout,
            "activation": activation,
            "num_components": num_components,
            "num_bins": num_bins,
            "seed": seed,
        }
        self.network = AnyOrderNetwork(schema.columns, **self._sizes, name="network")  # type: ignore[arg-type]
        self.nll_metric = keras.metrics.Mean(name="nll")
        self._guard = NonFiniteGuard()
        self.__dict__["_evaluator"] = Evaluator(schema, self.network)
        self.built = True

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.schema!r})"

    # Keras.

    def encode(self, x: Any) -> np.ndarray:
        """The cells of a table as the network's float32 numbers [n, 7 d], which `fit` and `evaluate` take too."""
        return self.schema.encode(self.schema.numbers(x, some=True)).flat()

    def fit(self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any) -> Any:
        """As in Keras: x is a table, or what `encode` makes of one; there are no targets.

        Raises:
          TypeError, ValueError: for tables that contradict the schema, or weights that are negative.
        """
        if not self.compiled:
            raise ValueError('The model is not compiled: call `model.compile(optimizer="adam")` before `fit`.')
        x, y, kwargs["sample_weight"] = self._keras_data("x", x, y, kwargs.get("sample_weight"))
        if kwargs.get("validation_data") is not None:
            data = kwargs["validation_data"]
            parts = (*data, None, None)[:3] if isinstance(data, tuple) else (data, None, None)
            kwargs["validation_data"] = self._keras_data("validation_data", *parts)
        callbacks = tf.nest.flatten(kwargs.pop("callbacks", None) or [])
        self._guard.reset()
        if self.optimizer is not None and not kwargs.get("initial_epoch"):
            start_schedule(self, steps_to_come(x, batch_size, kwargs))
        return super().fit(x, y, batch_size=batch_size, callbacks=[StopOnNonFinite(self._guard), *callbacks], **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any) -> Any:
        """As in Keras; `nll` is the estimate of training, over four sets of known cells for each row."""
        if not kwargs.get("_use_cached_eval_dataset"):
            x, y, kwargs["sample_weight"] = self._keras_data("x", x, y, kwargs.get("sample_weight"))
        return super().evaluate(x, y, batch_size=batch_size, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> np.ndarray:
        """log p [n] of each row of a table, as `log_prob`."""
        return self.log_prob(x)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """log p(cell | all other cells) [n, d] of encoded rows [n, 7 d]."""
        cells = Cells.from_flat(inputs)
        d = len(self.schema)
        columns = []
        for j in range(d):
            known = cells.known * tf.constant(1.0 - np.eye(d, dtype=np.float32)[j])
            columns.append(self.network.log_prob(cells, self.network(cells, known))[:, j])
        return tf.stack(columns, axis=1)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        flat, weights = _rows_and_weights(data)
        seed = tf.stack([tf.cast(self.optimizer.iterations, tf.int64), tf.constant(0, tf.int64)])
        with tf.GradientTape() as tape:
            nll = self._estimated_nll(flat, seed, training=True)
            loss = tf.add_n([_mean(nll, weights), *self.losses])
            scaled = self.optimizer.scale_loss(loss)
        variables = self.trainable_weights
        gradients = tape.gradient(scaled, variables)
        self._guard.apply(self.optimizer, gradients, variables, flat, weights, [], loss)
        return self._update_metrics(nll, weights, loss)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        flat, weights = _rows_and_weights(data)
        seed = tf.stack([tf.cast(self.nll_metric.count, tf.int64), tf.constant(1, tf.int64)])
        nll = self._estimated_nll(tf.repeat(flat, _VALIDATION_DRAWS, axis=0), seed, training=False)
        nll = tf.reduce_mean(tf.reshape(nll, [-1, _VALIDATION_DRAWS]), axis=1)
        return self._update_metrics(nll, weights, _mean(nll, weights))

    def _estimated_nll(self, flat: tf.Tensor, seed: tf.Tensor, training: bool) -> tf.Tensor:
        """`estimated_nll` of rows [n]; what the maps of the data add to it is known without a draw."""
        cells = Cells.from_flat(tf.cast(flat, tf.float32))
        known = random_subset(cells.known, seed)
        log_prob = self.network.log_prob(cells, self.network(cells, known, training=training)) - cells.log_det
        return estimated_nll(cells.known, known, log_prob) - tf.reduce_sum(cells.log_det, axis=1)

    def _update_metrics(self, nll: tf.Tensor, weights: Any, loss: tf.Tensor) -> dict[str, tf.Tensor]:
        self._loss_tracker.update_state(loss, sample_weight=tf.shape(nll)[0])
        self.nll_metric.update_state(nll, sample_weight=weights)
        return {"loss": self._loss_tracker.result(), "nll": self.nll_metric.result()}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Loss and negative log-likelihood."""
        trackers = [self._loss_tracker] if self.compiled else []
        return [*trackers, self.nll_metric]

    def _keras_data(self, name: str, x: Any, y: Any, weights: Any) -> tuple[Any, Any, Any]:
        """Rows, and with weights rows again as targets, without which Keras would drop the weights."""
        if isinstance(x, tf.data.Dataset):
            return x, None, None
        if y is not None and y is not x:
            raise ValueError(f"A density has no targets: call `fit({name})` with the whole table, and no `y`.")
        if not (isinstance(x, np.ndarray) and x.ndim == 2 and x.shape[1] == len(Cells._fields) * len(self.schema)):
            x = self.schema.encode(self.schema.numbers(x, name)).flat()
        if weights is None:
            return x, None, None
        return x, x, checked_weights("sample_weight", weights, len(x)).astype(np.float32)

    def _symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # All weights exist; the optimizer's are made here.
        if self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def compile(self, optimizer: Any = "adam", **kwargs: Any) -> None:
        """As in Keras; the loss is the mean negative log-likelihood."""
        if kwargs.pop("loss", None) is not None:
            raise ValueError("`loss` must be left out: the loss of a TableModel is its negative log-likelihood.")
        super().compile(optimizer=optimizer, **kwargs)
        self._symbolic_build()

    # Files.

    def export(self, *args: Any, **kwargs: Any) -> None:
        """Refuses what Keras would write, whose inputs were the network's numbers.

        Raises:
          NotImplementedError: always.
        """
        raise NotImplementedError(
            "A TableModel has no SavedModel yet: `model.save(path)` keeps it, and `nvp.load_model` asks it in Python."
        )

    def get_config(self) -> dict[str, Any]:
        sizes = dict(self._sizes)
        return {"name": self.name, "schema": self.schema.get_config(), **sizes, "settings": settings_of(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        with checked(config, custom_objects):
            options = {name: value for name, value in config.items() if name not in ("schema", "settings")}
            model = cls(Schema.from_config(config["schema"]), **options)
            apply_settings(model, config.get("settings", []))
        return model

    def compile_from_config(self, config: dict[str, Any]) -> None:
        # Keras does not compile a model that overrides `compile`.
        with checked(config):
            self.compile(**keras.saving.deserialize_keras_object(config))

    def get_build_config(self) -> dict:
        return {}

    def build_from_config(self, config: dict) -> None:
        """Builds nothing: `__init__` has made all weights."""


def _rows_and_weights(data: Any) -> tuple[tf.Tensor, tf.Tensor | None]:
    flat, _, weights = keras.utils.unpack_x_y_sample_weight(data)
    return flat, None if weights is None else tf.cast(tf.reshape(weights, [-1]), tf.float32)


def _mean(nll: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    return tf.reduce_mean(nll if weights is None else weights * nll)
