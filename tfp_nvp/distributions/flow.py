"""A normalizing flow: a base distribution and a bijector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks, shapes
from tfp_nvp._captured import construct
from tfp_nvp._estimates import drawn_from, values_alone
from tfp_nvp._module import Module
from tfp_nvp._watch import report_step
from tfp_nvp.bijectors._range import Range
from tfp_nvp.bijectors.bijector import as_batch, check_condition, ensure_ends_in
from tfp_nvp.bijectors.chain import condition_for
from tfp_nvp.bijectors.conditioned import Conditioned
from tfp_nvp.bijectors.stock import as_bijector
from tfp_nvp.distributions._base import data_range_of
from tfp_nvp.distributions._flow_spec import FlowSpec, FlowType
from tfp_nvp.distributions._known_to_tfp import KnownToTFP
from tfp_nvp.distributions._temperature import tempered
from tfp_nvp.distributions.fittable import Density, as_fittable
from tfp_nvp.distributions.recipe import checked_recipe

tfb, tfd = tfp.bijectors, tfp.distributions


class Flow(KnownToTFP, Density):
    """The distribution of x = g(z), where z is drawn from a base and g is a bijector.

        log p(x | c) = log p_base(z) + log |det ∂z/∂x|,    z = g⁻¹(x; c)

    A `tfd.TransformedDistribution` of which every method evaluates each network once.

    Args:
      distribution: the base, any `tfd.Distribution` with an event of z's shape.
      bijector: g, ours or one of TFP's own.
      recipe: for a flow made of another one, the other's `recipe()`, to be shown on its card: a dict of a `name` and
        of `arguments` that are JSON values.
      name: name of its ops.

    Raises:
      TypeError: if either is of another type.
      ValueError: if the base's events or their support do not fit the bijector: most layers map all real numbers, and
        the density would be wrong, or training without a limit, with a base that has a support of other numbers.

    >>> from tfp_nvp import bijectors, transformers
    >>> base = tfd.Independent(tfd.Normal([0.0, 0.0], 1.0), 1)
    >>> flow = Flow(base, bijectors.Elementwise(transformers.Affine(), [2]))
    >>> flow.log_prob(tf.zeros([5, 2])).shape
    TensorShape([5])

    References: Papamakarios et al. (2021), "Normalizing Flows for Probabilistic Modeling
    and Inference", arXiv:1912.02762, equation 4.
    """

    def __init__(
        self,
        distribution: tfd.Distribution,
        bijector: tfb.Bijector,
        *,
        parameters: Any = None,
        recipe: Mapping[str, Any] | None = None,
        name: str | None = None,
    ):
        if not isinstance(distribution, tfd.Distribution):
            raise TypeError(f"`distribution` must be a tfd.Distribution; got {distribution!r}.")
        if not isinstance(bijector, tfb.Bijector):
            raise TypeError(f"`bijector` must be a tfb.Bijector; got {bijector!r}.")
        bijector = as_bijector(bijector)
        rank = distribution.event_shape.rank
        if rank is not None and rank < bijector.forward_min_event_ndims:
            raise ValueError(
                f"`distribution` must have events of at least {bijector.forward_min_event_ndims} dimension(s), as "
                f"{bijector.name} maps such; its event shape is {distribution.event_shape.as_list()}. "
                "Wrap it in tfd.Independent or tfd.Sample."
            )
        condition_shapes = {component.condition_shape for component in (as_fittable(distribution), bijector)} - {None}
        if len(condition_shapes) > 1:
            raise ValueError(
                f"Base and bijector must take the same condition; the base's `condition_shape` is "
                f"{list(distribution.condition_shape)}, the bijector's {list(bijector.condition_shape)}."
            )
        data_range = data_range_of(distribution, bijector)
        super().__init__(
            dtype=bijector.forward_dtype(distribution.dtype),
            reparameterization_type=distribution.reparameterization_type,
            name=name,
        )
        self._distribution = distribution
        self._base = as_fittable(distribution)
        self._bijector = bijector
        object.__setattr__(self, "_recipe", None if recipe is None else checked_recipe(recipe))
        self._condition_shape = next(iter(condition_shapes), None)
        object.__setattr__(self, "_data_range", data_range)  # not for Keras to track
        self._static_event_shape = bijector.forward_event_shape(distribution.event_shape)

    @property
    def distribution(self) -> tfd.Distribution:
        """The base."""
        return self._distribution

    @property
    def bijector(self) -> Any:
        """The bijector from the base's events to those of the flow."""
        return self._bijector

    @property
    def data_range(self) -> Range:
        """The values that events can have: bounds (low, high) of every element; no bounds where they are not known."""
        return self._data_range

    def as_flow(self) -> Flow:
        return self

    def recipe(self) -> dict[str, Any]:
        return super().recipe() if self._recipe is None else dict(self._recipe)

    def parts(self) -> list[Module]:
        return [*self.bijector.parts(), *([self._base] if self._base.variables else [])]

    def _components(self) -> Iterator[tuple[str, Any]]:
        yield from ((layer.name, layer) for layer in self.bijector.parts())
        yield "base", self.distribution

    @property
    def condition_shape(self) -> tuple[int, ...] | None:
        """Shape of one condition; None for a flow that takes none."""
        return self._condition_shape

    @property
    def is_initialized(self) -> bool:
        """Whether every data-dependent layer has been initialized."""
        return self.bijector.is_initialized

    def initialize(self, x: Any, condition: Any = None) -> None:
        """Sets data-dependent layers (ActNorm) from a batch.

        Args:
          x: [n, *event_shape], n at least 2.
          condition: [n, *condition_shape], or None.

        Raises:
          ValueError: for a wrong shape, fewer than two rows, or values that are not finite.
        """
        x, condition = self._check_event("x", x), self._check_condition(condition)
        if x.shape.rank != self.event_shape.rank + 1 or x.shape[0] < 2:
            raise ValueError(f"`x` must be a batch of at least 2 events [n, *event_shape]; got shape {x.shape}.")
        bad = np.flatnonzero(~np.isfinite(x.numpy()).reshape(len(x), -1).all(axis=-1))
        if bad.size:
            raise ValueError(f"`x` must be finite; it is not in {bad.size} row(s): {bad[:5].tolist()}.")
        self.bijector.initialize(x, condition)

    def sample(
        self,
        sample_shape: Any = (),
        seed: Any = None,
        name: str = "sample",
        *,
        condition: Any = None,
        temperature: Any = None,
        **kwargs: Any,
    ) -> tf.Tensor:
        """Draws of x.

        Args:
          sample_shape: an int or a list.
          seed: an int or a stateless seed [2]: equal seeds give equal samples. None for others every time.
          name: name of its ops.
          condition: [*batch, *condition_shape], or None for a flow that takes none.
          temperature: a number, or one for each sample, by which distances from the base's mean are multiplied: 0 gives
            the image of the mean, 1 (None) the flow's own samples. For a Gaussian base this is the base with its
            standard deviation times `temperature` (Kingma & Dhariwal 2018, arXiv:1807.03039, section 6.2).

        Returns:
          [*sample_shape, *batch, *event_shape].

        Raises:
          TypeError, ValueError: for a missing or unexpected condition, a wrong shape, or another kind of seed.
        """
        options = {"condition": condition, "temperature": temperature}
        given = {key: argument for key, argument in options.items() if argument is not None}
        return super().sample(sample_shape, seed=seed, name=name, **given, **kwargs)

    def sample_and_log_prob(
        self, sample_shape: Any = (), seed: Any = None, condition: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Samples and their log-density, from one evaluation; from two where the bijector `saturates` at bounds.

        Args:
          sample_shape: an int or a list.
          seed: an int or a stateless seed [2].
          condition: [*batch, *condition_shape], or None.

        Returns:
          x [*sample_shape, *batch, *event_shape] and log_prob [*sample_shape, *batch], in nats.
        """
        return self.experimental_sample_and_log_prob(sample_shape, seed=seed, condition=condition)

    def log_prob_and_error(
        self, x: Any, condition: Any = None, num_draws: int = 16, seed: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The log-density as a mean of independent unbiased estimates, and the standard error of that mean.

        For flows whose bijector has no exact log-det (`bijector.has_exact_log_det` is False): `log_prob(x, seed=seed)`
        is one such estimate, and `log_prob(x)` one of fixed random numbers. For others the error is zero.

        Args:
          x: [..., *event_shape].
          condition: [..., *condition_shape], or None.
          num_draws: number of estimates, at least 2.
          seed: an int or a stateless seed [2].

        Returns:
          log_prob [...] and its standard error [...], in nats.
        """
        checks.integer("num_draws", num_draws, 2)
        if self.bijector.has_exact_log_det:
            log_prob = self.log_prob(x, condition=condition)
            return log_prob, tf.zeros_like(log_prob)
        seeds = tfp.random.split_seed(stateless(seed), n=num_draws)
        draws = tf.stack([self.log_prob(x, condition=condition, seed=each) for each in tf.unstack(seeds)])
        return tf.reduce_mean(draws, axis=0), tfp.stats.stddev(draws) / np.sqrt(num_draws - 1.0)

    def outputs(self, x: Any, condition: Any = None, seed: Any = None) -> dict[str, tf.Tensor]:
        """All that one pass gives: log p(x) and the two terms that it is made of.

            log_prob = log p_base(z) + log_det

        Args:
          x: [..., *event_shape].
          condition: [..., *condition_shape], or None.
          seed: for estimated log-dets, as `log_prob` takes it.

        Returns:
          z: latents [..., *z event].
          log_det: log |det ∂z/∂x| [...], in nats.
          log_prob: [...], in nats.

        Raises:
          ValueError: for a missing or unexpected condition, or a wrong shape.
        """
        z, log_det, log_prob = self._outputs(self._check_event("x", x), self._check_condition(condition), seed)
        log_det = as_batch(log_det, z, self.distribution.event_shape.rank)
        return {"z": z, "log_det": log_det, "log_prob": log_prob + log_det}

    def encode(self, x: Any, condition: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Latent z and log |det ∂z/∂x| of data x: [..., *event_shape] → [..., *z event], [...]."""
        z, log_det = self._encode(self._check_event("x", x), self._check_condition(condition))
        return z, as_batch(log_det, z, self.distribution.event_shape.rank)

    def decode(self, z: Any, condition: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Data x and log |det ∂x/∂z| of latents z: [..., *z event] → [..., *event_shape], [...]."""
        z = as_tensor(z, self.distribution.dtype)
        z = ensure_ends_in("z", z, self.distribution.event_shape, "the base's event shape", self.name)
        x, log_det = self._decode(z, self._check_condition(condition))
        return x, as_batch(log_det, x, self.event_shape.rank)

    def given(self, condition: Any) -> Flow:
        """This flow at one condition: a distribution that takes none, for joint distributions, MCMC and VI.

        Args:
          condition: [*batch, *condition_shape]; `batch` becomes part of the batch shape.

        Raises:
          ValueError: if the flow takes no condition, or one of another shape.
        """
        if self.condition_shape is None:
            raise ValueError(f"{self.name} takes no condition (it has no `condition_shape`).")
        condition = self._check_condition(condition)
        base = self.distribution if self._base.condition_shape is None else self.distribution.given(condition)
        bijector = self.bijector
        if bijector.condition_shape is not None:
            bijector = Conditioned(bijector, condition)
        return _derived(base, bijector, self.explicit_name and f"{self.explicit_name}_given")

    @property
    def _type_spec(self) -> FlowSpec:
        return FlowSpec(self)

    def __tf_tracing_type__(self, context: Any) -> Any:
        return FlowType(self)

    def __getitem__(self, slices: Any) -> Flow:
        base, bijector = self.distribution, self.bijector
        if base.batch_shape.rank:
            if base.batch_shape != self.batch_shape:
                raise NotImplementedError(
                    f"A flow can be sliced if its base has no batch shape or all of it; the base of {self.name} has "
                    f"{base.batch_shape.as_list()} of {self.batch_shape.as_list()}."
                )
            base = base[slices]
        if isinstance(bijector, Conditioned):
            rank = bijector.bijector.condition_ndims
            condition = shapes.broadcast_batch(bijector.condition, self.batch_shape.as_list(), rank)
            slices = _without_ellipsis(slices, self.batch_shape.rank)
            bijector = Conditioned(bijector.bijector, condition[(*slices, ..., *[slice(None)] * rank)])
        elif bijector.experimental_batch_shape(x_event_ndims=base.event_shape.rank).rank:
            raise NotImplementedError(f"{bijector.name} has a batch shape of its own and can't be sliced.")
        elif not self.distribution.batch_shape.rank:
            raise IndexError(f"{self.name} has batch shape []: there is nothing to slice.")
        return _derived(base, bijector, self.explicit_name)

    def __iter__(self) -> Iterator:
        raise TypeError(f"{type(self).__name__} object is not iterable")

    # TFP's hooks. `condition` reaches them as a keyword argument.

    def _call_log_prob(self, value: Any, name: str, **kwargs: Any) -> tf.Tensor:
        return super()._call_log_prob(as_tensor(value, self.dtype), name, **kwargs)

    def _log_prob(self, x: tf.Tensor, condition: Any = None, seed: Any = None) -> tf.Tensor:
        condition, x = self._check_condition(condition), self._check_event("value", x)
        _, log_det, log_prob = self._outputs(x, condition, seed)
        return log_prob + log_det

    def _outputs(self, x: tf.Tensor, condition: tf.Tensor | None, seed: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """z, log |det ∂z/∂x| and log p_base(z)."""
        if seed is None:
            z, log_det = self._encode(x, condition)
        else:
            with drawn_from(stateless(seed)):
                z, log_det = self._encode(x, condition)
        log_prob = self.distribution.log_prob(z, **self._for_base(condition))
        report_step(self.distribution, z, log_prob)
        return z, log_det, log_prob

    def _prob(self, x: tf.Tensor, condition: Any = None, seed: Any = None) -> tf.Tensor:
        return tf.exp(self._log_prob(x, condition, seed))

    def _call_sample_n(self, sample_shape: Any, seed: Any, condition: Any = None, temperature: Any = None) -> tf.Tensor:
        condition = self._check_condition(condition)
        z = self._base_for(condition).sample(
            self._base_sample_shape(sample_shape, condition), seed=stateless(seed), **self._for_base(condition)
        )
        if temperature is not None:
            z = tempered(self.distribution, z, temperature, **self._for_base(condition))
        with values_alone():
            return self._decode(z, condition)[0]

    def _sample_and_log_prob(self, sample_shape: Any, seed: Any, condition: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        if self.bijector.saturates:
            # A latent beyond a bijector's limit has another density than the x that it is mapped to.
            x = self._call_sample_n(sample_shape, seed, condition)
            return x, self._log_prob(x, condition)
        condition = self._check_condition(condition)
        z, log_prob = self._base_for(condition).experimental_sample_and_log_prob(
            self._base_sample_shape(sample_shape, condition), seed=stateless(seed), **self._for_base(condition)
        )
        x, log_det = self._decode(z, condition)
        return x, log_prob - log_det

    def _event_shape(self) -> tf.TensorShape:
        return self._static_event_shape

    def _event_shape_tensor(self) -> tf.Tensor:
        return self.bijector.forward_event_shape_tensor(self.distribution.event_shape_tensor())

    def _batch_shape(self) -> tf.TensorShape:
        rank = self.distribution.event_shape.rank
        return tf.broadcast_static_shape(
            self.distribution.batch_shape, self.bijector.experimental_batch_shape(x_event_ndims=rank)
        )

    def _batch_shape_tensor(self) -> tf.Tensor:
        rank = self.distribution.event_shape.rank
        return tf.broadcast_dynamic_shape(
            self.distribution.batch_shape_tensor(), self.bijector.experimental_batch_shape_tensor(x_event_ndims=rank)
        )

    def _broadcast_parameters_with_batch_shape(self, batch_shape: Any) -> Flow:
        return _derived(tfd.BatchBroadcast(self.distribution, batch_shape), self.bijector, self.name)

    def _default_event_space_bijector(self) -> Any:
        return self.as_stock().experimental_default_event_space_bijector()

    def as_stock(self) -> tfd.Distribution:
        """The same distribution as one of TFP's own, which knows its moments and distribution functions."""
        return tfd.TransformedDistribution(self.distribution, self.bijector, name=self.name)

    # Checks of values where they enter; later methods rely on them.

    def _check_event(self, name: str, value: Any) -> tf.Tensor:
        value, shape = as_tensor(value, self.dtype), self.event_shape
        return ensure_ends_in(name, value, shape, f"the event shape {shape.as_list()}", self.name)

    def _check_condition(self, condition: Any) -> tf.Tensor | None:
        return check_condition(self.name, self.condition_shape, condition, self.dtype)

    def _encode(self, x: tf.Tensor, condition: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        return self.bijector._inverse_step(x, condition_for(self.bijector, condition), self.event_shape.rank)

    def _decode(self, z: tf.Tensor, condition: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        return self.bijector._forward_step(
            z, condition_for(self.bijector, condition), self.distribution.event_shape.rank
        )

    def _for_base(self, condition: tf.Tensor | None) -> dict[str, Any]:
        return {} if self._base.condition_shape is None else {"condition": condition}

    # Samples of the base get the batch shape of flow and condition.

    def _full_batch(self, condition: Any = None) -> shapes.BatchShape:
        """The batch shape of the flow and of a condition."""
        batch = self.batch_shape
        batch = batch.as_list() if batch.is_fully_defined() else self.batch_shape_tensor()
        if condition is None:
            return batch
        condition = tf.convert_to_tensor(condition)
        return shapes.broadcast(batch, shapes.batch_shape(condition, len(self.condition_shape or ())))

    def _base_for(self, condition: tf.Tensor | None) -> tfd.Distribution:
        """The base; broadcast to the full batch if it has a batch of its own."""
        if self.distribution.batch_shape.rank == 0:
            return self.distribution
        return tfd.BatchBroadcast(self.distribution, self._full_batch(condition))

    def _base_sample_shape(self, sample_shape: Any, condition: tf.Tensor | None) -> shapes.BatchShape:
        static = tf.get_static_value(sample_shape) if tf.is_tensor(sample_shape) else np.asarray(sample_shape)
        if static is None:
            sample = tf.reshape(tf.cast(sample_shape, tf.int32), [-1])
        else:
            sample = [int(size) for size in np.atleast_1d(static)]
        if self.distribution.batch_shape.rank or self._for_base(condition):
            return sample
        return shapes.concat(sample, self._full_batch(condition))


# isinstance(flow, tfd.TransformedDistribution) holds by this registration (`abc.ABCMeta.register`) alone. A subclass
# would be a CompositeTensor, of which bijectors that own weights can't be part.
tfd.TransformedDistribution.register(Flow)


def _derived(base: tfd.Distribution, bijector: tfb.Bijector, name: str | None) -> Flow:
    """A flow made of the parts of one that exists."""
    return construct(Flow, {"distribution": base, "bijector": bijector, "name": name})


def _without_ellipsis(slices: Any, rank: int) -> tuple:
    """Slices of a batch shape of this rank as a tuple, with an ellipsis written out."""
    slices = slices if isinstance(slices, tuple) else (slices,)
    count = sum(item is not None and item is not Ellipsis for item in slices)
    if count > rank:
        raise IndexError(f"Too many indices: {count} for a batch shape of rank {rank}.")
    place = next((i for i, item in enumerate(slices) if item is Ellipsis), len(slices))
    return (*slices[:place], *[slice(None)] * (rank - count), *slices[place + 1 :])


def as_tensor(value: Any, dtype: tf.DType) -> tf.Tensor:
    """`value` as a tensor of `dtype`, cast if it is of another."""
    if not tf.is_tensor(value):
        value = tf.convert_to_tensor(np.asarray(value) if isinstance(value, (list, tuple)) else value)
    return value if value.dtype == dtype else tf.cast(value, dtype)


def stateless(seed: Any) -> Any:
    """An int seed as a stateless one, so that equal seeds give equal samples on every call; others as they are.

    Raises:
      TypeError: for a seed that is neither an int, nor two of them, nor None.
    """
    if isinstance(seed, (int, np.integer)):
        return tf.constant([int(seed) & 0x7FFFFFFF, (int(seed) >> 31) & 0x7FFFFFFF], tf.int32)
    if seed is None or callable(seed):  # such as tfp.util.SeedStream
        return seed
    try:
        pair = tf.convert_to_tensor(seed)
    except (TypeError, ValueError):
        pair = None
    if pair is None or not pair.dtype.is_integer or not pair.shape.is_compatible_with([2]):
        raise TypeError(f"`seed` must be an int, or a stateless seed of two ints [2]; got {checks.shown(seed)}.")
    return seed
