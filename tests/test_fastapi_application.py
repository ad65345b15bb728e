"""The FastAPI example, on real servers, with clients that submit at the same time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from web_servers import FASTAPI, HERE, ask, serving, submit_at_once, two_serving, winner

pytest.importorskip("fastapi", reason="needs FastAPI, which this Python has no wheels for")
pytest.importorskip("uvicorn", reason="needs uvicorn, which this Python has no wheels for")

ORDER = {"process": "order", "data": {"customer": "Ada", "pieces": 3}}
TASKS = ["Check the order", "Receive the money", "Put it in a box", "Hand it over"]


def task_url(server: str, instance: Any) -> str:
    """Where the only task of an instance is done."""
    (task,) = instance["tasks"]
    return f"{server}/instances/{instance['instance']}/tasks/{task}"


def finished(server: str, instance: Any) -> Any:
    while not instance["completed"]:
        instance = ask(task_url(server, instance), {}).json
    return instance["data"]


def test_an_instance_is_driven_to_its_end_by_two_servers(tmp_path: Path) -> None:
    with two_serving(*FASTAPI, WORKFLOWS=str(tmp_path)) as servers:
        instance = ask(f"{servers[0]}/instances", ORDER).json
        done = []
        while not instance["completed"]:
            assert ask(f"{servers[0]}/instances/{instance['instance']}").json == instance
            done += instance["tasks"].values()
            instance = ask(task_url(servers[len(done) % 2], instance), {}).json
    assert done == TASKS
    assert (instance["data"]["price"], instance["data"]["label"]) == (36, "to Ada")


def test_of_concurrent_submits_to_two_servers_exactly_one_succeeds(tmp_path: Path) -> None:
    with two_serving(*FASTAPI, WORKFLOWS=str(tmp_path)) as servers:
        instance, winners = ask(f"{servers[0]}/instances", ORDER).json, {}
        for name in TASKS:
            assert list(instance["tasks"].values()) == [name]
            urls = [task_url(server, instance) for server in servers * 4]
            answers = submit_at_once(urls, [{name: number} for number in range(8)])
            won = winner(answers)
            instance = answers[won].json
            assert ask(f"{servers[0]}/instances/{instance['instance']}").json == instance
            winners[name] = won
    assert {name: instance["data"][name] for name in TASKS} == winners


def test_of_steps_that_have_all_read_the_same_state_exactly_one_is_saved(tmp_path: Path) -> None:
    overlapping = (str(HERE / "overlapping.py"), "fastapi_application", "4")
    with serving(*FASTAPI, WORKFLOWS=str(tmp_path)) as server:
        instance = ask(f"{server}/instances", ORDER).json
        with serving(*overlapping, WORKFLOWS=str(tmp_path)) as other:
            urls = [task_url(other, instance)] * 4
            answers = submit_at_once(urls, [{"won": number} for number in range(4)])
        won = winner(answers)
        assert finished(server, answers[won].json)["won"] == won


def test_it_says_what_it_does_not_have(tmp_path: Path) -> None:
    with serving(*FASTAPI, WORKFLOWS=str(tmp_path)) as server:
        assert ask(f"{server}/instances", {"process": "nothing"}).status == 404
        assert ask(f"{server}/instances/1").status == 404
        assert ask(f"{server}/instances/1/tasks/1", {}).status == 404
        number = ask(f"{server}/instances", ORDER).json["instance"]
        assert ask(f"{server}/instances/{number}/tasks/1", {}).status == 409
