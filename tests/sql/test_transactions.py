"""Transactions of the application: what is in them if an error is caught, and what they see."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import databases
import pytest
from databases import do_human_task, human_task, instances_of, only_on, rows, started
from server_process import Server
from sqlalchemy import Column, Connection, Engine, ForeignKey, Integer, Table, event, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from spiff_element_units import ElementUnitsError
from spiff_element_units.sql import Conflict, Instances, Tables
from spiff_element_units.sql.dialects import is_conflict

PARALLEL = {"root": [("parallel", [("human",)], [("human",)]), ("human",)]}


@only_on("postgresql", "mariadb")  # SQLite locks all or nothing
def test_nothing_of_a_step_is_saved_if_a_conflict_is_caught_and_the_transaction_goes_on(
    engine: Engine, made_tables: Tables, impatient: Engine
) -> None:
    """Other databases than PostgreSQL undo only the statement that does not get its lock."""
    instances = instances_of(impatient, made_tables)
    instance_id = started(instances)
    before = rows(engine, made_tables)
    with engine.begin() as other, impatient.begin() as connection:
        other.execute(select(made_tables.waiting).with_for_update()).all()
        with pytest.raises(Conflict, match="gave way"):
            with instances.step(instance_id, connection=connection) as workflow:
                do_human_task(workflow)
    assert rows(engine, made_tables) == before
    with instances.step(instance_id) as workflow:
        do_human_task(workflow)


@only_on("mariadb")  # only InnoDB says which of two transactions is undone: the smaller one
def test_a_step_that_is_undone_by_a_deadlock_is_a_conflict(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = started(instances)
    before = rows(engine, made_tables)
    writes = threading.Event()

    def told(*arguments: Any) -> None:
        if made_tables.waiting.name in arguments[2]:
            writes.set()

    def step() -> None:
        with engine.begin() as connection:
            event.listen(connection, "before_cursor_execute", told)
            with pytest.raises(Conflict, match=r"gave way .*1213"):
                with instances.step(instance_id, connection=connection) as workflow:
                    do_human_task(workflow)
        conflicts.append(1)

    conflicts: list[int] = []
    smaller = threading.Thread(target=step)
    with engine.connect() as other:
        for _ in range(20):
            instances.start("calls", connection=other)
        other.execute(select(made_tables.waiting).with_for_update()).all()
        smaller.start()
        assert writes.wait(30)
        other.execute(select(made_tables.instances).with_for_update()).all()
        other.rollback()
    smaller.join(60)
    assert conflicts
    assert rows(engine, made_tables) == before


def test_an_instance_that_cannot_be_removed_stays_whole_if_the_transaction_goes_on(
    engine: Engine, made_tables: Tables, kind: str
) -> None:
    if kind == "sqlite":
        engine.dispose()
        event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA foreign_keys = ON"))
    of_it = made_tables.instances.c.id
    orders = Table(
        f"{made_tables.instances.name}_orders",
        made_tables.instances.metadata,
        Column("number", Integer, primary_key=True),
        Column("instance_id", of_it.type, ForeignKey(of_it)),
    )
    orders.create(engine)
    instances = instances_of(engine, made_tables)
    instance_id = started(instances)
    with engine.begin() as connection:
        connection.execute(insert(orders).values(number=1, instance_id=instance_id))
    before = rows(engine, made_tables)
    with engine.begin() as connection, pytest.raises(IntegrityError):
        instances.remove(instance_id, connection=connection)
    assert rows(engine, made_tables) == before


def test_a_step_is_not_saved_for_another_instance_that_got_the_same_id(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = started(instances, instance_id="order 7")
    before: Any = None
    with pytest.raises(Conflict), instances.step(instance_id) as workflow:
        do_human_task(workflow)
        instances.remove(instance_id)
        started(instances, instance_id="order 7")
        before = rows(engine, made_tables)
    assert rows(engine, made_tables) == before


def let_the_snapshot_be_old(connection: Connection) -> None:
    """Let a step be saved with an old snapshot. Since MariaDB 11.6 it is a Conflict by default."""
    with suppress(OperationalError):  # an older MariaDB
        connection.exec_driver_sql("SET SESSION innodb_snapshot_isolation = OFF")


@only_on("mariadb")  # others do not save a step in a transaction with an old snapshot
@pytest.mark.parametrize("again", [True, False])
def test_a_step_follows_a_locked_step_in_a_transaction_with_an_old_snapshot(
    engine: Engine, made_tables: Tables, again: bool
) -> None:
    instances = instances_of(engine, made_tables, PARALLEL)
    instance_id = started(instances)
    with engine.begin() as connection:
        let_the_snapshot_be_old(connection)
        connection.execute(select(made_tables.instances)).all()  # takes the snapshot
        with instances.step(instance_id):
            pass
        with instances.step(instance_id) as workflow:
            workflow.reset_from_task_id(workflow.task_tree.children[0].id)
            workflow.do_engine_steps()
        with instances.step(instance_id, lock=True, connection=connection) as workflow:
            do_human_task(workflow)
        with instances.step(instance_id, lock=again, connection=connection):
            pass
    ready = human_task(instances.look(instance_id))
    assert [one.task_id for one in instances.waiting()] == [str(ready.id)]


@only_on("mariadb")  # others do not save a step in a transaction with an old snapshot
def test_a_piece_is_found_after_a_locked_step_in_a_transaction_with_an_old_snapshot(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = started(instances)
    with engine.begin() as connection:
        let_the_snapshot_be_old(connection)
        connection.execute(select(made_tables.instances)).all()  # takes the snapshot
        for _ in range(2):
            with instances.step(instance_id) as workflow:
                do_human_task(workflow)
        with instances.step(instance_id, lock=True, connection=connection):
            pass
        tasks = len(instances.look(instance_id, connection=connection).get_tasks())
    assert tasks == len(instances.look(instance_id).get_tasks())


@only_on("mariadb")  # only MariaDB has this setting
def test_due_is_a_conflict_if_the_database_has_undone_its_locks(
    engine: Engine, made_tables: Tables
) -> None:
    """MariaDB does that if a row has changed since the snapshot, by default since 11.6."""
    instances = instances_of(engine, made_tables)
    ids = [instances.start("calls") for _ in range(3)]
    now = datetime.now(timezone.utc)
    with engine.connect() as connection:
        try:
            connection.exec_driver_sql("SET SESSION innodb_snapshot_isolation = ON")
        except OperationalError:
            pytest.skip("this MariaDB does not have the setting")
        connection.execute(select(made_tables.instances)).all()  # takes the snapshot
        with engine.begin() as other:
            other.execute(
                made_tables.instances.update()
                .where(made_tables.instances.c.id == ids[1])
                .values(cache_key="renamed")
            )
        with pytest.raises(Conflict, match="gave way"):
            instances.due(now, lock=connection)
        connection.rollback()
        assert instances.due(now, lock=connection) == ids
        connection.invalidate()  # the setting goes with it


@only_on("sqlite")  # the commit of SQLite needs a lock
def test_a_commit_that_fails_because_of_others_is_a_conflict(
    engine: Engine, made_tables: Tables, impatient: Engine
) -> None:
    instances = instances_of(impatient, made_tables)
    instance_id = started(instances)
    before = rows(engine, made_tables)
    with engine.connect() as reader:
        reader.exec_driver_sql("BEGIN")
        reader.execute(select(made_tables.pieces)).all()  # it cannot be written meanwhile
        for lock in (False, True, True):
            with pytest.raises(Conflict, match=f"instance '{instance_id}': the database gave way"):
                with instances.step(instance_id, lock=lock) as workflow:
                    do_human_task(workflow)
    assert rows(engine, made_tables) == before


@only_on("sqlite")  # readers of other databases do not wait
def test_questions_are_conflicts_if_the_database_is_locked(
    engine: Engine, made_tables: Tables, impatient: Engine
) -> None:
    instances = instances_of(impatient, made_tables)
    now = datetime.now(timezone.utc)

    def take() -> None:
        with impatient.begin() as connection:
            instances.due(now, lock=connection)

    assert instances.due(now) == []  # its connection stays in the pool
    with engine.connect() as other:
        other.exec_driver_sql("BEGIN EXCLUSIVE")
        for question in (take, instances.waiting, lambda: instances.due(now)):
            with pytest.raises(Conflict, match=r"the database gave way .*locked"):
                question()


@pytest.mark.parametrize("given", [False, True])
def test_nothing_is_written_where_each_statement_would_commit_itself(
    engine: Engine, made_tables: Tables, given: bool
) -> None:
    instance_id = started(instances_of(engine, made_tables))
    before = rows(engine, made_tables)
    alone = engine.execution_options(isolation_level="AUTOCOMMIT")
    instances = instances_of(alone, made_tables)
    with alone.connect() as connection:
        options: dict[str, Any] = {"connection": connection} if given else {}

        def step(lock: bool) -> None:
            with instances.step(instance_id, lock=lock, **options) as workflow:
                do_human_task(workflow)

        for call in (
            lambda: step(False),
            lambda: step(True),
            lambda: instances.start("calls", **options),
            lambda: instances.migrate(instance_id, "calls", **options),
            lambda: instances.remove(instance_id, **options),
            lambda: instances.due(datetime.now(timezone.utc), lock=connection),
        ):
            with pytest.raises(ElementUnitsError, match="AUTOCOMMIT"):
                call()
        assert human_task(instances.look(instance_id, **options)) is not None
        assert len(instances.waiting(**options)) == 1
    assert rows(engine, made_tables) == before


@only_on("sqlite")  # other drivers begin transactions by themselves
def test_applications_may_begin_the_transactions_of_sqlite_themselves(
    engine: Engine, made_tables: Tables, server: Server
) -> None:
    """SQLAlchemy's documentation recommends it for savepoints of SQLite."""
    own = databases.engine(server.url)
    event.listen(own, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
    event.listen(own, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    instances = Instances(own, {"calls": databases.loader_of(databases.CALLS)}, made_tables)
    with own.connect() as connection:
        undone = instances.start("calls", connection=connection)
        connection.rollback()
    instance_id = started(instances)
    before = rows(engine, made_tables)
    with pytest.raises(ZeroDivisionError), own.begin() as connection:
        with connection.begin_nested():
            with instances.step(instance_id, connection=connection) as workflow:
                do_human_task(workflow)
        raise ZeroDivisionError
    assert rows(engine, made_tables) == before
    assert undone not in str(before)
    own.dispose()


@only_on("sqlite")  # no other database has shared caches
def test_a_table_that_is_locked_in_a_shared_cache_is_a_conflict(
    made_tables: Tables, server: Server
) -> None:
    """SQLite then says which table it is."""
    url = server.url.replace("sqlite:///", "sqlite:///file:") + "?cache=shared&uri=true"
    shared = databases.engine(url, connect_args={"timeout": 0})
    instances = instances_of(shared, made_tables)
    instance_id = started(instances)
    with instances.step(instance_id, lock=True):
        with pytest.raises(Conflict, match=r"gave way .*table is locked: "):
            instances.look(instance_id)
    shared.dispose()


def test_conflicts_are_known_by_what_each_driver_says() -> None:
    class Told(Exception):
        pgcode: Any = None

    def known(*arguments: Any, pgcode: Any = None) -> bool:
        error = Told(*arguments)
        error.pgcode = pgcode
        return is_conflict(OperationalError("SELECT", {}, error))

    assert known("deadlock", pgcode="40P01")  # psycopg2
    assert known({"C": "55P03", "M": "not available"})  # pg8000
    assert known(1213, "Deadlock found")
    assert not known("no", pgcode="23505")
    assert not known({"C": "23505", "M": "duplicate"})
    assert not known(1062, "Duplicate entry")
    assert not known()
