"""The queue of instances that are due, in the order of their times.

It promises that workers which take instances from it with locks get different ones, and that none
of them is in the way of another: only the rows that a worker gets are locked.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, or_, select
from sqlalchemy.exc import DBAPIError

from .dialects import (
    is_not_locked,
    lock_database,
    locking,
    nowait_is_harmless,
    require_transaction,
)

_PAGE = 100  # candidates that are read at once


def due_ids(connection: Connection, instances: Table, before: datetime, limit: int) -> list[str]:
    """The first ids, at most `limit`."""
    return list(connection.execute(_due(instances, before).limit(limit)).scalars("id"))


def locked_due_ids(
    connection: Connection, instances: Table, before: datetime, limit: int
) -> list[str]:
    """The same for those that no other transaction has locked, and lock them."""
    require_transaction(connection)
    lock_database(connection, instances)
    if nowait_is_harmless(connection):
        return _locked_one_by_one(connection, instances, before, limit)
    statement = locking(_due(instances, before).limit(limit), connection, skip_locked=True)
    return list(connection.execute(statement).scalars("id"))


def _locked_one_by_one(
    connection: Connection, instances: Table, before: datetime, limit: int
) -> list[str]:
    """For InnoDB. Its SKIP LOCKED locks the gaps of the indexes too, and deadlocks follow."""
    taken: list[str] = []
    for instance_id in _candidates(connection, instances, before, max(limit, _PAGE)):
        one = select(instances.c.id).where(
            instances.c.id == instance_id, instances.c.due_at <= before
        )
        try:
            taken += connection.execute(locking(one, connection, nowait=True)).scalars()
        except DBAPIError as error:
            if not is_not_locked(error):
                raise
        if len(taken) == limit:
            break
    return taken


def _candidates(
    connection: Connection, instances: Table, before: datetime, page: int
) -> Iterator[str]:
    """All ids, read page by page without a lock."""
    statement = _due(instances, before).limit(page)
    rows = connection.execute(statement).all()
    while rows:
        yield from (row.id for row in rows)
        last = rows[-1]
        later = or_(instances.c.due_at > last.due_at, instances.c.id > last.id)
        rows = connection.execute(statement.where(instances.c.due_at >= last.due_at, later)).all()


def _due(instances: Table, before: datetime) -> Any:
    return (
        select(instances.c.due_at, instances.c.id)
        .where(instances.c.due_at <= before)
        .order_by(instances.c.due_at, instances.c.id)
    )
