"""Connections of psycopg that do not wait for ever.

PostgreSQL itself ends a statement that takes too long, and the system a connection whose other end
is gone. Neither helps if the server is there and silent, and psycopg has no limit of its own.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import psycopg


def limit_waiting(connection: Any, seconds: float) -> None:
    """Let a connection wait at most so many seconds for each answer. Then it closes."""
    wait = connection.wait

    def limited(steps: Any, *args: Any, **kwargs: Any) -> Any:
        return wait(_until(time.monotonic() + seconds, steps, connection), *args, **kwargs)

    connection.wait = limited


def _until(end: float, steps: Any, connection: Any) -> Generator[Any, Any, Any]:
    """What psycopg waits for, step by step; it is told of each tenth of a second without news."""
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > end:
                connection.close()
                raise psycopg.OperationalError("the server did not answer in time")
            wanted = steps.send(ready)
    except StopIteration as done:
        return done.value
