"""Workflows for the tests of stores."""

from __future__ import annotations

import json
from typing import Any


def workflow(processes: int, salt: str = "", tasks: int = 20) -> str:
    """The JSON text of a workflow in which each process calls the next and embeds another."""
    specs: dict[str, Any] = {}
    for number in range(processes):
        name = f"p{number}"
        task_specs = {
            f"{name}_t{task}": {
                "name": f"{name}_t{task}",
                "bpmn_id": f"{name}_t{task}",
                "typename": "NoneTask",
                "text": f"{salt} of {name} {task} ".ljust(60, "."),
            }
            for task in range(tasks)
        }
        if number + 1 < processes:
            called = f"p{number + 1}"
            task_specs[f"{name}_call"] = {
                "name": f"{name}_call",
                "bpmn_id": f"{name}_call",
                "typename": "CallActivity",
                "spec": called,
            }
        task_specs[f"{name}_sub"] = {
            "name": f"{name}_sub",
            "bpmn_id": f"{name}_sub",
            "typename": "SubWorkflowTask",
            "spec": f"{name}_embedded",
        }
        specs[name] = {"name": name, "typename": "BpmnProcessSpec", "task_specs": task_specs}
        specs[f"{name}_embedded"] = {
            "name": f"{name}_embedded",
            "typename": "SubWorkflowSpec",
            "task_specs": {},
            "text": salt,
        }
    root = specs.pop("p0")
    return json.dumps({"spec": root, "subprocess_specs": specs})
