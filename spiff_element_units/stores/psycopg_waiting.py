"""Connections of psycopg that do not wait for ever.

PostgreSQL ends a statement that takes too long, and the operating system ends a connection whose
other end is gone. Neither helps if the server is there and does not answer. psycopg has no limit
for that.
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
    """Passes on what psycopg waits for. psycopg continues it at least every tenth of a second."""
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
