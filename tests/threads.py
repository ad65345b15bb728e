"""Threads that do the same thing at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable


def at_once(number: int, action: Callable[[], Any]) -> list[Any]:
    """The results of an action that several threads do at the same time."""
    barrier = threading.Barrier(number)

    def run(_: int) -> Any:
        barrier.wait()
        return action()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(run, range(number)))
