"""The cost of a step does not depend on the history. Counts statements, rows and bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from typing import Any

import databases
import pytest
from databases import do_human_task
from SpiffWorkflow.util.task import TaskState
from sqlalchemy import Engine, event

from spiff_element_units.spiff import SpecLoader
from spiff_element_units.sql import Instances, Tables, stored

ENOUGH = 150  # tasks until a save and resume, because the engine walks through all of them


def processes(below: bool) -> dict[str, Any]:
    """A root that has called ten processes; below them are a hundred and a thousand, or none."""
    first = [("call", "second")] * 10 if below else []
    return {
        "root": [*[("call", "first")] * 10, *[("human",)] * 4],
        "first": first,
        "second": [("call", "third")] * 10,
        "third": [],
    }


@cache
def grown(below: bool) -> tuple[SpecLoader, str]:
    """A loader, and the state of an instance that has 10 or 1,110 settled subprocesses."""
    loader = databases.loader_of(processes(below))
    workflow = loader.start()

    class Enough(Exception):
        pass

    def stop(numbers: Any) -> Any:
        def stopping(task: Any) -> None:
            if next(numbers) == ENOUGH:
                raise Enough

        return stopping

    while True:
        try:
            workflow.do_engine_steps(did_complete_task=stop(count(1)))
            return loader, loader.save(workflow)
        except Enough:
            workflow = loader.resume(loader.save(workflow))


@contextmanager
def counted(engine: Engine) -> Iterator[Counter[str]]:
    """Count the statements, the rows that they write, and the bytes of their parameters."""
    found: Counter[str] = Counter()

    def execute(one: Any, cursor: Any, statement: str, parameters: Any, *more: Any) -> None:
        many = parameters if isinstance(parameters, list) else [parameters]
        kind = statement.split(maxsplit=1)[0]
        found[kind] += 1
        for row in many:
            values = row.values() if isinstance(row, dict) else row
            found[f"{kind} rows"] += 1
            found["bytes"] += sum(len(one) for one in values if isinstance(one, (str, bytes)))

    event.listen(engine, "before_cursor_execute", execute)
    yield found
    event.remove(engine, "before_cursor_execute", execute)


def cost(engine: Engine, made_tables: Tables, below: bool, lock: bool) -> Counter[str]:
    """What a step costs, with the bytes of the live piece that it reads."""
    loader, state = grown(below)
    instances = Instances(engine, {"key": loader}, made_tables)
    instance_id = instances.add("key", state)
    settled = databases.count_rows(engine, made_tables)[1]
    with counted(engine) as found, instances.step(instance_id, lock=lock) as workflow:
        do_human_task(workflow)
    after = databases.count_rows(engine, made_tables)[1]
    assert after == settled == 1 + (1110 if below else 10)
    instances.remove(instance_id)
    return found


@pytest.mark.parametrize("lock", [False, True])
def test_statements_rows_and_bytes_of_a_step_are_flat_in_the_history(
    engine: Engine, made_tables: Tables, lock: bool
) -> None:
    short, long = (cost(engine, made_tables, below, lock) for below in (False, True))
    bytes_short, bytes_long = short.pop("bytes"), long.pop("bytes")
    assert short == long
    assert bytes_long < 1.1 * bytes_short
    assert short["INSERT rows"] == 2  # the live piece and what it waits for now
    assert short["UPDATE rows"] - (lock and engine.name == "sqlite") == 1
    assert short["DELETE rows"] == 1
    assert sum(short[kind] for kind in ("SELECT", "INSERT", "UPDATE", "DELETE")) <= 8


def test_a_page_of_the_history_reads_as_many_pieces_as_asked(
    engine: Engine, made_tables: Tables
) -> None:
    loader, state = grown(True)
    instances = Instances(engine, {"key": loader}, made_tables)
    instance_id = instances.add("key", state)
    page = instances.history(instance_id, limit=100)
    callers = {one.subprocess_id for one in page.tasks}
    assert len(callers) == 100
    seen = set(callers)
    while page.next is not None:
        page = instances.history(instance_id, after=page.next, limit=100)
        callers = {one.subprocess_id for one in page.tasks}
        assert len(callers) <= 101
        assert not seen & callers
        seen |= callers
    assert len(seen) == 1111


class Compared(str):
    """A task id that counts how often it is compared."""

    count = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Compared.count += 1
        return str.__eq__(self, other)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_what_still_waits_is_found_without_comparing_each_with_each(
    engine: Engine, made_tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = 60
    instances = databases.instances_of(
        engine, made_tables, {"root": [("parallel", *[[("human",)]] * tasks)]}
    )
    instance_id = databases.started(instances)
    rows_of = stored.rows_of

    def counting(*arguments: Any) -> Any:
        return [{**row, "task_id": Compared(row["task_id"])} for row in rows_of(*arguments)]

    monkeypatch.setattr(stored, "rows_of", counting)
    with instances.step(instance_id) as workflow:
        for task in workflow.get_tasks(state=TaskState.READY, manual=True)[: tasks // 2]:
            task.run()
    assert len(instances.waiting(instance_id=instance_id)) == tasks // 2
    assert 0 < Compared.count <= 2 * tasks
