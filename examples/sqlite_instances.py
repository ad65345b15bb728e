"""Stores workflow instances in SQLite and saves only their states.

    python examples/sqlite_instances.py                       runs the commands below in one go
    python examples/sqlite_instances.py FOLDER deploy         caches the workflow of orders.bpmn
    python examples/sqlite_instances.py FOLDER start NAME N   starts an order of N pieces for NAME
    python examples/sqlite_instances.py FOLDER list           shows what each instance waits for
    python examples/sqlite_instances.py FOLDER work           does the next human task of each

Every command is a separate process. FOLDER contains everything that they share: the cache with the
workflow, and the database with the state of each instance.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from SpiffWorkflow.bpmn.parser.BpmnParser import BpmnParser
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.util.task import TaskState

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

SERIALIZER = BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure())
BPMN = Path(__file__).with_name("orders.bpmn")
KEY = "orders, version 1"


def deploy(folder: Path) -> None:
    """Parse the diagrams once and cache the workflow. Only this command needs the parser."""
    parser = BpmnParser()
    parser.add_bpmn_file(str(BPMN))
    specs = {name: SERIALIZER.to_dict(spec) for name, spec in parser.find_all_specs().items()}
    workflow = {
        "spec": specs.pop("order"),
        "subprocess_specs": specs,
        "serializer_version": SERIALIZER.VERSION,
    }
    ElementUnits.from_json(json.dumps(workflow)).save(folder / "cache", KEY)
    with closing(sqlite3.connect(folder / "instances.db")) as database, database:
        database.execute("CREATE TABLE instances (id INTEGER PRIMARY KEY, state TEXT NOT NULL)")
    print(f"deployed {len(specs) + 1} processes")


def start(loader: SpecLoader, database: sqlite3.Connection, customer: str, pieces: str) -> None:
    """Start an instance and run it to its first human task."""
    workflow = loader.start("order")
    workflow.task_tree.data.update(customer=customer, pieces=int(pieces))
    workflow.do_engine_steps()
    state = loader.save(workflow)
    number = database.execute("INSERT INTO instances (state) VALUES (?)", (state,)).lastrowid
    print(f"order {number} started, {len(state)} characters of state")


def list_instances(loader: SpecLoader, database: sqlite3.Connection) -> None:
    """Print what each instance waits for."""
    for number, state in database.execute("SELECT id, state FROM instances").fetchall():
        workflow = loader.resume(state)
        tasks = human_tasks(workflow)
        waits = tasks[0].task_spec.bpmn_name if tasks else f"nothing: {workflow.data}"
        print(f"order {number} waits for {waits}")
    print(f"restored {', '.join(loader.kept)}, of {len(loader.units.process_ids)} processes")


def work(loader: SpecLoader, database: sqlite3.Connection) -> None:
    """Do the next human task of each instance, and the engine steps after it."""
    for number, state in database.execute("SELECT id, state FROM instances").fetchall():
        workflow = loader.resume(state)
        for task in human_tasks(workflow)[:1]:
            print(f"order {number}: {task.task_spec.bpmn_name}")
            task.run()
        workflow.do_engine_steps()
        database.execute(
            "UPDATE instances SET state = ? WHERE id = ?", (loader.save(workflow), number)
        )


def human_tasks(workflow: BpmnWorkflow) -> list[Any]:
    """The human tasks that are ready."""
    return [task for task in workflow.get_tasks(state=TaskState.READY) if task.task_spec.manual]


def demonstrate() -> None:
    """Run all commands, each in a separate process."""
    with tempfile.TemporaryDirectory() as folder:
        for command in (
            ["deploy"],
            ["start", "Ada", "3"],
            ["start", "Grace", "5"],
            ["work"],
            ["list"],
            ["start", "Edsger", "1"],
            *[["work"]] * 3,
            ["list"],
        ):
            print("$", Path(__file__).name, "FOLDER", *command, flush=True)
            subprocess.run([sys.executable, __file__, folder, *command], check=True)


def main(arguments: list[str]) -> None:
    """Run the command line."""
    if not arguments:
        return demonstrate()
    commands: dict[str, Callable[..., None]] = {
        "start": start,
        "list": list_instances,
        "work": work,
    }
    folder, command, rest = Path(arguments[0]), "".join(arguments[1:2]), arguments[2:]
    if command == "deploy":
        return deploy(folder)
    if command not in commands:
        sys.exit(__doc__)
    loader = SpecLoader(ElementUnits.open(folder / "cache", KEY), SERIALIZER)
    with closing(sqlite3.connect(folder / "instances.db")) as database, database:
        commands[command](loader, database, *rest)


if __name__ == "__main__":
    main(sys.argv[1:])
