"""The FastAPI example, on real servers, with clients that submit at the same time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from web_servers import (
    FASTAPI,
    HERE,
    ORDER,
    an_instance_is_driven_to_its_end_by,
    ask,
    it_says_what_it_does_not_have,
    of_concurrent_submits_exactly_one_succeeds,
    serving,
    submit_at_once,
    task_url,
    two_serving,
    winner,
)

pytest.importorskip("fastapi", reason="needs FastAPI, which this Python has no wheels for")
pytest.importorskip("uvicorn", reason="needs uvicorn, which this Python has no wheels for")


def finished(server: str, instance: Any) -> Any:
    while not instance["completed"]:
        instance = ask(task_url(server, instance), {}).json
    return instance["data"]


def test_an_instance_is_driven_to_its_end_by_two_servers(tmp_path: Path) -> None:
    with two_serving(*FASTAPI, WORKFLOWS=str(tmp_path)) as servers:
        an_instance_is_driven_to_its_end_by(servers)


def test_of_concurrent_submits_to_two_servers_exactly_one_succeeds(tmp_path: Path) -> None:
    with two_serving(*FASTAPI, WORKFLOWS=str(tmp_path)) as servers:
        of_concurrent_submits_exactly_one_succeeds(servers)


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
        it_says_what_it_does_not_have(server)
