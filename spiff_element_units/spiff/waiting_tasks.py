"""The READY and WAITING tasks of an instance, from its workflow or from its saved state.

They are those that SpiffWorkflow's `get_tasks` returns, in its order, without its limit of depth.
Nothing walks through the history: the tasks are found by their states, and the path from each up to
the root gives the order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any, Callable, Optional
from uuid import UUID

from SpiffWorkflow.util.task import TaskState

from .specs import plain
from .standin import is_unopened

_UNFINISHED = TaskState.READY | TaskState.WAITING
# What is read of a task: its state, its parent and its children
_OF_OBJECT: Any = attrgetter("_state", "_parent", "_children")
_OF_DICT: Any = itemgetter("state", "parent", "children")


@dataclass
class UnfinishedTask:
    """A READY or WAITING task. `task_spec` and `seen` are as the serializer writes them.

    `seen` has the definitions of the events that a task has caught which waits for several ones.
    `correlations` are those of the process of the task.
    """

    id: UUID
    state: int
    process_id: str
    spec_name: str
    task_spec: Mapping[str, Any]
    internal_data: Mapping[str, Any]
    seen: list[Any]
    correlations: Mapping[str, Any]


@dataclass
class _Process:
    """The process that was started, or a subprocess that is not settled."""

    name: str
    correlations: Any
    tasks: Mapping[Any, Any]
    root: Any  # the id of its first task
    caller: Any  # the id of the task that it is the subprocess of


def in_workflow(workflow: Any, convert: Callable[[Any], Any]) -> Iterator[UnfinishedTask]:
    """The unfinished tasks of a workflow. `convert` is that of the serializer's registry."""
    started = getattr(workflow.subprocess_specs, "process_id", None)
    processes = [
        _Process(
            plain(one.spec.name), one.correlations, one.tasks, one.task_tree.id, one.parent_task_id
        )
        for one in (workflow, *dict.values(workflow.subprocesses))
        if not is_unopened(one)
    ]
    processes[0].name = started or processes[0].name
    converted: dict[int, Any] = {}  # many tasks may be at one task spec
    for process, task in _in_order(processes, _OF_OBJECT):
        task_spec = converted.get(id(task.task_spec))
        if task_spec is None:
            task_spec = converted[id(task.task_spec)] = convert(task.task_spec)
            if hasattr(task.task_spec, "extensions"):  # 3.0 writes them with the process
                task_spec["extensions"] = task.task_spec.extensions
        events = task.internal_data.get("seen_events") or ()
        yield UnfinishedTask(
            task.id,
            task.state,
            process.name,
            task.task_spec.name,
            task_spec,
            task.internal_data,
            [convert(event.event_definition) for event in events],
            process.correlations,
        )


def in_run(
    run: Mapping[str, Any], process_id: str, task_spec: Callable[[str, str], Any]
) -> Iterator[UnfinishedTask]:
    """The unfinished tasks of a saved run. `task_spec` gets the names of a process and a task spec.

    `process_id` is the process that was started.
    """
    processes = [
        _Process(name, one.get("correlations") or {}, one["tasks"], one["root"], caller)
        for caller, name, one in (
            (None, process_id, run),
            *((key, one["spec"], one) for key, one in run["subprocesses"].items()),
        )
    ]
    for process, task in _in_order(processes, _OF_DICT):
        internal_data = task.get("internal_data") or {}
        events = internal_data.get("seen_events") or ()
        yield UnfinishedTask(
            UUID(task["id"]),
            task["state"],
            process.name,
            task["task_spec"],
            task_spec(process.name, task["task_spec"]),
            internal_data,
            [event["event_definition"] for event in events],
            process.correlations,
        )


def _in_order(processes: list[_Process], look: Any) -> list[tuple[_Process, Any]]:
    """The unfinished tasks in the task tree, with their processes, parents first."""
    found = [
        (process, key)
        for process in processes
        for key, task in process.tasks.items()
        if look(task)[0] & _UNFINISHED
    ]
    if not found:
        return []
    holders = _holders(processes)
    places: dict[Any, dict[Any, int]] = {}
    placed = []
    for process, key in found:
        way = _way(process, key, holders, look, places)
        if way is not None:
            placed.append((way, process, process.tasks[key]))
    placed.sort(key=itemgetter(0))
    return [(process, task) for _way, process, task in placed]


def _holders(processes: list[_Process]) -> dict[Any, _Process]:
    """The processes that have the tasks of subprocesses, by the ids of these tasks."""
    callers = {process.caller for process in processes if process.caller is not None}
    return {key: process for process in processes for key in callers.intersection(process.tasks)}


def _way(
    process: _Process,
    key: Any,
    holders: Mapping[Any, _Process],
    look: Any,
    places: dict[Any, dict[Any, int]],
) -> Optional[tuple[int, ...]]:
    """The path from the root of an instance to a task; None if the task was removed from the tree.

    It has the places among children, and -1 for going into a subprocess, which comes first.
    `places` keeps the places of children, by the parent.
    """
    way: list[int] = []
    while True:
        while key != process.root:
            parent = look(process.tasks[key])[1]
            children = places.get(parent)
            if children is None:
                above = process.tasks.get(parent)
                listed = () if above is None else look(above)[2]
                children = places[parent] = {child: at for at, child in enumerate(listed)}
            if key not in children:
                return None
            way.append(children[key])
            key = parent
        if process.caller is None:
            return tuple(reversed(way))
        key, holder = process.caller, holders.get(process.caller)
        if holder is None:
            return None
        process = holder
        way.append(-1)
