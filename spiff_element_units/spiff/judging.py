"""Decides whether one process of an instance can be migrated to another version of it.

The rules are those of SpiffWorkflow's documentation of `bpmn.util.diff`: no element may be affected
that has a task which is COMPLETED or STARTED. What is READY or WAITING is predicted anew, and takes
what has changed. There are these differences:

- A called or embedded subprocess, a loop or a multi-instance that is STARTED may be followed by
  other elements than before.
- No task stays whose element is gone. SpiffWorkflow keeps one that is READY, WAITING or CANCELLED.
- A cycle timer that has begun counts as STARTED: it is WAITING, and its rounds are below it.
- A call or embedded subprocess that is READY has a subprocess that has ended, and so it must stay
  one, of the same process.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from SpiffWorkflow.bpmn.specs.event_definitions.timer import CycleTimerEventDefinition
from SpiffWorkflow.bpmn.specs.mixins.multiinstance_task import LoopTask
from SpiffWorkflow.bpmn.specs.mixins.subworkflow_task import SubWorkflowTask
from SpiffWorkflow.util.task import TaskState

from ..diff import kind_of
from .alignment import Alignment
from .state import FINISHED

COMPLETED = int(TaskState.COMPLETED)
STARTED = int(TaskState.STARTED)
RESET = int(TaskState.READY | TaskState.WAITING)
PREDICTED = int(TaskState.PREDICTED_MASK | TaskState.FUTURE)

_REFERRING = frozenset({"typename", "spec"})  # the fields that say which process a task runs
_FLOWS = {"inputs": "what leads to it", "outputs": "what follows it"}


class Judged(NamedTuple):
    """Why a process cannot be migrated, and how many tasks each of its elements has."""

    reasons: list[str]
    finished: Counter[str]
    current: Counter[str]
    predicted: Counter[str]


def judge(
    process_id: str, alignment: Alignment, tasks: dict[str, Any], added_by_engine: set[str]
) -> Judged:
    """Judge one process of an instance by its saved tasks."""
    judged = Judged([], Counter(), Counter(), Counter())
    for task in tasks.values():
        name, state = task["task_spec"], task["state"]
        finished = state & FINISHED
        counter = judged.finished if finished else judged.current
        (judged.predicted if state & PREDICTED else counter)[name] += 1
        if name in added_by_engine:
            continue
        what = _what_is_wrong(task, alignment, tasks)
        if what is not None:
            reason = f"element {name!r} of process {process_id!r} {what}"
            if reason not in judged.reasons:
                judged.reasons.append(reason)
    return judged


def _what_is_wrong(task: Any, alignment: Alignment, tasks: dict[str, Any]) -> Any:
    name, state = task["task_spec"], task["state"]
    fields = alignment.changed.get(name, ())
    if state & RESET and any(tasks[one]["triggered"] for one in task["children"] if one in tasks):
        state |= STARTED  # before SpiffWorkflow 3.1, a loop that is under way is WAITING
    if alignment.partners.get(name) is None:
        if state & PREDICTED:
            if predicted_anew(task, tasks):
                return None
            return "was removed, and what the instance predicts there cannot be predicted again"
        return f"was removed, and the instance {_relation(state)} it"
    if task["children"] and is_cycle(alignment.old.task_specs[name]):
        state |= STARTED  # its rounds have begun, while it is WAITING
    if state & RESET and _REFERRING.intersection(fields) and _has_subprocess(alignment, name):
        state |= STARTED
    if not fields or not state & (COMPLETED | STARTED):
        return None
    if state & STARTED and fields == ("outputs",) and _can_be_followed_by_others(alignment, name):
        return None
    changes = dict.fromkeys(_FLOWS.get(field, f"its {kind_of(field)}") for field in fields)
    return f"has changed ({' and '.join(changes)}), and the instance {_relation(state)} it"


def _relation(state: int) -> str:
    return "has finished" if state & FINISHED else "is at"


def _has_subprocess(alignment: Alignment, name: str) -> bool:
    return isinstance(alignment.old.task_specs[name], SubWorkflowTask)


def _can_be_followed_by_others(alignment: Alignment, name: str) -> bool:
    return isinstance(alignment.old.task_specs[name], (SubWorkflowTask, LoopTask))


def is_cycle(task_spec: Any) -> bool:
    """Whether this is an event that is caught again and again by one task."""
    definition = getattr(task_spec, "event_definition", None)
    return isinstance(definition, CycleTimerEventDefinition)


def predicted_anew(task: Any, tasks: dict[str, Any]) -> bool:
    """Whether a migration makes the prediction of a saved task anew."""
    while task["state"] & PREDICTED and task["parent"] is not None:
        task = tasks[task["parent"]]
    below = [tasks[one] for one in task["children"] if one in tasks]
    if task["state"] & RESET and not any(one["triggered"] for one in below):
        return True
    return all(one["triggered"] or one["state"] & PREDICTED for one in below)
