"""Finds the few unfinished tasks of a workflow without walking through its history.

The engine asks for READY and WAITING tasks at every step. There are few of them, at the end of a
long history of finished tasks. This module finds them by their states. The path from each task up
to the root gives the order in which a walk would find them. All other questions are left to the
walk.
"""

from __future__ import annotations

from typing import Any, Optional

from SpiffWorkflow.bpmn.util.task import BpmnTaskFilter
from SpiffWorkflow.exceptions import WorkflowException
from SpiffWorkflow.util.task import TaskFilter, TaskState

from .standin import FINISHED, is_unopened, task_filter_of
from .subprocesses import Subprocesses

_FEW = 8
_MAX_DEPTH = 1000  # of SpiffWorkflow's iterators
_UNDERSTOOD = {"state", "updated_ts", "manual", "spec_name", "spec_class", "lane", "task_filter"}


def unfinished(
    workflow: Any, subprocesses: Subprocesses, arguments: dict[str, Any]
) -> Optional[list[Any]]:
    """The result of `get_tasks` of a top-level workflow; None if only a walk can find it."""
    task_filter: Any = task_filter_of(arguments) if _UNDERSTOOD.issuperset(arguments) else None
    if not _is_understood(task_filter):
        return None
    found = []
    for process in (workflow, *subprocesses.opened()):
        for task in process.tasks.values():
            if task._state & task_filter.state and task_filter.matches(task):
                found.append(task)
                if len(found) > _FEW:
                    return None
    if not found:
        return found
    lowest = _lowest(task_filter.state)
    tables: dict[int, Any] = {}
    ways = [_way(task, workflow, subprocesses, lowest, tables) for task in found]
    longest = max([len(way) for way in ways if way is not None], default=0)
    if None in ways or _may_be_too_deep(longest, subprocesses):
        return None
    order: Any = sorted(range(len(found)), key=lambda at: ways[at] or ())
    return [found[at] for at in order]


def _is_understood(task_filter: Any) -> bool:
    return (
        type(task_filter) in (BpmnTaskFilter, TaskFilter)
        and not task_filter.state & FINISHED
        and getattr(task_filter, "catches_event", None) is None
    )


def _lowest(state: int) -> int:
    """The lowest state of a task below which an iterator continues."""
    lowest: int = TaskState.MAYBE if state & TaskState.PREDICTED_MASK else TaskState.FUTURE
    return lowest


def _way(
    task: Any, workflow: Any, subprocesses: Subprocesses, lowest: int, tables: dict[int, Any]
) -> Optional[tuple[int, ...]]:
    """The path from the root of a workflow to a task, as a sort key; None if a walk may differ.

    It has the places among children, and -1 for going into a subprocess, which comes first.
    `tables` keeps the tasks of each process by the numbers of their ids: a way is as long as the
    history, and UUIDs hash and compare themselves in Python.
    """
    way: list[int] = []
    try:
        while True:
            process = task.workflow
            table = tables.get(id(process))
            if table is None:
                table = tables[id(process)] = {key.int: one for key, one in process.tasks.items()}
            while task._parent is not None:
                above = table.get(task._parent.int)
                if above is None:
                    break
                if above._state < lowest:
                    return None
                number, children = task.id.int, above._children
                first = len(children) > 0 and children[0].int == number
                way.append(0 if first else [child.int for child in children].index(number))
                task = above
            if process.task_tree is not task:
                return None
            if process is workflow:
                return tuple(reversed(way))
            task = _caller(process, subprocesses)
            way.append(-1)
    except (AttributeError, ValueError):  # no child of its parent, or an id of another kind
        return None


def _caller(process: Any, subprocesses: Subprocesses) -> Any:
    """The task that a subprocess belongs to; None if it no longer exists."""
    known: Any = dict.get(subprocesses, process.parent_task_id)
    if known is not process:
        return None
    try:
        return known.parent_workflow.tasks.get(known.parent_task_id)
    except WorkflowException:  # of SpiffWorkflow: it finds no such task
        return None


def _may_be_too_deep(levels: int, subprocesses: Subprocesses) -> bool:
    """Whether an iterator may stop before the end of a path with this number of levels."""
    if not subprocesses.drifting and levels + dict.__len__(subprocesses) < _MAX_DEPTH:
        return False
    return levels + _extra_levels(subprocesses) >= _MAX_DEPTH


def _extra_levels(subprocesses: Subprocesses) -> int:
    """An upper limit for the number of levels that an iterator counts too much.

    It counts one level too many after each task that has a subprocess and no children.
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
