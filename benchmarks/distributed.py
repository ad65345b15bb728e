"""Runs many instances with PostgreSQL, Redis and two Celery workers, one of which is killed.

    make demo-distributed

The application is examples/celery. Its model has 200 more processes behind an element that no
instance reaches, as models of organisations do. Beside it, fewer instances run with SpiffWorkflow's
full JSON in one column. Afterwards a checker reads everything. Nothing may be lost or done twice.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

TOP = Path(__file__).parent.parent
sys.path[:0] = [str(TOP / "tests"), str(TOP / "examples" / "celery")]

import celery_workers  # noqa: E402
import redis  # noqa: E402
import servers  # noqa: E402
import workflows  # noqa: E402
from celery_workers import EXAMPLE, Checked, Places, Processes  # noqa: E402

PROGRAMS = {"postgres": "postgresql", "redis-server": "redis-server"}
COUNTS = "counts"


class Run(NamedTuple):
    """What one run has measured."""

    checked: Checked
    seconds: float
    counts: dict[str, int]


def install() -> None:
    """Install the servers that are missing, if this is root on a Debian."""
    missing = []
    for program, package in PROGRAMS.items():
        try:
            servers.program(program)
        except servers.Missing:
            missing.append(package)
    if not missing:
        return
    if os.getuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"This needs {' and '.join(missing)}: apt-get install {' '.join(missing)}")
    print("installing", *missing, flush=True)
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    # Debian would start a server of its own, which nothing here needs.
    options = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["apt-get", "install", "-qq", "-y", *missing], check=True, env=options)


def diagrams(processes: int) -> list[bytes]:
    """The model of the orders, with a tree of so many processes for special ones."""
    order = (EXAMPLE / "order.bpmn20.xml").read_text("utf-8")
    call = f'calledElement="{workflows.ROOT}"'
    tree = workflows.bpmn_texts(workflows.Tree(processes))
    return [text.encode() for text in (order.replace('calledElement="special"', call), *tree)]


@contextmanager
def own_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="distributed-"))
    folder.chmod(0o711)  # servers that do not run as root enter it
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measured(places: Places, folder: Path, count: int, processes: int, full: bool) -> Run:
    """Run so many instances on an empty database, with two workers, and kill one in the middle."""
    folder.mkdir()
    os.environ.update(celery_workers.settings(places, folder), STATES="full" if full else "pieces")
    module, tasks = celery_workers.loaded()
    here = tasks.application()
    module.metadata.drop_all(here.engine)
    module.metadata.create_all(here.engine)
    client: Any = redis.Redis.from_url(places.broker)
    client.flushall()
    here.deploy_bpmn("order", *diagrams(processes))
    ids = {f"order-{number:05}" for number in range(count)}
    what = "full JSON" if full else "pieces"
    with Processes(places, folder, "distributed_worker") as running:
        running.beat()
        for name in ("first", "second"):
            running.worker(name)
        while not ready(tasks, 2):
            pass
        started, told = time.monotonic(), 0.0
        people = celery_workers.People(module, tasks)
        for instance_id in sorted(ids):
            people.order(instance_id)
        for ended in celery_workers.drive(people, running, count, patience=300):
            if ended >= count // 3 and "first" in running.running:
                running.kill("first")
                running.worker("third")
                print(f"{what}: killed a worker with SIGKILL, started another", flush=True)
            if time.monotonic() > told + 5 or ended == count:
                told = time.monotonic()
                print(f"{what}: {told - started:4.0f} s, {ended} of {count} ended", flush=True)
        seconds = time.monotonic() - started
    print(f"{what}: checking", flush=True)
    found = celery_workers.check(module, here, ids, history=not full)
    counts = {name.decode(): int(number) for name, number in client.hgetall(COUNTS).items()}
    here.engine.dispose()
    tasks.app.close()
    return Run(found, seconds, counts)


def ready(tasks: Any, count: int) -> bool:
    """Whether so many workers answer."""
    return len(tasks.app.control.ping(timeout=1)) >= count


def table(runs: list[Run], processes: int) -> str:
    """The rows of what was measured, and a column for each run."""
    names = ["", "pieces", "full JSON"]
    rows: list[tuple[str, list[str]]] = [
        ("instances", [f"{run.checked.instances:,}" for run in runs]),
        ("steps", [f"{run.checked.steps:,}" for run in runs]),
        ("seconds", [f"{run.seconds:,.1f}" for run in runs]),
        ("steps a second", [f"{rate(run):,.1f}" for run in runs]),
        ("conflicts", [f"{run.counts.get('conflicts', 0):,}" for run in runs]),
        ("lost", [f"{len(run.checked.lost)}" for run in runs]),
        ("done twice", [f"{len(run.checked.twice)}" for run in runs]),
        ("impossible histories", [str(len(runs[0].checked.impossible)), "not checked"]),
        ("bytes read a step", [f"{per_step(run, 'read'):,.0f}" for run in runs]),
        ("bytes written a step", [f"{per_step(run, 'written'):,.0f}" for run in runs]),
    ]
    lines = [f"{names[0]:22}" + "".join(f"{name:>14}" for name in names[1:])]
    lines += [f"{name:22}" + "".join(f"{value:>14}" for value in values) for name, values in rows]
    ratio = rate(runs[0]) / rate(runs[1])
    lines.append(f"\n{processes} processes, 2 workers: {ratio:.1f} times the steps a second")
    return "\n".join(lines)


def rate(run: Run) -> float:
    return run.checked.steps / run.seconds


def per_step(run: Run, what: str) -> float:
    return run.counts.get(what, 0) / run.checked.steps


def main() -> None:
    parser = argparse.ArgumentParser(description="Run instances with Celery, and kill a worker.")
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--full", type=int, default=20, help="instances with full JSON")
    parser.add_argument("--processes", type=int, default=200, help="of the model")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all servers end too
    install()
    with own_folder() as folder, celery_workers.started_servers(folder) as places:
        runs = [
            measured(places, folder / "pieces", asked.instances, asked.processes, False),
            measured(places, folder / "full", asked.full, asked.processes, True),
        ]
    print(f"\n{table(runs, asked.processes)}")
    wrong = [one for run in runs for one in (*run.checked.lost, *run.checked.twice)]
    wrong += runs[0].checked.impossible
    sys.exit("\n".join(wrong[:20]) if wrong else 0)


if __name__ == "__main__":
    main()
