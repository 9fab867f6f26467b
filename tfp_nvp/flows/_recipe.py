"""The base of recipes: seeds, base distribution, and the arguments that all layers share."""

from __future__ import annotations

import abc
import inspect
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp._module import floating_dtype
from tfp_nvp.bijectors import ActNorm, Autoregressive, Bijector, Coupling
from tfp_nvp.distributions import Flow, StandardNormal
from tfp_nvp.transformers import Transformer

tfd = tfp.distributions

#: From a `seed` and a `dtype` to a conditioner without `num_outputs`.
Network: TypeAlias = Callable[..., keras.layers.Layer]


class Recipe(Flow):
    """A flow whose layers follow from sizes and a seed.

    A random seed and the policy of the networks, which may be Keras' global one, become `parameters`, so that the flow
    can be built again.
    """

    def __init__(self, parts: Parts, bijector: Bijector, base: tfd.Distribution | None, name: str | None):
        size, dtype = math.prod(parts.event_shape), tf.as_dtype(parts.dtype)
        base = self._default_base(size, dtype) if base is None else _checked_base(base, size, dtype)
        super().__init__(base, bijector, name=name)
        if self._captured.get("seed") is None and _takes(type(self), "seed"):
            self._captured["seed"] = parts.seed
        if self._captured.get("network_dtype") is None and _takes(type(self), "network_dtype") and parts.is_mixed:
            self._captured["network_dtype"] = parts.policy.name

    @classmethod
    def _default_base(cls, size: int, dtype: tf.DType) -> tfd.Distribution:
        return StandardNormal([size], dtype=dtype)


class Parts(abc.ABC):
    """Makes the layers of one recipe, which share a transformer, a condition and a dtype.

    Args:
      event_shape: of the data.
      transformer: of couplings and autoregressive layers; None for a recipe that has neither.
      condition_shape: shape of the condition, or None.
      seed: from which the seeds of layers are drawn; None for a random one.
      dtype: of weights and values.
      network_dtype: of the conditioners of couplings and, of vectors, of autoregressive layers. By default Keras'
        global policy if it is mixed and the flow is float32, else `dtype`.

    Raises:
      TypeError, ValueError: if an argument is out of its range.
    """

    def __init__(
        self,
        event_shape: Any,
        transformer: Transformer | None,
        condition_shape: Any,
        seed: int | None,
        dtype: Any,
        network_dtype: Any = None,
    ):
        self.seed = checks.seed_or_random("seed", seed)
        self.event_shape = self._checked_shape(event_shape)
        if transformer is not None:
            checks.instance("transformer", transformer, Transformer, "tfp_nvp.transformers.Affine()")
        self.transformer: Any = transformer
        condition_shape = None if condition_shape is None else checks.shape("condition_shape", condition_shape)
        self.shared: dict[str, Any] = {"condition_shape": condition_shape, "dtype": dtype}
        floating_dtype("dtype", dtype)
        self.dtype, self._network_dtype = dtype, network_dtype
        self._generator = np.random.default_rng(self.seed)

    @abc.abstractmethod
    def _checked_shape(self, event_shape: Any) -> tuple[int, ...]:
        """`event_shape`, checked to be of the recipe's kind of data."""

    @property
    def policy(self) -> Any:
        """The Keras policy that `network_dtype` names."""
        return _policy(self.dtype, self._network_dtype)

    @property
    def is_mixed(self) -> bool:
        """Whether networks compute in another dtype than that of their weights."""
        return not isinstance(self.policy, str) and self.policy.compute_dtype != self.policy.variable_dtype

    def next_seed(self) -> int:
        """A seed for one layer, independent of those before it."""
        return int(self._generator.integers(2**31 - 2**20))

    def act_norm(self, name: str, event_shape: tuple[int, ...] | None = None) -> ActNorm:
        """An ActNorm of the whole event, or of another shape."""
        return ActNorm(event_shape or self.event_shape, dtype=self.dtype, name=name)

    def coupling(
        self, network: Network, mask: np.ndarray, seed: int, name: str, transformer: Transformer | None = None
    ) -> Bijector:
        """A coupling with the recipe's transformer, or another one."""
        return Coupling(
            transformer or self.transformer, network(seed=seed, dtype=self.policy), mask, name=name, **self.shared
        )

    def autoregressive(
        self, network: Network, seed: int, name: str, size: int | None = None, policy: Any = None
    ) -> Bijector:
        """An autoregressive layer of the whole event, or of another size. Its network has the flow's own dtype."""
        conditioner = network(seed=seed, dtype=policy or _policy(self.dtype))
        return Autoregressive(self.transformer, conditioner, size or self.event_shape, name=name, **self.shared)


def _policy(dtype: Any, network_dtype: Any = None) -> Any:
    if network_dtype is not None:
        return keras.dtype_policies.get(network_dtype)
    policy, dtype = keras.mixed_precision.global_policy(), tf.as_dtype(dtype)
    is_mixed = policy.compute_dtype != policy.variable_dtype
    return policy if is_mixed and dtype == tf.float32 else dtype.name


def _checked_base(base: Any, size: int, dtype: tf.DType) -> tfd.Distribution:
    """`base`, if it is a distribution over vectors [size]."""
    if not isinstance(base, tfd.Distribution):
        raise TypeError(f"`base` must be a tfd.Distribution over events of shape {[size]}; got {base!r}.")
    if base.event_shape.as_list() != [size]:
        raise ValueError(
            f"`base` must have the event shape {[size]}; its event shape is {base.event_shape.as_list()}, "
            f"its batch shape {base.batch_shape.as_list()}. tfd.Independent or tfd.Sample turn a batch into an event."
        )
    if base.dtype != dtype:
        raise ValueError(f"`base` must be of dtype {dtype.name}; it is {base.dtype.name}.")
    return base


def _takes(cls: type, name: str) -> bool:
    """Whether a class's constructor takes an argument of this name."""
    parameters = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    return name in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
