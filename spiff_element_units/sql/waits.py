"""What an instance waits for, as rows of the index table: see `SpecLoader.waiting`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple, Optional

from ..errors import ElementUnitsError
from ..spiff import Waiting
from . import times
from .tables import LONGEST_NAME


class WaitingEntry(NamedTuple):
    """One thing that an instance waits for, from the index of `Instances.waiting`.

    `kind` is "human", "timer", "message" or "signal". `task_id` is the id of the task, for
    `workflow.get_task_from_id(UUID(task_id))`. `element_id` is the id of its element in the
    diagram, and `process_id` that of the process that contains it. `name` is the name of the
    element, and `lane` that of its lane, if it has one.

    `event` is the name of the message or signal. `due` says when a timer fires, as an aware
    `datetime`. `details` has what else SpecLoader.waiting tells: the `form` of a human task, the
    `cycles` that a timer has left, and the `correlations` of a message.

    `number` grows from entry to entry. `waiting(after=number)` returns those that follow.
    """

    number: int
    instance_id: str
    kind: str
    task_id: str
    process_id: str
    element_id: str
    name: Optional[str]
    lane: Optional[str]
    event: Optional[str]
    due: Optional[datetime]
    details: dict[str, Any]


def rows_of(waiting: Waiting, instance_id: str) -> list[dict[str, Any]]:
    """The rows of what an instance waits for. Raises ElementUnitsError if a name is too long."""
    return [
        {
            "instance_id": instance_id,
            "kind": kind,
            "task_id": str(task.id),
            "process_id": _short(task, "process id", task.process_id),
            "element_id": _short(task, "id", task.bpmn_id or task.spec_name),
            "name": task.bpmn_name,
            "lane": _short(task, "lane", task.lane),
            "event": _short(task, "event", event),
            "due_at": None if due is None else times.stored(due),
            "details": _json(details),
        }
        for kind, task, event, due, details in _entries(waiting)
    ]


def _entries(waiting: Waiting) -> Iterator[tuple[str, Any, Optional[str], Any, dict[str, Any]]]:
    for human in waiting.human_tasks:
        yield "human", human, None, None, {"form": human.form}
    for timer in waiting.timers:
        yield "timer", timer, None, timer.due, {"cycles": timer.cycles}
    for message in waiting.messages:
        yield "message", message, message.name, None, {"correlations": message.correlations}
    for signal in waiting.signals:
        yield "signal", signal, signal.name, None, {}


def _json(details: dict[str, Any]) -> Optional[str]:
    given = {name: value for name, value in details.items() if value not in (None, {})}
    return json.dumps(given, sort_keys=True, default=str) if given else None


def _short(task: Any, what: str, name: Optional[str]) -> Optional[str]:
    require_short(name, f"the {what} of element {task.spec_name[:40]!r}")
    return name


def entry_of(row: Any) -> WaitingEntry:
    """What a row says."""
    found = {**row._mapping, "number": row.id, "due": times.aware(row.due_at)}
    found["details"] = {} if row.details is None else json.loads(row.details)
    return WaitingEntry(*(found[name] for name in WaitingEntry._fields))


def require_short(name: Optional[str], what: str, longest: int = LONGEST_NAME) -> None:
    """Raise ElementUnitsError if a text is too long for its column."""
    if name is not None and len(name) > longest:
        raise ElementUnitsError(
            f"{what} has {len(name)} characters, and the database has room for {longest}; "
            f"shorten it: {name[:40]!r}..."
        )
