"""One instance in the tables: reads its pieces when they are needed, and writes what changed.

It promises:

- Whatever is read belongs to one version of the instance. If another step has replaced or removed a
  piece since, reading it raises Conflict.
- A write first raises the version number from the one that was read. If it is another one by now,
  nothing is written.
- The number of statements and rows depends on what changed, and not on the history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Any, Callable, NamedTuple, Optional

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    and_,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ..errors import ElementUnitsError
from ..spiff import StatePieces, Waiting
from ..spiff.piece_texts import LIVE
from . import times
from .contents import packed, unpacked
from .dialects import (
    as_a_whole,
    insert_or_replace,
    is_conflict,
    is_innodb,
    lock_database,
    locking,
    require_transaction,
)
from .errors import Conflict, UnknownInstance
from .tables import Tables
from .waits import rows_of

_AT_ONCE = 500  # ids in one statement

_NAMED = (Conflict, UnknownInstance)  # they name the instance already

Connect = Callable[[], AbstractContextManager[Connection]]


class Written(NamedTuple):
    """What a step writes."""

    pieces: StatePieces
    waiting: Waiting
    ended: bool


class Place(NamedTuple):
    """Where instances are: the tables, and the connections or the one connection to use."""

    tables: Tables
    connect: Connect
    begin: Connect

    @classmethod
    def of(cls, tables: Tables, engine: Engine, connection: Optional[Connection]) -> Place:
        if connection is None:
            return cls(tables, engine.connect, lambda: _begun(engine))
        if not isinstance(connection, Connection):
            raise TypeError(
                "connection must be a Connection of SQLAlchemy, not "
                f"{type(connection).__name__}; a Session has one: session.connection()"
            )
        return cls(
            tables,
            lambda: nullcontext(connection),
            lambda: as_a_whole(connection, tables.instances),
        )


class StoredInstance:
    """One instance as it was when it was read. Only one thread may use it at a time."""

    def __init__(self, place: Place, instance_id: str, lock: bool = False) -> None:
        self._tables, self._connect, self._begin = place
        self._lock = lock
        self._failure: Optional[Exception] = None  # why a piece could not be read
        self.instance_id = instance_id
        with explained(f"instance {instance_id!r}"), self._connect() as connection:
            self._row, live = self._read_first(connection)
        self._live = None if live is None else unpacked(live)

    @property
    def cache_key(self) -> str:
        key: str = self._row.cache_key
        return key

    @property
    def version(self) -> int:
        number: int = self._row.version
        return number

    def _read_first(self, connection: Connection) -> tuple[Any, Any]:
        instances, pieces = self._tables.instances, self._tables.pieces
        is_live = and_(pieces.c.instance_id == self.instance_id, pieces.c.piece_id == LIVE)
        if not self._lock:  # one statement sees one version
            statement = (
                select(instances, pieces.c.content)
                .join_from(instances, pieces, is_live, isouter=True)
                .where(instances.c.id == self.instance_id)
            )
            row = found(connection.execute(statement).first(), self.instance_id)
            return row, row.content
        # A statement sees what was committed before it began. So the piece is read by a second one,
        # and locked too, because a snapshot of the application's transaction may be older.
        require_transaction(connection)
        lock_database(connection, instances)
        one = locking(select(instances).where(instances.c.id == self.instance_id), connection)
        row = found(connection.execute(one).first(), self.instance_id)
        live = locking(select(pieces.c.content).where(is_live), connection)
        return row, connection.execute(live).scalar()

    def read(self, piece_id: str) -> Any:
        """The text of a piece, for `SpecLoader.resume_pieces`. None if there is none."""
        if piece_id == LIVE:
            return self._live
        try:
            with explained(f"instance {self.instance_id!r}"), self._connect() as connection:
                piece = self._piece(piece_id)
                locked = locking(piece, connection)
                content = connection.execute(locked if self._lock else piece).scalar()
                if content is None:
                    self._require_version(connection)
                    if is_innodb(connection):  # the snapshot may be older than a locked step in it
                        content = connection.execute(locked).scalar()
        except (Conflict, SQLAlchemyError) as error:
            self._failure = error
            raise
        return None if content is None else unpacked(content)

    def _piece(self, piece_id: str) -> Select[Any]:
        pieces = self._tables.pieces
        return select(pieces.c.content).where(
            pieces.c.instance_id == self.instance_id,
            pieces.c.piece_id == piece_id,
            pieces.c.version <= self.version,
        )

    def _require_version(self, connection: Connection) -> None:
        """Raise Conflict if the instance is at another version than the one that was read."""
        version = select(self._tables.instances.c.version).where(*self._same())
        if self._lock:
            version = locking(version, connection)
        if connection.execute(version).first() is None:
            raise changed(self.instance_id)

    def _snapshot_is_older(self, connection: Connection) -> bool:
        """Whether the transaction still reads a version from before the one that is locked."""
        if not (self._lock and is_innodb(connection)):
            return False
        version = select(self._tables.instances.c.version).where(*self._same())
        return connection.execute(version).first() is None

    def _same(self) -> tuple[ColumnElement[bool], ...]:
        """What holds for the version that was read.

        If an instance was removed, another one with its id may have come to the same number.
        """
        instances = self._tables.instances
        return (
            instances.c.id == self.instance_id,
            instances.c.version == self.version,
            instances.c.started_at == self._row.started_at,
        )

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Let errors of the library name the instance.

        If the database is why a piece could not be read, its exception or the conflict is raised.
        """
        try:
            yield
        except ElementUnitsError as error:
            if self._failure is not None and error is not self._failure:
                raise self._failure from error
            if not str(error).startswith("instance ") and not isinstance(error, _NAMED):
                named = f"instance {self.instance_id!r}: {error}"
                error.args = (named, *error.args[1:])
            raise

    def write(self, written: Written, compress: bool, cache_key: Optional[str] = None) -> None:
        """Write what changed, in one transaction. Raises Conflict before anything is written.

        `cache_key` is given if it is a new one.
        """
        instances = self._tables.instances
        if self._failure is not None:
            raise self._failure
        waiting = rows_of(written.waiting, self.instance_id)
        with explained(f"instance {self.instance_id!r}"), self._begin() as connection:
            older = self._snapshot_is_older(connection)
            done = connection.execute(
                update(instances)
                .where(*self._same())
                .values(
                    version=self.version + 1,
                    cache_key=cache_key or self.cache_key,
                    **_state_of(written, times.now()),
                )
            )
            if done.rowcount != 1:
                raise changed(self.instance_id)
            write_pieces(
                connection, self._tables, self.instance_id, self.version + 1, written, compress
            )
            self._write_waiting(connection, waiting, older)

    def _write_waiting(
        self, connection: Connection, wanted: list[dict[str, Any]], older: bool
    ) -> None:
        """Delete the rows that no longer hold and insert those that are new.

        `older` says that the snapshot of the transaction is. A locking read then sees what is
        there. It is not for every step, because it also locks the gaps next to these rows. All rows
        are then written anew, or what follows in the transaction would not see those that are kept.
        """
        waiting = self._tables.waiting
        kept = select(waiting).where(waiting.c.instance_id == self.instance_id)
        if older:
            kept = locking(kept, connection)
        new = Counter(frozenset(row.items()) for row in wanted)
        gone = []
        for row in connection.execute(kept).mappings():
            plain = frozenset(one for one in row.items() if one[0] != "id")
            if new[plain] and not older:
                new[plain] -= 1
            else:
                gone.append(row["id"])
        for some in _parts(gone):
            connection.execute(delete(waiting).where(waiting.c.id.in_(some)))
        rows = [dict(one) for one in new.elements()]
        if rows:
            connection.execute(insert(waiting), rows)


def write_first(  # noqa: PLR0913, PLR0917
    place: Place,
    instance_id: str,
    about: dict[str, str],
    written: Written,
    compress: bool,
    due: Optional[datetime],
) -> None:
    """Write an instance that is new, as version 1. `due` says when it is, if no timer does."""
    now = times.now()
    state = {**_state_of(written, now), "started_at": times.stored(now)}
    if due is not None:
        state["due_at"] = times.stored(due)
    waiting = rows_of(written.waiting, instance_id)
    with explained(f"instance {instance_id!r}"), place.begin() as connection:
        connection.execute(
            insert(place.tables.instances).values(id=instance_id, version=1, **about, **state)
        )
        write_pieces(connection, place.tables, instance_id, 1, written, compress)
        if waiting:
            connection.execute(insert(place.tables.waiting), waiting)


def write_pieces(  # noqa: PLR0913, PLR0917 - one place for it
    connection: Connection,
    tables: Tables,
    instance_id: str,
    version: int,
    written: Written,
    compress: bool,
) -> None:
    """Write the pieces that changed, and delete those that are gone."""
    pieces = tables.pieces
    rows = [
        {
            "instance_id": instance_id,
            "piece_id": piece_id,
            "version": version,
            "content": packed(text, compress),
        }
        for piece_id, text in written.pieces.changed.items()
    ]
    insert_or_replace(connection, pieces, rows)
    for some in _parts(written.pieces.removed):
        connection.execute(
            delete(pieces).where(pieces.c.instance_id == instance_id, pieces.c.piece_id.in_(some))
        )


def remove(place: Place, instance_id: str) -> None:
    """Delete an instance. Raises UnknownInstance."""
    tables = place.tables
    of_it = tables.instances.c.id == instance_id
    with explained(f"instance {instance_id!r}"), place.begin() as connection:
        lock_database(connection, tables.instances)
        row = connection.execute(locking(select(tables.instances.c.id).where(of_it), connection))
        found(row.first(), instance_id)
        for table in (tables.waiting, tables.pieces):
            connection.execute(delete(table).where(table.c.instance_id == instance_id))
        connection.execute(delete(tables.instances).where(of_it))


@contextmanager
def _begun(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        require_transaction(connection)
        yield connection


@contextmanager
def own_transaction(tables: Tables, engine: Engine, instance_id: str) -> Iterator[Place]:
    """A transaction for one step. Errors of the block are raised unchanged."""
    with engine.connect() as connection:
        yield Place(tables, lambda: nullcontext(connection), lambda: nullcontext(connection))
        with explained(f"instance {instance_id!r}"):
            try:
                connection.commit()
            except BaseException:  # or the pool gets a connection with an open transaction
                connection.rollback()
                raise


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Raise Conflict for an error of the database that means that another transaction won.

    `what` is what the transaction is about.
    """
    try:
        yield
    except DBAPIError as error:
        if is_conflict(error):
            raise Conflict(
                f"{what}: the database gave way to another transaction "
                f"({error.orig}), and nothing of this one was written; do it again"
            ) from error
        raise


def found(row: Optional[Any], instance_id: str) -> Any:
    """The row of an instance. Raises UnknownInstance if there is none."""
    if row is None or row.id != instance_id:  # some databases ignore blanks at the end
        raise unknown(instance_id)
    return row


def unknown(instance_id: str) -> UnknownInstance:
    return UnknownInstance(
        f"the database does not contain instance {instance_id!r}; check the id, and whether the "
        "instance was removed or is in another database, schema or set of tables"
    )


def changed(instance_id: str) -> Conflict:
    return Conflict(
        f"another step has changed instance {instance_id!r} since this step read it; nothing of "
        "this step was written; do it again"
    )


def _state_of(written: Written, now: datetime) -> dict[str, Any]:
    """The columns of an instance that each step writes."""
    due = written.waiting.next_due
    return {
        "changed_at": times.stored(now),
        "ended_at": times.stored(now) if written.ended else None,
        "due_at": None if due is None else times.stored(due),
    }


def _parts(ids: Iterable[Any]) -> Iterator[list[Any]]:
    every = list(ids)
    return (every[at : at + _AT_ONCE] for at in range(0, len(every), _AT_ONCE))
