"""Instances in a database: engines, loaders of models, and what is in the tables.

Models are small and made of Python values (see `spiff_bpmn`), or are those of `models`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import driving
import models
import pytest
import spiff_bpmn
from SpiffWorkflow.util.task import TaskState
from sqlalchemy import Engine, Table, create_engine, event, func, select
from sqlalchemy.engine import make_url

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader
from spiff_element_units.sql import Instances, Tables

DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}

CALLS = {
    "root": [("call", "a"), ("human",), ("call", "b"), ("human",), ("call", "a"), ("human",)],
    "a": [("call", "b"), ("script", "x = 1")],
    "b": [("script", "y = 2"), ("human",)],
}
HUMAN_TASKS = 3 + 3  # of the root, and in each b that runs


def only_on(*kinds: str) -> pytest.MarkDecorator:
    """A test that only these databases can fail."""
    return pytest.mark.parametrize("kind", kinds, indirect=True)


def engine(url: str, **options: Any) -> Engine:
    """An engine for the URL of a server of the tests."""
    parsed = make_url(url)
    made = create_engine(
        parsed.set(drivername=DRIVERS.get(parsed.drivername, parsed.drivername)), **options
    )
    if parsed.drivername == "sqlite":
        event.listen(made, "connect", _without_sync)
    return made


def _without_sync(connection: Any, _: Any) -> None:
    """No test pulls the plug of the machine."""
    connection.execute("PRAGMA synchronous = OFF")


def impatient(url: str) -> Engine:
    """An engine that does not wait for a lock."""
    kind = make_url(url).get_backend_name()
    arguments: dict[str, Any] = {
        "sqlite": {"timeout": 0},
        "postgresql": {"options": "-c lock_timeout=1ms"},
    }.get(kind, {"init_command": "SET innodb_lock_wait_timeout = 0"})
    return engine(url, connect_args=arguments)


def loader_of(processes: dict, root: str = "root") -> SpecLoader:
    text = spiff_bpmn.spec_json(processes, root)
    return SpecLoader(ElementUnits.from_json(text), models.serializer())


def instances_of(engine: Engine, tables: Tables, processes: dict = CALLS, **options) -> Instances:
    """Instances with one loader, under the key "calls"."""
    return Instances(engine, {"calls": loader_of(processes)}, tables, **options)


def human_task(workflow: Any) -> Any:
    """The human task that is ready."""
    return workflow.get_next_task(state=TaskState.READY, manual=True)


def do_human_task(workflow: Any, **data: Any) -> str:
    """Do the human task that is ready, and what follows. Returns its element id."""
    task = human_task(workflow)
    task.data.update(data)
    task.run()
    workflow.do_engine_steps()
    driving.refresh(workflow)
    name: str = task.task_spec.name
    return name


def started(instances: Instances, **options: Any) -> str:
    """An instance that waits at its first human task."""
    return started_with(instances, "calls", **options)


def started_with(instances: Instances, cache_key: str, **options: Any) -> str:
    """The same for another key."""
    instance_id = instances.start(cache_key, **options)
    with instances.step(instance_id) as workflow:
        workflow.do_engine_steps()
    return instance_id


def rows(engine: Engine, tables: Iterable[Table]) -> dict[str, list[Any]]:
    """Everything in the tables."""
    with engine.connect() as connection:
        return {
            table.name: connection.execute(select(table).order_by(*table.primary_key)).all()
            for table in tables
        }


def count_rows(engine: Engine, tables: Tables) -> list[int]:
    with engine.connect() as connection:
        return [
            connection.execute(select(func.count()).select_from(one)).scalar_one() for one in tables
        ]
