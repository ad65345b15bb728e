"""A web application whose workers share a cache of workflows and a database of instances.

    flask --app examples/web_application.py deploy examples/orders.bpmn order
    flask --app examples/web_application.py run

    GET  /instances/ID               what the instance waits for
    POST /instances                  {"process": "order", "data": {..}} starts one
    POST /instances/ID/tasks/TASK    {..} does a task, with this data

The database contains what must not be lost: each version of a model as JSON, and the state of each
instance. The cache can be lost: if a worker does not find a workflow there, it caches it again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

import click
from flask import Flask, abort, request
from SpiffWorkflow.bpmn.parser.BpmnParser import BpmnParser
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.util.task import TaskState

from spiff_element_units.spiff import SpecLoaders

SERIALIZER = BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure())
TABLES = """
    CREATE TABLE IF NOT EXISTS models (
        number INTEGER PRIMARY KEY, key TEXT UNIQUE, process TEXT, spec_json TEXT);
    CREATE TABLE IF NOT EXISTS instances (
        number INTEGER PRIMARY KEY, key TEXT, saves INTEGER, state TEXT);
"""


class Store:
    """The database and the cache, which all workers share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # [loaders]
        self.loaders = SpecLoaders(folder / "cache", SERIALIZER, self.spec_json)
        # [database]
        folder.mkdir(parents=True, exist_ok=True)
        with self.database() as database:
            database.executescript(TABLES)

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """A connection with a transaction."""
        connection = sqlite3.connect(self.folder / "instances.db", timeout=30)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    # [deploy]
    def deploy(self, bpmn: str, process: str) -> str:
        """Parse a diagram, store it as the newest version of its process, and return its key."""
        parser = BpmnParser()
        with open(bpmn, "rb") as diagram:  # add_bpmn_file would write the path into the specs
            parser.add_bpmn_io(diagram, os.path.basename(bpmn))
        specs = parser.get_subprocess_specs(process)
        spec_json = json.dumps(
            {
                "spec": SERIALIZER.to_dict(parser.get_spec(process)),
                "subprocess_specs": {
                    name: SERIALIZER.to_dict(spec) for name, spec in specs.items()
                },
                "serializer_version": SERIALIZER.VERSION,
            }
        )
        key = f"{process}-{hashlib.sha256(spec_json.encode()).hexdigest()}"
        with self.database() as database:
            database.execute(
                "INSERT OR REPLACE INTO models (key, process, spec_json) VALUES (?, ?, ?)",
                (key, process, spec_json),
            )
        return key

    # [loader]
    def spec_json(self, key: str) -> str:
        """The JSON text of a version. The registry asks for it if the cache does not have it."""
        with self.database() as database:
            query = "SELECT spec_json FROM models WHERE key = ?"
            return str(database.execute(query, (key,)).fetchone()[0])

    # [instances]
    def newest(self, process: str) -> Optional[str]:
        """The key of the newest version of a process."""
        with self.database() as database:
            query = "SELECT key FROM models WHERE process = ? ORDER BY number DESC"
            found = database.execute(query, (process,)).fetchone()
        return found and str(found[0])

    def add(self, key: str, workflow: Any) -> int:
        """Store a new instance and return its number."""
        state = self.loaders[key].save(workflow)
        with self.database() as database:
            added = database.execute(
                "INSERT INTO instances (key, saves, state) VALUES (?, 1, ?)", (key, state)
            )
        return int(added.lastrowid or 0)

    def resume(self, number: int) -> Optional[tuple[str, int, Any]]:
        """Return the key of an instance, the number of its saves, and its workflow."""
        with self.database() as database:
            query = "SELECT key, saves, state FROM instances WHERE number = ?"
            found = database.execute(query, (number,)).fetchone()
        if not found:
            return None
        key, saves, state = found
        return key, saves, self.loaders[key].resume(state)

    def save(self, number: int, key: str, saves: int, workflow: Any) -> bool:
        """Save an instance. Return False if another worker has saved it after `saves`."""
        state = self.loaders[key].save(workflow)
        with self.database() as database:
            done = database.execute(
                "UPDATE instances SET state = ?, saves = saves + 1 WHERE number = ? AND saves = ?",
                (state, number, saves),
            )
        return done.rowcount == 1


# [application]
def create_app(folder: Optional[Path] = None) -> Flask:
    app = Flask(__name__)
    store = Store(folder or Path(os.environ.get("WORKFLOWS", "workflows")))

    @app.cli.command()
    @click.argument("bpmn")
    @click.argument("process")
    def deploy(bpmn: str, process: str) -> None:
        """Store the model in the file BPMN as the newest version of PROCESS."""
        click.echo(f"deployed {store.deploy(bpmn, process)}")

    @app.post("/instances")
    def start() -> tuple[dict[str, Any], int]:
        asked = request.get_json()
        key = store.newest(asked["process"])
        if key is None:
            abort(404, f"no process {asked['process']!r} is deployed")
        workflow = store.loaders[key].start(asked["process"])
        workflow.task_tree.data.update(asked.get("data", {}))
        workflow.do_engine_steps()
        return shown(store.add(key, workflow), workflow), 201

    @app.get("/instances/<int:number>")
    def show(number: int) -> dict[str, Any]:
        found = store.resume(number)
        if found is None:
            abort(404, f"no instance {number}")
        return shown(number, found[2])

    @app.post("/instances/<int:number>/tasks/<task_id>")
    def do(number: int, task_id: str) -> dict[str, Any]:
        found = store.resume(number)
        if found is None:
            abort(404, f"no instance {number}")
        key, saves, workflow = found
        for task in human_tasks(workflow):
            if str(task.id) == task_id:
                task.data.update(request.get_json())
                task.run()
                workflow.do_engine_steps()
                if store.save(number, key, saves, workflow):
                    return shown(number, workflow)
        abort(409, f"instance {number} does not wait for task {task_id} (any more)")

    return app


def human_tasks(workflow: Any) -> list[Any]:
    """The human tasks that are ready."""
    return [task for task in workflow.get_tasks(state=TaskState.READY) if task.task_spec.manual]


def shown(number: int, workflow: Any) -> dict[str, Any]:
    """What clients see of an instance."""
    return {
        "instance": number,
        "completed": bool(workflow.is_completed()),
        "tasks": {str(task.id): task.task_spec.bpmn_name for task in human_tasks(workflow)},
        "data": workflow.data if workflow.is_completed() else {},
    }
