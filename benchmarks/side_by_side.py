"""Times actions side by side, in one process, and starts the servers that they need."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from servers import SERVERS, Missing

__all__ = ["Missing", "in_turns", "running"]


def in_turns(rounds: int, *actions: Callable[[], object], warm_up: int) -> list[float]:
    """The median time of each action in milliseconds. Each round does all of them.

    `warm_up` more rounds run before, and are not counted.
    """
    times: list[list[float]] = [[] for _ in actions]
    for number in range(warm_up + rounds):
        for of_action, action in zip(times, actions):
            start = perf_counter()
            action()
            if number >= warm_up:
                of_action.append(1000 * (perf_counter() - start))
    return [median(of_action) for of_action in times]


@contextmanager
def running(name: str) -> Iterator[Any]:
    """A server, which ends with the block. Raises Missing."""
    with tempfile.TemporaryDirectory(prefix="bench-") as top:
        os.chmod(top, 0o711)  # PostgreSQL does not run as root
        folder = Path(top, name)
        folder.mkdir()
        with SERVERS[name](folder) as server:
            yield server
