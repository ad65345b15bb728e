"""What tests share: how long hypothesis looks for a counterexample, and a Windows to simulate."""

import os

import pytest
from crowd import amount
from hypothesis import HealthCheck, settings

from spiff_element_units.cache import platform

settings.register_profile(
    "moderate",
    deadline=None,
    max_examples=amount("EXAMPLES", 150),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("moderate")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that no process is left with it alone."""
    items.sort(key=lambda item: item.path.name not in ("test_growth.py", "test_crashes.py"))


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Windows lacks is lacking."""
    monkeypatch.setattr(platform, "WINDOWS", True)
    monkeypatch.setattr(platform, "READS_AT", False)
    monkeypatch.setattr(platform, "NO_FOLLOW", 0)
    monkeypatch.setattr(platform, "SYNC", os.O_RDWR)
    monkeypatch.setattr(platform, "fcntl", None)
    monkeypatch.setattr(platform, "PAUSE", 0)
    monkeypatch.setattr(os, "supports_fd", set())
    monkeypatch.delattr(os, "pread", raising=False)
