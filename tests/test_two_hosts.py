"""The Celery application of the examples on two hosts, one of which is cut off and comes back.

Each host is a network namespace with an address, a worker and disks of its own. The servers and
beat run outside. The packs are in the database.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable

import pytest
from celery_example import Modules, deployed, open_folder, require_good
from celery_workers import People, Processes, drive, started_servers
from hosts import Network, network
from served import skip
from servers import Missing

APP = "hosted_tasks"
OPEN = 10  # orders at the same time
MANY = 300  # orders, after which a test gives up


class Company:
    """Two hosts, and people who place orders and do the human tasks."""

    def __init__(self, modules: Modules, processes: Processes, hosts: Network) -> None:
        self.modules = modules
        self.processes = processes
        self.people = People(modules.application, modules.tasks)
        self.hosts = hosts.hosts
        self.app: Any = sys.modules[APP]
        self.ids = self.people.ordered

    def worker(self, name: str) -> None:
        before = self.hosts[name].command(self.processes.folder.parent)
        self.processes.worker(name, *before, "env", f"HOST={name}")

    def steps(self, name: str) -> int:
        """How many steps a host has done."""
        return int(self.app.steps_of(self.modules.here, name))

    def order(self) -> str:
        instance_id = f"order-{len(self.ids)}"
        self.people.order(instance_id)
        return instance_id

    def until(self, fact: Callable[[], bool], busy: bool = True) -> None:
        """Work until a condition is true. If people are busy, they always place more orders."""
        for ended in self.drive(count=-1):
            if fact():
                return
            while busy and len(self.ids) - ended < OPEN:
                self.order()
            assert len(self.ids) < MANY, self.processes.logs()

    def finish(self) -> None:
        """Work until all orders have ended, and require that each was done as by one worker."""
        for _ in self.drive(len(self.ids)):
            pass
        require_good(self.modules, self.ids)
        assert self.steps("first") + self.steps("second") == 5 * len(self.ids)

    def drive(self, count: int) -> Iterator[int]:
        return drive(self.people, self.processes, count)


@pytest.fixture
def company(broker: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    monkeypatch.setenv("SILENCE_SECONDS", "5")
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(open_folder())
            hosts = stack.enter_context(network("first", "second"))
            places = stack.enter_context(started_servers(folder, broker, hosts.address))
        except Missing as missing:
            skip(missing, "namespaces", "postgresql", broker)
        own = folder / "own"
        own.mkdir()
        for modules in deployed(places, own, monkeypatch, APP):
            with Processes(places, own, APP) as processes:
                processes.beat()
                yield Company(modules, processes, hosts)


def test_hosts_have_no_disk_in_common(tmp_path: Path) -> None:
    (tmp_path / "ours").touch()
    look = ["sh", "-c", "ls; echo $TMPDIR; touch theirs"]
    try:
        with network("first", "second") as hosts:
            for host in hosts.hosts.values():
                seen = subprocess.check_output([*host.command(tmp_path), *look], text=True)
                assert seen == f"{tmp_path}\n"
    except Missing as missing:
        skip(missing, "namespaces")
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_nothing_is_lost_or_done_twice_if_a_host_is_cut_off_and_comes_back(
    company: Company,
) -> None:
    for name in company.hosts:
        company.worker(name)
    company.until(lambda: min(map(company.steps, company.hosts)) >= 5)
    company.hosts["first"].cut()
    first, second = map(company.steps, company.hosts)
    company.until(lambda: company.steps("second") >= second + 25)
    assert company.steps("first") <= first + 1  # one commit may have been on its way
    company.hosts["first"].join()
    company.until(lambda: company.steps("first") >= first + 5)
    company.finish()


@pytest.mark.parametrize("broker", ["redis"])
@pytest.mark.parametrize("step", ["start", "complete"])
def test_a_host_that_is_cut_off_in_a_step_does_not_keep_its_locks(
    company: Company, step: str
) -> None:
    here, app = company.modules.here, company.app
    company.worker("first")
    if step == "complete":
        company.people.away = True  # or they might complete the task before the gate is closed
        company.order()
        company.until(lambda: company.steps("first") == 1, busy=False)
    with app.closed_gate(here, "first"):
        company.people.away = False
        if step == "start":
            company.order()
        company.until(lambda: bool(app.held(here, "first")), busy=False)
        company.hosts["first"].cut()
    done = company.steps("first")
    company.worker("second")
    company.order()
    company.finish()
    assert company.steps("first") == done
    company.hosts["first"].join()
    company.until(lambda: company.steps("first") > done)
    company.finish()
