"""Finds the few unfinished tasks of a workflow without walking through its history.

The engine asks for READY and WAITING tasks at every step. There are few of them, at the end of a
long history of finished tasks. This module finds them by their states. The path from each task up
to the root gives the order in which a walk would find them. All other questions are left to the
walk.
"""

from __future__ import annotations

from typing import Any, Optional

from SpiffWorkflow.bpmn.util.task import BpmnTaskFilter
from SpiffWorkflow.util.task import TaskFilter, TaskState

from .standin import FINISHED, is_unopened, task_filter_of
from .subprocesses import Subprocesses

_FEW = 8
_MAX_DEPTH = 1000  # of SpiffWorkflow's iterators
_UNDERSTOOD = {"state", "updated_ts", "manual", "spec_name", "spec_class", "lane", "task_filter"}


def unfinished(
    workflow: Any, subprocesses: Subprocesses, arguments: dict[str, Any]
) -> Optional[list[Any]]:
    """The result of `get_tasks` of a top-level workflow; None if only a walk can tell."""
    if not _UNDERSTOOD.issuperset(arguments):
        return None
    task_filter = task_filter_of(arguments)
    if type(task_filter) not in (BpmnTaskFilter, TaskFilter) or task_filter.state & FINISHED:
        return None
    if getattr(task_filter, "catches_event", None) is not None:
        return None
    found = []
    for process in (workflow, *subprocesses.opened()):
        for task in process.tasks.values():
            if task._state & task_filter.state and task_filter.matches(task):
                found.append(task)
                if len(found) > _FEW:
                    return None
    ways = [_way(task, workflow, subprocesses, _lowest(task_filter.state)) for task in found]
    longest = max([len(way) for way in ways if way is not None], default=0)
    if None in ways or longest + _extra_levels(subprocesses) >= _MAX_DEPTH:
        return None
    order: Any = sorted(range(len(found)), key=lambda at: ways[at] or ())
    return [found[at] for at in order]


def _lowest(state: int) -> int:
    """The lowest state of a task below which an iterator continues."""
    lowest: int = TaskState.MAYBE if state & TaskState.PREDICTED_MASK else TaskState.FUTURE
    return lowest


def _way(
    task: Any, workflow: Any, subprocesses: Subprocesses, lowest: int
) -> Optional[tuple[int, ...]]:
    """The path from the root of a workflow to a task, as a sort key; None if a walk may differ.

    It contains the index among the children at each level, and -1 for the step into a subprocess,
    which a walk takes first.
    """
    way: list[int] = []
    while True:
        process = task.workflow
        above: Any = process.tasks.get(task._parent)
        if above is None:
            if process.task_tree is not task:
                return None
            if process is workflow:
                return tuple(reversed(way))
            above = _caller(process, subprocesses)
            if above is None:
                return None
            way.append(-1)
        elif above._state < lowest or task.id not in above._children:
            return None
        else:
            way.append(above._children.index(task.id))
        task = above


def _caller(process: Any, subprocesses: Subprocesses) -> Any:
    """The task that a subprocess belongs to; None if it no longer exists."""
    known: Any = dict.get(subprocesses, process.parent_task_id)
    return known.parent_workflow.tasks.get(known.parent_task_id) if known is process else None


def _extra_levels(subprocesses: Subprocesses) -> int:
    """An upper limit for the levels that an iterator counts too many.

    It counts one too many after each task that has a subprocess and no children.
    """
    extra = 0
    for key, subprocess in dict.items(subprocesses):
        if not is_unopened(subprocess):
            extra += 1
        elif not is_unopened(subprocess._parent):
            task = subprocess._parent.tasks.get(key)
            extra += task is not None and not task._children
        if is_unopened(subprocess) and subprocess._piece.drifts:
            return _MAX_DEPTH
    return extra
