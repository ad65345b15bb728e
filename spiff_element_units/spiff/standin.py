"""Stand-ins for settled subprocesses. A stand-in is restored when somebody looks into it.

A subprocess is settled when it is completed, all of its tasks are finished, and all subprocesses
below it are settled (`core.state` has the rule in full). A stand-in replaces it. To `isinstance` it
is an instance of the subprocess's class. Without being opened, it answers that it is completed, to
which task and workflow it belongs, how deep it is, and that no task in it matches a filter. Any
other access opens it: the subprocess is restored as SpiffWorkflow restores it, and the stand-in
itself becomes that subprocess.

Copying or pickling a stand-in opens it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Callable, Optional, Protocol
from uuid import UUID

from SpiffWorkflow.bpmn.util.subworkflow import BpmnSubWorkflow
from SpiffWorkflow.bpmn.util.task import BpmnTaskFilter
from SpiffWorkflow.util.task import TaskFilter, TaskState
from SpiffWorkflow.workflow import Workflow

FINISHED = TaskState.FINISHED_MASK
_MISSING: Any = object()


class Piece(Protocol):
    """A settled subprocess that is not opened, and what is known about it without opening it."""

    task_id: UUID  # the id of the task that it belongs to
    parent: Any  # the piece that has that task; None if a living process has it

    @property
    def version(self) -> Optional[int]:
        """The number of the version that it settled on; None if the state's header says it."""
        ...

    @property
    def typename(self) -> Optional[str]:
        """The typename of its class."""
        ...

    @property
    def member(self) -> Any:
        """Where its text is, for `core.cut.splice`."""
        ...

    def members(self) -> Iterator[Any]:
        """The same for this piece and all below it, in their order."""
        ...

    @property
    def children(self) -> Sequence[Piece]:
        """The settled subprocesses of its tasks, in the order of the tasks."""
        ...

    @property
    def has_children(self) -> bool:
        """Whether it has children."""
        ...

    @property
    def drifts(self) -> bool:
        """Whether iterating over its tasks changes the depth that the iterator counts."""
        ...

    def may_match(self, state: int, updated_ts: float, spec_name: Optional[str]) -> bool:
        """Whether a task in it or below it may have one of the states, the name and the age."""
        ...

    def has_task(self, task_id: UUID) -> bool:
        """Whether it has the task itself (not a piece below it)."""
        ...

    def decoded(self) -> dict[str, Any]:
        """The subprocess as the serializer's decoder reads it."""
        ...


class Holder(Protocol):
    """The owner of the stand-ins, which opens them."""

    def open(self, stand_in: Any) -> Any:
        """Turn a stand-in into the subprocess that it stands for, and return this same object."""
        ...

    def spec(self, stand_in: Any) -> Any:
        """The spec of the subprocess that it stands for."""
        ...


# What a stand-in answers without being opened. A class that overrides one of these gets no
# stand-ins.
_ANSWERED = (
    *("completed", "parent_task_id", "top_workflow", "spec", "depth", "parent_workflow"),
    *("is_completed", "get_task_from_id", "get_tasks", "get_next_task", "get_tasks_iterator"),
    *("__getattr__", "__getattribute__", "__setattr__", "__delattr__", "__reduce_ex__"),
)
raw_dict: Callable[[Any], dict[str, Any]] = Workflow.__dict__["__dict__"].__get__
set_class: Callable[[Any, type[Any]], None] = object.__dict__["__class__"].__set__


@cache
def can_stand_in(native: Any) -> bool:
    """Whether stand-ins can take the place of instances of a class."""
    return issubclass(native, BpmnSubWorkflow) and all(
        getattr(native, name, _MISSING) is getattr(BpmnSubWorkflow, name, _MISSING)
        for name in _ANSWERED
    )


class _StandIn:
    """What all stand-ins have. It precedes the class of the subprocess in the method order."""

    _native: type[Any]
    _piece: Piece
    _parent: Any  # the workflow that has the task; it may be a stand-in too
    _subprocesses: Holder
    top_workflow: Any
    parent_task_id: UUID

    @property  # type: ignore[misc]
    def __class__(self) -> type[Any]:  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride]
        return type(self)._native

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        return raw_dict(self._open())

    @property
    def parent_workflow(self) -> Any:
        return self._parent

    @property
    def depth(self) -> int:
        depth: int = self._parent.depth + 1
        return depth

    @property
    def spec(self) -> Any:
        return self._subprocesses.spec(self)

    def is_completed(self) -> bool:
        return True

    def get_task_from_id(self, task_id: Any) -> Any:
        return self._open().tasks.get(task_id) if self._piece.has_task(task_id) else None

    def get_tasks_iterator(self, first_task: Any = None, **kwargs: Any) -> Iterator[Any]:
        unmatched = first_task is None and not may_match(self._piece, _filter_of_subprocess(kwargs))
        if unmatched or is_opening(self):
            return iter(())
        iterator: Iterator[Any] = self._open().get_tasks_iterator(first_task, **kwargs)
        return iterator

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._open(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._open(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._open(), name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._open().__reduce_ex__(protocol)

    def _open(self) -> Any:
        return self._subprocesses.open(self)


def is_unopened(subprocess: Any) -> bool:
    """Whether it is a stand-in that is not opened yet."""
    return issubclass(type(subprocess), _StandIn)


@contextmanager
def opening(stand_in: Any) -> Iterator[None]:
    """While a stand-in is opened. The engine then looks for tasks, and the application may walk."""
    attributes = raw_dict(stand_in)
    attributes["_opening"] = True
    try:
        yield
    finally:
        attributes.pop("_opening", None)


def is_opening(subprocess: Any) -> bool:
    """Whether it is a stand-in that is being opened. Walks pass it by, as there is nothing yet."""
    return is_unopened(subprocess) and "_opening" in raw_dict(subprocess)


@cache
def stand_in_class(native: Any) -> type[Any]:
    named = {"__module__": native.__module__, "__qualname__": native.__qualname__}
    return type(native.__name__, (_StandIn, native), {"_native": native, **named})


def task_filter_of(kwargs: dict[str, Any]) -> Any:
    """The filter that an iterator makes from its arguments."""
    given = kwargs.get("task_filter")
    if given is not None:
        return given
    return BpmnTaskFilter(**{k: v for k, v in kwargs.items() if k not in _OF_ITERATORS})


def _filter_of_subprocess(kwargs: dict[str, Any]) -> Any:
    """The same for the iterator of a subprocess, which knows fewer arguments in SpiffWorkflow 3.0.

    It raises a TypeError for an argument that the iterator does not know, as the iterator would.
    """
    if _IS_BPMN or kwargs.get("task_filter") is not None:
        return task_filter_of(kwargs)
    known = _OF_ITERATORS - {"skip_subprocesses"}
    return TaskFilter(**{k: v for k, v in kwargs.items() if k not in known})


_IS_BPMN = BpmnSubWorkflow.get_tasks_iterator is not Workflow.get_tasks_iterator
_OF_ITERATORS = {"end_at_spec", "max_depth", "depth_first", "skip_subprocesses", "task_filter"}


def may_match(piece: Piece, task_filter: Any) -> bool:
    """Whether a filter may match a task in a piece or below it."""
    if type(task_filter) not in (BpmnTaskFilter, TaskFilter):
        return True
    if not task_filter.state & FINISHED:
        return False
    return piece.may_match(task_filter.state, task_filter.updated_ts, task_filter.spec_name)
