"""Steps of the same instances from several processes at once; a checker then reads everything."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timezone
from typing import Any

import databases
import pytest
from crowd import amount, needs_fork, together
from databases import do_human_task, human_task, instances_of, only_on, started
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, insert, select

from spiff_element_units.sql import Conflict, Instances, Tables

INSTANCES = 4
PROCESSES = 4
ROUNDS = amount("SQL_ROUNDS", 3)  # human tasks of each call

WORK = {
    "root": [("call", "a"), ("human",), ("call", "a"), ("human",)],
    "a": [("human",)] * ROUNDS,
}
TASKS = 2 * (ROUNDS + 1)


def outbox_of(tables: Tables) -> Table:
    """A table of the application, in which each human task that is done has a row."""
    return Table(
        f"{tables.instances.name}_outbox",
        MetaData(),
        Column("number", Integer, primary_key=True, autoincrement=True),
        Column("instance_id", String(64)),
        Column("element_id", String(64)),
        Column("task_id", String(64)),
        Column("worker", Integer),
    )


def work(url: str, tables: Tables, outbox: Table, worker: int, lock: bool) -> None:
    """Do human tasks of all instances until none is left, in any order."""
    engine = databases.engine(url)
    instances = instances_of(engine, tables, WORK)
    order = random.Random(worker)
    with engine.connect() as connection:
        left = list(connection.execute(select(tables.instances.c.id)).scalars())
    while left:
        instance_id = order.choice(left)
        try:
            with engine.begin() as connection:
                with instances.step(instance_id, lock=lock, connection=connection) as workflow:
                    task = human_task(workflow)
                    if task is None:
                        left.remove(instance_id)
                        continue
                    done = do_human_task(workflow, **{f"by {worker}": True})
                    row = {"instance_id": instance_id, "element_id": done, "worker": worker}
                    connection.execute(insert(outbox).values(task_id=str(task.id), **row))
        except Conflict:
            pass
    engine.dispose()


@needs_fork
@pytest.mark.parametrize("lock", [False, True])
def test_the_history_of_each_instance_is_one_that_a_single_worker_could_have_made(
    engine: Engine, made_tables: Tables, lock: bool
) -> None:
    instances = instances_of(engine, made_tables, WORK)
    ids = [started(instances) for _ in range(INSTANCES)]
    outbox = outbox_of(made_tables)
    outbox.create(engine)
    url = engine.url.render_as_string(hide_password=False)
    engine.dispose()
    try:
        together(
            [
                lambda worker=worker: work(url, made_tables, outbox, worker, lock)  # type: ignore[misc]
                for worker in range(PROCESSES)
            ]
        )
        check(engine, made_tables, outbox, ids)
    finally:
        outbox.drop(engine)


def check(engine: Engine, made_tables: Tables, outbox: Table, ids: list[str]) -> None:
    """Read everything: each task was done once, in order, and its row is there once."""
    alone = instances_of(engine, made_tables, WORK)
    single = started(alone)
    wanted = []
    while alone.waiting(instance_id=single):
        with alone.step(single) as workflow:
            wanted.append(do_human_task(workflow))
    assert len(wanted) == TASKS
    with engine.connect() as connection:
        told = connection.execute(select(outbox).order_by(outbox.c.number)).all()
        versions = dict(
            connection.execute(
                select(made_tables.instances.c.id, made_tables.instances.c.version)
            ).all()  # type: ignore[arg-type]
        )
    for instance_id in ids:
        mine = [row for row in told if row.instance_id == instance_id]
        assert [row.element_id for row in mine] == wanted
        assert set(Counter(row.task_id for row in mine).values()) == {1}
        workflow = alone.look(instance_id)
        finished = {str(task.id): task for task in workflow.get_tasks() if task.task_spec.manual}
        assert finished.keys() == {row.task_id for row in mine}
        for row in mine:
            assert finished[row.task_id].data[f"by {row.worker}"] is True
        assert history(alone, instance_id) == history(alone, single)
        assert alone.waiting(instance_id=instance_id) == []
        # Each step that was saved counts: the start, the first, and one for each task or look.
        assert versions[instance_id] >= 2 + TASKS
    assert alone.due(datetime.now(timezone.utc)) == []


def history(instances: Any, instance_id: str) -> Counter[Any]:
    return Counter(
        (one.process_id, one.element_id, one.state)
        for one in instances.history(instance_id, limit=1000).tasks
    )


@needs_fork
def test_workers_that_take_due_instances_from_the_queue_take_each_once(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables, WORK)
    ids = [instances.start("calls") for _ in range(12)]
    outbox = outbox_of(made_tables)
    outbox.create(engine)
    url = engine.url.render_as_string(hide_password=False)
    engine.dispose()

    def take(worker: int) -> None:
        own = databases.engine(url)
        mine = instances_of(own, made_tables, WORK)
        found = True
        while found:
            try:
                found = take_one(own, mine, worker)
            except Conflict as conflict:  # MariaDB: what is due has changed since it was read
                if "(1020, " not in str(conflict):
                    raise
        own.dispose()

    def take_one(own: Engine, mine: Instances, worker: int) -> bool:
        with own.begin() as connection:
            found = mine.due(datetime.now(timezone.utc), limit=1, lock=connection)
            for instance_id in found:
                with mine.step(instance_id, lock=True, connection=connection) as workflow:
                    workflow.do_engine_steps()
                    row = {"instance_id": instance_id, "worker": worker}
                    connection.execute(insert(outbox).values(row))
        return bool(found)

    try:
        together([lambda worker=worker: take(worker) for worker in range(3)])  # type: ignore[misc]
        with engine.connect() as connection:
            taken = connection.execute(select(outbox.c.instance_id)).scalars().all()
        assert sorted(taken) == sorted(ids)
        assert len(instances.waiting(limit=100)) == 12
        assert instances.due(datetime.now(timezone.utc)) == []
    finally:
        outbox.drop(engine)


@only_on("postgresql", "mariadb")  # SQLite has no locks of rows
def test_those_that_another_worker_has_locked_are_left_out(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    ids = [instances.start("calls") for _ in range(3)]
    now = datetime.now(timezone.utc)
    with engine.begin() as one, engine.begin() as other:
        first = instances.due(now, limit=1, lock=one)
        second = instances.due(now, limit=2, lock=other)
        assert [*first, *second] == ids
        assert instances.due(now, lock=one) == first
    assert instances.due(now) == ids


@only_on("postgresql", "mariadb")  # SQLite has no locks of rows
def test_who_holds_due_instances_is_in_nobody_elses_way(
    engine: Engine, made_tables: Tables, impatient: Engine
) -> None:
    """Locks on the gaps of an index would make other workers wait, or would cause a deadlock."""
    instances = instances_of(impatient, made_tables)
    ids = [instances.start("calls") for _ in range(3)]
    now = datetime.now(timezone.utc)
    with impatient.begin() as one, impatient.begin() as other, impatient.begin() as third:
        held = [instances.due(now, limit=1, lock=connection) for connection in (one, other, third)]
        assert [*held[0], *held[1], *held[2]] == ids
        with impatient.begin() as idle:
            assert instances.due(now, lock=idle) == []
            later = instances.start("calls")
            for instance_id, connection in zip(ids, (one, other, third)):
                with instances.step(instance_id, lock=True, connection=connection) as workflow:
                    workflow.do_engine_steps()
    assert instances.due(datetime.now(timezone.utc)) == [later]


@only_on("postgresql", "mariadb")  # SQLite has no locks of rows
def test_there_may_be_many_more_locked_instances_than_one_worker_asks_for(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    start = instances.start("calls")
    now = datetime.now(timezone.utc)
    with engine.begin() as connection:  # all are due at the same time
        (row,) = connection.execute(select(made_tables.instances)).mappings()
        names = [f"copy {number:03}" for number in range(250)]
        copies = [{**row, "id": name} for name in names]
        connection.execute(insert(made_tables.instances), copies)
    ids = sorted([start, *names])
    with engine.begin() as one, engine.begin() as other:
        assert instances.due(now, limit=240, lock=one) == ids[:240]
        assert instances.due(now, limit=5, lock=other) == ids[240:245]
        assert instances.due(now, limit=100, lock=other) == ids[240:]
