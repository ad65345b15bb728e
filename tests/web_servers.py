"""Real servers of the examples' web applications, and clients that ask them at the same time.

Each server is an operating system process of its own, on a port that the system chooses.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any, NamedTuple, Optional
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
FASTAPI = ("-m", "uvicorn", "--app-dir", str(EXAMPLES), "fastapi_application:app", "--port", "0")
DJANGO = (str(EXAMPLES / "django_application.py"), "runserver", "--noreload", "127.0.0.1:0")
ORDER = {"process": "order", "data": {"customer": "Ada", "pieces": 3}}
TASKS = ["Check the order", "Receive the money", "Put it in a box", "Hand it over"]

_OPENER = build_opener(ProxyHandler({}))  # even if the environment names a proxy


class Answer(NamedTuple):
    """What a server has answered."""

    status: int
    json: Any


def ask(url: str, body: Optional[dict[str, Any]] = None) -> Answer:
    """Send a GET request, or with a body a POST request."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"})
    try:
        with _OPENER.open(request, timeout=60) as response:
            return Answer(response.status, json.load(response))
    except HTTPError as error:
        return Answer(error.code, json.load(error))


def environment(**variables: str) -> dict[str, str]:
    """The environment of a process that imports what this one imports."""
    path = os.pathsep.join(filter(None, sys.path))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **variables}


@contextmanager
def serving(*command: str, **variables: str) -> Iterator[str]:
    """Run Python with a command that serves, and tell the address that it prints."""
    process = subprocess.Popen(
        [sys.executable, *command],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert process.stdout is not None
    printed = []
    with process:
        try:
            for line in process.stdout:
                printed.append(line)
                found = re.search(r"http://127\.0\.0\.1:\d+", line)
                if found:
                    break
            else:
                raise AssertionError("the server ended:\n" + "".join(printed))
            with ThreadPoolExecutor(1) as reader:  # or it blocks once the pipe is full
                reader.submit(process.stdout.read)
                try:
                    yield found[0]
                finally:
                    process.kill()
        finally:
            process.kill()


@contextmanager
def two_serving(*command: str, **variables: str) -> Iterator[tuple[str, str]]:
    """Two servers of the same application, on the same database and cache."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(serving(*command, **variables)) for _ in range(2))
        yield first, second


def submit_at_once(urls: list[str], bodies: list[dict[str, Any]]) -> list[Answer]:
    """Post each body to its URL, all of them at the same time."""
    barrier = Barrier(len(urls))

    def submit(url: str, body: dict[str, Any]) -> Answer:
        barrier.wait()
        return ask(url, body)

    with ThreadPoolExecutor(len(urls)) as pool:
        return list(pool.map(submit, urls, bodies))


def winner(answers: list[Answer]) -> int:
    """The number of the one submit that succeeded. All others must have been refused."""
    statuses = [answer.status for answer in answers]
    assert sorted(statuses) == [200] + [409] * (len(answers) - 1), answers
    return statuses.index(200)


def task_url(server: str, instance: Any, end: str = "") -> str:
    """The URL of the only task of an instance. `end` is "/" if each path ends with it."""
    (task,) = instance["tasks"]
    return f"{server}/instances/{instance['instance']}/tasks/{task}{end}"


def an_instance_is_driven_to_its_end_by(servers: tuple[str, str], end: str = "") -> None:
    """Two servers take turns. Each of them sees what the other one has done."""
    instance = ask(f"{servers[0]}/instances{end}", ORDER).json
    done = []
    while not instance["completed"]:
        assert ask(f"{servers[0]}/instances/{instance['instance']}{end}").json == instance
        done += instance["tasks"].values()
        instance = ask(task_url(servers[len(done) % 2], instance, end), {}).json
    assert done == TASKS
    assert (instance["data"]["price"], instance["data"]["label"]) == (36, "to Ada")


def of_concurrent_submits_exactly_one_succeeds(servers: tuple[str, str], end: str = "") -> None:
    """Eight clients submit each task of an instance, four to each server."""
    instance, winners = ask(f"{servers[0]}/instances{end}", ORDER).json, {}
    for name in TASKS:
        assert list(instance["tasks"].values()) == [name]
        urls = [task_url(server, instance, end) for server in servers * 4]
        answers = submit_at_once(urls, [{name: number} for number in range(8)])
        won = winner(answers)
        instance = answers[won].json
        assert ask(f"{servers[0]}/instances/{instance['instance']}{end}").json == instance
        winners[name] = won
    assert {name: instance["data"][name] for name in TASKS} == winners


def it_says_what_it_does_not_have(server: str, end: str = "") -> None:
    instances = f"{server}/instances"
    assert ask(f"{instances}{end}", {"process": "nothing"}).status == 404
    assert ask(f"{instances}/1{end}").status == 404
    assert ask(f"{instances}/1/tasks/1{end}", {}).status == 404
    number = ask(f"{instances}{end}", ORDER).json["instance"]
    assert ask(f"{instances}/{number}/tasks/1{end}", {}).status == 409
