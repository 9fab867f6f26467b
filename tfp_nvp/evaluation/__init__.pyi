# Written by `python -m tfp_nvp._stubs`.

from tfp_nvp.evaluation._c2st import c2st as c2st
from tfp_nvp.evaluation._mmd import mmd as mmd
from tfp_nvp.evaluation._tarp import tarp as tarp
from tfp_nvp.evaluation.calibration import credibility as credibility
from tfp_nvp.evaluation.calibration import ranks as ranks
from tfp_nvp.evaluation.calibration_plot import plot_calibration as plot_calibration
from tfp_nvp.evaluation.corner_plot import plot_corner as plot_corner
from tfp_nvp.evaluation.density_plot import plot_density_2d as plot_density_2d
from tfp_nvp.evaluation.history_plot import plot_history as plot_history
from tfp_nvp.evaluation.images import plot_images as plot_images
from tfp_nvp.evaluation.images import sheet as sheet
from tfp_nvp.evaluation.sample_images import SampleImages as SampleImages
