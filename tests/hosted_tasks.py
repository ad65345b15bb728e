"""The Celery application of examples/celery on several hosts: each step says which host did it.

It says so in the transaction of the step. A test can hold the steps of a host just before their
commit, when they have locked their rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import application
import tasks
from sqlalchemy import Column, Connection, Integer, String, Table, event, func, insert, select, text

app = tasks.app
HOST = os.environ.get("HOST", "")
STEPS = Table(
    "steps",
    application.metadata,
    Column("number", Integer, primary_key=True),
    Column("host", String(64), nullable=False),
    Column("instance_id", String(64), nullable=False),
)


class Hosted(application.Application):
    def __init__(self) -> None:
        super().__init__()
        if HOST:
            event.listen(self.engine, "commit", pass_gate)

    @contextmanager
    def step(self, instance_id: str) -> Iterator[application.Step]:
        with super().step(instance_id) as step:
            yield step
            step.connection.execute(insert(STEPS).values(host=HOST, instance_id=instance_id))


tasks.Application = Hosted


def gate(host: str) -> int:
    """The key of the advisory lock without which no step of a host is committed."""
    return crc32(host.encode()) >> 1


def pass_gate(connection: Connection) -> None:
    connection.execute(text("SET LOCAL lock_timeout = 0"))  # a closed gate is no Conflict
    connection.execute(select(func.pg_advisory_xact_lock_shared(gate(HOST))))


@contextmanager
def closed_gate(here: Any, host: str) -> Iterator[None]:
    """Hold the commits of a host."""
    with here.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(select(func.pg_advisory_lock(gate(host))))
        try:
            yield
        finally:
            connection.execute(select(func.pg_advisory_unlock(gate(host))))


def held(here: Any, host: str) -> bool:
    """Whether a step of the host has saved all its rows, and waits at the closed gate."""
    waiting = text(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = :key AND NOT granted"
    )
    with here.engine.connect() as connection:
        return bool(connection.execute(waiting, {"key": gate(host)}).scalar_one())


def steps_of(here: Any, host: str) -> int:
    """How many steps a host has done."""
    count = select(func.count()).where(STEPS.c.host == host)
    with here.engine.connect() as connection:
        return int(connection.execute(count).scalar_one())
