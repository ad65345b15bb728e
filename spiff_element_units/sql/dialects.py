"""What databases do differently: locks, writing a row that may exist, and errors of conflicts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Select, Table, false, text, update
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from ..errors import ElementUnitsError

_MYSQL = ("mysql", "mariadb")
_MYSQL_NOT_LOCKED = {1205, 3572}  # lock wait timeout, lock not available
# Deadlock, and a row that changed since the snapshot. Both roll back the whole transaction.
_MYSQL_CONFLICTS = _MYSQL_NOT_LOCKED | {1213, 1020}
# Serialization failure, deadlock, and lock not available.
_POSTGRESQL_CONFLICTS = {"40001", "40P01", "55P03"}
_SQLITE_CONFLICTS = ("database is locked", "database table is locked")  # the latter: and which


def lock_database(connection: Connection, table: Table) -> None:
    """On SQLite, which has no locks of rows, take the lock of the one transaction that may write.

    This statement changes nothing. It waits for the lock as `BEGIN IMMEDIATE` does, and also works
    in a transaction that has begun.
    """
    if connection.dialect.name == "sqlite":
        connection.execute(update(table).values(version=table.c.version).where(false()))


def require_transaction(connection: Connection) -> None:
    """Raise ElementUnitsError if each statement of the connection commits itself."""
    if not connection.in_transaction():
        connection.begin()  # as its first statement does
    raw: Any = connection.connection.dbapi_connection
    alone = False
    with suppress(NotImplementedError):  # other drivers than ours
        alone = connection.dialect.detect_autocommit_setting(raw)
    # An application may begin the transactions of sqlite3 itself, as SQLAlchemy tells it.
    if alone and not getattr(raw, "in_transaction", False):
        raise ElementUnitsError(
            "the database connection has the isolation level AUTOCOMMIT, so each statement would "
            "be saved by itself, and none would keep a lock; do not use AUTOCOMMIT"
        )


@contextmanager
def as_a_whole(connection: Connection, table: Table) -> Iterator[Connection]:
    """Let a block write everything or nothing in the transaction of an application.

    The application may catch the exception and continue. PostgreSQL then refuses to commit. The
    other databases undo only the statement that failed, so this sets a savepoint there.
    """
    require_transaction(connection)
    if connection.dialect.name == "postgresql":
        yield connection
        return
    lock_database(connection, table)  # first, because SQLite begins a transaction with a savepoint
    savepoint = connection.begin_nested()
    try:
        yield connection
    except BaseException:
        with suppress(DBAPIError):  # after a deadlock, there is no savepoint
            savepoint.rollback()
        raise
    savepoint.commit()


def locking(
    statement: Select[Any],
    connection: Connection,
    *,
    skip_locked: bool = False,
    nowait: bool = False,
) -> Select[Any]:
    """The same statement, which also locks the rows.

    If another transaction has locked some of them, it waits. With `skip_locked` it leaves them out,
    and with `nowait` it fails.
    """
    if connection.dialect.name == "sqlite":
        return statement
    # With `key_share`, PostgreSQL still lets rows of other tables begin to refer to these rows.
    return statement.with_for_update(key_share=True, skip_locked=skip_locked, nowait=nowait)


def is_innodb(connection: Connection) -> bool:
    """Whether the locks are those of InnoDB (see "InnoDB Locking" in MySQL's reference manual).

    There, a plain read may show the past while a locking read shows the present. And a locking read
    also locks what lies between the rows, unless it finds one row by its primary key.
    """
    return connection.dialect.name in _MYSQL


def nowait_is_harmless(connection: Connection) -> bool:
    """Whether a statement of InnoDB that does not get a lock fails alone.

    With `innodb_rollback_on_timeout`, MariaDB rolls back the whole transaction.
    """
    return is_innodb(connection) and not connection.scalar(
        text("SELECT @@innodb_rollback_on_timeout")
    )


def insert_or_replace(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows. Those with the same primary key are replaced."""
    if not rows:
        return
    name = connection.dialect.name
    keys = [column.name for column in table.primary_key.columns]
    rest = [name for name in rows[0] if name not in keys]
    if name in _MYSQL:
        into = mysql.insert(table)
        statement: Any = into.on_duplicate_key_update({one: into.inserted[one] for one in rest})
    else:
        upsert: Any = (postgresql if name == "postgresql" else sqlite).insert(table)
        statement = upsert.on_conflict_do_update(
            index_elements=keys, set_={one: upsert.excluded[one] for one in rest}
        )
    connection.execute(statement, rows)


def is_conflict(error: DBAPIError) -> bool:
    """Whether a database refused a statement because of another transaction.

    The drivers are sqlite3, psycopg or psycopg2 or pg8000, and PyMySQL or mysqlclient.
    """
    cause: Any = error.orig
    if isinstance(cause, sqlite3.Error):
        return str(cause).startswith(_SQLITE_CONFLICTS)
    told = _told(error)
    if isinstance(told, int):
        return told in _MYSQL_CONFLICTS
    state = told.get("C") if isinstance(told, dict) else None  # pg8000
    for name in ("sqlstate", "pgcode"):
        state = state or getattr(cause, name, None)
    return state in _POSTGRESQL_CONFLICTS


def is_not_locked(error: DBAPIError) -> bool:
    """Whether a statement with `nowait` failed in InnoDB because of the lock, and it alone."""
    return _told(error) in _MYSQL_NOT_LOCKED


def _told(error: DBAPIError) -> Any:
    """What a driver tells first. For MySQL and MariaDB, that is the error number."""
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments else None
