"""An instance that runs in steps from a database does the same as on the full workflow."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from typing import Any

import driving
import models
import pytest
from lockstep import VARIANTS, loader_of, own_save, same_point
from SpiffWorkflow.exceptions import SpiffWorkflowException
from SpiffWorkflow.util.task import TaskState
from sqlalchemy import Engine

from spiff_element_units.spiff import SpecLoader
from spiff_element_units.sql import Instances, Tables

SERVED = ["nested_calls", "timers", "correlation", "reset_in_called", "loop_call"]
FITTING = [name for name, one in models.MODELS.items() if VARIANTS["in pieces"].fits(one)]


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", FITTING)
def test_each_step_ends_where_spiffworkflow_does_on_the_whole(
    name: str, engine: Engine, made_tables: Tables
) -> None:
    follow(models.MODELS[name], engine, made_tables)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize("name", [name for name in SERVED if name in FITTING])
def test_servers_do_the_same(name: str, engine: Engine, made_tables: Tables) -> None:
    follow(models.MODELS[name], engine, made_tables)


def follow(model: Any, engine: Engine, made_tables: Tables) -> None:
    """Run a model on both sides, and compare after each step."""
    plain, driver = driving.start(model), driving.Driver(model)
    instances = Instances(engine, {"key": loader_of(model)}, made_tables)
    instance_id, own = instances.start("key"), driving.Driver(model)
    for _ in range(driving.STEP_LIMIT):
        wanted = done(driver.step, plain)
        try:
            with instances.step(instance_id, script_engine=models.script_engine()) as workflow:
                told = own.step(workflow)
        except (SpiffWorkflowException, AssertionError) as error:
            told = f"error {type(error).__name__}: {error}"
        assert told == wanted
        if told is None or told.startswith("error"):
            return
        plain = own_save(plain, None)
        shown = instances.look(instance_id, script_engine=models.script_engine())
        same_point(plain, shown, f"{model.name} after {told}")
        assert waits(instances, instance_id) == plain_waits(model, plain)
        assert history(instances, instance_id) == plain_history(plain)
    raise AssertionError(f"{model.name} does not end")


def done(step: Any, workflow: Any) -> Any:
    try:
        return step(workflow)
    except (SpiffWorkflowException, AssertionError) as error:
        return f"error {type(error).__name__}: {error}"


def waits(instances: Instances, instance_id: str) -> Counter[tuple[str, str]]:
    """The human tasks and the events of the index."""
    entries = instances.waiting(instance_id=instance_id)
    due = [one.due for one in entries if one.due is not None]
    now = datetime.now(timezone.utc)
    late = any(one <= now for one in due)
    assert (instance_id in instances.due(now)) == late
    return Counter((one.kind, one.event or one.element_id) for one in entries)


def plain_waits(model: Any, workflow: Any) -> Counter[tuple[str, str]]:
    """What a workflow on SpiffWorkflow alone waits for."""
    waiting = SpecLoader.waiting(loader_of(model), workflow)
    found = [("human", one) for one in waiting.human_tasks]
    found += [("timer", one) for one in waiting.timers]
    named = [("message", one.name) for one in waiting.messages]
    named += [("signal", one.name) for one in waiting.signals]
    return Counter([*((kind, one.bpmn_id or one.spec_name) for kind, one in found), *named])


def history(instances: Instances, instance_id: str) -> list[tuple[str, str, str]]:
    """The history, read in pages of two processes."""
    page = instances.history(instance_id, limit=2)
    tasks = [*page.tasks]
    while page.next is not None:
        page = instances.history(instance_id, after=page.next, limit=2)
        tasks += page.tasks
    return sorted((one.process_id, one.element_id, one.state) for one in tasks)


def plain_history(workflow: Any) -> list[tuple[str, str, str]]:
    processes = [workflow, *workflow.subprocesses.values()]
    return sorted(
        (process.spec.name, task.task_spec.name, TaskState.get_name(task.state))
        for process in processes
        for task in process.tasks.values()
        if task.has_state(TaskState.FINISHED_MASK)
    )
