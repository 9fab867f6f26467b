"""Autoregressive: the map of every element depends on the elements before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp import checks, shapes
from tfp_nvp._forward_mode import refuse_forward_mode
from tfp_nvp.bijectors import _at_once, _incremental
from tfp_nvp.bijectors._network import connect, raw_numbers
from tfp_nvp.bijectors._range import Range
from tfp_nvp.bijectors.bijector import Bijector
from tfp_nvp.conditioners import CausalTransformer
from tfp_nvp.conditioners._masked_network import MaskedNetwork
from tfp_nvp.transformers import Transformer


class Autoregressive(Bijector):
    """A transformer on every element of a vector, its raw numbers from the elements before it.

        raw = conditioner(x, condition),  raw_i a function of x_j for j before i, and the condition
        x_i = f(z_i; raw_i)
        log_det = Σ_i log |df/dz_i|

    `inverse` evaluates the conditioner once. `forward` solves for one element after the other: each unit of a masked
    network of `conditioners` is computed once, at the cost of about one evaluation and d short steps. Or it solves for
    all at once, by evaluations of the whole conditioner until nothing changes: after d at most, mostly about ten. That
    is faster for few rows, and what is done with any other layer than a masked network. `Invert` swaps the two.

    Gradients of `forward` are those of the implicit function theorem, in reverse mode: they solve a triangular system
    with the transposed Jacobian of `inverse`, by at most d products with it. They reach z, the condition and
    variables, but no other tensors of a transformer. Their own gradients are right too, at d such products.

    Args:
      transformer: f.
      conditioner: `conditioners.MADE`, `conditioners.ResidualMADE`, `conditioners.CausalTransformer`, whose tokens are
        found one after the other, or any Keras layer
        [n, d] → [n, p · d] (all first numbers of the d elements, then all second ones) whose
        Jacobian is strictly triangular in some order of the elements.
      event_shape: [d].
      condition_shape: shape of the condition, or None.
      dtype: of values.

    Raises:
      TypeError, ValueError: if an argument is out of its range, or a conditioner's output does not fit.

    >>> from tfp_nvp import conditioners, transformers
    >>> layer = Autoregressive(transformers.Affine(), conditioners.MADE(), [3])
    >>> layer.forward(tf.ones([5, 3])).shape
    TensorShape([5, 3])

    References: Papamakarios, Pavlakou & Murray (2017), "Masked Autoregressive Flow for
    Density Estimation", arXiv:1705.07057, equations 3 to 6; Kingma et al. (2016), "Improved
    Variational Inference with Inverse Autoregressive Flow", arXiv:1606.04934.
    """

    def __init__(
        self,
        transformer: Transformer,
        conditioner: keras.layers.Layer,
        event_shape: Any,
        *,
        condition_shape: Any = None,
        dtype: Any = "float32",
        name: str = "autoregressive",
    ):
        checks.instance("transformer", transformer, Transformer, "tfp_nvp.transformers.Affine()")
        event_shape = checks.vector_shape("event_shape", event_shape)
        super().__init__(event_shape=event_shape, condition_shape=condition_shape, dtype=dtype, name=name)
        transformer.check_dtype(self.dtype)
        self.transformer = transformer
        (self._size,) = event_shape
        num_outputs = transformer.num_parameters * self._size
        self.conditioner = connect(conditioner, event_shape, self.condition_shape, num_outputs, self.dtype)
        #: After so many evaluations every element is final.
        self._depth = conditioner.num_tokens if isinstance(conditioner, CausalTransformer) else self._size

    @property
    def latent_range(self) -> Range:
        return Range(*self.transformer.domain)

    @property
    def data_range(self) -> Range:
        return Range(*self.transformer.domain)

    def _keeps(self, values: Range) -> bool:
        return values.equals(self.latent_range) or self.transformer.keeps(*values)

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        z, condition, batch = shapes.flattened(z, 1, condition, self.condition_ndims)
        z = tf.ensure_shape(z, [None, self._size])
        x, log_det = self._solution(z) if condition is None else self._solution(z, condition)
        return shapes.unflatten_batch(x, batch), shapes.unflatten_batch(log_det, batch)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        z, log_det = self.transformer.inverse(x, self._raw(x, condition))
        return z, tf.reduce_sum(log_det, axis=-1)

    def _raw(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        """The raw numbers [p, ..., d] of all elements of x [..., d]."""
        return raw_numbers(
            self.conditioner,
            x,
            condition,
            event_ndims=1,
            condition_ndims=self.condition_ndims,
            num_parameters=self.transformer.num_parameters,
        )

    def _solution(self, z: tf.Tensor, condition: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """x [n, d] of z [n, d], and log_det [n], with the gradient of an implicit function."""

        @tf.custom_gradient
        def solution(z: tf.Tensor, *conditions: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Callable]:
            x, log_det = self._solve(z, *conditions)

            def gradient(dx: tf.Tensor, dlog_det: tf.Tensor, variables: Any = None) -> Any:
                refuse_forward_mode("The inverse of an autoregressive map")
                of_inputs, of_variables = self._gradient(x, conditions, list(variables or ()), dx, dlog_det)
                return of_inputs if variables is None else (of_inputs, of_variables)

            return (x, log_det), gradient

        return solution(z) if condition is None else solution(z, condition)

    def _solve(self, z: tf.Tensor, condition: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        layer, transform = self.conditioner, self.transformer.forward
        if isinstance(layer, MaskedNetwork) and layer.compute_dtype == self.dtype.name:
            if _at_once.is_chosen(layer, z.shape[0]):
                return _at_once.solve_network(layer, transform, z, condition)
            return _incremental.solve(layer, transform, z, condition)
        x, log_det = _at_once.solve(lambda x: transform(z, self._raw(x, condition)), z, self._depth)
        return x, tf.reduce_sum(log_det, axis=-1)

    def _gradient(
        self, x: tf.Tensor, conditions: tuple, variables: list, dx: tf.Tensor, dlog_det: tf.Tensor
    ) -> tuple[tuple, list]:
        """Gradients with respect to z and the condition, and to variables.

        x(z, θ) is defined by g(x, θ) = z, g being `inverse`, so ∂x/∂z = J⁻¹ and ∂x/∂θ = −J⁻¹ ∂g/∂θ with
        J = ∂g/∂x; and log_det = −l(x, θ), the log-det of g. With v = dx − (∂l/∂x)ᵀ dlog_det and Jᵀ u = v,
        the gradients are u for z and −(∂g/∂θ)ᵀ u − (∂l/∂θ)ᵀ dlog_det for θ.

        J = D + N, D diagonal and N strictly triangular: u ← D⁻¹ (v − Nᵀ u) is exact after d steps, and usually
        converges long before.
        """
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([x, *conditions])
            z, log_dets = self.transformer.inverse(x, self._raw(x, *conditions))
            log_det = tf.reduce_sum(log_dets, axis=-1)
        v = dx - _gradients(tape, log_det, [x], dlog_det)[0]
        u = self._transposed_solution(v, x, conditions)
        of_parameters = _gradients(tape, [z, log_det], [*conditions, *variables], [-u, -dlog_det])
        return (u, *of_parameters[: len(conditions)]), of_parameters[len(conditions) :]

    def _transposed_solution(self, v: tf.Tensor, x: tf.Tensor, conditions: tuple) -> tf.Tensor:
        """u of Jᵀ u = v.

        The iteration may stop before its derivatives have converged: where v is zero it changes nothing, however v
        changes with x. So the gradient is that of all d iterations, which are computed if it is asked for.
        """

        @tf.custom_gradient
        def solution(v: tf.Tensor, x: tf.Tensor, *conditions: tf.Tensor) -> tuple[tf.Tensor, Callable]:
            def gradient(upstream: tf.Tensor, variables: Any = None) -> Any:
                inputs, variables_used = [v, x, *conditions], list(variables or ())
                with tf.GradientTape() as tape:
                    tape.watch(inputs)
                    u = self._transposed_iterations(v, x, conditions, stop_early=False)
                found = _gradients(tape, u, [*inputs, *variables_used], upstream)
                of_inputs = tuple(found[: len(inputs)])
                return of_inputs if variables is None else (of_inputs, found[len(inputs) :])

            return self._transposed_iterations(v, x, conditions, stop_early=True), gradient

        return solution(v, x, *conditions)

    def _transposed_iterations(self, v: tf.Tensor, x: tf.Tensor, conditions: tuple, *, stop_early: bool) -> tf.Tensor:
        with tf.GradientTape(persistent=True) as tape:
            seen = tf.identity(x)  # the network's input; x is the input of the elementwise maps
            tape.watch([x, seen])
            z, _ = self.transformer.inverse(x, self._raw(seen, *conditions))
        diagonal = tape.gradient(z, x, tf.ones_like(z))

        def body(_: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            (seen_gradient,) = _gradients(tape, z, [seen], u)
            new = (v - seen_gradient) / diagonal
            rounding = 2.0 * np.finfo(u.dtype.as_numpy_dtype).eps
            changes = tf.reduce_any(tf.abs(new - u) > rounding * tf.abs(u))
            return changes if stop_early else tf.constant(True), new

        _, u = tf.while_loop(
            lambda goes_on, _: goes_on,
            body,
            (tf.constant(True), v / diagonal),
            maximum_iterations=self._depth,
            parallel_iterations=1,
        )
        return u


def _gradients(tape: tf.GradientTape, target: Any, sources: list, output_gradients: Any) -> list:
    """Gradients with respect to each source, zeros where it is unconnected."""
    return tape.gradient(target, sources, output_gradients, unconnected_gradients=tf.UnconnectedGradients.ZERO)
