"""How good a flow is, in numbers and pictures."""

from tfp_nvp.evaluation.calibration import credibility, ranks
from tfp_nvp.evaluation.calibration_plot import plot_calibration
from tfp_nvp.evaluation.corner_plot import plot_corner
from tfp_nvp.evaluation.density_plot import plot_density_2d
from tfp_nvp.evaluation.history_plot import plot_history
from tfp_nvp.evaluation.images import plot_images, sheet
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
