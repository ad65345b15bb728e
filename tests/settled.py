"""Workflows with settled subprocesses, restored whole and with stand-ins in their places."""

from __future__ import annotations

from contextlib import suppress
from functools import cache

import driving
import models
import spiff_bpmn
from lockstep import loader_of
from SpiffWorkflow.exceptions import SpiffWorkflowException
from SpiffWorkflow.util.task import TaskState

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader
from spiff_element_units.spiff.standin import is_unopened

PROCESSES = {
    "root": [("call", "a"), ("human",), ("call", "a"), ("human",), ("call", "b"), ("human",)],
    "a": [("call", "b"), ("script", "x = 1"), ("call", "b")],
    "b": [("script", "y = 2"), ("embed", [("script", "z = 3")])],
}
IN_A = 5  # settled subprocesses: a, and in it two b, each with an embedded one


@cache
def spec_text() -> str:
    return spiff_bpmn.spec_json(PROCESSES, "root")


def new_loader(serializer=None) -> SpecLoader:
    return SpecLoader(ElementUnits.from_json(spec_text()), serializer or models.serializer())


def started(loader, human_tasks: int = 0):
    """A workflow in which so many human tasks are done."""
    workflow = loader.start(script_engine=models.script_engine())
    workflow.do_engine_steps()
    for _ in range(human_tasks):
        do_human_task(workflow)
    return workflow


def do_human_task(workflow) -> None:
    next(task for task in workflow.get_tasks(state=TaskState.READY) if task.task_spec.manual).run()
    workflow.do_engine_steps()


def unopened(workflow) -> int:
    """The number of stand-ins that are listed."""
    return sum(map(is_unopened, dict.values(workflow.subprocesses)))


@cache
def states() -> list:
    """States with settled subprocesses as SpiffWorkflow writes them, each with its model."""
    found = []
    for model in models.MODELS.values():
        loader = loader_of(model)
        workflow, driver = loader.start(script_engine=models.script_engine()), driving.Driver(model)
        texts = []
        with suppress(SpiffWorkflowException):  # some models end so
            while driver.step(workflow):
                state = loader.save(workflow)
                if len(loader.split(state).changed) > 1:
                    texts.append((model, state, models.serializer().serialize_json(workflow)))
        found.extend({*texts[-1:], *texts[len(texts) // 2 :][:1]})
    assert len(found) > 20
    return found


def both(model, state, native):
    """The workflow of a state as SpiffWorkflow restores it, and with stand-ins."""
    return models.serializer().deserialize_json(native), loader_of(model).resume(state)


def ids(tasks) -> list:
    return [task.id for task in tasks]
