# Written by `python -m tfp_nvp._stubs`.

from tfp_nvp.testing.bijector_checks import check_bijector as check_bijector
from tfp_nvp.testing.flow_checks import check_flow as check_flow
from tfp_nvp.testing.report import Check as Check
from tfp_nvp.testing.report import Report as Report
