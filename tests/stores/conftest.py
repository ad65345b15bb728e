"""The servers of the tests of stores, and the store in memory that most of them use."""

from __future__ import annotations

import pytest
from memory_store import MemoryStore
from served import server, servers  # noqa: F401 - fixtures

from spiff_element_units.spiff import loaders


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of `SpecLoaders`. It stands still until a test moves it on."""
    now = [1000.0]
    monkeypatch.setattr(loaders, "monotonic", lambda: now[0])
    return now


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which servers are missing."""
    reasons = {
        report.longrepr[2]
        for report in terminalreporter.stats.get("skipped", [])
        if "tests/stores/" in report.nodeid and isinstance(report.longrepr, tuple)
    }
    for reason in sorted(reasons):
        terminalreporter.write_line(f"stores: {reason}")
