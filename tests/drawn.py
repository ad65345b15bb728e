"""Small workflows that a reader can draw.

`workflow("A", A=[...], B=[...])` is a workflow of processes A and B with A at its root. A process
is a list of its tasks, or None if it is external; a task is written `call("B", "task name")`.
"""

from __future__ import annotations

import json
from typing import Any

from spiff_element_units import ElementUnits


def task(name: str = "Task", typename: str = "UserTask", **fields: Any) -> dict:
    return {"name": name, "typename": typename, **fields}


def call(target: str, name: str | None = None, **fields: Any) -> dict:
    return task(name or f"call {target}", "CallActivity", spec=target, **fields)


def embed(target: str, name: str | None = None, typename: str = "SubWorkflowTask") -> dict:
    return task(name or f"embed {target}", typename, spec=target)


def start(*triggers: str) -> dict:
    return task("Start", "BpmnStartTask", trigger_specs=list(triggers))


def loop(inner: str, name: str = "loop") -> dict:
    return task(name, "StandardLoopTask", task_spec=inner)


def spec(name: str, tasks: list[dict]) -> dict:
    return {"name": name, "typename": "P", "task_specs": {task["name"]: task for task in tasks}}


def workflow(root: str, **processes: Any) -> ElementUnits:
    specs = {
        name: None if tasks is None else spec(name, tasks) for name, tasks in processes.items()
    }
    top = specs.pop(root)
    return ElementUnits.from_json(json.dumps({"spec": top, "subprocess_specs": specs}))
