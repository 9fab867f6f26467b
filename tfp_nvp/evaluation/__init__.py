"""How good a flow is, in numbers and pictures."""

from tfp_nvp.evaluation.calibration import credibility, ranks
from tfp_nvp.evaluation.images import plot_images, sheet
from tfp_nvp.evaluation.plots import plot_calibration, plot_corner, plot_density_2d, plot_history
from tfp_nvp.evaluation.sample_images import SampleImages

__all__ = [
    "SampleImages",
    "credibility",
    "plot_calibration",
    "plot_corner",
    "plot_density_2d",
    "plot_history",
    "plot_images",
    "ranks",
    "sheet",
]
