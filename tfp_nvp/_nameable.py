"""What a file may name: classes of TFP and parts of Keras whose constructors call nothing that the file names.

Of TFP those that take arrays, distributions and bijectors only. Left out is what calls a function that it is given
(`JointDistribution…`, `Autoregressive`, `MarkovChain`, `GaussianProcess`, `Masked`, `PixelCNN`, `Inline`, `FFJORD`,
`MaskedAutoregressiveFlow`, `RealNVP`, `Glow`), or takes what no file holds (linear operators, layers of `tf_keras`).
"""

from __future__ import annotations

import sys
from typing import Any

import keras
import numpy as np

#: The way out, in messages.
TRUST = "If you trust the file, load it with `safe_mode=False`."

_DISTRIBUTIONS = """
    BatchBroadcast BatchConcat BatchReshape Bates Bernoulli Beta BetaBinomial BetaQuotient Binomial Blockwise
    Categorical Cauchy Chi Chi2 CholeskyLKJ ContinuousBernoulli DeterminantalPointProcess Deterministic Dirichlet
    DirichletMultinomial DoublesidedMaxwell Empirical ExpGamma ExpInverseGamma ExpRelaxedOneHotCategorical Exponential
    ExponentiallyModifiedGaussian FiniteDiscrete FlatDirichlet Gamma GammaGamma GeneralizedExtremeValue
    GeneralizedNormal GeneralizedPareto Geometric Gumbel HalfCauchy HalfNormal HalfStudentT HiddenMarkovModel Horseshoe
    Independent Inflated InverseGamma InverseGaussian JohnsonSU Kumaraswamy LKJ LambertWDistribution LambertWNormal
    Laplace LogLogistic LogNormal Logistic LogitNormal Mixture MixtureSameFamily Moyal Multinomial
    MultivariateNormalDiag MultivariateNormalDiagPlusLowRank MultivariateNormalDiagPlusLowRankCovariance
    MultivariateNormalFullCovariance MultivariateNormalTriL NegativeBinomial NoncentralChi2 Normal
    NormalInverseGaussian OneHotCategorical OrderedLogistic PERT Pareto PlackettLuce Poisson PowerSpherical
    ProbitBernoulli QuantizedDistribution RelaxedBernoulli RelaxedOneHotCategorical Sample SigmoidBeta SinhArcsinh
    Skellam SphericalUniform StoppingRatioLogistic StudentT TransformedDistribution Triangular TruncatedCauchy
    TruncatedNormal TwoPieceNormal TwoPieceStudentT Uniform VectorDeterministic VonMises VonMisesFisher Weibull
    WishartTriL ZeroInflatedNegativeBinomial Zipf
    """

_BIJECTORS = """
    AbsoluteValue Ascending Blockwise Chain CholeskyOuterProduct CholeskyToInvCholesky CorrelationCholesky Cumsum
    DiscreteCosineTransform Exp Expm1 FillScaleTriL FillTriangular FrechetCDF GeneralizedExtremeValueCDF
    GeneralizedPareto GompertzCDF GumbelCDF Householder Identity Invert IteratedSigmoidCentered JointMap KumaraswamyCDF
    LambertWTail Log Log1p MatrixInverseTriL MatvecLU MoyalCDF NormalCDF Pad Permute Power PowerTransform
    RationalQuadraticSpline RayleighCDF Reciprocal Reshape Scale ScaleMatvecDiag ScaleMatvecLU ScaleMatvecTriL Shift
    ShiftedGompertzCDF Sigmoid Sinh SinhArcsinh SoftClip Softfloor SoftmaxCentered Softplus Softsign Split Square Tanh
    TransformDiagonal Transpose UnitVector WeibullCDF
    """

DISTRIBUTIONS, BIJECTORS = frozenset(_DISTRIBUTIONS.split()), frozenset(_BIJECTORS.split())

#: Keras' modules whose classes a file may name.
_MODULES = """
    keras.constraints keras.dtype_policies keras.initializers keras.layers keras.losses keras.metrics
    keras.mixed_precision keras.models keras.optimizers keras.optimizers.schedules keras.quantizers keras.random
    keras.regularizers
    """
_KERAS_MODULES = frozenset(_MODULES.split())
_KERAS_CLASSES = frozenset({"DTypePolicy", "FloatDTypePolicy", "Functional", "Model", "Sequential"})
#: Keras' modules whose functions a file may name; "builtins" is where Keras says its activations and losses are.
_KERAS_FUNCTIONS = frozenset({"builtins", "keras.activations", "keras.losses", "keras.metrics", "keras.ops"})
_NOT_FUNCTIONS = frozenset({"deserialize", "get", "serialize"})
#: What Keras writes of plain values.
_PLAIN = frozenset(
    {"__bytes__", "__ellipsis__", "__keras_tensor__", "__lambda__", "__numpy__", "__slice__", "__tensor__"}
)


def safe_mode_is_off() -> bool:
    """Whether the user has said `safe_mode=False`, or that of the whole process: then a file may name anything."""
    from keras.src.saving.serialization_lib import in_safe_mode  # Keras has no public name for it

    return in_safe_mode() is False


def check_keras_names(config: Any, custom_objects: dict[str, Any] | None = None) -> None:
    """Checks every class and function that a config of Keras names, before Keras looks for one.

    Keras' own rule allows every function of its public modules, those that download data among them.

    Raises:
      ValueError: for one that is neither registered, nor in `custom_objects`, nor a part of Keras' models.
    """
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (list, tuple)):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
            if "class_name" in value and not _may_name(value, custom_objects):
                raise ValueError(
                    f"The file names `{value.get('module')}.{_name(value)}`, which is no class of a model, and not "
                    f"registered with keras.saving.register_keras_serializable(). {TRUST}"
                )


def _name(node: dict[str, Any]) -> Any:
    return node.get("config") if node["class_name"] == "function" else node["class_name"]


def _may_name(node: dict[str, Any], custom_objects: dict[str, Any] | None) -> bool:
    kind, module, name = node["class_name"], node.get("module"), _name(node)
    if kind in _PLAIN:
        return kind != "__numpy__" or _is_of_numbers(node.get("config"))
    registered_name = name if kind == "function" else node.get("registered_name") or name
    if not isinstance(registered_name, str) or not isinstance(module, (str, type(None))):
        return False
    if keras.saving.get_registered_object(registered_name, custom_objects=custom_objects) is not None:
        return True
    if kind == "function":
        return module in _KERAS_FUNCTIONS and name not in _NOT_FUNCTIONS
    if module == "keras":
        return name in _KERAS_CLASSES
    return module in _KERAS_MODULES or _is_part_of_keras(str(module), name)


def _is_part_of_keras(module: str, name: str) -> bool:
    """Whether Keras' own module has a model or an operation of this name, such as a functional model is made of."""
    if not module.startswith(("keras.src.models.", "keras.src.ops.")):
        return False
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and issubclass(found, keras.Operation) and found.__module__ == module


def _is_of_numbers(config: Any) -> bool:
    try:
        return np.dtype(config["dtype"]).kind in "biufc"
    except (KeyError, TypeError):
        return False
