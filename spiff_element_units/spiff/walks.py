"""Lets the engine walk through a workflow without opening settled subprocesses.

The engine visits all subprocesses at many steps. `install` adds methods to a workflow that skip the
stand-ins in which nothing can match, so that these stay unopened. The methods return the same as
SpiffWorkflow's, in the same order. A method that the application's class overrides is not replaced.
A copy or pickle of the workflow has the methods of its class again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Callable
from uuid import UUID

from SpiffWorkflow.bpmn import workflow as bpmn_workflow
from SpiffWorkflow.bpmn.util.subworkflow import BpmnSubWorkflow
from SpiffWorkflow.bpmn.util.task import BpmnTaskIterator
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.util.task import TaskState
from SpiffWorkflow.workflow import Workflow, logger

from .standin import FINISHED, is_opening, is_unopened, may_match
from .subprocesses import Restorer, Subprocesses
from .unfinished import unfinished

_EVENT_MANAGER: Any = getattr(bpmn_workflow, "EventManager", None)  # since 3.2


class Walk(BpmnTaskIterator):  # type: ignore[misc]
    """SpiffWorkflow's iterator, but it skips stand-ins in which nothing matches.

    It returns the same tasks in the same order. `_next` is a full copy, because the engine's own
    looks into each subprocess before an override could skip it.
    """

    def __init__(self, subprocesses: Subprocesses, task: Any, **kwargs: Any) -> None:
        super().__init__(task, **kwargs)
        self._subprocess_of = subprocesses
        self._skips = getattr(self, "skip_subprocesses", False)

    task_list: list[Any]

    def _next(self) -> Any:
        if not self.task_list:
            raise StopIteration
        task = self.task_list.pop(0)
        subprocess = dict.get(self._subprocess_of, task.id)
        if (
            (task._children or subprocess is not None)
            and (task.state >= self.min_state or subprocess is not None)
            and self.depth < self.max_depth
            and task.task_spec.name != self.end_at_spec
        ):
            below = [] if subprocess is None else self._tasks_of(task, subprocess)
            if self.depth_first:
                self.task_list = below + task.children + self.task_list
            else:
                self.task_list.extend(task.children + below)
            self._update_depth(task)
        elif self.depth_first and self.task_list:
            self._handle_leaf_depth(task)
        return task

    def _tasks_of(self, task: Any, subprocess: Any) -> list[Any]:
        if self._skips or (task.state >= FINISHED and self.task_filter.state <= FINISHED):
            return []
        if is_opening(subprocess):
            return []
        if is_unopened(subprocess) and self.depth_first:
            piece = subprocess._piece
            if not may_match(piece, self.task_filter) and not piece.drifts:
                return []
        return [subprocess.task_tree]


class _Method:
    """Replaces a method in one object. In a copy or pickle it is the method of the class."""

    def __init__(
        self, function: Callable[..., Any], owner: Any, subprocesses: Subprocesses
    ) -> None:
        self._function = function
        self._owner = owner
        self._subprocesses = subprocesses

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(self._owner, self._subprocesses, *args, **kwargs)

    def __reduce__(self) -> Any:
        return getattr, (self._owner, self._function.__name__)


def get_tasks_iterator(
    workflow: Any, subprocesses: Subprocesses, first_task: Any = None, **kwargs: Any
) -> Iterator[Any]:
    if subprocesses.listing_for_nobody:
        return iter(())
    return Walk(subprocesses, first_task or workflow.task_tree, **kwargs)


def get_tasks(
    workflow: Any, subprocesses: Subprocesses, first_task: Any = None, **kwargs: Any
) -> list[Any]:
    if first_task is None and not subprocesses.listing_for_nobody:
        found = unfinished(workflow, subprocesses, kwargs)
        if found is not None:
            return found
    return list(workflow.get_tasks_iterator(first_task, **kwargs))


def get_next_task(
    workflow: Any, subprocesses: Subprocesses, first_task: Any = None, **kwargs: Any
) -> Any:
    if first_task is None and not subprocesses.listing_for_nobody:
        found = unfinished(workflow, subprocesses, kwargs)
        if found is not None:
            return next(iter(found), None)
    return type(workflow).get_next_task(workflow, first_task, **kwargs)


def update_waiting_tasks(workflow: Any, subprocesses: Subprocesses) -> None:
    """Call the engine's own, which walks through all tasks, only if a task is waiting."""
    if any(task._state & TaskState.WAITING for task in workflow.tasks.values()):
        type(workflow).update_waiting_tasks(workflow)


def get_task_from_id(workflow: Any, subprocesses: Subprocesses, task_id: UUID) -> Any:
    if task_id not in workflow.tasks:
        task = subprocesses.find(task_id)
        if task is not None:
            return task
    return Workflow.get_task_from_id(workflow, task_id)


def _remove_task(workflow: Any, subprocesses: Subprocesses, task_id: UUID) -> None:
    """Call the engine's own. A subprocess of the task stays, but can be restored only before."""
    subprocesses.open_with_all_below(task_id)
    type(workflow)._remove_task(workflow, task_id)


def collect_log_extras(workflow: Any, subprocesses: Subprocesses, dct: Any = None) -> Any:
    """Call the engine's own. It lists the ids of all tasks, or of none if no logger wants them."""
    subprocesses.listing_for_nobody = subprocesses.unlogged
    try:
        return type(workflow).collect_log_extras(workflow, dct)
    finally:
        subprocesses.listing_for_nobody = False


def _among_known(name: str) -> Callable[..., Any]:
    """A method of the engine that looks only for what cannot be below an unopened piece."""

    def method(owner: Any, subprocesses: Subprocesses, *args: Any, **kwargs: Any) -> Any:
        with subprocesses.known_only():
            return getattr(type(owner), name)(owner, *args, **kwargs)

    method.__name__ = name
    return method


def _logged(name: str) -> Callable[..., Any]:
    """A method of the engine that collects data for a log record of level INFO."""

    def method(owner: Any, subprocesses: Subprocesses, *args: Any, **kwargs: Any) -> Any:
        before = subprocesses.unlogged
        subprocesses.unlogged = not logger.isEnabledFor(logging.INFO)
        try:
            with subprocesses.known_only():
                return getattr(type(owner), name)(owner, *args, **kwargs)
        finally:
            subprocesses.unlogged = before

    method.__name__ = name
    return method


_ITERATES = (
    get_tasks_iterator,
    update_waiting_tasks,
    _remove_task,
    collect_log_extras,
    _logged("_mark_complete"),
    _logged("cancel"),
)
_OF_SUBPROCESS = {function.__name__: function for function in _ITERATES}
_SEARCHES = map(
    _among_known,
    (
        "create_subprocess",
        "get_active_subprocesses",
        "delete_subprocess",
        "reset_from_task_id",
        "update_collaboration",  # until 3.1
    ),
)
_OF_WORKFLOW = {function.__name__: function for function in _ITERATES}
# They find any task by its id with this method, and otherwise look only at what is known.
_BY_ID = {function.__name__: function for function in (get_task_from_id, *_SEARCHES)}
_OF_ITERATOR = {function.__name__: function for function in (get_tasks, get_next_task)}
_OF_EVENTS = {"update_collaboration": _among_known("update_collaboration")}


def _put(methods: dict[str, Any], owner: Any, base: type[Any], helper: Subprocesses) -> None:
    """Add methods to an object if its class inherits them from SpiffWorkflow unchanged."""
    for name, function in methods.items():
        own = getattr(base, name, None)
        # In SpiffWorkflow 3.0 the iterator of a subprocess does not enter the subprocesses below.
        descends = name != "get_tasks_iterator" or own is not Workflow.get_tasks_iterator
        if own is not None and descends and getattr(type(owner), name) is own:
            vars(owner)[name] = _Method(function, owner, helper)


def adopt(subprocess: Any, subprocesses: Subprocesses) -> None:
    """Make a subprocess skip stand-ins."""
    if isinstance(subprocess, BpmnSubWorkflow):
        _put(_OF_SUBPROCESS, subprocess, BpmnSubWorkflow, subprocesses)


def install(workflow: Any, restorer: Restorer) -> Subprocesses:
    """Add the mapping and the methods to a workflow that has no subprocesses yet."""
    subprocesses = Subprocesses(workflow, restorer, adopt)
    workflow.subprocesses = subprocesses
    _put(_OF_WORKFLOW, workflow, BpmnWorkflow, subprocesses)
    if type(workflow).get_task_from_id is BpmnWorkflow.get_task_from_id:
        _put(_BY_ID, workflow, BpmnWorkflow, subprocesses)
    if type(workflow).get_tasks_iterator is BpmnWorkflow.get_tasks_iterator:  # which they ask
        _put(_OF_ITERATOR, workflow, BpmnWorkflow, subprocesses)
    events = getattr(workflow, "event_manager", None)  # since 3.2
    if events is not None:
        _put(_OF_EVENTS, events, _EVENT_MANAGER, subprocesses)
    return subprocesses
