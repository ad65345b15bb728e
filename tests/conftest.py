"""What all tests share: how long hypothesis looks for a counterexample."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "moderate",
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("moderate")
