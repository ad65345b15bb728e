"""An application that keeps instances as rows of a database, as Spiff Arena does.

The state of an instance is divided into a row for each process and each task. The definitions of
the models are in another table. The serializer has a converter of the application's own, and a
version of its own. The application uses public names, and never has a state as text.
"""

from __future__ import annotations

import inspect
import json
import re
import sqlite3

import driving
import lockstep
import models
import pytest
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer

from spiff_element_units.spiff import SpecLoaders

MODELS = ("custom_task", "nested_calls", "boundary_message", "timers", "reset_into_completed")
TABLES = """
CREATE TABLE definitions (key TEXT PRIMARY KEY, process_id TEXT, json TEXT);
CREATE TABLE instances (id INTEGER PRIMARY KEY, definition TEXT, due TEXT, lanes TEXT);
CREATE TABLE processes (instance INTEGER, guid TEXT, properties TEXT, PRIMARY KEY (instance, guid));
CREATE TABLE tasks (instance INTEGER, process TEXT, guid TEXT, state INTEGER, properties TEXT,
                    PRIMARY KEY (instance, guid));
"""


def serializer():
    """The application's serializer."""
    return BpmnWorkflowSerializer(models.serializer().registry, version="5")


class Application:
    """Deploys models and keeps instances."""

    ROOT = "root"  # the guid of the process that was started; a subprocess has that of its task

    def __init__(self, path, cache):
        self.database = sqlite3.connect(path)
        self.loaders = SpecLoaders(cache, serializer(), make_json=self.definition)

    def deploy(self, key, process_id, text):
        row = key, process_id, text
        self.database.execute("INSERT INTO definitions VALUES (?, ?, ?)", row)
        self.database.commit()

    def definition(self, key):
        query = "SELECT json FROM definitions WHERE key = ?"
        return self.database.execute(query, (key,)).fetchone()[0]

    def start(self, key):
        insert = "INSERT INTO instances (definition) VALUES (?)"
        number = self.database.execute(insert, (key,)).lastrowid
        return number, self.loaders[key].start(script_engine=models.script_engine())

    def save(self, number, workflow):
        loader = self.loaders[self.key(number)]
        state = loader.to_dict(workflow)
        waiting = loader.waiting(state)
        with self.database:
            for table in ("processes", "tasks"):
                self.database.execute(f"DELETE FROM {table} WHERE instance = ?", (number,))
            subprocesses = state.pop("subprocesses")
            for guid, process in {self.ROOT: self.kept(state), **subprocesses}.items():
                tasks = process.pop("tasks")
                self.insert("processes", number, guid, json.dumps(process))
                for task_guid, task in tasks.items():
                    status = task.pop("state")
                    self.insert("tasks", number, guid, task_guid, status, json.dumps(task))
            due = waiting.next_due and waiting.next_due.isoformat()
            lanes = ",".join(sorted({task.lane for task in waiting.human_tasks if task.lane}))
            update = "UPDATE instances SET due = ?, lanes = ? WHERE id = ?"
            self.database.execute(update, (due, lanes, number))

    def kept(self, state):
        """The part of the state that the application keeps of the process that was started."""
        return state

    def insert(self, table, *row):
        marks = ", ".join("?" * len(row))
        self.database.execute(f"INSERT INTO {table} VALUES ({marks})", row)

    def key(self, number):
        query = "SELECT definition FROM instances WHERE id = ?"
        return self.database.execute(query, (number,)).fetchone()[0]

    def state(self, number):
        """The rows of an instance, put together."""
        processes = {}
        query = "SELECT guid, properties FROM processes WHERE instance = ? ORDER BY rowid"
        for guid, properties in self.database.execute(query, (number,)):
            processes[guid] = {**json.loads(properties), "tasks": {}}
        query = (
            "SELECT process, guid, state, properties FROM tasks WHERE instance = ? ORDER BY rowid"
        )
        for process, guid, status, properties in self.database.execute(query, (number,)):
            processes[process]["tasks"][guid] = {**json.loads(properties), "state": status}
        root = processes.pop(self.ROOT)
        return {**root, "subprocesses": processes}

    def resume(self, number):
        state = self.state(number)
        return self.loaders.for_state(state).resume(state, models.script_engine())


class OlderApplication(Application):
    """Keeps only what SpiffWorkflow writes, and gets the process from its definition."""

    def kept(self, state):
        known = ("data", "correlations", "last_task", "success", "completed", "tasks", "root")
        return {key: state[key] for key in (*known, "bpmn_events", "typename") if key in state}

    def resume(self, number):
        key = self.key(number)
        query = "SELECT process_id FROM definitions WHERE key = ?"
        process_id = self.database.execute(query, (key,)).fetchone()[0]
        return self.loaders[key].resume(
            self.state(number), models.script_engine(), process_id=process_id
        )


@pytest.mark.parametrize("application", [Application, OlderApplication])
@pytest.mark.parametrize("name", [name for name in MODELS if name in models.MODELS])
def test_instances_in_rows_run_as_the_full_workflow_does(name, application, tmp_path):
    model = models.MODELS[name]
    places = tmp_path / "database", tmp_path / "cache"
    first = application(*places)
    first.database.executescript(TABLES)
    first.deploy("model-1", model.process_id, models.spec_json(model))
    number, units = first.start("model-1")

    def through_rows(workflow, loader):
        first.save(number, workflow)
        return application(*places).resume(number)  # another worker

    def natively(workflow, loader):
        own = serializer()
        restored = own.deserialize_json(own.serialize_json(workflow))
        restored.script_engine = workflow.script_engine
        return restored

    variant = lockstep.Variant("rows", natively, through_rows)
    done = lockstep.compare(model, variant, driving.start(model), units, None)
    assert len(done) > 3
    stored = first.database.execute("SELECT count(*) FROM processes").fetchone()[0]
    assert stored == 1 + len(first.state(number)["subprocesses"])


def test_what_an_instance_waits_for_is_found_by_a_query(tmp_path):
    application = Application(tmp_path / "database", tmp_path / "cache")
    application.database.executescript(TABLES)
    for name in ("timers", "lanes"):
        model = models.MODELS[name]
        application.deploy(name, model.process_id, models.spec_json(model))
        number, workflow = application.start(name)
        workflow.do_engine_steps()
        application.save(number, workflow)
    (row,) = application.database.execute("SELECT id, due FROM instances WHERE due IS NOT NULL")
    (timer,) = application.resume(row[0]).waiting_events()
    assert timer.value == row[1]
    assert timer.event_type == "DurationTimerEventDefinition"
    (row,) = application.database.execute(
        "SELECT definition, lanes FROM instances WHERE lanes != ''"
    )
    assert row[0] == "lanes"


def test_the_application_uses_no_private_name():
    for cls in (Application, OlderApplication):
        assert not re.search(
            r"[.\s]_\w|spiff_element_units\"", inspect.getsource(cls).replace("__init__", "")
        )
