"""Databases that fail in the middle of a step: the step is saved as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from databases import do_human_task, instances_of, rows, started
from server_process import Server
from sqlalchemy import Column, Engine, String, Table, event, insert
from sqlalchemy.exc import DBAPIError

from spiff_element_units.sql import Instances, Tables


def after_two_tasks(instances: Instances) -> str:
    """An instance with settled subprocesses, which waits for its third human task."""
    instance_id = started(instances)
    for _ in range(2):
        with instances.step(instance_id) as workflow:
            do_human_task(workflow)
    return instance_id


def test_an_exception_while_a_piece_is_read_is_raised_unchanged(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    instance_id = after_two_tasks(instances)
    with pytest.raises(DBAPIError), instances.step(instance_id) as workflow:
        made_tables.pieces.drop(engine)
        workflow.get_tasks()  # looks into a subprocess whose piece cannot be read


@contextmanager
def killing(server: Server, engine: Engine, moment: int) -> Iterator[None]:
    """Kill the server before a statement or the commit, after so many others."""
    moments = count()

    def kill(*_: Any) -> None:
        if next(moments) == moment:
            server.stop()

    for name in ("before_cursor_execute", "commit"):
        event.listen(engine, name, kill)
    try:
        yield
    finally:
        for name in ("before_cursor_execute", "commit"):
            event.remove(engine, name, kill)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"], indirect=True)
def test_nothing_is_written_of_a_step_in_which_the_server_is_killed(
    engine: Engine, made_tables: Tables, server: Server, together: bool
) -> None:
    """It is killed before each statement in turn, then before the commit, and then not at all."""
    instances = instances_of(engine, made_tables)
    instance_id = after_two_tasks(instances)
    metadata = made_tables.instances.metadata
    outbox = Table("outbox", metadata, Column("text", String(100), primary_key=True))
    outbox.create(engine)

    def step() -> None:
        if not together:
            with instances.step(instance_id) as workflow:
                do_human_task(workflow)
            return
        with engine.begin() as connection:
            with instances.step(instance_id, connection=connection) as workflow:
                connection.execute(insert(outbox).values(text=do_human_task(workflow)))

    before = rows(engine, (*made_tables, outbox))
    for moment in count():
        try:
            with killing(server, engine, moment):
                step()
        except DBAPIError:
            server.start(lambda: engine.raw_connection().close())
            assert rows(engine, (*made_tables, outbox)) == before
        else:
            break
    assert moment >= 6
    after = rows(engine, (*made_tables, outbox))
    assert len(after["outbox"]) == together
    assert all(after[table.name] != before[table.name] for table in made_tables)
