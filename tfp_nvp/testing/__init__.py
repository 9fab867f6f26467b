"""The verifier: does a bijector or a flow do what it says?"""

from tfp_nvp.testing.check_bijector import check_bijector
from tfp_nvp.testing.check_flow import check_flow
from tfp_nvp.testing.report import Check, Report

__all__ = ["Check", "Report", "check_bijector", "check_flow"]
