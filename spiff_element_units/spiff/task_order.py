"""Puts the tasks of a state into the order in which SpiffWorkflow can restore them.

A state has only what differs between the data of a task and that of its parent (since SpiffWorkflow
3.2). If a task comes before its parent, SpiffWorkflow restores it without its data, and reports
nothing. SpiffWorkflow writes parents first, but a JSON column need not keep the order of keys:
PostgreSQL's `jsonb` does not.
"""

from __future__ import annotations

from typing import Any

from ..core.run import parents_come_first


def put_parents_first(run: dict[str, Any]) -> None:
    """Put the tasks of a run and of its subprocesses into order."""
    order_tasks(run)
    for subprocess in run["subprocesses"].values():
        order_tasks(subprocess)


def order_tasks(process: dict[str, Any]) -> None:
    """Put the tasks of one workflow or subprocess into order, if they are not."""
    tasks = process["tasks"]
    if not parents_come_first(tasks):
        process["tasks"] = _from_the_root(tasks)


def _from_the_root(tasks: dict[str, Any]) -> dict[str, Any]:
    """The tasks, each before its children. Those that no root leads to come last, as they were."""
    ordered = {}
    ahead = [task_id for task_id, task in tasks.items() if task["parent"] not in tasks]
    while ahead:
        task_id = ahead.pop()
        if task_id not in ordered and task_id in tasks:
            ordered[task_id] = tasks[task_id]
            ahead += reversed(tasks[task_id]["children"])
    return {**ordered, **tasks}
