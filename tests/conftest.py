"""What all tests share: the settings of hypothesis, the order of long tests, and a fake Windows."""

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
    """Start long tests first, so that at the end no process still runs one alone."""
    items.sort(key=lambda item: item.path.name not in ("test_growth.py", "test_crashes.py"))


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what Windows does not have."""
    monkeypatch.setattr(platform, "WINDOWS", True)
    monkeypatch.setattr(platform, "READS_AT", False)
    monkeypatch.setattr(platform, "NO_FOLLOW", 0)
    monkeypatch.setattr(platform, "SYNC", os.O_RDWR)
    monkeypatch.setattr(platform, "fcntl", None)
    monkeypatch.setattr(platform, "PAUSE", 0)
    monkeypatch.setattr(os, "supports_fd", set())
    monkeypatch.delattr(os, "pread", raising=False)
