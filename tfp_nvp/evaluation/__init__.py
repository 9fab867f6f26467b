"""How good a flow is, in numbers and pictures."""

from tfp_nvp.evaluation.calibration import credibility, ranks
from tfp_nvp.evaluation.plots import plot_calibration, plot_corner, plot_density_2d, plot_history

__all__ = ["credibility", "plot_calibration", "plot_corner", "plot_density_2d", "plot_history", "ranks"]
