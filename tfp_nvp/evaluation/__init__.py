"""How good a flow is, in numbers and pictures."""

from tfp_nvp.evaluation.plots import plot_corner, plot_density_2d, plot_history

__all__ = ["plot_corner", "plot_density_2d", "plot_history"]
