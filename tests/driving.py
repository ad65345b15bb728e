"""Drives any ``BpmnWorkflow`` through a model, step by step, and makes snapshots of it.

What this module promises:

- A ``Driver`` takes the same steps at every run. Which task comes next depends on where it is in
  the task tree, never on ids, the order of a dict, or time.
- The driver keeps nothing of the workflow between two steps. The caller may continue with another
  workflow object at the same point, for example one that was saved and restored.
- Workflows at the same point have equal snapshots. A snapshot consists of dicts, lists, strings,
  numbers and None. Later steps do not change it. It contains neither ids nor times.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Callable, Optional
from uuid import UUID

import models
from SpiffWorkflow.bpmn import BpmnEvent, BpmnWorkflow
from SpiffWorkflow.exceptions import SpiffWorkflowException
from SpiffWorkflow.spiff.specs.event_definitions import (
    MessageEventDefinition,
    SignalEventDefinition,
)
from SpiffWorkflow.task import Task
from SpiffWorkflow.util.task import TaskState

STEP_LIMIT = 400
LONG_AGO = "2001-01-01T00:00:00+00:00"
# The engine computes the time of such a timer from the clock.
CLOCK_TIMERS = {"DurationTimerEventDefinition", "CycleTimerEventDefinition"}
AN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
A_TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+([+-]\d\d:\d\d|Z)?")


# Workflows


def start(model, script_engine=None) -> BpmnWorkflow:
    """A new workflow of ``model`` on plain SpiffWorkflow, from its full spec JSON."""
    specs = models.spec_dict(model)
    registry = models.serializer().registry
    return BpmnWorkflow(
        registry.restore(specs["spec"]),
        {name: registry.restore(spec) for name, spec in specs["subprocess_specs"].items()},
        script_engine=script_engine or models.script_engine(),
    )


def saved_and_restored(workflow) -> BpmnWorkflow:
    """What SpiffWorkflow's own serializer makes of ``workflow``, with the same script engine."""
    text = models.serializer().serialize_json(workflow)
    restored = models.serializer().deserialize_json(text)
    restored.script_engine = workflow.script_engine
    return restored


def tree(workflow, task: Optional[Task] = None, path: str = "") -> Iterator[tuple[str, Task]]:
    """Every task with its path, parents first, a task's subprocess before its children."""
    task = task or workflow.task_tree
    path = path or task.task_spec.name
    yield path, task
    subprocess = workflow.top_workflow.subprocesses.get(task.id)
    if subprocess is not None:
        inner = subprocess.task_tree
        yield from tree(workflow, inner, f"{path}/{inner.task_spec.name}")
    for index, child in enumerate(task.children):
        yield from tree(workflow, child, f"{path}.{index}")


def ready_tasks(workflow) -> list[Task]:
    """The tasks that are ready, in the order of the task tree."""
    return workflow.get_tasks(state=TaskState.READY)


def find_task(workflow, task_spec: str, state: int) -> Task:
    """The first task of ``task_spec`` in the task tree that is in this state."""
    for task in workflow.get_tasks(state=state, spec_name=task_spec):
        return task
    raise AssertionError(f"no task of {task_spec!r} is {TaskState.get_name(state)}")


def is_completed(workflow) -> bool:
    """Whether the workflow, or the subprocess, is completed, without a change to it."""
    # SpiffWorkflow 3.0 computes it. Later versions store it, and the question would set it.
    completed = getattr(workflow, "completed", None)
    return workflow.is_completed() if completed is None else completed


# Steps


class Driver:
    """Takes a workflow through a model: engine tasks first, then answers, then the script.

    A step runs one task. With ``engine_steps`` it runs all that ``do_engine_steps`` does, as most
    applications do; the order of these tasks is then the engine's.
    """

    def __init__(self, model, engine_steps: bool = False):
        self.model = model
        self.engine_steps = engine_steps
        self._script = deque(model.script)

    def step(self, workflow) -> Optional[str]:
        """Does the next thing and says what it was, or None if there is nothing to do."""
        ready = ready_tasks(workflow)
        for task in ready:
            if not task.task_spec.manual:
                return self._engine_steps(workflow) or self._run(workflow, task)
        for task in ready:
            if task.task_spec.name in self.model.answers:
                return self._answer(workflow, task, self.model.answers[task.task_spec.name])
        if self._script:
            return self._act(workflow, self._script.popleft())
        return None

    def _engine_steps(self, workflow) -> Optional[str]:
        if not self.engine_steps:
            return None
        workflow.do_engine_steps()
        refresh(workflow)
        return "engine steps"

    def _run(self, workflow, task) -> str:
        """Runs a task and does what ``do_engine_steps`` does around it."""
        name, active = task.task_spec.name, not is_completed(task.workflow)
        task.run()
        parent_id = task.workflow.parent_task_id
        if parent_id is not None and active:
            parent = workflow.get_task_from_id(parent_id)
            parent.task_spec._update(parent)
        refresh(workflow)
        return f"run {name}"

    def _answer(self, workflow, task, data) -> str:
        task.data.update(deepcopy(dict(data)))
        return self._run(workflow, task)

    def _act(self, workflow, action) -> str:
        if isinstance(action, models.Answer):
            task = find_task(workflow, action.task_spec, TaskState.READY)
            return self._answer(workflow, task, action.data)
        if isinstance(action, models.Timer):
            make_due(workflow, action.task_spec)
            refresh(workflow)
            return f"timer {action.task_spec}"
        if isinstance(action, models.Reset):
            reset(workflow, action.task_spec)
            return f"reset {action.task_spec}"
        if isinstance(action, models.Cancel):
            workflow.cancel()
            return "cancel"
        workflow.send_event(event(action))
        refresh(workflow)
        return f"{type(action).__name__.lower()} {action.name}"


def event(action) -> BpmnEvent:
    """The engine's event for a ``Message`` or a ``Signal``."""
    if isinstance(action, models.Signal):
        return BpmnEvent(SignalEventDefinition(action.name))
    return BpmnEvent(
        MessageEventDefinition(action.name),
        payload=deepcopy(dict(action.payload)),
        correlations=deepcopy(dict(action.correlations)),
    )


def make_due(workflow, task_spec: str) -> None:
    """Sets the time of a waiting timer to long ago."""
    task = find_task(workflow, task_spec, TaskState.WAITING)
    value = task.internal_data.get("event_value")
    due = {**value, "next": LONG_AGO} if isinstance(value, dict) else LONG_AGO
    task.internal_data["event_value"] = due


def reset(workflow, task_spec: str) -> None:
    """Takes ``workflow`` back to the first completed task of ``task_spec``."""
    workflow.reset_from_task_id(find_task(workflow, task_spec, TaskState.COMPLETED).id)


def refresh(workflow) -> None:
    """Lets timers and conditions see what has changed."""
    if hasattr(workflow, "refresh_timers"):
        workflow.refresh_timers()
    else:
        workflow.refresh_waiting_tasks()


# Runs


@dataclass
class Run:
    """What happened: ``snapshots[0]`` is before the first step, one more follows each action."""

    workflow: Any
    actions: list = field(default_factory=list)
    snapshots: list = field(default_factory=list)
    error: Optional[str] = None  # what SpiffWorkflow raised, if it did

    @property
    def final(self):
        """The last snapshot."""
        return self.snapshots[-1]


def run(
    model,
    workflow,
    after_step: Callable[[BpmnWorkflow], BpmnWorkflow] = lambda workflow: workflow,
    engine_steps: bool = False,
) -> Run:
    """Runs ``workflow`` until nothing is left to do.

    After each step the run goes on with the workflow that ``after_step`` returns. The snapshot of
    a step is taken of that one.
    """
    driver, done = Driver(model, engine_steps), Run(workflow)
    done.snapshots.append(snapshot(workflow))
    for _ in range(STEP_LIMIT):
        try:
            action = driver.step(done.workflow)
        except SpiffWorkflowException as error:
            done.error = AN_ID.sub("<id>", f"{type(error).__name__}: {error}")
            return done
        if action is None:
            return done
        done.workflow = after_step(done.workflow)
        done.actions.append(action)
        done.snapshots.append(snapshot(done.workflow))
    raise AssertionError(f"{model} is at no end after {STEP_LIMIT} steps: {done.actions[-5:]}")


# Snapshots


def snapshot(workflow) -> dict:
    """The state of ``workflow`` and of all its subprocesses, without ids and times."""
    paths = {str(task.id): path for path, task in tree(workflow)}
    return {
        **_process(workflow, paths),
        "events": [_event(bpmn_event, paths) for bpmn_event in workflow.bpmn_events],
        "waiting": sorted((_pending(one, paths) for one in workflow.waiting_events()), key=str),
        # A subprocess of a task that was removed from the tree; the engine keeps it.
        "detached": sorted(
            subprocess.spec.name
            for task_id, subprocess in workflow.subprocesses.items()
            if str(task_id) not in paths
        ),
    }


def _process(workflow, paths) -> dict:
    last = workflow.last_task
    return {
        "spec": workflow.spec.name,
        "completed": is_completed(workflow),
        "success": workflow.success,
        "data": _plain(workflow.data, paths),
        "correlations": _plain(workflow.correlations, paths),
        # A reset may have removed it from the tree; a restored workflow has none then.
        "last_task": last and paths.get(str(last.id)),
        "tree": _task(workflow.task_tree, paths),
    }


def _task(task, paths) -> dict:
    subprocess = task.workflow.top_workflow.subprocesses.get(task.id)
    return {
        "spec": task.task_spec.name,
        "type": type(task.task_spec).__name__,
        "state": TaskState.get_name(task.state),
        "triggered": task.triggered,
        "data": _plain(task.data, paths),
        "internal_data": _internal_data(task, paths),
        "subprocess": None if subprocess is None else _process(subprocess, paths),
        "children": [_task(child, paths) for child in task.children],
    }


def _internal_data(task, paths):
    plain = _plain(task.internal_data, paths)
    definition = getattr(task.task_spec, "event_definition", None)
    if type(definition).__name__ in CLOCK_TIMERS and "event_value" in plain:
        plain["event_value"] = _without_times(plain["event_value"])
    return plain


def _event(bpmn_event, paths) -> dict:
    definition = bpmn_event.event_definition
    return {
        "type": type(definition).__name__,
        "name": definition.name,
        "payload": _plain(bpmn_event.payload, paths),
        "correlations": _plain(bpmn_event.correlations, paths),
    }


def _pending(pending, paths) -> dict:
    plain = _plain(vars(pending), paths)
    if pending.event_type in CLOCK_TIMERS:
        plain["value"] = _without_times(plain["value"])
    return plain


def _without_times(value):
    if isinstance(value, dict):
        return {key: _without_times(one) for key, one in value.items()}
    return A_TIME.sub("<time>", value) if isinstance(value, str) else value


def _plain(value, paths):
    """A copy of ``value`` in which the id of a task is the path of the task."""
    if isinstance(value, dict):
        return {str(_plain(key, paths)): _plain(one, paths) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        plain = [_plain(one, paths) for one in value]
        return sorted(plain, key=str) if isinstance(value, (set, frozenset)) else plain
    if isinstance(value, (str, UUID)):
        return paths.get(str(value), value if isinstance(value, str) else "<no task>")
    if hasattr(value, "__dict__"):
        return {"type": type(value).__name__, **_plain(vars(value), paths)}
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
