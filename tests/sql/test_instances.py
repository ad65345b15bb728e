"""Instances in a database: steps, conflicts, locks, transactions of the application, errors."""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from typing import Any

import databases
import pytest
import spiff_bpmn
from databases import HUMAN_TASKS, do_human_task, human_task, instances_of, only_on, rows, started
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, insert, select, update

from spiff_element_units import ElementUnits, ElementUnitsError, UnitNotFound
from spiff_element_units.spiff import ChangedWorkflow, SpecLoaders, StateError
from spiff_element_units.sql import Conflict, Instances, Tables, UnknownInstance, tables


def test_an_instance_goes_on_from_step_to_step_until_it_ends(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = started(instances, data={"amount": 800})
    for number in range(HUMAN_TASKS):
        with instances.step(instance_id) as workflow:
            do_human_task(workflow, **{f"answer {number}": "größe 🦊"})
    workflow = instances.look(instance_id)
    assert workflow.data["amount"] == 800
    assert workflow.data["answer 5"] == "größe 🦊"
    (row,) = rows(engine, made_tables)[made_tables.instances.name]
    assert row.ended_at is not None
    assert row.version == HUMAN_TASKS + 2
    assert instances.waiting(instance_id=instance_id) == []


def test_a_step_reads_the_live_piece_and_writes_what_changed(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = started(instances)
    seen: dict[str, tuple[int, bytes]] = {}
    for _ in range(HUMAN_TASKS):
        with instances.step(instance_id) as workflow:
            do_human_task(workflow)
        for row in rows(engine, made_tables)[made_tables.pieces.name]:
            if row.piece_id != "live":
                content = (row.version, bytes(row.content))
                assert seen.setdefault(row.piece_id, content) == content, "written once"
                assert row.version >= 3
    assert len(seen) == 5


def test_nothing_is_saved_if_the_block_raises(engine: Engine, made_tables: Tables) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = started(instances)
    before = rows(engine, made_tables)
    for lock in (False, True):
        with pytest.raises(ZeroDivisionError), instances.step(instance_id, lock=lock) as workflow:
            do_human_task(workflow)
            raise ZeroDivisionError
        assert rows(engine, made_tables) == before


def test_the_second_of_two_steps_fails_before_anything_is_written(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = started(instances)
    with pytest.raises(Conflict, match=f"changed instance '{instance_id}'"):
        with instances.step(instance_id) as late:
            do_human_task(late)
            with instances.step(instance_id) as workflow:
                do_human_task(workflow)
            before = rows(engine, made_tables)
    assert rows(engine, made_tables) == before
    with instances.step(instance_id) as workflow:
        do_human_task(workflow)


def test_a_step_that_changes_nothing_counts_as_a_step(engine: Engine, made_tables: Tables) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = started(instances)
    with pytest.raises(Conflict), instances.step(instance_id), instances.step(instance_id):
        pass


def test_nobody_gets_into_a_step_that_is_locked(
    engine: Engine, made_tables: Tables, impatient: Engine
) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = started(instances)
    with instances.step(instance_id, lock=True) as workflow:
        with pytest.raises(Conflict, match=f"instance '{instance_id}': the database gave way"):
            with instances_of(impatient, made_tables).step(instance_id, lock=True):
                raise AssertionError("it got in")
        do_human_task(workflow)
    with instances_of(impatient, made_tables).step(instance_id, lock=True) as workflow:
        do_human_task(workflow)


def test_a_step_that_waits_for_a_lock_sees_what_the_first_did(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = started(instances)
    done: list[str] = []
    begins = threading.Event()

    def second() -> None:
        begins.set()
        with instances.step(instance_id, lock=True) as workflow:
            done.append(do_human_task(workflow))

    other = threading.Thread(target=second)
    with instances.step(instance_id, lock=True) as workflow:
        other.start()
        assert begins.wait(30)
        done.append(do_human_task(workflow))
    other.join(60)
    assert len(set(done)) == 2
    (row,) = rows(engine, made_tables)[made_tables.instances.name]
    assert row.version == 4


@only_on("postgresql", "mariadb")  # with an old snapshot, SQLite does not write at all
def test_a_locked_step_sees_the_latest_version_in_a_transaction_with_an_old_snapshot(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = started(instances)
    isolated = engine.execution_options(isolation_level="REPEATABLE READ")
    try:
        with isolated.begin() as connection:
            connection.execute(select(made_tables.instances)).all()  # takes the snapshot
            connection.execute(select(made_tables.pieces)).all()
            with instances.step(instance_id) as workflow:
                first = do_human_task(workflow)
            with instances.step(instance_id, lock=True, connection=connection) as workflow:
                assert do_human_task(workflow) != first
    except Conflict:  # as PostgreSQL does it, and MariaDB if told to
        pass
    (row,) = rows(engine, made_tables)[made_tables.instances.name]
    assert row.version in (3, 4)
    ready = human_task(instances.look(instance_id))
    assert [one.task_id for one in instances.waiting()] == [str(ready.id)]


def test_a_step_and_rows_of_the_application_are_one_transaction(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = started(instances)
    outbox = Table("outbox", MetaData(), Column("text", String(100)))
    outbox.create(engine)
    try:
        before = rows(engine, made_tables)
        for lock in (False, True):
            with pytest.raises(ZeroDivisionError), engine.begin() as connection:
                with instances.step(instance_id, lock=lock, connection=connection) as workflow:
                    do_human_task(workflow)
                    connection.execute(insert(outbox).values(text="lost"))
                raise ZeroDivisionError
        assert rows(engine, made_tables) == before
        for lock in (False, True):
            with engine.begin() as connection:
                with instances.step(instance_id, lock=lock, connection=connection) as workflow:
                    text = do_human_task(workflow)
                    connection.execute(insert(outbox).values(text=text))
        with engine.connect() as connection:
            assert len(connection.execute(select(outbox)).all()) == 2
        with pytest.raises(Conflict), engine.begin() as connection:
            with instances.step(instance_id, connection=connection):
                connection.execute(insert(outbox).values(text="lost"))
                later = update(made_tables.instances).values(version=99)
                connection.execute(later)
        with engine.connect() as connection:
            assert len(connection.execute(select(outbox)).all()) == 2
    finally:
        outbox.drop(engine)


def test_looking_saves_nothing(engine: Engine, made_tables: Tables) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = started(instances)
    before = rows(engine, made_tables)
    do_human_task(instances.look(instance_id))
    assert rows(engine, made_tables) == before


def test_a_piece_that_another_step_has_replaced_is_a_conflict(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = started(instances)
    for _ in range(2):
        with instances.step(instance_id) as workflow:
            do_human_task(workflow)
    with pytest.raises(Conflict), instances.step(instance_id) as late:
        with instances.step(instance_id) as workflow:
            workflow.reset_from_task_id(workflow.task_tree.children[0].id)
            workflow.do_engine_steps()
        assert len(rows(engine, made_tables)[made_tables.pieces.name]) == 1
        late.get_tasks()  # looks into a subprocess whose piece is gone


def test_an_instance_that_is_removed_is_gone_and_a_step_of_it_is_not_saved(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    instance_id, other = started(instances), started(instances)
    with pytest.raises(Conflict), instances.step(instance_id) as workflow:
        do_human_task(workflow)
        instances.remove(instance_id)
    for table, found in rows(engine, made_tables).items():
        assert len(found) == (2 if table.endswith("pieces") else 1) - table.endswith("pieces")
    with instances.step(other) as workflow:
        do_human_task(workflow)
    with pytest.raises(UnknownInstance):
        instances.remove(instance_id)


def test_an_id_names_one_instance(engine: Engine, made_tables: Tables) -> None:
    instances = instances_of(engine, made_tables)
    assert instances.start("calls", instance_id="order 7") == "order 7"
    assert instances.start("calls", instance_id="Order 7") == "Order 7"
    before = rows(engine, made_tables)
    with pytest.raises(Conflict, match="there is an instance 'order 7' already"):
        instances.start("calls", instance_id="order 7")
    assert rows(engine, made_tables) == before


def test_an_unknown_instance_is_named(engine: Engine, made_tables: Tables) -> None:
    instances = instances_of(engine, made_tables)
    instances.start("calls", instance_id="known")
    calls: list[Any] = [
        instances.look,
        instances.remove,
        instances.history,
        lambda one: instances.step(one).__enter__(),
        lambda one: instances.step(one, lock=True).__enter__(),
        lambda one: instances.migrate(one, "calls"),
    ]
    for call in calls:
        for unknown in ("nobody", "known "):
            with pytest.raises(UnknownInstance, match=f"does not contain instance '{unknown}'"):
                call(unknown)
        with pytest.raises(TypeError, match="instance_id must be a str, not int"):
            call(7)


def test_a_key_that_no_loader_has_is_named_with_the_instance(
    engine: Engine, made_tables: Tables, tmp_path: Any
) -> None:
    instance_id = started(instances_of(engine, made_tables))
    without = Instances(engine, {}, made_tables)
    with pytest.raises(UnitNotFound, match=f"instance '{instance_id}': no loader.*'calls'"):
        without.look(instance_id)
    with pytest.raises(UnitNotFound, match="no loader has the cache key 'calls'"):
        without.start("calls")
    text = spiff_bpmn.spec_json(databases.CALLS, "root")
    ElementUnits.from_json(text).save(tmp_path / "cache", "cached")
    loaders = SpecLoaders(tmp_path / "cache", databases.models.serializer())
    instance_id = Instances(engine, loaders, made_tables).start("cached")
    elsewhere = SpecLoaders(tmp_path / "empty", databases.models.serializer())
    with pytest.raises(UnitNotFound, match=f"instance '{instance_id}': .*'cached'"):
        Instances(engine, elsewhere, made_tables).look(instance_id)


@pytest.mark.parametrize("bit", [1, 128])  # the latter is no UTF-8
@pytest.mark.parametrize("compress", [False, True])
def test_a_damaged_piece_is_named_with_the_instance(
    engine: Engine, made_tables: Tables, compress: bool, bit: int
) -> None:
    instances = instances_of(engine, made_tables, compress=compress)
    instance_id = started(instances)
    for _ in range(2):
        with instances.step(instance_id) as workflow:
            do_human_task(workflow)
    pieces = made_tables.pieces
    for row in rows(engine, made_tables)[pieces.name]:
        content = bytearray(row.content)
        content[len(content) // 2] ^= bit
        of_it = pieces.c.piece_id == row.piece_id
        with engine.begin() as connection:
            connection.execute(update(pieces).where(of_it).values(content=bytes(content)))
        with pytest.raises(StateError, match=f"instance '{instance_id}': piece '{row.piece_id}'"):
            with instances.step(instance_id) as workflow:
                workflow.get_tasks()
        with pytest.raises(StateError, match=f"instance '{instance_id}': piece '{row.piece_id}'"):
            instances.history(instance_id)
        with engine.begin() as connection:
            connection.execute(update(pieces).where(of_it).values(content=row.content))
    with engine.begin() as connection:
        connection.execute(pieces.delete().where(pieces.c.piece_id == "live"))
    with pytest.raises(StateError, match=f"instance '{instance_id}': piece 'live'.* is missing"):
        instances.look(instance_id)


def test_pieces_are_read_whether_they_are_compressed_or_not(
    engine: Engine, made_tables: Tables
) -> None:
    every = [instances_of(engine, made_tables, compress=one) for one in (False, True)]
    instance_id = started(every[0])
    sizes = set()
    for number in range(HUMAN_TASKS):
        with every[number % 2].step(instance_id) as workflow:
            do_human_task(workflow)
        sizes.add(len(rows(engine, made_tables)[made_tables.pieces.name][-1].content) // 3000)
    assert len(every[0].look(instance_id).get_tasks()) > 40
    assert len(sizes) > 1


def test_an_instance_moves_to_another_version(engine: Engine, made_tables: Tables) -> None:
    changed = {**databases.CALLS, "b": [("script", "y = 3"), ("human",), ("human",)]}
    renewed = {**databases.CALLS, "a": [("script", "x = 5")]}
    loaders = {
        "calls": databases.loader_of(databases.CALLS),
        "changed": databases.loader_of(changed),
        "renewed": databases.loader_of(renewed),
    }
    instances = Instances(engine, loaders, made_tables)
    instance_id = started(instances)
    with pytest.raises(ChangedWorkflow, match=f"instance '{instance_id}': ") as refused:
        instances.migrate(instance_id, "changed")
    assert refused.value.comparison is not None
    for _ in range(2):
        with instances.step(instance_id) as workflow:
            do_human_task(workflow)
    instances.migrate(instance_id, "renewed")
    while instances.waiting(instance_id=instance_id):
        with instances.step(instance_id) as workflow:
            do_human_task(workflow)
    assert instances.look(instance_id).data["x"] == 5


def test_an_instance_that_was_stored_as_one_text_goes_on(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    loader = databases.loader_of(databases.CALLS)
    workflow = loader.start()
    workflow.do_engine_steps()
    do_human_task(workflow)
    instance_id = instances.add("calls", loader.save(workflow))
    assert instances.due(datetime.now(timezone.utc)) == []
    with instances.step(instance_id) as resumed:
        assert do_human_task(resumed) == do_human_task(workflow)
    assert len(rows(engine, made_tables)[made_tables.pieces.name]) == 3


def test_arguments_of_other_types_are_type_errors(engine: Engine, made_tables: Tables) -> None:
    instances = instances_of(engine, made_tables)
    for wrong, told in [
        (lambda: Instances("sqlite://", {}), "engine must be an Engine"),  # type: ignore[arg-type]
        (lambda: Instances(engine, None), "loaders must be"),  # type: ignore[arg-type]
        (lambda: instances.start("calls", connection=engine), "connection must be"),
        (lambda: instances.start(7), "cache_key must be"),
        (lambda: instances.due(datetime.now()), "a datetime with a time zone"),
        (lambda: instances.waiting(limit="1"), "limit must be an int"),
    ]:
        with pytest.raises(TypeError, match=told):
            wrong()
    with pytest.raises(ElementUnitsError, match="limit must be at least 1"):
        instances.waiting(limit=0)
    with pytest.raises(ElementUnitsError, match=r"the instance id has 65 characters.*room for 64"):
        instances.start("calls", instance_id="x" * 65)
    with pytest.raises(ElementUnitsError, match="after must be the `next`"):
        instances.history(started(instances), after="here")


def test_tables_can_be_those_of_the_application(engine: Engine) -> None:
    metadata = MetaData()
    mine = tables(metadata, prefix="mine_")
    cases = Table(
        "cases",
        metadata,
        Column("number", Integer, primary_key=True),
        Column("instance_id", mine.instances.c.id.type, nullable=False),
    )
    metadata.create_all(engine)
    try:
        instances = instances_of(engine, mine)
        with engine.begin() as connection:
            instance_id = instances.start("calls", connection=connection)
            connection.execute(insert(cases).values(number=7, instance_id=instance_id))
        with engine.connect() as connection:
            joined = cases.join(mine.instances, cases.c.instance_id == mine.instances.c.id)
            query = select(mine.instances.c.cache_key).select_from(joined)
            assert connection.execute(query).scalars().all() == ["calls"]
        with pytest.raises(ZeroDivisionError), engine.begin() as connection:
            instances.start("calls", connection=connection)
            raise ZeroDivisionError
        assert databases.count_rows(engine, mine)[0] == 1
    finally:
        metadata.drop_all(engine)


def test_a_workflow_in_a_step_is_the_same_for_whoever_looks(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = started(instances)
    with instances.step(instance_id) as workflow:
        task = human_task(workflow)
        shown = human_task(instances.look(instance_id))
        assert (task.id, task.task_spec.name) == (shown.id, shown.task_spec.name)
