"""The web application of the examples: workers in threads and processes, on one cache."""

from __future__ import annotations

import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from web_workers import ORDERS, deploy, do_next, run_an_order, start, worker

import spiff_element_units


def test_each_request_may_come_to_another_worker(tmp_path: Path) -> None:
    deploy(worker(tmp_path))
    number = start(worker(tmp_path), "Ada")["instance"]
    waited = []
    while not worker(tmp_path).get(f"/instances/{number}").json["completed"]:
        waited += worker(tmp_path).get(f"/instances/{number}").json["tasks"].values()
        do_next(worker(tmp_path), number)
    assert waited == ["Check the order", "Receive the money", "Put it in a box", "Hand it over"]
    data = worker(tmp_path).get(f"/instances/{number}").json["data"]
    assert (data["price"], data["label"]) == (36, "to Ada")


def test_workers_that_start_at_once_on_an_empty_cache_all_do_their_work(tmp_path: Path) -> None:
    deploy(worker(tmp_path))
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, mp_context=fresh) as workers:
        orders = list(workers.map(run_an_order, [tmp_path] * 6))
    assert [order["price"] for order in orders] == [36] * 6
    (cached,) = spiff_element_units.verify_cache(tmp_path / "cache").good
    assert cached.cache_key.startswith("order-")


def test_an_instance_goes_on_with_the_version_it_was_started_with(tmp_path: Path) -> None:
    client = worker(tmp_path)
    deploy(client)
    old = start(client, "Ada")["instance"]
    dearer = tmp_path / "orders.bpmn"
    dearer.write_text(ORDERS.read_text("utf-8").replace("12 * pieces", "20 * pieces"), "utf-8")
    deploy(client, dearer)
    new = start(client, "Grace")["instance"]
    for _ in range(4):
        ended = [do_next(client, number) for number in (old, new)]
    assert [instance["data"]["price"] for instance in ended] == [36, 60]


def test_a_model_has_the_same_key_wherever_it_is_deployed_from(tmp_path: Path) -> None:
    elsewhere = tmp_path / ORDERS.name
    shutil.copy(ORDERS, elsewhere)
    assert deploy(worker(tmp_path)) == deploy(worker(tmp_path), elsewhere)


def test_a_version_that_is_deployed_again_is_the_newest(tmp_path: Path) -> None:
    client = worker(tmp_path)
    first = deploy(client)
    dearer = tmp_path / ORDERS.name
    dearer.write_text(ORDERS.read_text("utf-8").replace("12 * pieces", "20 * pieces"), "utf-8")
    assert deploy(client, dearer) != first
    assert deploy(client) == first
    assert run_an_order(tmp_path)["price"] == 36


def test_a_cache_that_is_lost_is_filled_again(tmp_path: Path) -> None:
    client = worker(tmp_path)
    deploy(client)
    number = start(client, "Ada")["instance"]
    shutil.rmtree(tmp_path / "cache")
    assert do_next(client, number)["tasks"]  # of a worker that has it open
    assert do_next(worker(tmp_path), number)["tasks"]
    assert len(spiff_element_units.cache_keys(tmp_path / "cache")) == 1


def test_of_two_workers_that_do_a_task_at_once_the_slower_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, fast = worker(tmp_path), worker(tmp_path)
    deploy(slow)
    instance = start(slow, "Ada")
    (task,) = instance["tasks"]
    url = f"/instances/{instance['instance']}/tasks/{task}"
    functions = slow.application.view_functions["do"].__globals__
    human_tasks = functions["human_tasks"]

    def overtaken(workflow: Any) -> Any:
        monkeypatch.undo()
        assert fast.post(url, json={}).status_code == 200
        return human_tasks(workflow)

    monkeypatch.setitem(functions, "human_tasks", overtaken)
    assert slow.post(url, json={}).status_code == 409
    assert slow.get(f"/instances/{instance['instance']}").json["tasks"] != instance["tasks"]


def test_it_says_what_it_does_not_have(tmp_path: Path) -> None:
    client = worker(tmp_path)
    deploy(client)
    assert client.post("/instances", json={"process": "nothing"}).status_code == 404
    assert client.get("/instances/1").status_code == 404
    assert client.post("/instances/1/tasks/1", json={}).status_code == 404
    number = start(client, "Ada")["instance"]
    assert client.post(f"/instances/{number}/tasks/1", json={}).status_code == 409
