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
    "tfp_nvp.bijectors": {
        "ActNorm": "tfp_nvp.bijectors.act_norm",
        "Autoregressive": "tfp_nvp.bijectors.autoregressive",
        "Bijector": "tfp_nvp.bijectors.bijector",
        "Chain": "tfp_nvp.bijectors.chain",
        "Conditioned": "tfp_nvp.bijectors.conditioned",
        "Coupling": "tfp_nvp.bijectors.coupling",
        "Elementwise": "tfp_nvp.bijectors.elementwise",
        "Invert": "tfp_nvp.bijectors.invert",
        "InvertibleConv1x1": "tfp_nvp.bijectors.invertible_conv",
        "InvertibleLinear": "tfp_nvp.bijectors.invertible_linear",
        "Logit": "tfp_nvp.bijectors.logit",
        "Multiscale": "tfp_nvp.bijectors.multiscale",
        "Permute": "tfp_nvp.bijectors.permute",
        "PrincipalAxes": "tfp_nvp.bijectors.principal_axes",
        "Quantile": "tfp_nvp.bijectors.quantile",
        "Reverse": "tfp_nvp.bijectors.permute",
        "Sinh": "tfp_nvp.bijectors.sinh",
        "Squeeze": "tfp_nvp.bijectors.squeeze",
        "Stock": "tfp_nvp.bijectors.stock",
        "Support": "tfp_nvp.bijectors.support",
    },
    "tfp_nvp.conditioners": {
        "MADE": "tfp_nvp.conditioners.made",
        "MLP": "tfp_nvp.conditioners.mlp",
        "ConvNet": "tfp_nvp.conditioners.conv_net",
        "GatedConvNet": "tfp_nvp.conditioners.gated_conv_net",
        "ResidualConvNet": "tfp_nvp.conditioners.residual_conv_net",
        "ResidualMADE": "tfp_nvp.conditioners.residual_made",
        "ResidualMLP": "tfp_nvp.conditioners.residual_mlp",
        "ZeroConv": "tfp_nvp.conditioners.conv_net",
    },
    "tfp_nvp.distributions": {
        "ConditionalNormal": "tfp_nvp.distributions.conditional_normal",
        "Dequantized": "tfp_nvp.distributions.dequantized",
        "Flow": "tfp_nvp.distributions.flow",
        "StandardNormal": "tfp_nvp.distributions.standard_normal",
    },
    "tfp_nvp.evaluation": {
        "SampleImages": "tfp_nvp.evaluation.sample_images",
        "credibility": "tfp_nvp.evaluation.calibration",
        "plot_calibration": "tfp_nvp.evaluation.calibration_plot",
        "plot_corner": "tfp_nvp.evaluation.corner_plot",
        "plot_density_2d": "tfp_nvp.evaluation.density_plot",
        "plot_history": "tfp_nvp.evaluation.history_plot",
        "plot_images": "tfp_nvp.evaluation.images",
        "ranks": "tfp_nvp.evaluation.calibration",
        "sheet": "tfp_nvp.evaluation.images",
    },
    "tfp_nvp.flows": {
        "IAF": "tfp_nvp.flows.iaf",
        "MAF": "tfp_nvp.flows.maf",
        "NICE": "tfp_nvp.flows.nice",
        "FlowPlusPlus": "tfp_nvp.flows.flow_plus_plus",
        "Glow": "tfp_nvp.flows.glow",
        "ImageRealNVP": "tfp_nvp.flows.image_real_nvp",
        "NeuralSplineFlow": "tfp_nvp.flows.neural_spline",
        "RealNVP": "tfp_nvp.flows.real_nvp",
        "SubscaleFlow": "tfp_nvp.flows.subscale",
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
        "set_label": "tfp_nvp.serving._folders.version_labels",
        "size_report": "tfp_nvp.serving._folders.model_card",
        "write_deployment": "tfp_nvp.serving._deploying.deployment",
    },
    "tfp_nvp.testing": {
        "Check": "tfp_nvp.testing.report",
        "Report": "tfp_nvp.testing.report",
        "check_bijector": "tfp_nvp.testing.bijector_checks",
        "check_flow": "tfp_nvp.testing.flow_checks",
    },
    "tfp_nvp.training": {
        "AnomalyDetector": "tfp_nvp.training._anomalies.anomaly_detector",
        "FlowModel": "tfp_nvp.training._models.flow_model",
        "Plan": "tfp_nvp.training._tables.plan",
        "fit": "tfp_nvp.training._tables.fit",
        "plan_for": "tfp_nvp.training._tables.plan",
    },
    "tfp_nvp.transformers": {
        "Affine": "tfp_nvp.transformers.affine",
        "FromBijector": "tfp_nvp.transformers.from_bijector",
        "MixtureOfLogistics": "tfp_nvp.transformers.mixture_of_logistics",
        "RationalQuadratic": "tfp_nvp.transformers.rational_quadratic",
        "Shift": "tfp_nvp.transformers.shift",
        "Transformer": "tfp_nvp.transformers.transformer",
    },
}

#: The names of packages that `tfp_nvp` has too. It has all recipes, and the public packages and modules themselves.
_AT_THE_TOP = {
    "distributions": ("Dequantized", "Flow"),
    "serving": ("export",),
    "training": ("AnomalyDetector", "FlowModel", "fit"),
}
NAMES["tfp_nvp"] = (
    NAMES["tfp_nvp.flows"]
    | {name: NAMES[f"tfp_nvp.{package}"][name] for package, names in _AT_THE_TOP.items() for name in names}
    | {package.partition(".")[2]: package for package in (*NAMES, "tfp_nvp.masks")}
)

#: The recipes of `tfp_nvp.flows` whose events are images.
IMAGE_FLOWS = {"FlowPlusPlus", "Glow", "ImageRealNVP", "SubscaleFlow"}

_OF_EVERY_MODULE = ("__doc__", "__file__", "__loader__", "__name__", "__package__", "__path__", "__spec__")


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
