"""The one table of everything public: each guarantee is a test over these cases."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import bijectors, conditioners, distributions, flows, masks, solvers, transformers

tfb, tfd = tfp.bijectors, tfp.distributions


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return 1.5 * rng.normal(size=shape)


def wide(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Reaches into both tails of a spline."""
    return 4.0 * rng.normal(size=shape)


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.2, 3.0, size=shape)


def unit(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.05, 0.95, size=shape)


def angles(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(-3.1, 3.1, size=shape)


def directions(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Unit vectors, none of them close to an axis."""
    x = rng.uniform(0.2, 1.0, size=shape) * rng.choice([-1.0, 1.0], size=shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def hours(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Data of the case `circle`."""
    return rng.uniform(0.1, 23.9, size=shape)


def within_support(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Data of the case `support`."""
    low, high = rng.uniform(-0.8, 0.8, size=shape), rng.uniform(0.7, 1.9, size=shape)
    return np.where([False, True, False, False], high, low)


@dataclass(frozen=True)
class Case:
    """A public object and what it is of.

    `make` builds it in a dtype. `event_shape` includes the batch shape of an object that
    has one. `sample` draws data. `any_shape` says that no event shape is refused. `is_surface` says that data lie on a
    surface, so that its log-det, of areas, is none of a square Jacobian: tests/bijectors/test_sphere.py has it.
    """

    name: str
    make: Callable[[str], Any]
    event_shape: tuple[int, ...]
    condition_shape: tuple[int, ...] | None = None
    sample: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray] = normal
    any_shape: bool = False
    is_surface: bool = False


def spline() -> transformers.Transformer:
    return transformers.RationalQuadratic(num_bins=3, bound=4.0)


def circular_spline() -> transformers.Transformer:
    return transformers.CircularSpline(num_bins=3)


def stock_spline() -> transformers.Transformer:
    """TFP's own spline, of 3 bins on [-4, 4], as a transformer."""
    return transformers.FromBijector(stock_spline_of, num_parameters=8)


def stock_spline_of(raw: Any) -> tfb.Bijector:
    sizes = [0.1 + 7.7 * tf.nn.softmax(tf.stack(tf.unstack(raw[i : i + 3]), axis=-1)) for i in (0, 3)]
    slopes = 0.1 + tf.math.softplus(tf.stack(tf.unstack(raw[6:]), axis=-1))
    return tfb.RationalQuadraticSpline(*sizes, slopes, range_min=-4.0)


def mlp(dtype: str) -> keras.layers.Layer:
    return conditioners.MLP(hidden_units=[8], activation="tanh", seed=1, dtype=dtype)


def residual(dtype: str) -> keras.layers.Layer:
    return conditioners.ResidualMLP(hidden_units=8, num_blocks=1, activation="tanh", seed=1, dtype=dtype)


def periodic(dtype: str) -> keras.layers.Layer:
    """Of one input."""
    return conditioners.PeriodicFeatures(mlp(dtype), [True])


def separate(dtype: str) -> keras.layers.Layer:
    """A network for the translation, another one for the scale."""
    return conditioners.Separate([mlp(dtype), residual(dtype)])


def convolution(num_outputs: int) -> Callable[[str], keras.layers.Layer]:
    """The maker of a network of Keras' own layers, which no structure tells how many outputs it has."""
    return lambda dtype: keras.Sequential(
        [
            keras.layers.Conv2D(4, 3, padding="same", activation="tanh", dtype=dtype),
            keras.layers.Conv2D(num_outputs, 3, padding="same", dtype=dtype),
        ]
    )


def coupling(
    transformer: Callable[[], transformers.Transformer],
    network: Callable[[str], keras.layers.Layer] = mlp,
    mask: Any = None,
    condition_shape: tuple[int, ...] | None = None,
) -> Callable[[str], bijectors.Coupling]:
    """The maker of a coupling, on the second half of three elements unless it has a mask."""
    mask = masks.half(3) if mask is None else mask
    return lambda dtype: bijectors.Coupling(
        transformer(), network(dtype), mask, condition_shape=condition_shape, dtype=dtype
    )


def made(dtype: str) -> keras.layers.Layer:
    return conditioners.MADE(hidden_units=[8, 5], activation="tanh", order=[2, 0, 1], seed=1, dtype=dtype)


def residual_made(dtype: str) -> keras.layers.Layer:
    return conditioners.ResidualMADE(hidden_units=8, num_blocks=1, activation="tanh", seed=1, dtype=dtype)


@keras.saving.register_keras_serializable("tests")
class Cumulative(keras.layers.Layer):
    """A network of a user's own: raw numbers of the elements from sums of those before them."""

    def __init__(self, num_outputs: int, dtype: Any = None, **kwargs: Any):
        super().__init__(dtype=dtype, **kwargs)
        self.num_parameters = num_outputs // 3
        self.dense = keras.layers.Dense(self.num_parameters, dtype=self.dtype_policy)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_outputs": 3 * self.num_parameters}

    def call(self, inputs: Any) -> Any:
        before = keras.ops.cumsum(keras.ops.sin(inputs), axis=-1) - keras.ops.sin(inputs)
        outputs = keras.ops.tanh(self.dense(before[..., None]))
        return keras.ops.concatenate([outputs[..., i] for i in range(self.num_parameters)], axis=-1)


def cumulative(dtype: str) -> keras.layers.Layer:
    return Cumulative(6, dtype)


def autoregressive(
    transformer: Callable[[], transformers.Transformer],
    network: Callable[[str], keras.layers.Layer] = made,
    condition_shape: tuple[int, ...] | None = None,
) -> Callable[[str], bijectors.Autoregressive]:
    return lambda dtype: bijectors.Autoregressive(
        transformer(), network(dtype), [3], condition_shape=condition_shape, dtype=dtype
    )


def elementwise(
    transformer: Callable[[], transformers.Transformer], event_shape: tuple[int, ...] = (3,)
) -> Callable[[str], bijectors.Elementwise]:
    return lambda dtype: bijectors.Elementwise(transformer(), event_shape, dtype=dtype)


def conv_net(dtype: str) -> keras.layers.Layer:
    return conditioners.ConvNet(hidden_units=4, activation="tanh", seed=1, dtype=dtype)


def zero_conv(dtype: str) -> keras.layers.Layer:
    return conditioners.ZeroConv(dtype=dtype)


def gated_conv_net(dtype: str) -> keras.layers.Layer:
    return conditioners.GatedConvNet(hidden_units=3, num_blocks=1, num_features=2, seed=1, dtype=dtype)


def mixture() -> transformers.Transformer:
    return transformers.MixtureOfLogistics(num_components=3)


#: Universal monotone transformers, small.
MONOTONE: dict[str, Callable[[], transformers.Transformer]] = {
    "bernstein": lambda: transformers.Bernstein(degree=6),
    "deep_sigmoidal": lambda: transformers.DeepSigmoidal(num_units=2),
    "sum_of_squares": lambda: transformers.SumOfSquares(degree=2),
    "unconstrained_monotonic": lambda: transformers.UnconstrainedMonotonic(num_units=2, num_nodes=25),
}


def quantile(event_shape: tuple[int, ...]) -> Callable[[str], bijectors.Quantile]:
    """Four bins of different probabilities for each channel."""

    def make(dtype: str) -> bijectors.Quantile:
        layer = bijectors.Quantile(event_shape, num_bins=4, dtype=dtype)
        layer.initialize(np.random.default_rng(3).beta(0.5, 0.7, size=(50, *event_shape)).astype(dtype))
        return layer

    return make


def multiscale_of_thirds(dtype: str) -> bijectors.Multiscale:
    """One channel of four leaves, then another; two are left."""
    levels = [
        bijectors.Chain([tfb.Softplus(), bijectors.Squeeze(order="dispersed")]),
        coupling(transformers.Affine, conv_net, np.broadcast_to(np.arange(3) < 1, (2, 2, 3)))(dtype),
        bijectors.ActNorm([2, 2, 2], dtype=dtype),
    ]
    return bijectors.Multiscale(levels, [4, 4, 1], leaving=[1, 1])


def multiscale(condition_shape: tuple[int, ...] | None = None) -> Callable[[str], bijectors.Multiscale]:
    """A squeeze and a coupling, after which half leaves; then a stock bijector."""

    def make(dtype: str) -> bijectors.Multiscale:
        level = bijectors.Chain(
            [
                bijectors.Squeeze(),
                coupling(transformers.Affine, conv_net, masks.channel(2, 2, 4), condition_shape)(dtype),
            ]
        )
        return bijectors.Multiscale([level, tfb.Softplus()], [4, 4, 1])

    return make


def chain(condition_shape: tuple[int, ...] | None = None) -> Callable[[str], bijectors.Chain]:
    def make(dtype: str) -> bijectors.Chain:
        layers = [
            tfb.Softplus(),
            coupling(transformers.Affine, condition_shape=condition_shape)(dtype),
            bijectors.Reverse(),
            bijectors.ActNorm([3], dtype=dtype),
            tfb.Shift(np.asarray([1.0, 2.0, 3.0], dtype)),
            coupling(spline, residual, condition_shape=condition_shape)(dtype),
        ]
        return bijectors.Chain(layers)

    return make


def conditioned(batch_shape: tuple[int, ...]) -> Callable[[str], bijectors.Conditioned]:
    condition = np.linspace(-1.0, 1.0, 2 * int(np.prod(batch_shape))).reshape(*batch_shape, 2)
    return lambda dtype: bijectors.Conditioned(coupling(transformers.Affine, condition_shape=(2,))(dtype), condition)


def recipe(kind: type, **arguments: Any) -> Callable[[str], distributions.Flow]:
    arguments = {"activation": "tanh", **arguments}
    return lambda dtype: kind(**{"event_shape": [3], "num_layers": 2, "seed": 0, "dtype": dtype, **arguments})


def continuous_flow(**arguments: Any) -> Callable[[str], distributions.Flow]:
    sizes = {"event_shape": [3], "hidden_units": [8], "activation": "tanh", "solver": solvers.RungeKutta4(4)}
    return lambda dtype: flows.ContinuousFlow(**sizes, seed=0, dtype=dtype, **arguments)


def glow(**arguments: Any) -> Callable[[str], distributions.Flow]:
    sizes = {"event_shape": [4, 4, 1], "num_steps": 1, "hidden_units": 4}
    return lambda dtype: flows.Glow(**sizes, activation="tanh", seed=0, dtype=dtype, **arguments)


def narrow_base(dtype: str) -> tfd.Distribution:
    """Over 16 numbers; samples through a logit stay where rounding tells them apart."""
    return tfd.Sample(tfd.Logistic(np.asarray(0.0, dtype), np.asarray(0.05, dtype)), 16)


def image_real_nvp(**arguments: Any) -> Callable[[str], distributions.Flow]:
    sizes = {"event_shape": [4, 4, 1], "hidden_units": 3, "num_blocks": 1}
    return lambda dtype: flows.ImageRealNVP(
        **sizes, activation="tanh", base=narrow_base(dtype), seed=0, dtype=dtype, **arguments
    )


def flow_plus_plus(
    transformer: Callable[[], transformers.Transformer] = mixture, **arguments: Any
) -> Callable[[str], distributions.Flow]:
    sizes = {"event_shape": [4, 4, 1], "num_couplings": [1, 1, 1], "hidden_units": 3, "num_blocks": 1}
    return lambda dtype: flows.FlowPlusPlus(
        **sizes, transformer=transformer(), base=narrow_base(dtype), seed=0, dtype=dtype, **arguments
    )


def amortized(kind: type, **arguments: Any) -> Callable[[str], bijectors.Bijector]:
    """The maker of a map of three elements, shaped by a network of the condition."""
    return lambda dtype: kind([3], conditioner=mlp(dtype), condition_shape=[2], seed=1, dtype=dtype, **arguments)


def block_autoregressive(
    event_shape: Any, hidden_units: Any, **arguments: Any
) -> Callable[[str], bijectors.BlockAutoregressive]:
    return lambda dtype: bijectors.BlockAutoregressive(
        event_shape, hidden_units=hidden_units, seed=1, dtype=dtype, **arguments
    )


def block_naf(**arguments: Any) -> Callable[[str], distributions.Flow]:
    return lambda dtype: flows.BlockNAF([2], num_layers=2, hidden_units=3, seed=0, dtype=dtype, **arguments)


def lipschitz_mlp(dtype: str) -> keras.layers.Layer:
    return conditioners.LipschitzMLP(hidden_units=[8], lipschitz=0.8, seed=1, dtype=dtype)


def lipschitz_conv_net(dtype: str) -> keras.layers.Layer:
    return conditioners.LipschitzConvNet(hidden_units=4, lipschitz=0.8, seed=1, dtype=dtype)


def residual_layer(
    network: Callable[[str], keras.layers.Layer], event_shape: Any, condition_shape: Any = None, **arguments: Any
) -> Callable[[str], bijectors.Residual]:
    return lambda dtype: bijectors.Residual(
        network(dtype), event_shape, condition_shape=condition_shape, dtype=dtype, **arguments
    )


def residual_flow(**arguments: Any) -> Callable[[str], distributions.Flow]:
    sizes = {"event_shape": [3], "num_layers": 2, "hidden_units": [8], "lipschitz": 0.8}
    return lambda dtype: flows.ResidualFlow(**sizes, seed=0, dtype=dtype, **arguments)


def image_residual_flow(**arguments: Any) -> Callable[[str], distributions.Flow]:
    sizes = {"event_shape": [4, 4, 1], "num_levels": 2, "num_steps": 1, "hidden_units": 3, "lipschitz": 0.8}
    return lambda dtype: flows.ImageResidualFlow(**sizes, base=narrow_base(dtype), seed=0, dtype=dtype, **arguments)


def principal_axes(dtype: str) -> bijectors.PrincipalAxes:
    layer = bijectors.PrincipalAxes([3], dtype=dtype)
    mixed = np.random.default_rng(3).normal(size=(50, 3)) @ [[1.0, 2.0, 0.0], [0.0, 3.0, 1.0], [0.5, 0.0, 1.0]] + 2.0
    layer.initialize(tf.constant(mixed, dtype))
    return layer


def subscale(
    transformer: Callable[[], transformers.Transformer] = spline, **arguments: Any
) -> Callable[[str], distributions.Flow]:
    sizes = {"event_shape": [4, 4, 1], "factor": 2, "num_groups": 3, "hidden_units": 3, "num_blocks": 1}
    return lambda dtype: flows.SubscaleFlow(
        **sizes, transformer=transformer(), num_bins=4, base=narrow_base(dtype), seed=0, dtype=dtype, **arguments
    )


def orthogonal(dtype: str) -> bijectors.InvertibleLinear:
    return bijectors.InvertibleLinear([4], seed=3, start="orthogonal", dtype=dtype)


def glow_block(**arguments: Any) -> Callable[[str], bijectors.GlowBlock]:
    return lambda dtype: bijectors.GlowBlock(2, conditioner=conv_net(dtype), seed=3, dtype=dtype, **arguments)


def circular_spline_flow(**arguments: Any) -> Callable[[str], distributions.Flow]:
    transformer, real_transformer = circular_spline(), spline()
    return recipe(
        flows.CircularSplineFlow,
        hidden_units=8,
        num_blocks=1,
        transformer=transformer,
        real_transformer=real_transformer,
        **arguments,
    )


def spherical(**arguments: Any) -> Callable[[str], distributions.Flow]:
    return recipe(flows.SphericalSplineFlow, hidden_units=8, num_blocks=1, num_bins=3, **arguments)


def around_axis(condition_shape: tuple[int, ...] | None = None) -> Callable[[str], bijectors.AroundAxis]:
    """A spline of heights by the longitude."""
    heights = lambda: transformers.RationalQuadratic(num_bins=3, bound=1.0)  # noqa: E731
    inner = coupling(heights, periodic, np.array([False, True]), condition_shape)
    return lambda dtype: bijectors.AroundAxis(inner(dtype))


def tar_flow(**arguments: Any) -> Callable[[str], distributions.Flow]:
    sizes = {"event_shape": [4, 4, 1], "num_layers": 2, "hidden_units": 4, "num_blocks": 1, "num_heads": 2}
    return lambda dtype: flows.TarFlow(**sizes, activation="tanh", seed=0, dtype=dtype, **arguments)


def subvector(condition_shape: tuple[int, ...] | None = None) -> Callable[[str], bijectors.Subvector]:
    inner = coupling(spline, condition_shape=condition_shape)
    return lambda dtype: bijectors.Subvector(inner(dtype), [True, False, True, True])


def circle(dtype: str) -> bijectors.Circle:
    """Hours, hours, and a number."""
    infinity = float("inf")
    return bijectors.Circle([0.0, 0.0, -infinity], [24.0, 24.0, infinity], dtype=dtype)


def flow(base: Callable[[str], tfd.Distribution]) -> Callable[[str], distributions.Flow]:
    return lambda dtype: distributions.Flow(base(dtype), coupling(transformers.Affine)(dtype))


def support(dtype: str) -> bijectors.Support:
    """Two bounds, one, the other, none."""
    infinity = float("inf")
    return bijectors.Support([-1.0, 0.5, -infinity, -infinity], [2.0, infinity, 1.0, infinity], dtype=dtype)


def batch_base(dtype: str) -> tfd.Distribution:
    return tfd.MultivariateNormalDiag(np.linspace(-1.0, 1.0, 6).reshape(2, 3).astype(dtype))


def learned_base(dtype: str) -> tfd.Distribution:
    return tfd.MultivariateNormalDiag(tf.Variable(np.zeros(3, dtype)), np.ones(3, dtype))


def conditional_base(dtype: str) -> distributions.Flow:
    base = distributions.ConditionalNormal([3], [2], hidden_units=[8], activation="tanh", seed=0, dtype=dtype)
    return recipe(flows.MAF, hidden_units=[8], condition_shape=[2], base=base)(dtype)


def continuous(condition_shape: tuple[int, ...] | None = None, **arguments: Any) -> Callable[[str], Any]:
    """Four steps of a slow equation, whose error is far below the accuracy that is promised."""
    return lambda dtype: bijectors.Continuous(
        mlp(dtype), [3], solver=solvers.RungeKutta4(4), condition_shape=condition_shape, dtype=dtype, **arguments
    )


BIJECTORS = [
    # Transformers, each with weights of its own and in a coupling.
    Case("elementwise_shift", elementwise(transformers.Shift), (3,)),
    Case("elementwise_affine", elementwise(transformers.Affine), (3,)),
    Case("elementwise_rational_quadratic", elementwise(spline), (3,), sample=wide),
    Case("elementwise_circular_spline", elementwise(circular_spline), (3,), sample=angles),
    Case("elementwise_from_bijector", elementwise(stock_spline), (3,), sample=wide),
    Case("elementwise_scalar", elementwise(transformers.Affine, ()), (), any_shape=True),
    Case("elementwise_matrix", elementwise(transformers.Affine, (2, 3)), (2, 3)),
    Case("elementwise_mixture_of_logistics", elementwise(mixture), (3,)),
    Case("coupling_shift", coupling(transformers.Shift), (3,)),
    Case("coupling_affine", coupling(transformers.Affine), (3,)),
    Case("coupling_rational_quadratic", coupling(spline), (3,), sample=wide),
    Case("coupling_circular_spline", coupling(circular_spline, periodic), (3,), sample=angles),
    Case("coupling_circular_spline_conditional", coupling(circular_spline, periodic, None, (2,)), (3,), (2,), angles),
    Case("coupling_mixture_of_logistics", coupling(mixture), (3,)),
    Case("coupling_from_bijector", coupling(stock_spline), (3,), sample=wide),
    # Universal monotone transformers. Autoregressive layers, which know no more than their interface, are slow with
    # them: one is here, and the others are in tests/bijectors/test_autoregressive.py.
    *(
        Case(f"{structure.__name__}_{name}", structure(make), (3,), sample=wide)
        for name, make in MONOTONE.items()
        for structure in (elementwise, coupling)
    ),
    Case("autoregressive_bernstein", autoregressive(MONOTONE["bernstein"]), (3,), sample=wide),
    # Couplings by mask, conditioner and condition.
    Case("coupling_residual", coupling(transformers.Affine, residual), (3,)),
    Case("coupling_separate", coupling(transformers.Affine, separate), (3,)),
    Case("coupling_separate_conditional", coupling(transformers.Affine, separate, None, (2,)), (3,), (2,)),
    Case("coupling_conditional", coupling(transformers.Affine, condition_shape=(2,)), (3,), (2,)),
    Case("coupling_residual_conditional", coupling(transformers.Affine, residual, None, (2,)), (3,), (2,)),
    Case("coupling_matrix_condition", coupling(transformers.Affine, condition_shape=(2, 2)), (3,), (2, 2)),
    Case("coupling_of_condition_only", coupling(transformers.Affine, mlp, np.zeros(3, bool), (2,)), (3,), (2,)),
    Case("coupling_alternating", coupling(transformers.Affine, mlp, masks.alternating(4)), (4,)),
    Case("coupling_channel", coupling(transformers.Affine, convolution(2), masks.channel(3, 2, 2)), (3, 2, 2)),
    Case(
        "coupling_checkerboard", coupling(transformers.Affine, convolution(4), masks.checkerboard(3, 2, 2)), (3, 2, 2)
    ),
    Case("coupling_zero_conv", coupling(transformers.Affine, zero_conv, masks.channel(3, 2, 2)), (3, 2, 2)),
    Case("coupling_gated_conv_net", coupling(transformers.Affine, gated_conv_net, masks.channel(3, 2, 2)), (3, 2, 2)),
    # Autoregressive, by transformer, conditioner and condition.
    Case("autoregressive_shift", autoregressive(transformers.Shift), (3,)),
    Case("autoregressive_affine", autoregressive(transformers.Affine), (3,)),
    Case("autoregressive_rational_quadratic", autoregressive(spline), (3,), sample=wide),
    Case("autoregressive_circular_spline", autoregressive(circular_spline), (3,), sample=angles),
    Case("autoregressive_mixture_of_logistics", autoregressive(mixture), (3,)),
    Case("autoregressive_from_bijector", autoregressive(stock_spline), (3,), sample=wide),
    Case("autoregressive_residual", autoregressive(spline, residual_made), (3,), sample=wide),
    Case("autoregressive_conditional", autoregressive(transformers.Affine, made, (2,)), (3,), (2,)),
    Case("autoregressive_residual_conditional", autoregressive(spline, residual_made, (2, 2)), (3,), (2, 2)),
    Case("autoregressive_of_another_layer", autoregressive(transformers.Affine, cumulative), (3,)),
    Case("autoregressive_inverted", lambda dtype: bijectors.Invert(autoregressive(spline)(dtype)), (3,), sample=wide),
    # Maps of a whole vector.
    Case("planar", lambda dtype: bijectors.Planar([3], seed=1, dtype=dtype), (3,)),
    Case("planar_conditional", amortized(bijectors.Planar), (3,), (2,)),
    Case("radial", lambda dtype: bijectors.Radial([3], seed=1, dtype=dtype), (3,)),
    Case("radial_conditional", amortized(bijectors.Radial), (3,), (2,)),
    Case("sylvester", lambda dtype: bijectors.Sylvester([3], seed=1, dtype=dtype), (3,)),
    Case("sylvester_conditional", amortized(bijectors.Sylvester, num_directions=2), (3,), (2,)),
    Case("sylvester_householder", amortized(bijectors.Sylvester, basis="householder", num_reflections=2), (3,), (2,)),
    Case("sylvester_triangular", amortized(bijectors.Sylvester, basis="triangular", reverse=True), (3,), (2,)),
    # Networks that increase in every element.
    Case("block_autoregressive", block_autoregressive([3], (3, 2)), (3,)),
    Case("block_autoregressive_conditional", block_autoregressive([2], 2, condition_shape=(2, 2)), (2,), (2, 2)),
    # Residual layers.
    Case("residual", residual_layer(lipschitz_mlp, (3,)), (3,)),
    Case("residual_conditional", residual_layer(lipschitz_mlp, (3,), (2, 2)), (3,), (2, 2)),
    Case("residual_image", residual_layer(lipschitz_conv_net, (3, 2, 2), (2,)), (3, 2, 2), (2,)),
    Case("continuous", continuous(), (3,)),
    Case("continuous_conditional", continuous((2,)), (3,), (2,)),
    # Other bijectors.
    Case("principal_axes", principal_axes, (3,)),
    Case("act_norm", lambda dtype: bijectors.ActNorm([3], dtype=dtype), (3,)),
    Case("act_norm_image", lambda dtype: bijectors.ActNorm([2, 2, 3], dtype=dtype), (2, 2, 3)),
    Case("invertible_linear", lambda dtype: bijectors.InvertibleLinear([4], seed=3, dtype=dtype), (4,)),
    Case("invertible_linear_orthogonal", orthogonal, (4,)),
    Case("invertible_conv_1x1", lambda dtype: bijectors.InvertibleConv1x1([2, 2, 3], seed=3, dtype=dtype), (2, 2, 3)),
    Case(
        "invertible_linear_qr", lambda dtype: bijectors.InvertibleLinear([4], parametrization="qr", dtype=dtype), (4,)
    ),
    Case(
        "invertible_conv_1x1_of_any_size",
        lambda dtype: bijectors.InvertibleConv1x1(3, seed=3, parametrization="qr", dtype=dtype),
        (2, 2, 3),
    ),
    Case("glow_block", glow_block(), (2, 3, 2)),
    Case("glow_block_conditional", glow_block(condition_shape=[2]), (2, 3, 2), (2,)),
    Case("squeeze", lambda dtype: bijectors.Squeeze(), (4, 6, 1), any_shape=True),
    Case("squeeze_checkerboard", lambda dtype: bijectors.Squeeze(3, order="checkerboard"), (3, 6, 2), any_shape=True),
    Case("squeeze_dispersed", lambda dtype: bijectors.Squeeze(3, order="dispersed"), (3, 6, 2), any_shape=True),
    Case("multiscale_of_thirds", multiscale_of_thirds, (4, 4, 1), sample=positive),
    Case("multiscale", multiscale(), (4, 4, 1), sample=positive),
    Case("multiscale_conditional", multiscale((2,)), (4, 4, 1), (2,), sample=positive),
    Case(
        "coupling_conv_net_image_condition",
        coupling(transformers.Affine, conv_net, masks.channel(3, 2, 2), (3, 2, 1)),
        (3, 2, 2),
        (3, 2, 1),
    ),
    Case("logit", lambda dtype: bijectors.Logit(0.05), (3,), sample=unit, any_shape=True),
    Case("quantile", quantile((3,)), (3,), sample=unit),
    Case("quantile_image", quantile((2, 2, 2)), (2, 2, 2), sample=unit),
    Case("permute", lambda dtype: bijectors.Permute([2, 0, 1]), (3,)),
    Case("reverse", lambda dtype: bijectors.Reverse(), (3,), any_shape=True),
    Case("stock", lambda dtype: bijectors.Stock(tfb.Softplus()), (), sample=positive, any_shape=True),
    Case(
        "stock_variable", lambda dtype: bijectors.Stock(tfb.Scale(tf.Variable(np.ones(3, dtype)))), (3,), any_shape=True
    ),
    Case("sinh", lambda dtype: bijectors.Sinh([True, False, True], dtype=dtype), (3,)),
    Case("circle", circle, (3,), sample=hours),
    Case("subvector", subvector(), (4,)),
    Case("subvector_conditional", subvector((2,)), (4,), (2,)),
    Case("pareto_tails", lambda dtype: bijectors.ParetoTails([True, False, True], dtype=dtype), (3,)),
    Case("sphere", lambda dtype: bijectors.Sphere(dtype=dtype), (3,), sample=directions, is_surface=True),
    Case("around_axis", around_axis(), (3,), sample=directions, is_surface=True),
    Case("around_axis_conditional", around_axis((2,)), (3,), (2,), directions, is_surface=True),
    Case("support", support, (4,), sample=within_support),
    Case("invert", lambda dtype: bijectors.Invert(coupling(spline)(dtype)), (3,), sample=wide),
    Case("invert_conditional", lambda dtype: bijectors.Invert(coupling(spline, mlp, None, (2,))(dtype)), (3,), (2,)),
    Case("conditioned", conditioned(()), (3,)),
    Case("conditioned_batch", conditioned((2,)), (2, 3)),
    Case("chain", chain(), (3,), sample=positive),
    Case("chain_conditional", chain((2,)), (3,), (2,), sample=positive),
]

#: Flows put together here, and a base with weights.
DISTRIBUTIONS = [
    Case("flow_batch_base", flow(batch_base), (2, 3)),
    Case("flow_learned_base", flow(learned_base), (3,)),
    Case(
        "conditional_normal",
        lambda dtype: distributions.ConditionalNormal([3], [2], hidden_units=[8], activation="tanh", dtype=dtype),
        (3,),
        (2,),
    ),
    Case("flow_conditional_base", conditional_base, (3,), (2,)),
]

#: The recipes of `flows`.
RECIPES = [
    Case("nice", recipe(flows.NICE, hidden_units=[8]), (3,)),
    Case("nice_conditional", recipe(flows.NICE, hidden_units=[8], condition_shape=[2]), (3,), (2,)),
    Case("real_nvp", recipe(flows.RealNVP, hidden_units=[8]), (3,)),
    Case("real_nvp_conditional", recipe(flows.RealNVP, hidden_units=[8], condition_shape=[2]), (3,), (2,)),
    Case("real_nvp_scalar", recipe(flows.RealNVP, event_shape=[1], hidden_units=[8]), (1,)),
    Case("real_nvp_separate", recipe(flows.RealNVP, hidden_units=[8], separate_networks=True), (3,)),
    Case("maf", recipe(flows.MAF, hidden_units=[8]), (3,)),
    Case("maf_conditional", recipe(flows.MAF, hidden_units=[8], condition_shape=[2]), (3,), (2,)),
    Case(
        "maf_spline_random", recipe(flows.MAF, hidden_units=8, num_blocks=1, transformer=spline(), order="random"), (3,)
    ),
    Case("maf_scalar", recipe(flows.MAF, event_shape=[1], hidden_units=[8]), (1,)),
    Case("iaf", recipe(flows.IAF, hidden_units=[8]), (3,)),
    Case("iaf_conditional", recipe(flows.IAF, hidden_units=[8], condition_shape=[2]), (3,), (2,)),
    Case("planar_flow", recipe(flows.PlanarFlow), (3,)),
    Case("planar_flow_conditional", recipe(flows.PlanarFlow, hidden_units=8, condition_shape=[2]), (3,), (2,)),
    Case("radial_flow", recipe(flows.RadialFlow), (3,)),
    Case("radial_flow_conditional", recipe(flows.RadialFlow, hidden_units=8, condition_shape=[2]), (3,), (2,)),
    Case("sylvester_flow", recipe(flows.SylvesterFlow), (3,)),
    Case("sylvester_flow_conditional", recipe(flows.SylvesterFlow, hidden_units=8, condition_shape=[2]), (3,), (2,)),
    Case("augmented_flow", recipe(flows.AugmentedFlow, hidden_units=[8], num_samples=3), (3,)),
    Case(
        "augmented_flow_conditional",
        recipe(flows.AugmentedFlow, hidden_units=[8], num_noise=2, condition_shape=[2]),
        (3,),
        (2,),
    ),
    Case("tar_flow", tar_flow(), (4, 4, 1)),
    Case("tar_flow_conditional", tar_flow(condition_shape=[2]), (4, 4, 1), (2,)),
    Case("block_naf", block_naf(), (2,)),
    Case("block_naf_conditional", block_naf(condition_shape=[2]), (2,), (2,)),
    Case("residual_flow", residual_flow(), (3,)),
    Case("residual_flow_conditional", residual_flow(condition_shape=[2]), (3,), (2,)),
    Case("residual_flow_estimated", residual_flow(max_exact=0, num_terms=3), (3,)),
    Case("circular_spline_flow", circular_spline_flow(), (3,), sample=angles),
    Case(
        "circular_spline_flow_mixed",
        circular_spline_flow(event_shape=[4], circular=[True, False, True, False], condition_shape=[2]),
        (4,),
        (2,),
        sample=angles,
    ),
    Case("spherical_spline_flow", spherical(), (3,), sample=directions, is_surface=True),
    Case(
        "spherical_spline_flow_conditional",
        spherical(condition_shape=[2]),
        (3,),
        (2,),
        sample=directions,
        is_surface=True,
    ),
    Case("continuous_flow", continuous_flow(), (3,)),
    Case("continuous_flow_estimated", continuous_flow(max_exact=0, condition_shape=[2]), (3,), (2,)),
    Case("glow", glow(), (4, 4, 1)),
    Case("glow_conditional", glow(condition_shape=[2]), (4, 4, 1), (2,)),
    Case("glow_spline_plain_prior", glow(transformer=spline(), learned_prior=False), (4, 4, 1)),
    Case("image_real_nvp", image_real_nvp(num_levels=1), (4, 4, 1), sample=unit),
    Case("image_real_nvp_conditional", image_real_nvp(condition_shape=[4, 4, 1], alpha=None), (4, 4, 1), (4, 4, 1)),
    Case("flow_plus_plus", flow_plus_plus(alpha=None), (4, 4, 1)),
    Case(
        "flow_plus_plus_conditional",
        flow_plus_plus(transformers.Affine, condition_shape=[2], alpha=None),
        (4, 4, 1),
        (2,),
    ),
    Case("image_residual_flow", image_residual_flow(), (4, 4, 1), sample=unit),
    Case(
        "image_residual_flow_conditional",
        image_residual_flow(condition_shape=[4, 4, 1], alpha=None),
        (4, 4, 1),
        (4, 4, 1),
    ),
    Case("subscale_flow", subscale(), (4, 4, 1), sample=unit),
    Case("subscale_flow_conditional", subscale(transformers.Affine, condition_shape=[2]), (4, 4, 1), (2,), sample=unit),
    Case("neural_spline", recipe(flows.NeuralSplineFlow, hidden_units=8, transformer=spline()), (3,)),
    Case(
        "neural_spline_conditional",
        recipe(flows.NeuralSplineFlow, hidden_units=8, transformer=spline(), condition_shape=[2]),
        (3,),
        (2,),
    ),
]

FLOWS = DISTRIBUTIONS + RECIPES
CASES = BIJECTORS + FLOWS

#: Recipes of each kind: of couplings, autoregressive, of images, with estimates, with a solver, with a bound.
OF_EACH_KIND = (
    "neural_spline_conditional",
    "maf_conditional",
    "glow_conditional",
    "residual_flow_estimated",
    "continuous_flow_estimated",
    "augmented_flow",
)

#: Transformers of many operations in structures that other transformers are in; other cases have them in another one.
SEEN_ELSEWHERE = (
    "elementwise_rational_quadratic",
    "coupling_circular_spline",
    "coupling_mixture_of_logistics",
    "coupling_from_bijector",
    "coupling_bernstein",
    "coupling_deep_sigmoidal",
    "coupling_sum_of_squares",
    "coupling_unconstrained_monotonic",
    "autoregressive_circular_spline",
    "autoregressive_mixture_of_logistics",
    "autoregressive_from_bijector",
    "autoregressive_bernstein",
)


def each(cases: list[Case], *, recipes: bool = False, conditional: bool = False) -> list[Any]:
    """The cases as parameters of a test.

    Unless `recipes`, those of other kinds than `OF_EACH_KIND` are exhaustive: what holds for the layers and for one
    recipe of each kind holds for them, but for their own mistakes. So are the layers `SEEN_ELSEWHERE`. Of cases that
    are there with a condition and without, those with it are usual if `conditional`, else those without.
    """
    names = {case.name for case in CASES}

    def is_usual(case: Case) -> bool:
        if case.name in OF_EACH_KIND:
            return True
        if case.name in SEEN_ELSEWHERE or (case in RECIPES and not recipes):
            return False
        plain = case.name.removesuffix("_conditional")
        is_twin = {plain, f"{plain}_conditional"} <= names
        return not is_twin or (case.name != plain) == conditional

    return [pytest.param(case, id=case.name, marks=() if is_usual(case) else pytest.mark.exhaustive) for case in cases]


def is_the_fullest(case: Case) -> bool:
    """Whether a case is not there with a condition too."""
    return f"{case.name}_conditional" not in {other.name for other in CASES}


def in_unit_interval(flow: distributions.Flow) -> distributions.Flow:
    """A flow of numbers in [0, 1] from one of real numbers."""
    layers = bijectors.Chain([bijectors.Logit(0.0), flow.bijector])
    return distributions.Flow(flow.distribution, layers, recipe=flow.recipe())


@functools.cache
def built(case: Case, dtype: str = "float32") -> Any:
    """The object of a case, built once, its weights moved away from where they start."""
    return randomized(case.make(dtype))


def randomized(module: tf.Module) -> Any:
    rng = np.random.default_rng(7)
    for variable in module.trainable_variables:
        variable.assign_add(0.2 * rng.normal(size=variable.shape).astype(variable.dtype.name))
    return module


def data(case: Case, dtype: str = "float32", batch_shape: tuple[int, ...] = (6,)) -> tuple[np.ndarray, Any]:
    """x and condition of a case."""
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    x = case.sample(rng, (*batch_shape, *case.event_shape)).astype(dtype)
    if case.condition_shape is None:
        return x, None
    return x, rng.normal(size=(*batch_shape, *case.condition_shape)).astype(dtype)


def results(case: Case, module: Any, dtype: str = "float32") -> list[np.ndarray]:
    """What a case computes of its data."""
    x, condition = data(case, dtype)
    keywords = {} if condition is None else {"condition": condition}
    if isinstance(module, tfd.Distribution):
        return [module.log_prob(x, **keywords).numpy()]
    return [value.numpy() for value in module.inverse_and_log_det(x, **keywords)]
