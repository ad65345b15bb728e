"""What an instance has finished, from its pieces: nothing is restored, and each is read once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, NamedTuple, Optional

from sqlalchemy import and_, case, or_, select

from ..errors import ElementUnitsError
from ..spiff import StateError
from ..spiff.piece_texts import LIVE, checked
from .contents import unpacked
from .stored import Place, explained, found

_FINISHED = {64: "COMPLETED", 128: "ERROR", 256: "CANCELLED"}  # SpiffWorkflow's TaskState


class FinishedTask(NamedTuple):
    """A task that an instance has finished.

    `process_id` is the process of the task, and `subprocess_id` the id of the task that called it,
    None for the process that was started. `state` is "COMPLETED", "ERROR" or "CANCELLED". `when`
    says when the task got this state, as an aware `datetime`.
    """

    process_id: str
    subprocess_id: Optional[str]
    element_id: str
    task_id: str
    state: str
    when: datetime


class HistoryPage(NamedTuple):
    """A page of `Instances.history`.

    `tasks` are the finished tasks, process by process. `next` is what you pass as `after` to get
    the next page. It is None on the last page.
    """

    tasks: tuple[FinishedTask, ...]
    next: Optional[str]


def history_page(place: Place, instance_id: str, after: Optional[str], limit: int) -> HistoryPage:
    """The finished tasks of the next `limit` pieces. The live piece is the last."""
    instances, pieces = place.tables.instances, place.tables.pieces
    of_it = pieces.c.instance_id == instance_id
    is_live = case((pieces.c.piece_id == LIVE, 1), else_=0)
    page = select(pieces.c.piece_id, is_live.label("is_live")).where(of_it)
    if after is not None:
        version, piece_id = _place(after)
        later = and_(pieces.c.version == version, pieces.c.piece_id > piece_id)
        page = page.where(or_(pieces.c.version > version, later, pieces.c.piece_id == LIVE))
    ids = page.order_by(is_live, pieces.c.version, pieces.c.piece_id).limit(limit).subquery()
    # One statement sees one version: no process settles between the settled ones and the live one.
    statement = (
        select(pieces.c.piece_id, pieces.c.version, pieces.c.content)
        .join(ids, and_(of_it, pieces.c.piece_id == ids.c.piece_id))
        .order_by(ids.c.is_live, pieces.c.version, pieces.c.piece_id)
    )
    about = select(instances.c.id, instances.c.process_id).where(instances.c.id == instance_id)
    with explained(f"instance {instance_id!r}"), place.connect() as connection:
        started = found(connection.execute(about).first(), instance_id).process_id
        rows = connection.execute(statement).all()
    tasks: list[FinishedTask] = []
    for row in rows:
        decoded = json.loads(_text(instance_id, row.piece_id, row.content))
        if row.piece_id != LIVE:
            tasks += _tasks_of(decoded["subprocess"], decoded["subprocess"]["spec"])
            continue
        for process in _living(decoded["state"]):
            tasks += _tasks_of(process, process.get("spec", started))
    if not rows or rows[-1].piece_id == LIVE:
        return HistoryPage(tuple(tasks), None)
    return HistoryPage(tuple(tasks), f"{rows[-1].version}-{rows[-1].piece_id}")


def _place(after: str) -> tuple[int, str]:
    try:
        version, piece_id = after.split("-", 1)
        return int(version), piece_id
    except (ValueError, AttributeError) as error:
        raise ElementUnitsError(
            f"after must be the `next` of the page before, not {after!r}"
        ) from error


def _text(instance_id: str, piece_id: str, content: Any) -> str:
    """The text of a piece. Raises StateError if it is damaged."""
    try:
        return checked(lambda _: unpacked(content), piece_id)
    except StateError as error:
        error.args = (f"instance {instance_id!r}: {error}", *error.args[1:])
        raise


def _living(state: dict[str, Any]) -> list[dict[str, Any]]:
    """The processes of a live piece that have a task, the one that was started first.

    SpiffWorkflow also saves subprocesses of tasks that are no more, and does not restore them.
    """
    root = {"tasks": state["tasks"]}
    found = [root]
    for process in found:
        inner = map(state["subprocesses"].get, process["tasks"])
        found.extend(one for one in inner if one is not None)
    return found


def _tasks_of(process: dict[str, Any], process_id: str) -> Iterator[FinishedTask]:
    """The finished tasks of a process, in the order in which they finished."""
    done = [task for task in process["tasks"].values() if task["state"] in _FINISHED]
    for task in sorted(done, key=lambda task: task["last_state_change"]):  # a stable order
        yield FinishedTask(
            process_id,
            process.get("parent_task_id"),
            task["task_spec"],
            task["id"],
            _FINISHED[task["state"]],
            datetime.fromtimestamp(task["last_state_change"], timezone.utc),
        )
