"""What an instance waits for, as rows of the index table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple, Optional

from ..errors import ElementUnitsError
from . import times
from .tables import LONGEST_NAME

_READY, _WAITING = 16, 8  # SpiffWorkflow's TaskState


class Wait(NamedTuple):
    """One thing that an instance waits for."""

    kind: str
    task_id: str
    process_id: str
    element_id: str
    lane: Optional[str] = None
    event: Optional[str] = None
    due: Optional[datetime] = None
    details: Optional[dict[str, Any]] = None


class WaitingEntry(NamedTuple):
    """One thing that an instance waits for, from the index of `Instances.waiting`.

    `kind` is "human", "timer", "message" or "signal". `task_id` is the id of the task, and
    `element_id` and `process_id` are those of its element. A human task has a `lane` if its element
    is in one. A message and a signal have their name in `event`. A timer has its due time in `due`,
    aware. `details` has the rest: the BPMN name of the element, and the correlation of a message.

    `number` orders the index: pass that of the last one as `after` to get the next page.
    """

    number: int
    instance_id: str
    kind: str
    task_id: str
    process_id: str
    element_id: str
    lane: Optional[str]
    event: Optional[str]
    due: Optional[datetime]
    details: dict[str, Any]


def waits_of(loader: Any, workflow: Any) -> list[Wait]:
    """What a workflow waits for."""
    found = [
        _wait("human", task, lane=task.task_spec.lane)
        for task in workflow.get_tasks(state=_READY, manual=True)
    ]
    for task in workflow.get_tasks(state=_WAITING):
        definition = getattr(task.task_spec, "event_definition", None)
        if definition is not None:
            found.extend(_events(task, definition))
    return found


def _events(task: Any, definition: Any) -> Iterator[Wait]:
    for one in getattr(definition, "event_definitions", None) or [definition]:
        name = type(one).__name__
        if "Timer" in name:
            value = one.details(task).value
            if isinstance(value, str):
                yield _wait("timer", task, due=datetime.fromisoformat(value))
        elif name.startswith("Message"):
            yield _wait("message", task, event=one.name)
        elif name.startswith("Signal"):
            yield _wait("signal", task, event=one.name)


def _wait(kind: str, task: Any, **more: Any) -> Wait:
    spec = task.task_spec
    details = {"name": spec.bpmn_name} if spec.bpmn_name else {}
    return Wait(kind, str(task.id), task.workflow.spec.name, spec.name, details=details, **more)


def row_of(wait: Wait, instance_id: str) -> dict[str, Any]:
    """The row of what an instance waits for. Raises ElementUnitsError if a name is too long."""
    values = wait._asdict()
    for column in ("process_id", "element_id", "lane", "event"):
        require_short(values[column], f"the {column.split('_')[0]} of task {wait.task_id}")
    due, details = values.pop("due"), values.pop("details")
    return {
        "instance_id": instance_id,
        **values,
        "due_at": None if due is None else times.stored(due),
        "details": json.dumps(details, sort_keys=True, default=str) if details else None,
    }


def entry_of(row: Any) -> WaitingEntry:
    """What a row says."""
    details = {} if row.details is None else json.loads(row.details)
    return WaitingEntry(
        row.id, row.instance_id, row.kind, row.task_id, row.process_id, row.element_id,
        row.lane, row.event, times.aware(row.due_at), details,
    )  # fmt: skip


def require_short(name: Optional[str], what: str, longest: int = LONGEST_NAME) -> None:
    """Raise ElementUnitsError if a text is too long for its column."""
    if name is not None and len(name) > longest:
        raise ElementUnitsError(
            f"{what} has {len(name)} characters, and the database has room for {longest}; "
            f"shorten it: {name[:40]!r}..."
        )
