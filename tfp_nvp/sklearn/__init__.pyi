# Written by `python -m tfp_nvp._stubs`.

from tfp_nvp.sklearn.flow_conditional import FlowConditional as FlowConditional
from tfp_nvp.sklearn.flow_density import FlowDensity as FlowDensity
from tfp_nvp.sklearn.flow_outlier import FlowOutlier as FlowOutlier
