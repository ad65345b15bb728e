"""The index of what instances wait for."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import driving
import models
import pytest
from databases import instances_of, started
from lockstep import loader_of
from SpiffWorkflow.util.task import TaskState
from sqlalchemy import Engine

from spiff_element_units import ElementUnitsError
from spiff_element_units.sql import Instances, Tables

PARALLEL = {"root": [("parallel", [("human",)], [("human",)]), ("human",)]}


def test_a_step_leaves_the_entries_of_what_still_waits(engine: Engine, made_tables: Tables) -> None:
    instances = instances_of(engine, made_tables, PARALLEL)
    instance_id = started(instances)
    first, second = instances.waiting(instance_id=instance_id)
    with instances.step(instance_id) as workflow:
        workflow.get_next_task(state=TaskState.READY, manual=True).run()
        workflow.do_engine_steps()
    (left,) = instances.waiting(instance_id=instance_id)
    assert left in (first, second)


def test_pages_follow_one_another_from_the_oldest_entry(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables, PARALLEL)
    ids = [started(instances) for _ in range(3)]
    pages = [instances.waiting(limit=4)]
    pages.append(instances.waiting(limit=4, after=pages[0][-1].number))
    assert [one.instance_id for page in pages for one in page] == [ids[at // 2] for at in range(6)]
    assert instances.waiting(after=pages[1][-1].number) == []
    element = pages[0][1].element_id
    found = instances.waiting(element=element, limit=2)
    assert [(one.instance_id, one.element_id) for one in found] == [
        (one, element) for one in ids[:2]
    ]
    assert instances.waiting(element=element.upper()) == []


def entries(engine: Engine, made_tables: Tables, name: str) -> tuple[Instances, str]:
    """An instance of a model, at its first point at which it waits for something from outside."""
    model = models.MODELS[name]
    instances = Instances(engine, {"key": loader_of(model)}, made_tables)
    instance_id, driver = instances.start("key"), driving.Driver(model)
    while not any(one.kind != "human" for one in instances.waiting(instance_id=instance_id)):
        with instances.step(instance_id, script_engine=models.script_engine()) as workflow:
            assert driver.step(workflow) is not None
    return instances, instance_id


def test_a_message_is_found_by_its_name(engine: Engine, made_tables: Tables) -> None:
    instances, instance_id = entries(engine, made_tables, "boundary_message")
    entry, other = (one for one in instances.waiting() if one.kind == "message")
    assert entry.event != other.event
    assert entry.instance_id == instance_id
    assert entry.event is not None
    assert instances.waiting(message=entry.event) == [entry]
    assert instances.waiting(signal=entry.event) == []
    assert instances.waiting(message=entry.event, element="another") == []


def test_a_lane_finds_its_human_tasks(engine: Engine, made_tables: Tables) -> None:
    model = models.MODELS["lanes"]
    instances = Instances(engine, {"key": loader_of(model)}, made_tables)
    instance_id = instances.start("key")
    with instances.step(instance_id, script_engine=models.script_engine()) as workflow:
        workflow.do_engine_steps()
    (entry,) = instances.waiting()
    assert entry.lane
    assert instances.waiting(lane=entry.lane) == [entry]
    assert instances.waiting(lane=entry.lane.swapcase()) == []


def test_an_instance_is_due_when_its_first_timer_is(engine: Engine, made_tables: Tables) -> None:
    instances, instance_id = entries(engine, made_tables, "timers")
    due = min(one.due for one in instances.waiting() if one.due is not None)
    assert due.tzinfo is timezone.utc
    assert instances.due(due) == [instance_id]
    assert instances.due(due - timedelta(microseconds=1)) == []
    elsewhere = due.astimezone(timezone(timedelta(hours=5)))
    assert instances.due(elsewhere) == [instance_id]


def test_a_started_instance_is_due_until_its_first_step(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables)
    before = datetime.now(timezone.utc)
    instance_id = instances.start("calls")
    assert instances.due(before - timedelta(seconds=1)) == []
    assert instances.due(datetime.now(timezone.utc)) == [instance_id]
    with instances.step(instance_id):
        pass
    assert instances.due(datetime.now(timezone.utc)) == []


def test_a_name_that_has_no_room_is_refused_before_anything_is_written(
    engine: Engine, made_tables: Tables
) -> None:
    instances = instances_of(engine, made_tables, PARALLEL)
    instance_id = started(instances)
    version = instances.look(instance_id)
    with pytest.raises(ElementUnitsError, match=rf"instance '{instance_id}': the lane of element"):
        with instances.step(instance_id) as workflow:
            for task in workflow.get_tasks(state=TaskState.READY, manual=True):
                task.task_spec.lane = "x" * 256
    assert len(instances.waiting(instance_id=instance_id)) == len(
        version.get_tasks(state=TaskState.READY, manual=True)
    )
