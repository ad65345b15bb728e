"""`Instances`: the instances of an application in its relational database.

It promises:

- A step is saved as a whole or not at all, in one transaction.
- Of two steps of one instance at the same time, only one is saved. The other raises Conflict before
  anything is written, or waits for the first.
- A step reads and writes what it needs, and not the history of the instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Any, Optional, Protocol, Union
from uuid import uuid4

from sqlalchemy import Connection, Engine, MetaData, select
from sqlalchemy.exc import IntegrityError

from ..errors import ElementUnitsError, UnitNotFound
from ..spiff.loader import BpmnWorkflow, SpecLoader
from ..spiff.piece_texts import LIVE, checked, content
from . import times
from .due import due_ids, locked_due_ids
from .errors import Conflict
from .history import HistoryPage, history_page
from .stored import Place, StoredInstance, Written, explained, own_transaction, remove, write_first
from .tables import LONGEST_ID, Tables, tables
from .waits import WaitingEntry, entry_of, require_short


class Loaders(Protocol):
    """What gives the loader of a cache key: `SpecLoaders`, or a dict."""

    def __getitem__(self, cache_key: str, /) -> SpecLoader: ...


class Instances:
    """Stores instances in a database, and runs their steps.

        instances = Instances(engine, loaders)
        instance_id = instances.start("claim-1", "Claim", data={"amount": 800})
        with instances.step(instance_id) as workflow:
            workflow.do_engine_steps()

    `engine` is an `Engine` of SQLAlchemy for PostgreSQL, MariaDB, MySQL or SQLite. `loaders` is a
    SpecLoaders, or a mapping from cache keys to SpecLoader objects. `tables` are the tables, if you
    made them in your own `MetaData`. If you pass `compress=True`, pieces are compressed when they
    are written. Pieces that are stored are read either way.

    Each method takes a `connection`, which is a `Connection` of SQLAlchemy. The method then works
    in the transaction of this connection, and leaves the commit to you. Without it, the method uses
    connections of the engine. What writes or locks raises ElementUnitsError if the isolation level
    is AUTOCOMMIT.

    Exceptions of SQLAlchemy are raised unchanged, except those which mean that the database gave
    way to another transaction: they are a Conflict.

    Several threads and processes may use the same database. Several threads may use this object.
    After a fork, do with the engine what SQLAlchemy asks for.
    """

    def __init__(
        self,
        engine: Engine,
        loaders: Loaders,
        tables: Optional[Tables] = None,
        *,
        compress: bool = False,
    ) -> None:
        if not isinstance(engine, Engine):
            raise TypeError(
                f"engine must be an Engine of SQLAlchemy, not {type(engine).__name__}; with "
                "asyncio, use an Engine in threads"
            )
        if not hasattr(loaders, "__getitem__"):
            raise TypeError(
                "loaders must be a SpecLoaders or a mapping from cache keys to loaders, not "
                f"{type(loaders).__name__}"
            )
        self._engine = engine
        self._loaders = loaders
        self._tables = _own_tables() if tables is None else tables
        self._compress = compress

    def __repr__(self) -> str:
        return f"<Instances in {self._tables.instances.fullname!r} of {self._engine.url!r}>"

    @property
    def tables(self) -> Tables:
        """The tables. `instances.tables.instances.metadata.create_all(engine)` creates them."""
        return self._tables

    # Steps

    def start(
        self,
        cache_key: str,
        process_id: Optional[str] = None,
        *,
        data: Optional[Mapping[str, Any]] = None,
        instance_id: Optional[str] = None,
        connection: Optional[Connection] = None,
    ) -> str:
        """Start an instance, store it and return its id. Nothing of it runs yet.

        `cache_key` and `process_id` say which process of which workflow is started. The default is
        the root of the workflow. `data` is the data of its first task. Until the first step, the
        instance is due, so a worker that looks for due instances runs it even if nobody else does.

        `instance_id` is up to 64 characters, and a new UUID by default. If your application may
        start an instance twice, for example because a request is repeated, pass an id of the
        request: the second start then raises Conflict. MariaDB and MySQL do not tell two ids apart
        that differ only in blanks at their ends.

        Raises UnitNotFound if there is no such workflow or process, Conflict if the id exists, and
        ElementUnitsError if the id is too long.
        """
        loader = self._loader_of(cache_key)
        workflow = loader.start(process_id)
        workflow.task_tree.data.update(data or {})
        return self._add(cache_key, loader, workflow, instance_id, connection, due=times.now())

    def add(
        self,
        cache_key: str,
        state: Union[str, bytes],
        *,
        instance_id: Optional[str] = None,
        connection: Optional[Connection] = None,
    ) -> str:
        """Store an instance that your application has stored in another way, and return its id.

        `state` is what `SpecLoader.save` or SpiffWorkflow's `serialize_json` wrote, and `cache_key`
        the key of a workflow on which it continues. `instance_id` is as for `start`.

        Raises UnitNotFound if there is no such workflow, Conflict if the id exists, and StateError
        and ChangedWorkflow as `resume` of a loader does.
        """
        loader = self._loader_of(cache_key)
        return self._add(cache_key, loader, loader.resume(state), instance_id, connection, due=None)

    def _add(  # noqa: PLR0913, PLR0917
        self,
        cache_key: str,
        loader: SpecLoader,
        workflow: BpmnWorkflow,
        instance_id: Optional[str],
        connection: Optional[Connection],
        due: Optional[datetime],
    ) -> str:
        if instance_id is None:
            instance_id = str(uuid4())
        require_short(_text("instance_id", instance_id), "the instance id", LONGEST_ID)
        about = {"cache_key": cache_key, "process_id": workflow.spec.name}
        for name, value in about.items():
            require_short(value, f"the {name} of instance {instance_id!r}")
        place, written = self._place(connection), _written(loader, workflow)
        try:
            write_first(place, instance_id, about, written, self._compress, due)
        except IntegrityError as error:
            raise Conflict(
                f"there is an instance {instance_id!r} already; go on with that one, or store this "
                "one with another id"
            ) from error
        return instance_id

    @contextmanager
    def step(
        self,
        instance_id: str,
        *,
        script_engine: Any = None,
        lock: bool = False,
        connection: Optional[Connection] = None,
    ) -> Iterator[BpmnWorkflow]:
        """Resume an instance for a `with` block, and save it at the end of the block.

        The block gets the BpmnWorkflow. It may complete tasks, send events and run engine steps.
        What changed is saved in one transaction. If the block raises, nothing is saved.

        Two steps of one instance may run at the same time. By default, the first one that ends is
        saved, and the other one raises Conflict. With `lock=True`, the second step waits at its
        beginning until the first has ended, and then sees its result. The transaction then lasts as
        long as the block. SQLite has no locks of rows, so `lock=True` waits there for the lock of
        the whole database, as `BEGIN IMMEDIATE` does.

        If a row of your own must be written exactly when the step is saved, pass the `connection`
        with which you write it.

        Raises UnknownInstance, Conflict, UnitNotFound if no loader has the workflow of the
        instance, ChangedWorkflow if the instance does not continue on the present version of its
        workflow, and StateError if a piece is missing or damaged. These errors name the instance.
        """
        found: AbstractContextManager[Place] = nullcontext(self._place(connection))
        if lock and connection is None:
            found = own_transaction(self._tables, self._engine, _text("instance_id", instance_id))
        with found as place, self._stepping(place, instance_id, script_engine, lock) as workflow:
            yield workflow

    @contextmanager
    def _stepping(
        self, place: Place, instance_id: str, script_engine: Any, lock: bool
    ) -> Iterator[BpmnWorkflow]:
        stored = StoredInstance(place, _text("instance_id", instance_id), lock)
        with stored.naming():
            loader = self._loader_for(stored)
            workflow = loader.resume_pieces(stored.read, script_engine)
            yield workflow
            stored.write(_written(loader, workflow), self._compress)

    def migrate(
        self,
        instance_id: str,
        cache_key: str,
        *,
        renamed: Optional[Mapping[str, str]] = None,
        connection: Optional[Connection] = None,
    ) -> None:
        """Move an instance to another version of its workflow, the one with this cache key.

        See `migrate` of a loader. `renamed` maps the old ids of renamed elements to their new ids.

        Raises ChangedWorkflow if the instance cannot be migrated, and the errors of `step`.
        """
        stored = StoredInstance(self._place(connection), _text("instance_id", instance_id))
        with stored.naming():
            old, loader = self._loader_for(stored), self._loader_of(cache_key)
            require_short(cache_key, "the cache key")
            workflow = loader.migrate_pieces(stored.read, old, renamed=renamed)
            stored.write(_written(loader, workflow), self._compress, cache_key)

    def look(
        self,
        instance_id: str,
        *,
        script_engine: Any = None,
        connection: Optional[Connection] = None,
    ) -> BpmnWorkflow:
        """Return the workflow of an instance to look at. What you change in it is not saved.

        It is read piece by piece. If another step changes the instance and removes a piece that was
        not read yet, looking into that piece raises StateError.

        Raises the errors of `step`.
        """
        stored = StoredInstance(self._place(connection), _text("instance_id", instance_id))
        with stored.naming():
            return self._loader_for(stored).resume_pieces(stored.read, script_engine)

    def remove(self, instance_id: str, *, connection: Optional[Connection] = None) -> None:
        """Delete an instance and everything that is stored of it.

        Raises UnknownInstance. A step that runs meanwhile raises Conflict.
        """
        remove(self._place(connection), _text("instance_id", instance_id))

    # Questions

    def due(
        self,
        before: datetime,
        *,
        limit: int = 100,
        lock: Optional[Connection] = None,
    ) -> list[str]:
        """Return the ids of the instances that are due: a timer is, or they only were started.

        `before` is an aware `datetime`, usually the present time. The ids are in the order of the
        times, and there are at most `limit`.

        If several workers take instances from this queue, pass as `lock` the connection in whose
        transaction you do the steps. The instances are then locked in it, and those that another
        worker has locked are left out. On SQLite, only one worker at a time gets past this call.

        Raises TypeError if `before` has no time zone, ElementUnitsError if `limit` is less than 1,
        and Conflict if the database gave way to another transaction.
        """
        limit, until = _positive("limit", limit), times.stored(before)
        with explained("due instances"), self._place(lock).connect() as connection:
            take = due_ids if lock is None else locked_due_ids
            return take(connection, self._tables.instances, until, limit)

    def waiting(  # noqa: PLR0913 - each narrows the question
        self,
        *,
        instance_id: Optional[str] = None,
        element: Optional[str] = None,
        lane: Optional[str] = None,
        message: Optional[str] = None,
        signal: Optional[str] = None,
        limit: int = 100,
        after: int = 0,
        connection: Optional[Connection] = None,
    ) -> list[WaitingEntry]:
        """Return what instances wait for, oldest first. This reads an index and no instance.

        Each argument leaves out what does not fit: `element` is the id of an element, `lane` the
        name of a lane, `message` and `signal` the name of an event. At most `limit` are returned.
        For the next page, pass the `number` of the last one as `after`.

        Raises ElementUnitsError if `limit` is less than 1, and Conflict if the database gave way to
        another transaction.
        """
        waiting = self._tables.waiting
        wanted = {"instance_id": instance_id, "element_id": element, "lane": lane}
        for kind, event in (("message", message), ("signal", signal)):
            if event is not None:
                wanted.update(kind=kind, event=event)
        given = {name: _text(name, value) for name, value in wanted.items() if value is not None}
        statement = (
            select(waiting)
            .where(*(waiting.c[name] == value for name, value in given.items()))
            .where(waiting.c.id > after)
            .order_by(waiting.c.id)
            .limit(_positive("limit", limit))
        )
        with explained("waiting instances"), self._place(connection).connect() as used:
            return [entry_of(row) for row in used.execute(statement)]

    def history(
        self,
        instance_id: str,
        *,
        after: Optional[str] = None,
        limit: int = 100,
        connection: Optional[Connection] = None,
    ) -> HistoryPage:
        """Return a page of what an instance has finished, process by process.

        The processes and subprocesses that are settled come first, in the order of the steps that
        finished them. Those that still run come last. A page has at most `limit` settled ones, and
        tells in its `next` what you pass as `after` to get the next page. Nothing is restored.

        Raises UnknownInstance, and StateError if a piece is damaged.
        """
        place = self._place(connection)
        return history_page(
            place, _text("instance_id", instance_id), after, _positive("limit", limit)
        )

    # Helpers

    def _place(self, connection: Optional[Connection]) -> Place:
        return Place.of(self._tables, self._engine, connection)

    def _loader_of(self, cache_key: str) -> SpecLoader:
        try:
            return self._loaders[_text("cache_key", cache_key)]
        except KeyError as error:
            if not isinstance(self._loaders, Mapping):
                raise
            raise UnitNotFound(
                f"no loader has the cache key {cache_key!r}; add the loader of this key"
            ) from error

    def _loader_for(self, stored: StoredInstance) -> SpecLoader:
        """The loader that resumes an instance."""
        live = checked(stored.read, LIVE)
        for_state: Optional[Callable[[str], SpecLoader]] = getattr(self._loaders, "for_state", None)
        if for_state is None:
            return self._loader_of(stored.cache_key)
        return for_state(content(live)[1])


def _own_tables() -> Tables:
    return tables(MetaData())


def _written(loader: SpecLoader, workflow: BpmnWorkflow) -> Written:
    ended = getattr(workflow, "completed", None)  # SpiffWorkflow 3.0 computes it
    return Written(
        loader.save_pieces(workflow),
        loader.waiting(workflow),
        workflow.is_completed() if ended is None else ended,
    )


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    return value


def _positive(name: str, value: Union[int, Any]) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < 1:
        raise ElementUnitsError(f"{name} must be at least 1, but is {value!r}")
    return value
