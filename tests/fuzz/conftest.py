"""Profiles of hypothesis: a few examples, the same in every run; or, of `make fuzz`, many and new ones."""

import os

from hypothesis import HealthCheck, settings

SHARED = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("default", derandomize=True, max_examples=6, **SHARED)
settings.register_profile("long", max_examples=60, print_blob=True, **SHARED)
settings.load_profile(os.environ.get("FUZZ_PROFILE", "default"))
