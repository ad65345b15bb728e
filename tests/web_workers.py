"""Workers of the examples' web application, for tests that start processes.

They are in a module that a spawned process can import, wherever pytest was started.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parent.parent / "examples"
ORDERS = EXAMPLES / "orders.bpmn"


def worker(folder: Path) -> Any:
    """A client of one worker: a module of its own, with loaders of its own."""
    source = EXAMPLES / "web_application.py"
    spec = importlib.util.spec_from_file_location("web_application", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.create_app(folder).test_client()


def deploy(client: Any, diagram: Path = ORDERS) -> str:
    """Deploy orders, and return the key that the command prints."""
    done = client.application.test_cli_runner().invoke(args=["deploy", str(diagram), "order"])
    assert done.exit_code == 0, done.output
    return str(done.output)


def start(client: Any, customer: str) -> Any:
    asked = {"process": "order", "data": {"customer": customer, "pieces": 3}}
    started = client.post("/instances", json=asked)
    assert started.status_code == 201
    return started.json


def do_next(client: Any, number: int) -> Any:
    """Does the only task that an instance waits for."""
    (task,) = client.get(f"/instances/{number}").json["tasks"]
    done = client.post(f"/instances/{number}/tasks/{task}", json={})
    assert done.status_code == 200, done.text
    return done.json


def run_an_order(folder: Path) -> Any:
    """A worker that starts an order and brings it to its end."""
    client = worker(folder)
    instance = start(client, f"customer of {os.getpid()}")
    while not instance["completed"]:
        instance = do_next(client, instance["instance"])
    return instance["data"]
