"""An `async` web application. Each step runs in a thread; of two concurrent steps, one is refused.

    uvicorn --app-dir examples fastapi_application:app

    POST /instances                  {"process": "order", "data": {..}} starts an instance
    GET  /instances/ID               what the instance waits for
    POST /instances/ID/tasks/TASK    {..} does a task, with this data

The environment variable WORKFLOWS names the folder of the database and the cache.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException
from SpiffWorkflow.bpmn.parser.BpmnParser import BpmnParser
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.util.task import TaskState

from spiff_element_units import UnitNotFound
from spiff_element_units.spiff import Deployments, ModelFiles, SpecLoaders

FOLDER = Path(os.environ.get("WORKFLOWS", "workflows"))
MODELS = Path(__file__).with_name("orders.bpmn")


# [models]
def parse(process_id: str, files: ModelFiles) -> tuple[Any, Mapping[str, Any]]:
    parser = BpmnParser()
    for name in files.needed_for(process_id):
        parser.add_bpmn_io(files.open(name), name)
    return parser.get_spec(process_id), parser.get_subprocess_specs(process_id)


loaders = SpecLoaders(FOLDER / "cache", BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure()))
deployments = Deployments(loaders, parse, [MODELS])


# [database]
@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    """A connection with a transaction."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(FOLDER / "instances.db", timeout=30)
    try:
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS instances "
                "(number INTEGER PRIMARY KEY, saves INTEGER NOT NULL, state TEXT NOT NULL)"
            )
            yield connection
    finally:
        connection.close()


# [steps]
class Refused(Exception):
    """The instance does not wait for this task, or does not wait for it any more."""


def start(process_id: str, data: dict[str, Any]) -> dict[str, Any]:
    loader = deployments[process_id]
    workflow = loader.start(process_id)
    workflow.task_tree.data.update(data)
    workflow.do_engine_steps()
    state = loader.save(workflow)
    with database() as connection:
        added = connection.execute("INSERT INTO instances (saves, state) VALUES (1, ?)", (state,))
    return shown(added.lastrowid or 0, workflow)


def read(number: int) -> tuple[int, str]:
    """Return how often an instance was saved, and its state."""
    with database() as connection:
        query = "SELECT saves, state FROM instances WHERE number = ?"
        found = connection.execute(query, (number,)).fetchone()
    if found is None:
        raise LookupError(f"no instance {number}")
    return found[0], found[1]


def show(number: int) -> dict[str, Any]:
    _, state = read(number)
    return shown(number, loaders.for_state(state).resume(state))


def do(number: int, task_id: str, data: dict[str, Any]) -> dict[str, Any]:
    saves, state = read(number)
    loader = loaders.for_state(state)
    workflow = loader.resume(state)
    task = next((one for one in human_tasks(workflow) if str(one.id) == task_id), None)
    if task is None:
        raise Refused(f"instance {number} does not wait for task {task_id}")
    task.data.update(data)
    task.run()
    workflow.do_engine_steps()
    with database() as connection:
        saved = connection.execute(
            "UPDATE instances SET state = ?, saves = saves + 1 WHERE number = ? AND saves = ?",
            (loader.save(workflow), number, saves),
        )
    if saved.rowcount != 1:
        raise Refused(f"somebody else has just done a step of instance {number}")
    return shown(number, workflow)


# [helpers]
def human_tasks(workflow: BpmnWorkflow) -> list[Any]:
    """The human tasks that are ready."""
    return [task for task in workflow.get_tasks(state=TaskState.READY) if task.task_spec.manual]


def shown(number: int, workflow: BpmnWorkflow) -> dict[str, Any]:
    """What clients see of an instance."""
    return {
        "instance": number,
        "completed": workflow.is_completed(),
        "tasks": {str(task.id): task.task_spec.bpmn_name for task in human_tasks(workflow)},
        "data": workflow.data if workflow.is_completed() else {},
    }


# [endpoints]
app = FastAPI()


@app.post("/instances", status_code=201)
async def post_instance(asked: dict[str, Any]) -> dict[str, Any]:
    try:
        return await asyncio.to_thread(start, asked["process"], asked.get("data", {}))
    except UnitNotFound as error:
        raise HTTPException(404, str(error)) from None


@app.get("/instances/{number}")
async def get_instance(number: int) -> dict[str, Any]:
    try:
        return await asyncio.to_thread(show, number)
    except LookupError as error:
        raise HTTPException(404, str(error)) from None


@app.post("/instances/{number}/tasks/{task_id}")
async def post_task(number: int, task_id: str, data: dict[str, Any]) -> dict[str, Any]:
    try:
        return await asyncio.to_thread(do, number, task_id, data)
    except LookupError as error:
        raise HTTPException(404, str(error)) from None
    except Refused as error:
        raise HTTPException(409, str(error)) from None
