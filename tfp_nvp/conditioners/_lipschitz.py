"""The base of networks with a known Lipschitz constant."""

from __future__ import annotations

import abc
import itertools
from typing import Any

import keras
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._finite import held
from tfp_nvp.conditioners._conditioner import Conditioner


class LipschitzNetwork(Conditioner, abc.ABC):
    """Linear maps and LipSwish, of which no two inputs' outputs differ by more than `lipschitz` times the inputs.

        h = K₁ inputs + C condition + b₁
        h = Kᵢ lip_swish(h) + bᵢ  for i = 2, …, L,  with K_L and b_L zero at first

    Each Kᵢ is its weights divided by max(1, B / lipschitz^(1/L)), B an upper bound of their spectral norm that is
    computed anew at every use: whatever an optimizer, a file or a user makes of the weights, it holds, and there is
    nothing to converge or to save. Nothing limits the condition's C.

    A subclass says what linear maps are.

    Args:
      num_outputs: of the network; None for as many as its layer needs.
      lipschitz: bound of the Lipschitz constant with respect to the inputs, between 0 and 1, by Euclidean norms.
      widths: of the hidden layers.
      seed: an int for reproducible initial weights, or None.
    """

    def __init__(self, num_outputs: int | None, lipschitz: float, widths: tuple[int, ...], seed: int | None, **kw: Any):
        super().__init__(num_outputs, seed=seed, **kw)
        self.lipschitz = checks.number("lipschitz", lipschitz, checks.INNER_FRACTION)
        self._widths = widths

    @abc.abstractmethod
    def _kernel_shape(self, index: int, num_inputs: int, num_outputs: int) -> tuple[int, ...]:
        """Of the `index`-th linear map; the last two are the numbers of inputs and outputs."""

    @abc.abstractmethod
    def _num_inputs(self, inputs_shape: Any, condition_shape: Any) -> tuple[int, int]:
        """How many inputs the first linear map has, and how many the condition's."""

    @abc.abstractmethod
    def _bound(self, kernel: tf.Tensor) -> tf.Tensor:
        """An upper bound [] of the norm of a linear map."""

    @abc.abstractmethod
    def _apply(self, kernel: tf.Tensor, h: tf.Tensor) -> tf.Tensor:
        """The linear map of h."""

    @abc.abstractmethod
    def _of_condition(self, inputs: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
        """What the condition's linear map is applied to."""

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        num_inputs, num_of_condition = self._num_inputs(inputs_shape, condition_shape)
        sizes = [num_inputs, *self._widths, self._known_outputs()]
        self._depth = len(sizes) - 1
        self.kernels = [self._kernel(i, a, b) for i, (a, b) in enumerate(itertools.pairwise(sizes))]
        self.biases = [self._vector(f"bias_{i}", size, "zeros") for i, size in enumerate(sizes[1:])]
        # A slope of 2.1. The paper's code has 0.97, with which two moons took twice as many steps.
        start = keras.initializers.Constant(2.0)
        self.slopes = [self._vector(f"slope_{i}", 1, start) for i in range(self._depth - 1)]
        self.condition_kernels = [self._kernel(0, num_of_condition, sizes[1], "condition_")] if num_of_condition else []
        self.built = True

    def call(self, inputs: Any, condition: Any = None) -> Any:
        return self.evaluate(inputs, condition, self.tensors())

    def tensors(self) -> list[tf.Tensor]:
        """The numbers that the network is made of, its linear maps bounded: all that `evaluate` reads."""
        most = self.lipschitz ** (1.0 / self._depth)
        kernels = [tf.convert_to_tensor(kernel) for kernel in self.kernels]
        kernels = [kernel / tf.maximum(self._bound(kernel) / most, 1.0) for kernel in kernels]
        others = [*self.biases, *self.slopes, *self.condition_kernels]
        return [*kernels, *(tf.convert_to_tensor(weight) for weight in others)]

    def evaluate(self, inputs: tf.Tensor, condition: tf.Tensor | None, tensors: list[tf.Tensor]) -> tf.Tensor:
        """The outputs of inputs [n, ...] and a condition [n, ...], by `tensors`."""
        depth = self._depth
        kernels, biases, slopes = tensors[:depth], tensors[depth : 2 * depth], tensors[2 * depth : 3 * depth - 1]
        h = self._apply(kernels[0], held(inputs)) + biases[0]
        if condition is not None:
            h += self._apply(tensors[-1], self._of_condition(inputs, held(condition)))
        for kernel, bias, slope in zip(kernels[1:], biases[1:], slopes, strict=True):
            h = self._apply(kernel, lip_swish(held(h), tf.math.softplus(slope))) + bias
        return h

    def _kernel(self, index: int, num_inputs: int, num_outputs: int, prefix: str = "") -> Any:
        is_last = index == self._depth - 1
        return self.add_weight(
            shape=self._kernel_shape(index, num_inputs, num_outputs),
            initializer="zeros" if is_last and not prefix else self._glorot(index),
            name=f"{prefix}kernel_{index}",
        )

    def _vector(self, name: str, size: int, initializer: Any) -> Any:
        return self.add_weight(shape=(size,), initializer=initializer, name=name)


def lip_swish(h: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    """h · sigmoid(slope · h) / 1.1, whose derivative is in [−0.1, 1] for every slope ≥ 0.

    Chen, Behrmann, Duvenaud & Jacobsen (2019), "Residual Flows for Invertible Generative Modeling", arXiv:1906.02735,
    section 3.3: (t sigmoid(t))' is at most 1.09984, at t = 2.40, whatever the slope.
    """
    return h * tf.sigmoid(slope * h) / 1.1
