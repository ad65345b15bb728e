"""Small states as SpiffWorkflow writes them, but only with what the cutter looks at.

Tasks have numbers, and a subprocess has the number of its task.
"""

from __future__ import annotations

from typing import Any


def id_of(number: int) -> str:
    return f"{number:08x}-89ab-4cde-8f01-23456789abcd"


def number_of(id: str) -> int:
    return int(id[:8], 16)


def task(number: int, state: int = 64, **more: Any) -> dict[str, Any]:
    return {
        "id": id_of(number), "children": [], "last_state_change": 1.5, "state": state,
        "task_spec": f"element {number}", **more,
    }  # fmt: skip


def tasks(*members: dict[str, Any]) -> dict[str, Any]:
    return {member["id"]: member for member in members}


def subprocess(number: int, *members: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "completed": True, "tasks": tasks(*members), "parent_task_id": id_of(number),
        "spec": "called", "typename": "BpmnSubWorkflow", **more,
    }  # fmt: skip


def state(
    root: list[dict[str, Any]], subprocesses: dict[int, dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    """The root has these tasks, and subprocesses are at some of all tasks."""
    inner = {id_of(number): one for number, one in (subprocesses or {}).items()}
    return {"tasks": tasks(*root), "subprocesses": inner, **more}
