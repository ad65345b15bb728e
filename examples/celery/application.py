"""Instances and models in a database, which all workers share. This module knows nothing of Celery.

    python application.py deploy order order.bpmn20.xml

The environment says where everything is:

    DATABASE_URL     instances, models, outbox: postgresql+psycopg://app:password@db/app
    STORE_URL        packs, see `open_store`; the database by default
    UNITS_DIRECTORY  a local directory in front of the store, if there is one
    SILENCE_SECONDS  how long a machine may be silent until it is given up; 60 by default

Each step of an instance is one transaction. In it are the state of the instance, the calls of its
service tasks (the outbox) and that a message was received (the inbox). So each step is done once,
however often a worker begins it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple, Optional

from SpiffWorkflow.bpmn import BpmnEvent
from SpiffWorkflow.bpmn.script_engine import PythonScriptEngine
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.spiff.parser.process import SpiffBpmnParser
from SpiffWorkflow.spiff.serializer.config import SPIFF_CONFIG
from SpiffWorkflow.spiff.specs.event_definitions import MessageEventDefinition
from SpiffWorkflow.util.task import TaskState
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from spiff_element_units.spiff import SpecLoaders
from spiff_element_units.sql import Conflict, Instances, tables
from spiff_element_units.stores import CachedStore, open_store

DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql+psycopg://app@localhost/app")
STORE_URL = os.environ.get("STORE_URL", DATABASE_URL)
UNITS_DIRECTORY = os.environ.get("UNITS_DIRECTORY")
SILENCE = int(os.environ.get("SILENCE_SECONDS", "60"))

# A machine that is cut off from the network says nothing, and nothing says that it is cut off.
# Without these settings, PostgreSQL would keep the locks of its transaction for hours.
CONNECT: dict[str, Any] = {
    "options": (
        # The database ends a transaction that waits so long for its worker, and frees its locks.
        # This must be longer than SpiffWorkflow computes in the longest step.
        f"-c idle_in_transaction_session_timeout={SILENCE}s "
        # It also gives up a connection on which nothing comes back, whatever it is doing there.
        f"-c tcp_user_timeout={SILENCE}s -c tcp_keepalives_idle={max(1, SILENCE // 2)} "
        f"-c tcp_keepalives_interval={max(1, SILENCE // 6)} "
        # Steps that other steps wait for take milliseconds. A step that waits for so long is a
        # Conflict, so that its worker does something else until the lock is free.
        "-c lock_timeout=500ms"
    ),
    # The worker gives up such a connection too. Its step is done again.
    "connect_timeout": 10,
    "keepalives_idle": max(1, SILENCE // 2),
    "keepalives_interval": max(1, SILENCE // 6),
    "tcp_user_timeout": SILENCE * 1000,  # milliseconds
}

SERIALIZER = BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(SPIFF_CONFIG))
SOON = timedelta(seconds=10)  # a call or message that waits longer counts as forgotten

metadata = MetaData()
INSTANCES = tables(metadata)
MODELS = Table(  # each version of a model; the newest of a process is started
    "models",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("cache_key", String(255), nullable=False),
    Column("process_id", String(255), nullable=False, index=True),
    Column("spec_json", Text, nullable=False),
)
OUTBOX = Table(  # the calls of service tasks
    "outbox",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("instance_id", String(64), nullable=False),
    Column("element_id", String(255), nullable=False),
    Column("operation", String(255), nullable=False),
    Column("parameters", Text, nullable=False),
    Column("made_at", DateTime, nullable=False, server_default=func.now()),
    Column("sent_at", DateTime, index=True),
)
INBOX = Table(  # the messages that have come for instances
    "inbox",
    metadata,
    Column("message_id", String(255), primary_key=True),
    Column("instance_id", String(64), nullable=False),
    Column("message", String(255), nullable=False),
    Column("payload", Text, nullable=False),
    Column("came_at", DateTime, nullable=False, server_default=func.now()),
    Column("received_at", DateTime, index=True),
)


class NothingToDo(Exception):
    """The step was done before, so there is nothing to save."""


class NotYet(Exception):
    """The instance does not wait for this message now."""


class Call(NamedTuple):
    """A call of a service task. The service may get it twice, with the same number."""

    number: int
    instance_id: str
    operation: str
    parameters: dict[str, Any]


class Step:
    """What a step works with: the workflow, and the connection in whose transaction it is saved.

    `calls` are the numbers of the calls that its service tasks put into the outbox.
    """

    def __init__(self, connection: Connection, instance_id: str) -> None:
        self.connection = connection
        self.instance_id = instance_id
        self.workflow: Any = None
        self.calls: list[int] = []


class Outbox(PythonScriptEngine):  # type: ignore[misc] # SpiffWorkflow has no types
    """Writes the calls of service tasks into the outbox, in the transaction of the step."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self._step = step

    def call_service(self, task: Any, **called: Any) -> str:
        parameters = {name: one["value"] for name, one in called["operation_params"].items()}
        row = insert(OUTBOX).values(
            instance_id=self._step.instance_id,
            element_id=task.task_spec.name,
            operation=called["operation_name"],
            parameters=json.dumps(parameters),
        )
        done: Any = self._step.connection.execute(row)
        self._step.calls.append(done.inserted_primary_key[0])
        return "null"  # the result is a message that comes later


def database(**connect_args: Any) -> Engine:
    """The engine of a process."""
    if DATABASE_URL.startswith("postgresql"):
        connect_args = {**CONNECT, **connect_args}
    return create_engine(DATABASE_URL, pool_pre_ping=True, connect_args=connect_args)


class Application:
    """The instances and models of one process. A process that forks makes it in its children."""

    def __init__(self) -> None:
        self.engine = database()
        store: Any = open_store(STORE_URL)
        if UNITS_DIRECTORY:  # a key contains the digest of its model, so it never changes
            store = CachedStore(store, UNITS_DIRECTORY, max_bytes=500_000_000, keys_for=math.inf)
        self.loaders = SpecLoaders(store, SERIALIZER, self.spec_json)
        self.instances = Instances(self.engine, self.loaders, INSTANCES)

    # Models

    def deploy(self, process_id: str, *files: Path) -> str:
        """Parse diagrams, store them as the newest version of a process, and return its key."""
        return self.deploy_bpmn(process_id, *(file.read_bytes() for file in files))

    def deploy_bpmn(self, process_id: str, *diagrams: bytes) -> str:
        parser = SpiffBpmnParser()
        for diagram in diagrams:
            parser.add_bpmn_str(diagram)
        others = parser.get_subprocess_specs(process_id)
        spec_json = json.dumps(
            {
                "spec": SERIALIZER.to_dict(parser.get_spec(process_id)),
                "subprocess_specs": {name: SERIALIZER.to_dict(one) for name, one in others.items()},
                "serializer_version": SERIALIZER.VERSION,
            }
        )
        key = f"{process_id}-{hashlib.sha256(spec_json.encode()).hexdigest()}"
        row = insert(MODELS).values(cache_key=key, process_id=process_id, spec_json=spec_json)
        with self.engine.begin() as connection:
            connection.execute(row)
        _ = self.loaders[key]  # caches it for all workers
        return key

    def spec_json(self, cache_key: str) -> str:
        """The JSON text of a version. The loaders ask for it if the store does not have it."""
        model = select(MODELS.c.spec_json).where(MODELS.c.cache_key == cache_key).limit(1)
        with self.engine.connect() as connection:
            return str(connection.execute(model).scalar_one())

    def newest(self, process_id: str) -> str:
        """The key of the newest version of a process."""
        keys = select(MODELS.c.cache_key).where(MODELS.c.process_id == process_id)
        with self.engine.connect() as connection:
            found = connection.execute(keys.order_by(MODELS.c.number.desc()).limit(1)).scalar()
        if found is None:
            raise LookupError(f"no model of process {process_id!r} was deployed")
        return str(found)

    def warm_up(self) -> None:
        """Open the newest version of each process, before the first task needs it."""
        with self.engine.connect() as connection:
            processes = list(connection.execute(select(MODELS.c.process_id).distinct()).scalars())
        for process_id in processes:
            self.loaders[self.newest(process_id)].start(process_id)  # restores its spec

    # Steps: each returns the numbers of the calls that are to be sent

    def start(self, process_id: str, data: Mapping[str, Any], instance_id: str) -> list[int]:
        """Start an instance, unless it was started before, and let it run until it waits."""
        with suppress(Conflict):  # it exists
            self.instances.start(self.newest(process_id), data=data, instance_id=instance_id)
        return self.advance(instance_id)

    def advance(self, instance_id: str) -> list[int]:
        """Let an instance run until it waits: after its start, or if a timer is due."""
        with self.step(instance_id) as step:
            step.workflow.refresh_timers()
            if step.workflow.get_next_task(state=TaskState.READY, manual=False) is None:
                raise NothingToDo
        return step.calls

    def complete(self, instance_id: str, task_id: str, data: Mapping[str, Any]) -> list[int]:
        """Complete a human task, unless it is complete."""
        with self.step(instance_id) as step:
            ready = step.workflow.get_tasks(state=TaskState.READY, manual=True)
            task = next((one for one in ready if str(one.id) == task_id), None)
            if task is None:
                raise NothingToDo
            task.data.update(data)
            task.run()
        return step.calls

    def accept(
        self, message_id: str, instance_id: str, message: str, payload: Mapping[str, Any]
    ) -> None:
        """Put a message into the inbox, unless it is there. After that, it is not lost."""
        row = insert(INBOX).values(
            message_id=message_id,
            instance_id=instance_id,
            message=message,
            payload=json.dumps(payload),
        )
        with suppress(IntegrityError), self.engine.begin() as connection:
            connection.execute(row)

    def receive(self, message_id: str) -> list[int]:
        """Give a message to its instance, unless it has it. Raises NotYet if it is too early."""
        mine = (INBOX.c.message_id == message_id, INBOX.c.received_at.is_(None))
        with self.engine.connect() as connection:
            found = connection.execute(select(INBOX).where(*mine)).first()
        if found is None:
            return []
        with self.step(found.instance_id) as step:
            if step.workflow.completed:
                raise NothingToDo
            if found.message not in {event.name for event in step.workflow.waiting_events()}:
                raise NotYet(f"{found.instance_id!r} does not wait for message {found.message!r}")
            row = update(INBOX).where(*mine).values(received_at=func.now())
            if step.connection.execute(row).rowcount == 0:
                raise NothingToDo
            event = MessageEventDefinition(found.message)
            step.workflow.send_event(BpmnEvent(event, payload=json.loads(found.payload)))
        return step.calls

    @contextmanager
    def step(self, instance_id: str) -> Iterator[Step]:
        """One step of an instance and the rows that belong to it, in one transaction."""
        with suppress(NothingToDo), self.engine.begin() as connection:
            step = Step(connection, instance_id)
            stepping = self.instances.step(
                instance_id, script_engine=Outbox(step), connection=connection
            )
            with stepping as step.workflow:
                yield step
                run_on(step.workflow)

    # What is to be done

    def due(self, limit: int = 1000) -> list[str]:
        """The instances whose timer is due, or that were started and did not run yet."""
        return self.instances.due(datetime.now(timezone.utc), limit=limit)

    def forgotten(self, limit: int = 1000) -> list[int]:
        """The calls that nobody has sent: their worker died before it could tell another."""
        with self.engine.connect() as connection:
            calls = select(OUTBOX.c.number).where(
                OUTBOX.c.sent_at.is_(None), OUTBOX.c.made_at < before(connection)
            )
            return list(connection.execute(calls.order_by(OUTBOX.c.number).limit(limit)).scalars())

    def unreceived(self, limit: int = 1000) -> list[str]:
        """The messages that came and that no instance has received, though it has not ended."""
        instances = INSTANCES.instances
        with self.engine.connect() as connection:
            messages = (
                select(INBOX.c.message_id)
                .join(instances, instances.c.id == INBOX.c.instance_id)
                .where(
                    INBOX.c.received_at.is_(None),
                    INBOX.c.came_at < before(connection),
                    instances.c.ended_at.is_(None),
                )
            )
            return list(connection.execute(messages.limit(limit)).scalars())

    def call(self, number: int) -> Optional[Call]:
        """A call of the outbox, or None if it was sent."""
        row = select(OUTBOX).where(OUTBOX.c.number == number, OUTBOX.c.sent_at.is_(None))
        with self.engine.connect() as connection:
            found = connection.execute(row).first()
        if found is None:
            return None
        return Call(number, found.instance_id, found.operation, json.loads(found.parameters))

    def sent(self, number: int) -> None:
        """Mark a call as sent."""
        with self.engine.begin() as connection:
            connection.execute(
                update(OUTBOX).where(OUTBOX.c.number == number).values(sent_at=func.now())
            )


def before(connection: Connection) -> datetime:
    """The time before which calls and messages count as forgotten, by the database's clock."""
    now: datetime = connection.execute(select(func.now())).scalar_one()
    return now.replace(tzinfo=None) - SOON


def run_on(workflow: BpmnWorkflow) -> None:
    """Let the engine run until the instance waits. A timer may be due when it is reached."""
    workflow.do_engine_steps()
    while workflow.get_next_task(state=TaskState.READY, manual=False) is not None:
        workflow.do_engine_steps()


def main() -> None:
    if len(sys.argv) < 4 or sys.argv[1] != "deploy":
        sys.exit("python application.py deploy PROCESS FILE..")
    application = Application()
    metadata.create_all(application.engine)
    print("deployed", application.deploy(sys.argv[2], *map(Path, sys.argv[3:])))


if __name__ == "__main__":
    main()
