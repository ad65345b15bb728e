"""A store in a relational database, by SQLAlchemy 2: PostgreSQL, MySQL, MariaDB, SQLite.

    element_units_names    name -> the version that it has now, its size, when it was written
    element_units_chunks   version and number -> up to 16 KiB of the content

A write adds its chunks as a new version and points the name at it, in one transaction. A read is
one statement, so that it sees the chunks of one version. The tables are made by the first write.
"""

from __future__ import annotations

import os
import random
import time
import weakref
from collections.abc import Sequence
from typing import Any, Callable, Optional, TypeVar

from ..cache.store import LONGEST_NAME, Stored
from ..errors import CacheError
from .failing import TIMEOUT, failing, missing

try:
    from sqlalchemy import (
        BigInteger,
        Column,
        Integer,
        LargeBinary,
        MetaData,
        String,
        Table,
        and_,
        create_engine,
        delete,
        event,
        insert,
        literal_column,
        or_,
        select,
        update,
    )
    from sqlalchemy.engine import URL, Connection, Engine, make_url
    from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
except ImportError as error:
    raise ImportError(missing("SqlStore", "SQLAlchemy>=2.0.43", "sql")) from error

CHUNK = 16 * 1024
_ATTEMPTS = 4
_PAUSE = 0.1  # seconds before the second attempt; four times as many before each further one
_AT_ONCE = 64  # chunks that one statement writes

_T = TypeVar("_T")

metadata = MetaData()
names = Table(
    "element_units_names",
    metadata,
    Column("name", String(LONGEST_NAME), primary_key=True),
    Column("version", String(32), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("modified", BigInteger, nullable=False),  # microseconds since 1970
)
chunks = Table(
    "element_units_chunks",
    metadata,
    Column("version", String(32), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),
)

# The time of the server in microseconds. Other databases get the time of this machine.
_NOW = {
    "postgresql": "cast(extract(epoch from clock_timestamp()) * 1000000 as bigint)",
    "mysql": "cast(unix_timestamp(now(6)) * 1000000 as signed)",
    "mariadb": "cast(unix_timestamp(now(6)) * 1000000 as signed)",
}
_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}

# A forked process must not use the connections of its parent.
_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def _drop_connections() -> None:
    for engine in list(_engines):
        engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_connections)


class SqlStore:
    """A store in a relational database: `SqlStore(engine)`, with an `Engine` of SQLAlchemy.

    The timeouts are those of the engine. If a request fails because the connection is lost, or
    because of another transaction, it is repeated up to three times.

    Several threads may use it. After a fork, do with the engine what SQLAlchemy asks for. The store
    does it for an engine that `open_store` made.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reads: Engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        kind = engine.dialect.name
        level = "SERIALIZABLE" if kind == "sqlite" else "READ COMMITTED"
        self._writes = engine.execution_options(isolation_level=level)
        self._secrets = [str(engine.url.password or "")]
        self._told = _told(engine.url)
        self._has_tables = False  # for sure; they are made by the first write
        self._raw: type[Exception] = getattr(engine.dialect.dbapi, "Error", SQLAlchemyError)

    @classmethod
    def from_url(cls, url: str, timeout: float = TIMEOUT) -> SqlStore:
        """Open a URL of SQLAlchemy. Without a driver, it is psycopg or PyMySQL."""
        parsed = make_url(url)
        parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
        engine = create_engine(
            parsed,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            hide_parameters=True,
            connect_args=_limits(parsed, timeout),
        )
        if parsed.get_driver_name() == "psycopg":
            from .psycopg_waiting import limit_waiting  # noqa: PLC0415 - needs psycopg

            def limit(connection: Any, _: Any) -> None:
                limit_waiting(connection, timeout)

            event.listen(engine, "connect", limit)
        _engines.add(engine)
        store = cls(engine)
        store._reads = engine  # its connections need not be told for each read
        return store

    def __str__(self) -> str:
        return self._told

    def __repr__(self) -> str:
        return f"<SqlStore {self}>"

    def read(self, name: str, ranges: Sequence[tuple[int, int]]) -> Optional[list[bytes]]:
        wanted = [(at // CHUNK, (at + length - 1) // CHUNK) for at, length in ranges]
        statement = (
            select(chunks.c.number, chunks.c.content)
            .join(names, names.c.version == chunks.c.version)
            .where(names.c.name == name)
            .where(or_(*(chunks.c.number.between(first, last) for first, last in wanted)))
        )

        def fetch(connection: Connection) -> dict[int, bytes]:
            return {number: bytes(part) for number, part in connection.execute(statement)}

        found = self._do(f"read {name!r}", self._reads, fetch)
        if not found:
            return None
        return [
            b"".join(found.get(number, b"") for number in range(first, last + 1))[
                at - first * CHUNK : at - first * CHUNK + length
            ]
            for (at, length), (first, last) in zip(ranges, wanted)
        ]

    def write(self, name: str, content: bytes) -> None:
        version = os.urandom(16).hex()
        rows = [
            {"version": version, "number": number, "content": content[at : at + CHUNK]}
            for number, at in enumerate(range(0, len(content), CHUNK))
        ]
        values = {"version": version, "size": len(content), "modified": self._now()}

        def store(connection: Connection) -> bool:
            if not self._has_tables:
                metadata.create_all(connection)
            for at in range(0, len(rows), _AT_ONCE):
                connection.execute(insert(chunks), rows[at : at + _AT_ONCE])
            before = connection.execute(
                select(names.c.version).where(names.c.name == name).with_for_update()
            ).scalar()
            if before is None:
                connection.execute(insert(names).values(name=name, **values))
            else:
                connection.execute(update(names).where(names.c.name == name).values(**values))
                connection.execute(delete(chunks).where(chunks.c.version == before))
            return True

        doing = f"write {name!r}"
        self._has_tables = bool(self._do(doing, self._writes, store))
        if not self._has_tables and not self._do(doing, self._writes, store):
            raise CacheError(f"{self} cannot {doing}: its tables were removed meanwhile; try again")

    def list_names(self, prefix: str) -> list[Stored]:
        statement = select(names.c.name, names.c.size, names.c.modified).where(
            names.c.name.startswith(prefix, autoescape=True)
        )

        def fetch(connection: Connection) -> list[Stored]:
            rows = connection.execute(statement)
            return [Stored(name, size, modified / 10**6) for name, size, modified in rows]

        return self._do(f"list {prefix!r}", self._reads, fetch) or []

    def delete(self, name: str, modified: Optional[float] = None) -> bool:
        statement = select(names.c.version).where(names.c.name == name).with_for_update()
        if modified is not None:
            statement = statement.where(names.c.modified == round(modified * 10**6))

        def remove(connection: Connection) -> bool:
            version = connection.execute(statement).scalar()
            if version is None:
                return False
            gone = connection.execute(
                delete(names).where(and_(names.c.name == name, names.c.version == version))
            )
            connection.execute(delete(chunks).where(chunks.c.version == version))
            return bool(gone.rowcount)

        return bool(self._do(f"delete {name!r}", self._writes, remove))

    def _now(self) -> Any:
        told = _NOW.get(self._engine.dialect.name)
        return literal_column(told) if told else time.time_ns() // 1000

    def _do(self, doing: str, engine: Engine, work: Callable[[Connection], _T]) -> Optional[_T]:
        """Do something in one transaction; None if there are no tables."""
        with failing(self, doing, (SQLAlchemyError, OSError, self._raw), self._secrets):
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    with engine.connect() as connection:
                        if engine is not self._writes:  # one statement, without a COMMIT
                            return work(connection)
                        with connection.begin():
                            return work(connection)
                except DBAPIError as error:
                    if _lacks_table(error):
                        return None
                    if attempt == _ATTEMPTS or not _passes(error):
                        raise
                except self._raw:
                    # SQLAlchemy was preparing a connection that is lost, and keeps it.
                    self._engine.dispose()
                    if attempt == _ATTEMPTS:
                        raise
                time.sleep(_PAUSE * 4 ** (attempt - 1) * random.uniform(0.5, 1))
        raise AssertionError("unreachable")


def _code(error: DBAPIError) -> str:
    """What the database calls the error: SQLSTATE, a number, or the message of SQLite."""
    orig = error.orig
    if orig is None:
        return ""
    first = (orig.args or ("",))[0]
    return str(first if isinstance(first, int) else getattr(orig, "sqlstate", None) or first)


def _lacks_table(error: DBAPIError) -> bool:
    return _code(error) in ("42P01", "1146") or _code(error).startswith("no such table")


def _passes(error: DBAPIError) -> bool:
    """Whether the error may be gone at the next attempt: a lost connection, a deadlock, a lock."""
    if error.connection_invalidated or isinstance(error, IntegrityError):
        return True
    code = _code(error)
    # PostgreSQL: connection, transaction rollback, too many connections, starting or shutting down.
    # MySQL: too many connections, lock timeout, deadlock, no connection. SQLite: another writer.
    return (
        code.startswith(("08", "40", "53300", "57P", "database is locked"))
        or code in ("1040", "1205", "1213", "2002", "2003", "2006", "2013")
        or code in ("42P07", "1050")  # another process has just made a table
        or code.endswith("already exists")
        or (isinstance(error, OperationalError) and "connect" in str(error.orig))
    )


def _limits(url: URL, timeout: float) -> dict[str, Any]:
    """What makes the driver of a URL fail in bounded time."""
    driver = url.get_driver_name()
    connect = max(1, int(min(timeout, 5)))
    if driver == "psycopg":
        return {
            "connect_timeout": max(2, connect),
            "options": f"-c statement_timeout={int(timeout * 1000)}",
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": int(timeout * 1000),
        }
    if driver == "pymysql":
        seconds = max(1, int(timeout))
        return {"connect_timeout": connect, "read_timeout": seconds, "write_timeout": seconds}
    if driver == "pysqlite":
        return {"timeout": timeout}
    return {}


def _told(url: URL) -> str:
    """The database as a URL without credentials."""
    host = url.host or ""
    port = f":{url.port}" if url.port else ""
    return f"{url.get_backend_name()}://{host}{port}/{url.database or ''}"
