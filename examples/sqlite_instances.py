"""Stores workflow instances in SQLite, each in pieces, and saves only what changes.

    python examples/sqlite_instances.py                       runs the commands below in one go
    python examples/sqlite_instances.py FOLDER deploy         caches the workflow of orders.bpmn
    python examples/sqlite_instances.py FOLDER start NAME N   starts an order of N pieces for NAME
    python examples/sqlite_instances.py FOLDER list           shows what each instance waits for
    python examples/sqlite_instances.py FOLDER work           does the next human task of each

Every command is a separate process. FOLDER contains everything that they share: the cache with the
workflow, and the database with the pieces of each instance. Each finished subprocess is a separate
piece. It is written once, and no step reads it.
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
    with closing(sqlite3.connect(folder / "instances.db")) as database:
        create_tables(database)
    print(f"deployed {len(specs) + 1} processes")


def create_tables(database: sqlite3.Connection) -> None:
    """Create a table for the instances, and one for their pieces."""
    database.execute("CREATE TABLE instances (id INTEGER PRIMARY KEY, customer TEXT NOT NULL)")
    database.execute(
        "CREATE TABLE pieces (instance INTEGER NOT NULL REFERENCES instances, piece TEXT NOT NULL, "
        "text TEXT NOT NULL, PRIMARY KEY (instance, piece))"
    )


def resume(loader: SpecLoader, database: sqlite3.Connection, number: int) -> Any:
    """Resume an instance. Other pieces than the live one are read if something looks into them."""

    def read(piece: str) -> Any:
        query = "SELECT text FROM pieces WHERE instance = ? AND piece = ?"
        row = database.execute(query, (number, piece)).fetchone()
        return row and row[0]

    return loader.resume_pieces(read)


def store(
    loader: SpecLoader, database: sqlite3.Connection, number: int, workflow: BpmnWorkflow
) -> int:
    """Write the changed pieces, delete the removed ones, and return how many were written."""
    pieces = loader.save_pieces(workflow)
    with database:  # one transaction
        database.executemany(
            "INSERT OR REPLACE INTO pieces VALUES (?, ?, ?)",
            [(number, piece, text) for piece, text in pieces.changed.items()],
        )
        database.executemany(
            "DELETE FROM pieces WHERE instance = ? AND piece = ?",
            [(number, piece) for piece in pieces.removed],
        )
    return len(pieces.changed)


def start(loader: SpecLoader, database: sqlite3.Connection, customer: str, pieces: str) -> None:
    """Start an instance and run it to its first human task."""
    workflow = loader.start("order")
    workflow.task_tree.data.update(customer=customer, pieces=int(pieces))
    workflow.do_engine_steps()
    row = database.execute("INSERT INTO instances (customer) VALUES (?)", (customer,))
    number = row.lastrowid or 0
    store(loader, database, number, workflow)
    print(f"order {number} started")


def list_instances(loader: SpecLoader, database: sqlite3.Connection) -> None:
    """Print what each instance waits for."""
    for number, customer in database.execute("SELECT id, customer FROM instances").fetchall():
        workflow = resume(loader, database, number)
        tasks = human_tasks(workflow)
        waits = tasks[0].task_spec.bpmn_name if tasks else f"nothing: {workflow.data}"
        print(f"order {number} of {customer} waits for {waits}")
    print(f"restored {', '.join(loader.kept)}, of {len(loader.units.process_ids)} processes")


def work(loader: SpecLoader, database: sqlite3.Connection) -> None:
    """Do the next human task of each instance, and the engine steps after it."""
    for (number,) in database.execute("SELECT id FROM instances").fetchall():
        workflow = resume(loader, database, number)
        for task in human_tasks(workflow)[:1]:
            task.run()
            workflow.do_engine_steps()
            written = store(loader, database, number, workflow)
            print(f"order {number}: {task.task_spec.bpmn_name}; pieces written: {written}")


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
    with closing(sqlite3.connect(folder / "instances.db")) as database:
        commands[command](loader, database, *rest)


if __name__ == "__main__":
    main(sys.argv[1:])
