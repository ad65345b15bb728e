"""Runs the Celery application of the examples: servers, workers, the people, and a checker.

The servers are real ones (see `servers`), and the workers real processes. The people do the human
tasks that wait. The checker reads everything afterwards: the history of each instance must be one
that a single worker could have made.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import servers
from sqlalchemy import func, select
from sqlalchemy.engine import make_url

TOP = Path(__file__).parent.parent
EXAMPLE = TOP / "examples" / "celery"
VISIBILITY = 5  # seconds until Redis delivers what a killed worker has taken

# What the engine and the people do in an order, as often as a single worker does it.
ELEMENTS = ["ordered", "price", "look", "note", "reserve", "bill", "paid", "put", "label", "done"]
PIECES = 3

MORE = {
    "C_FORCE_ROOT": "1",
    "PYTHONPATH": os.pathsep.join(map(str, (EXAMPLE, TOP, TOP / "tests", TOP / "benchmarks"))),
}


class Places(NamedTuple):
    """Where the servers are."""

    database: str
    broker: str


@contextmanager
def started_servers(
    folder: Path, broker: str = "redis", address: str = servers.HERE
) -> Iterator[Places]:
    """PostgreSQL and a broker, at an address of this machine. Raises `servers.Missing`."""
    servers.require_packages("celery", "redis", "sqlalchemy", "psycopg")
    with ExitStack() as stack:
        urls = []
        for start in (servers.postgresql, getattr(servers, broker)):
            place = folder / start.__name__
            place.mkdir(mode=0o711)
            urls.append(stack.enter_context(start(place, address)).url)
        database = make_url(urls[0]).set(drivername="postgresql+psycopg")
        yield Places(database.render_as_string(hide_password=False), urls[1])


def settings(places: Places, folder: Path) -> dict[str, str]:
    """The settings of a process of the application. `folder` is of its machine."""
    return {
        "DATABASE_URL": places.database,
        "BROKER_URL": places.broker,
        "STORE_URL": places.database,
        "UNITS_DIRECTORY": str(folder / "units"),
        "VISIBILITY_SECONDS": str(VISIBILITY),
        "WAKE_SECONDS": "1",
    }


def loaded() -> tuple[ModuleType, ModuleType]:
    """The modules `application` and `tasks`, with the settings in the environment now.

    EXAMPLE must be in `sys.path`.
    """
    for name in ("tasks", "application"):
        sys.modules.pop(name, None)
    return importlib.import_module("application"), importlib.import_module("tasks")


class Processes:
    """Workers and beat. Each has a group of its own, so that it can be killed as a machine dies."""

    def __init__(self, places: Places, folder: Path, app: str = "tasks") -> None:
        self.folder = folder
        self.app = app
        self.places = places
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.running):
            self.kill(name)

    def worker(self, name: str, *before: str) -> None:
        """Start a worker. `before` is put before its command, such as `ip netns exec ..`."""
        self._start(
            name,
            [*before, sys.executable, "-m", "celery", "--app", self.app, "worker"],
            ["--concurrency", "1", "--hostname", f"{name}@%h", "--loglevel", "WARNING"],
        )

    def beat(self) -> None:
        self._start(
            "beat",
            [sys.executable, "-m", "celery", "--app", self.app, "beat"],
            ["--schedule", str(self.folder / "beat"), "--pidfile=", "--loglevel", "WARNING"],
        )

    def _start(self, name: str, command: list[str], options: list[str]) -> None:
        place = self.folder / name
        place.mkdir(exist_ok=True)
        with open(place / "log", "ab") as log:
            self.running[name] = subprocess.Popen(
                [*command, *options],
                cwd=place,
                env={**os.environ, **settings(self.places, place), **MORE},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """SIGKILL the process and its children."""
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def logs(self) -> str:
        """The ends of the logs of all processes."""
        return "\n".join(
            f"{path.parent.name}: {path.read_text('utf-8', 'replace')[-2000:]}"
            for path in sorted(self.folder.glob("*/log"))
        )


class People:
    """Place orders, and do the human tasks that wait.

    Every third task is sent twice, as impatient people do. `seen` are the tasks that they have ever
    done, and `done` those that they do not do again.
    """

    def __init__(self, module: Any, tasks: Any) -> None:
        self.module = module
        self.application = tasks.application()
        self.start = tasks.start
        self.complete = tasks.complete
        self.ordered: set[str] = set()
        self.seen: set[str] = set()
        self.done: set[str] = set()
        self.away = False

    def order(self, instance_id: str) -> None:
        self.ordered.add(instance_id)
        self.start.delay("order", {"pieces": PIECES}, instance_id)

    def repeat(self) -> None:
        """Place the orders again that are not there, and do the tasks again that still wait.

        Redis can lose a message: a worker that is killed may have taken it off the queue, and not
        have noted it yet.
        """
        with self.application.engine.connect() as connection:
            there = set(connection.execute(select(self.module.INSTANCES.instances.c.id)).scalars())
        for instance_id in self.ordered - there:
            self.order(instance_id)
        self.done.clear()

    def work(self) -> None:
        if self.away:
            return
        for entry in self.application.instances.waiting(limit=100_000):
            if entry.kind != "human" or entry.task_id in self.done:
                continue
            self.done.add(entry.task_id)
            self.seen.add(entry.task_id)
            for person in ["Ada", "Bob"][: 1 + (len(self.done) % 3 == 0)]:
                self.complete.delay(entry.instance_id, entry.task_id, {"person": person})


def drive(
    people: People, processes: Processes, count: int, patience: float = 120, wonder: float = 30
) -> Iterator[int]:
    """Let people work until so many instances have ended. Yields how many have, again and again.

    If nothing happens for `wonder` seconds, the people repeat what seems to be lost. Fails with
    what the workers have said if nothing happens for `patience` seconds.
    """
    before: tuple[int, int] = (-1, -1)
    end = again = time.monotonic()
    while True:
        people.work()
        ended = count_ended(people.module, people.application)
        yield ended
        if ended == count:
            return
        now = time.monotonic()
        if (ended, len(people.seen)) != before:
            before, end, again = (ended, len(people.seen)), now + patience, now + wonder
        if now > again:
            people.repeat()
            again = now + wonder
        if now > end:
            raise AssertionError(f"{ended} of {count} instances ended\n{processes.logs()}")
        time.sleep(0.2)


def count_ended(module: Any, application: Any) -> int:
    """How many instances have ended."""
    ended = select(func.count()).where(module.INSTANCES.instances.c.ended_at.is_not(None))
    with application.engine.connect() as connection:
        return int(connection.execute(ended).scalar_one())


class Checked(NamedTuple):
    """What the checker has found. The last three say what is wrong, one line each."""

    instances: int
    steps: int
    lost: list[str]
    twice: list[str]
    impossible: list[str]


def check(module: Any, application: Any, wanted: set[str], history: bool = True) -> Checked:
    """Read everything and check it. `history` says whether the instances are in pieces."""
    lost, twice, impossible = [], [], []
    with application.engine.connect() as connection:
        rows = {row.id: row for row in connection.execute(select(module.INSTANCES.instances))}
        calls = connection.execute(select(module.OUTBOX)).all()
        inbox = select(module.INBOX).where(module.INBOX.c.received_at.is_not(None))
        received = connection.execute(inbox).all()
    lost += [f"{one} is not there" for one in sorted(wanted - set(rows))]
    lost += [f"{one} has not ended" for one in sorted(rows) if rows[one].ended_at is None]
    for what, found in (
        ("bill", Counter(row.instance_id for row in calls)),
        ("payment", Counter(row.instance_id for row in received)),
    ):
        lost += [f"{one} has no {what}" for one in sorted(wanted) if found[one] == 0]
        twice += [f"{one} has {n} of {what}" for one, n in sorted(found.items()) if n > 1]
    for instance_id in sorted(set(rows)) if history else ():
        tasks = list(history_of(application, instance_id))
        found = Counter(task.element_id for task in tasks)
        lost += [f"{instance_id}: no {name}" for name in ELEMENTS if not found[name]]
        twice += [f"{instance_id}: {name} twice" for name, n in found.items() if wrong(name, n)]
        tasks.sort(key=lambda task: task.when)
        order = [task.element_id for task in tasks if task.element_id in ELEMENTS]
        if order != ELEMENTS:
            impossible.append(f"{instance_id}: {order}")
        impossible += data_errors(instance_id, application.instances.look(instance_id).data)
    steps = sum(row.version - 1 for row in rows.values())
    return Checked(len(rows), steps, lost, twice, impossible)


def wrong(name: str, times: int) -> bool:
    """Whether a single worker cannot finish an element so often. `Start` and `End` are in each."""
    return times > (3 if name in ("Start", "End") else 1)


def history_of(application: Any, instance_id: str) -> Iterator[Any]:
    after = None
    while True:
        page = application.instances.history(instance_id, after=after)
        yield from page.tasks
        after = page.next
        if after is None:
            return


def data_errors(instance_id: str, data: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the data of an instance that has ended."""
    price = 12 * PIECES
    wanted = {"pieces": PIECES, "price": price, "billed": None, "payment": {"paid": price}}
    got = {name: data.get(name) for name in wanted}
    if got != wanted or data["label"] != f"packed by {data['person']}":
        yield f"{instance_id}: its data is {json.dumps(data, default=str)}"
