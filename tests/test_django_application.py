"""The Django example, on real servers, with clients that submit at the same time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import servers
from web_servers import DJANGO, ask, serving, submit_at_once, two_serving, winner

pytest.importorskip("django", reason="needs Django 5.1, which needs Python 3.10")

ORDER = {"process": "order", "data": {"customer": "Ada", "pieces": 3}}
TASKS = ["Check the order", "Receive the money", "Put it in a box", "Hand it over"]


@pytest.fixture(scope="module")
def postgresql() -> Iterator[dict[str, str]]:
    """The variables of libpq for a PostgreSQL server of these tests."""
    try:
        import psycopg  # noqa: F401, PLC0415
    except ImportError as error:  # without libpq
        pytest.skip(f"psycopg cannot be imported: {error}")
    with tempfile.TemporaryDirectory(prefix="django-") as folder:
        try:
            with servers.postgresql(Path(folder)) as server:
                url = urlsplit(server.url)
                yield {
                    "PGHOST": str(url.hostname),
                    "PGPORT": str(url.port),
                    "PGUSER": str(url.username),
                    "PGPASSWORD": str(url.password),
                }
        except servers.Missing as missing:
            pytest.skip(str(missing))


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The variables that say where the application has its cache and its database."""
    variables = {"WORKFLOWS": str(tmp_path)}
    if request.param == "PostgreSQL":
        variables.update(request.getfixturevalue("postgresql"))
    return variables


def task_url(server: str, instance: Any) -> str:
    """Where the only task of an instance is done."""
    (task,) = instance["tasks"]
    return f"{server}/instances/{instance['instance']}/tasks/{task}/"


def test_an_instance_is_driven_to_its_end_by_two_servers(where: dict[str, str]) -> None:
    with two_serving(*DJANGO, **where) as servers:
        instance = ask(f"{servers[0]}/instances/", ORDER).json
        done = []
        while not instance["completed"]:
            assert ask(f"{servers[0]}/instances/{instance['instance']}/").json == instance
            done += instance["tasks"].values()
            instance = ask(task_url(servers[len(done) % 2], instance), {}).json
    assert done == TASKS
    assert (instance["data"]["price"], instance["data"]["label"]) == (36, "to Ada")


def test_of_concurrent_submits_to_two_servers_exactly_one_succeeds(where: dict[str, str]) -> None:
    with two_serving(*DJANGO, **where) as servers:
        instance, winners = ask(f"{servers[0]}/instances/", ORDER).json, {}
        for name in TASKS:
            assert list(instance["tasks"].values()) == [name]
            urls = [task_url(server, instance) for server in servers * 4]
            answers = submit_at_once(urls, [{name: number} for number in range(8)])
            won = winner(answers)
            instance = answers[won].json
            assert ask(f"{servers[0]}/instances/{instance['instance']}/").json == instance
            winners[name] = won
    assert {name: instance["data"][name] for name in TASKS} == winners


def test_it_says_what_it_does_not_have(tmp_path: Path) -> None:
    with serving(*DJANGO, WORKFLOWS=str(tmp_path)) as server:
        assert ask(f"{server}/instances/", {"process": "nothing"}).status == 404
        assert ask(f"{server}/instances/1/").status == 404
        assert ask(f"{server}/instances/1/tasks/1/", {}).status == 404
        number = ask(f"{server}/instances/", ORDER).json["instance"]
        assert ask(f"{server}/instances/{number}/tasks/1/", {}).status == 409
