"""What a model answers of its distribution, with the encoder in front: densities, samples, latents."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.training._models.chunks import map_rows, map_samples
from tfp_nvp.training._models.inputs import Inputs, as_frame_of
from tfp_nvp.training._models.schema import Schema

tfd = tfp.distributions


class Queries:
    """The methods of `FlowModel` that ask its distribution.

    Attributes, which `FlowModel` sets:
      distribution: of the events.
      encoder: a Keras layer from condition inputs to the condition, or None.
      schema: names, bounds and grids of a table's columns, or None.
    """

    distribution: tfd.Distribution
    encoder: Any
    schema: Schema | None
    _fittable: Any

    @property
    def is_conditional(self) -> bool:
        """Whether the distribution takes a condition."""
        return self._fittable.condition_shape is not None

    @property
    def _accepts(self) -> Inputs:
        """What the methods take: dtypes, and names of columns."""
        return Inputs(self._fittable, self.encoder, self.schema)

    def as_events(self, x: Any) -> Any:
        """Rows as every method takes them, in the dtype and the columns' order of the model: an array or a tensor.

        Args:
          x: [..., *event_shape]: an array, nested lists, a tensor or a frame, of any real dtype.

        Raises:
          TypeError, ValueError: for masked values, integers beyond ±2⁵³, dates, text, complex numbers and other values
            that would not be what they were; for a frame that lacks columns of the model, or has others.
        """
        return self._accepts.events(x)

    def as_conditions(self, condition: Any) -> Any:
        """Condition inputs, one for each row, as every method takes them: [n] of size 1 as [n, 1].

        An `encoder` of your own gets its inputs in their own dtypes. Raises as `as_events`.
        """
        return self._accepts.condition(condition, batch=True)

    def log_prob(self, x: Any, condition: Any = None, **kwargs: Any) -> tf.Tensor:
        """log p(x) or log p(x | encoder(condition)), in nats: [..., *event] → [...]; `kwargs` as the distribution's.

        Of grid columns it is the density at x itself; `evaluate` takes that of x with noise of one step. Arrays
        [n, *event] of more than 262,144 numbers are computed in chunks, as in `encode` and `decode`.
        """
        return self._map_rows(
            self.distribution.log_prob, self._accepts.events(x), self.distribution.event_shape, condition, **kwargs
        )

    def bits_per_dim(self, x: Any, condition: Any = None, **kwargs: Any) -> tf.Tensor:
        """−log₂ p(x) / d, bits per dimension: [..., *event] → [...]; `kwargs` as for `log_prob`.

        Of integers under `Dequantized` it is the mean length of their code; of real numbers a density in their units,
        which may be negative (`Flow.bits_per_dim`).
        """
        return self._fittable.in_bits(-self.log_prob(x, condition, **kwargs))

    def outputs(self, x: Any, condition: Any = None, **kwargs: Any) -> dict[str, tf.Tensor]:
        """`z`, `log_det` and `log_prob` of data under a `Flow`, from one pass: as `Flow.outputs`."""
        return self._map_rows(
            self.distribution.outputs, self._accepts.events(x), self.distribution.event_shape, condition, **kwargs
        )

    def sample(
        self,
        sample_shape: Any = (),
        seed: Any = None,
        condition: Any = None,
        *,
        round: bool = True,
        as_frame: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Samples [*sample_shape, *batch of the condition, *event].

        Args:
          sample_shape: an int or a list.
          seed: an int or a stateless seed [2].
          condition: inputs of the encoder, or of the distribution.
          round: whether values of grid columns, which `schema` tells, are moved to the grid; False leaves the
            continuous values, of which `log_prob` is the density.
          as_frame: whether to return a `pandas.DataFrame` [n, d] with the names of the columns that were fitted.
          kwargs: of the distribution; a flow's can have a `temperature`, as for `Flow.sample`: a number, or one for
            each sample.

        More samples than make 262,144 numbers are drawn in chunks, each with a seed made of `seed`: a seed gives the
        same samples every time, but others in a graph.
        """
        if kwargs.get("temperature") is not None and self._fittable.as_flow() is None:
            raise TypeError(
                "`temperature` is for samples of a tfp_nvp.Flow; the distribution is a "
                f"{type(self.distribution).__name__}."
            )
        if np.ndim(kwargs.get("temperature", 1.0)):  # one for each sample
            condition = self._encoded_keyword(self._accepted(condition))
            x = self.distribution.sample(sample_shape, seed=seed, **condition, **kwargs)
        else:
            x = self._map_samples(partial(self.distribution.sample, **kwargs), sample_shape, seed, condition)
        x = x if self.schema is None or not round else self.schema.round(x)
        return as_frame_of(x, self._accepts.columns) if as_frame else x

    def sample_and_log_prob(
        self, sample_shape: Any = (), seed: Any = None, condition: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Samples, not rounded to a grid, and their log-density in nats, from one evaluation."""
        return self._map_samples(self.distribution.experimental_sample_and_log_prob, sample_shape, seed, condition)

    def encode(self, x: Any, condition: Any = None, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Latents and log |det ∂z/∂x| of data under a `Flow`; None for the log-det under `Dequantized`."""
        return self._map_rows(
            self.distribution.encode, self._accepts.events(x), self.distribution.event_shape, condition, **kwargs
        )

    def decode(self, z: Any, condition: Any = None) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Data and log |det ∂x/∂z| of latents under a `Flow`; None for the log-det under `Dequantized`."""
        flow = self._fittable.as_flow()
        shape = self.distribution.event_shape if flow is None else flow.distribution.event_shape
        return self._map_rows(self.distribution.decode, z, shape, condition)

    # Eager requests of more rows than `rows_at_once` are answered in chunks.

    @property
    def _condition_rank(self) -> int | None:
        return None if self.encoder is not None or not self.is_conditional else len(self._fittable.condition_shape)

    def _map_rows(self, function: Any, x: Any, event_shape: Any, condition: Any, **kwargs: Any) -> Any:
        def of_rows(rows: Any, condition: Any, **kwargs: Any) -> Any:
            return function(rows, **self._encoded_keyword(condition), **kwargs)

        return map_rows(of_rows, x, event_shape, self._accepted(condition), self._condition_rank, **kwargs)

    def _map_samples(self, function: Any, sample_shape: Any, seed: Any, condition: Any) -> Any:
        def drawn(shape: Any, seed: Any, condition: Any) -> Any:
            return function(shape, seed=seed, **self._encoded_keyword(condition))

        event_shape, condition = self.distribution.event_shape, self._accepted(condition)
        return map_samples(drawn, sample_shape, event_shape, seed, condition, self._condition_rank)

    def given(self, condition: Any) -> tfd.Distribution:
        """The distribution at one condition, as a plain `tfd.Distribution`."""
        return self.distribution.given(self._encoded(self._accepts.condition(condition)))

    def _encoded(self, condition: Any, training: bool = False) -> Any:
        """The distribution's condition, of inputs as `Inputs.condition` returns them."""
        if self.encoder is None or condition is None:
            return condition
        return self.encoder(tf.nest.map_structure(tf.convert_to_tensor, condition), training=training)

    def _accepted(self, condition: Any) -> Any:
        return None if condition is None and not self.is_conditional else self._accepts.condition(condition)

    def _encoded_keyword(self, condition: Any) -> dict[str, Any]:
        return {} if condition is None and not self.is_conditional else {"condition": self._encoded(condition)}
