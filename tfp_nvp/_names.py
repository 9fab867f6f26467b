"""The public names, each with the module that defines it: the one table of what users may import.

A module is imported when one of its names is first used, so that `import tfp_nvp` does not wait for TensorFlow.
`python -m tfp_nvp._stubs` writes the table for editors and type checkers.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

#: Public package -> public name -> the module that defines it; a public module has its own path.
NAMES: dict[str, dict[str, str]] = {
    "tfp_nvp.any_order": {
        "AtomReal": "tfp_nvp.any_order.number",
        "Boolean": "tfp_nvp.any_order.category",
        "Bounded": "tfp_nvp.any_order.number",
        "Category": "tfp_nvp.any_order.category",
        "Count": "tfp_nvp.any_order.number",
        "Date": "tfp_nvp.any_order.date",
        "Integer": "tfp_nvp.any_order.number",
        "Ordinal": "tfp_nvp.any_order.category",
        "Periodic": "tfp_nvp.any_order.periodic",
        "Positive": "tfp_nvp.any_order.number",
        "Real": "tfp_nvp.any_order.number",
        "Schema": "tfp_nvp.any_order.schema",
    },
    "tfp_nvp.bijectors": {
        "ActNorm": "tfp_nvp.bijectors.act_norm",
        "Autoregressive": "tfp_nvp.bijectors.autoregressive",
        "Bijector": "tfp_nvp.bijectors.bijector",
        "AroundAxis": "tfp_nvp.bijectors.around_axis",
        "BlockAutoregressive": "tfp_nvp.bijectors.block_autoregressive",
        "Chain": "tfp_nvp.bijectors.chain",
        "Circle": "tfp_nvp.bijectors.circle",
        "Conditioned": "tfp_nvp.bijectors.conditioned",
        "Continuous": "tfp_nvp.bijectors.continuous",
        "Coupling": "tfp_nvp.bijectors.coupling",
        "Elementwise": "tfp_nvp.bijectors.elementwise",
        "GlowBlock": "tfp_nvp.bijectors.glow_block",
        "Invert": "tfp_nvp.bijectors.invert",
        "InvertibleConv1x1": "tfp_nvp.bijectors.invertible_conv",
        "InvertibleLinear": "tfp_nvp.bijectors.invertible_linear",
        "Logit": "tfp_nvp.bijectors.logit",
        "Multiscale": "tfp_nvp.bijectors.multiscale",
        "ParetoTails": "tfp_nvp.bijectors.pareto_tails",
        "Permute": "tfp_nvp.bijectors.permute",
        "Planar": "tfp_nvp.bijectors.planar",
        "PrincipalAxes": "tfp_nvp.bijectors.principal_axes",
        "Quantile": "tfp_nvp.bijectors.quantile",
        "Radial": "tfp_nvp.bijectors.radial",
        "Residual": "tfp_nvp.bijectors.residual",
        "Reverse": "tfp_nvp.bijectors.permute",
        "Sinh": "tfp_nvp.bijectors.sinh",
        "Sphere": "tfp_nvp.bijectors.sphere",
        "Squeeze": "tfp_nvp.bijectors.squeeze",
        "Stock": "tfp_nvp.bijectors.stock",
        "Subvector": "tfp_nvp.bijectors.subvector",
        "Support": "tfp_nvp.bijectors.support",
        "Sylvester": "tfp_nvp.bijectors.sylvester",
    },
    "tfp_nvp.conditioners": {
        "MADE": "tfp_nvp.conditioners.made",
        "MLP": "tfp_nvp.conditioners.mlp",
        "CausalTransformer": "tfp_nvp.conditioners.causal_transformer",
        "ConvNet": "tfp_nvp.conditioners.conv_net",
        "GatedConvNet": "tfp_nvp.conditioners.gated_conv_net",
        "LipschitzConvNet": "tfp_nvp.conditioners.lipschitz_conv_net",
        "LipschitzMLP": "tfp_nvp.conditioners.lipschitz_mlp",
        "PeriodicFeatures": "tfp_nvp.conditioners.periodic_features",
        "ResidualConvNet": "tfp_nvp.conditioners.residual_conv_net",
        "ResidualMADE": "tfp_nvp.conditioners.residual_made",
        "ResidualMLP": "tfp_nvp.conditioners.residual_mlp",
        "Separate": "tfp_nvp.conditioners.separate",
        "ZeroConv": "tfp_nvp.conditioners.conv_net",
    },
    "tfp_nvp.distributions": {
        "ConditionalNormal": "tfp_nvp.distributions.conditional_normal",
        "Dequantized": "tfp_nvp.distributions.dequantized",
        "Flow": "tfp_nvp.distributions.flow",
        "GaussianMixture": "tfp_nvp.distributions.gaussian_mixture",
        "MixtureOfFlows": "tfp_nvp.distributions.mixture_of_flows",
        "StandardNormal": "tfp_nvp.distributions.standard_normal",
        "TorusNormal": "tfp_nvp.distributions.torus_normal",
    },
    "tfp_nvp.evaluation": {
        "SampleImages": "tfp_nvp.evaluation.sample_images",
        "c2st": "tfp_nvp.evaluation._c2st",
        "credibility": "tfp_nvp.evaluation.calibration",
        "mmd": "tfp_nvp.evaluation._mmd",
        "plot_calibration": "tfp_nvp.evaluation.calibration_plot",
        "plot_corner": "tfp_nvp.evaluation.corner_plot",
        "plot_density_2d": "tfp_nvp.evaluation.density_plot",
        "plot_history": "tfp_nvp.evaluation.history_plot",
        "plot_images": "tfp_nvp.evaluation.images",
        "ranks": "tfp_nvp.evaluation.calibration",
        "sheet": "tfp_nvp.evaluation.images",
        "tarp": "tfp_nvp.evaluation._tarp",
    },
    "tfp_nvp.flows": {
        "IAF": "tfp_nvp.flows.iaf",
        "MAF": "tfp_nvp.flows.maf",
        "NICE": "tfp_nvp.flows.nice",
        "AugmentedFlow": "tfp_nvp.flows.augmented",
        "BlockNAF": "tfp_nvp.flows.block_naf",
        "CircularSplineFlow": "tfp_nvp.flows.circular_spline",
        "ContinuousFlow": "tfp_nvp.flows.continuous",
        "FlowPlusPlus": "tfp_nvp.flows.flow_plus_plus",
        "Glow": "tfp_nvp.flows.glow",
        "ImageRealNVP": "tfp_nvp.flows.image_real_nvp",
        "ImageResidualFlow": "tfp_nvp.flows.image_residual",
        "NeuralSplineFlow": "tfp_nvp.flows.neural_spline",
        "PlanarFlow": "tfp_nvp.flows.planar",
        "RadialFlow": "tfp_nvp.flows.radial",
        "RealNVP": "tfp_nvp.flows.real_nvp",
        "ResidualFlow": "tfp_nvp.flows.residual",
        "SphericalSplineFlow": "tfp_nvp.flows.spherical_spline",
        "SubscaleFlow": "tfp_nvp.flows.subscale",
        "SylvesterFlow": "tfp_nvp.flows.sylvester",
        "TarFlow": "tfp_nvp.flows.tar_flow",
    },
    "tfp_nvp.inference": {
        "Chains": "tfp_nvp.inference.chains",
        "Evidence": "tfp_nvp.inference.evidences",
        "ForwardKL": "tfp_nvp.inference.objectives",
        "ImportanceSample": "tfp_nvp.inference.importance",
        "ImportanceWeighted": "tfp_nvp.inference.objectives",
        "NLE": "tfp_nvp.inference.simulators",
        "ReverseKL": "tfp_nvp.inference.objectives",
        "SurrogateFit": "tfp_nvp.inference.surrogate_fit",
        "best_start": "tfp_nvp.inference.starts",
        "diagonal_start": "tfp_nvp.inference.starts",
        "evidence": "tfp_nvp.inference.evidences",
        "fit_surrogate": "tfp_nvp.inference.surrogate_fit",
        "importance_sample": "tfp_nvp.inference.importance",
        "laplace_start": "tfp_nvp.inference.starts",
        "neutra": "tfp_nvp.inference._neutra",
        "sample_chains": "tfp_nvp.inference.chains",
        "surrogate_posterior": "tfp_nvp.inference.surrogates",
        "tsnpe": "tfp_nvp.inference.simulators",
    },
    "tfp_nvp.serving": {
        "Client": "tfp_nvp.serving._asking.client",
        "Deployment": "tfp_nvp.serving._deploying.deployment",
        "InvalidRequest": "tfp_nvp.serving._asking.errors",
        "NotFound": "tfp_nvp.serving._asking.errors",
        "ServedFlow": "tfp_nvp.serving._asking.served_flow",
        "ServingError": "tfp_nvp.serving._asking.errors",
        "TimedOut": "tfp_nvp.serving._asking.errors",
        "Unavailable": "tfp_nvp.serving._asking.errors",
        "export": "tfp_nvp.serving._exporting.export",
        "labels": "tfp_nvp.serving._folders.version_labels",
        "load": "tfp_nvp.serving._asking.served_flow",
        "models_in": "tfp_nvp.serving._deploying.deployment",
        "read_card": "tfp_nvp.serving._folders.model_card",
        "remove_label": "tfp_nvp.serving._folders.version_labels",
        "remove_old_versions": "tfp_nvp.serving._folders.retention",
        "set_label": "tfp_nvp.serving._folders.version_labels",
        "size_report": "tfp_nvp.serving._folders.model_card",
        "write_deployment": "tfp_nvp.serving._deploying.deployment",
    },
    "tfp_nvp.sklearn": {
        "FlowConditional": "tfp_nvp.sklearn.flow_conditional",
        "FlowDensity": "tfp_nvp.sklearn.flow_density",
        "FlowOutlier": "tfp_nvp.sklearn.flow_outlier",
    },
    "tfp_nvp.solvers": {
        "AdaptiveDormandPrince": "tfp_nvp.solvers.runge_kutta",
        "DormandPrince5": "tfp_nvp.solvers.runge_kutta",
        "RungeKutta4": "tfp_nvp.solvers.runge_kutta",
        "Solver": "tfp_nvp.solvers.solver",
    },
    "tfp_nvp.testing": {
        "Check": "tfp_nvp.testing.report",
        "Report": "tfp_nvp.testing.report",
        "check_bijector": "tfp_nvp.testing.bijector_checks",
        "check_flow": "tfp_nvp.testing.flow_checks",
    },
    "tfp_nvp.training": {
        "AnomalyDetector": "tfp_nvp.training._anomalies.anomaly_detector",
        "FlowMatching": "tfp_nvp.training._matching.flow_matching",
        "FlowModel": "tfp_nvp.training._models.flow_model",
        "Plan": "tfp_nvp.training._tables.plan",
        "Schema": "tfp_nvp.training._models.schema",
        "TableModel": "tfp_nvp.training._any_order.table_model",
        "TablePlan": "tfp_nvp.training._any_order.table_plan",
        "distill": "tfp_nvp.training._matching.distill",
        "fit": "tfp_nvp.training._tables.fit",
        "fit_table": "tfp_nvp.training._any_order.fit_table",
        "load_model": "tfp_nvp.training._models.load_model",
        "plan_for": "tfp_nvp.training._tables.plan",
        "table_plan_for": "tfp_nvp.training._any_order.table_plan",
    },
    "tfp_nvp.transformers": {
        "Affine": "tfp_nvp.transformers.affine",
        "Bernstein": "tfp_nvp.transformers.bernstein",
        "CircularSpline": "tfp_nvp.transformers.circular_spline",
        "DeepSigmoidal": "tfp_nvp.transformers.deep_sigmoidal",
        "FromBijector": "tfp_nvp.transformers.from_bijector",
        "MixtureOfLogistics": "tfp_nvp.transformers.mixture_of_logistics",
        "RationalQuadratic": "tfp_nvp.transformers.rational_quadratic",
        "Shift": "tfp_nvp.transformers.shift",
        "SumOfSquares": "tfp_nvp.transformers.sum_of_squares",
        "Transformer": "tfp_nvp.transformers.transformer",
        "UnconstrainedMonotonic": "tfp_nvp.transformers.unconstrained_monotonic",
    },
}

#: The names of packages that `tfp_nvp` has too. It has all recipes, and the public packages and modules themselves.
_AT_THE_TOP = {
    "any_order": ("Schema",),
    "distributions": ("Dequantized", "Flow"),
    "serving": ("export",),
    "training": (
        "AnomalyDetector",
        "FlowMatching",
        "FlowModel",
        "TableModel",
        "distill",
        "fit",
        "fit_table",
        "load_model",
    ),
}
NAMES["tfp_nvp"] = (
    NAMES["tfp_nvp.flows"]
    | {name: NAMES[f"tfp_nvp.{package}"][name] for package, names in _AT_THE_TOP.items() for name in names}
    | {package.partition(".")[2]: package for package in (*NAMES, "tfp_nvp.masks")}
)

#: The recipes of `tfp_nvp.flows` whose events are images.
IMAGE_FLOWS = {"FlowPlusPlus", "Glow", "ImageRealNVP", "ImageResidualFlow", "SubscaleFlow", "TarFlow"}

#: Those whose events are vectors.
VECTOR_FLOWS = tuple(name for name in NAMES["tfp_nvp.flows"] if name not in IMAGE_FLOWS)

_OF_EVERY_MODULE = ("__doc__", "__file__", "__loader__", "__name__", "__package__", "__path__", "__spec__")


def recipe_called(name: Any) -> str | None:
    """The public name of a recipe of vectors from any spelling, "real-nvp", "RealNVP" or "realnvp"; None if unknown."""
    plain = {known.lower(): known for known in VECTOR_FLOWS}
    return plain.get(name.lower().replace("-", "").replace("_", "")) if isinstance(name, str) else None


def lazy(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The functions by which a package imports a module when one of its names is first used (PEP 562).

    Args:
      package: the package's full name, a key of `NAMES`.

    Returns:
      Its `__getattr__`, `__dir__` and `__all__`.
    """
    names = NAMES[package]

    def __getattr__(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(names[name])
        value = module if names[name] == f"{package}.{name}" else getattr(module, name)
        setattr(sys.modules[package], name, value)  # later uses do not come here
        return value

    def __dir__() -> list[str]:
        version = {"__version__"} & vars(sys.modules[package]).keys()
        return sorted({"__all__", *_OF_EVERY_MODULE, *version, *names})

    return __getattr__, __dir__, list(names)
