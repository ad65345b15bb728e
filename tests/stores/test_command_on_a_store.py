"""The command takes the URL of a store wherever it takes the folder of a cache."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from command import EXAMPLES, command, failing
from version_models import at, loader_of, started
from written import call, process, script, write

from spiff_element_units.cli._place import _named
from spiff_element_units.stores import open_store

pytest.importorskip("sqlalchemy")

OLD = {
    "root": [("human", "before"), ("call", "call", "claim")],
    "claim": [("human", "review"), ("human", "decide")],
}
NEW = {**OLD, "claim": [("human", "review"), ("human", "check"), ("human", "decide")]}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def shop(tmp_path: Path, url: str) -> str:
    """`shop` calls `pay` of another workflow in the store."""
    write(tmp_path / "tree" / "a" / "shop.bpmn", process("shop", call("pay")))
    write(tmp_path / "tree" / "b" / "pay.bpmn", process("pay", script("paid = 1")))
    done = command("cache", url, tmp_path / "tree", "--each", "folder", "--json")
    assert (done.json["cached"], done.json["cache_dir"]) == (2, url)
    return url


def test_run_follows_a_call_to_another_workflow_of_the_store(shop: str) -> None:
    done = command("run", shop, "a/shop", "--json").json
    assert (done["status"], done["data"]) == ("completed", {"paid": 1})
    assert done["linked"] == [{"process": "pay", "key": "b/pay"}]


def test_an_instance_is_saved_and_resumed_on_the_store(url: str, tmp_path: Path) -> None:
    loader_of(OLD, open_store(url), "v1")
    state = tmp_path / "state"
    for answer, waits in (("before", False), ("review", False), ("decide", True)):
        answers = tmp_path / "answers.json"
        answers.write_text(json.dumps({answer: {}}))
        done = command("run", url, "v1", "--answers", answers, "--state", state, "--json")
        assert (json.loads(done.out)["status"] == "completed") is waits


def test_what_a_workflow_calls_is_shown_and_drawn_from_the_store(shop: str) -> None:
    assert "b/pay" in command("show", shop, "a/shop").out
    assert "pay" in command("graph", shop, "a/shop", "--format", "mermaid").out
    assert "requested" in command("unit", shop, "a/shop", "shop", "--explain").out


def test_versions_and_saved_instances_are_compared_and_migrated_on_the_store(
    url: str, tmp_path: Path
) -> None:
    store = open_store(url)
    old, new = loader_of(OLD, store, "v1"), loader_of(NEW, store, "v2")
    assert command("diff", url, "v1", "v2").code == 1
    assert command("graph", url, "v2", "--format", "html", "--against", "v1").code == 0
    state = tmp_path / "state.json"
    state.write_text(old.save(started(old, "before")))
    assert command("check", url, "v2", state).code == 3
    assert command("check", url, "v2", state, "--old", "v1").code == 3
    done = command("migrate", url, "v2", state, "--to", tmp_path / "moved")
    assert done.code == 0, done.err
    assert at(new.resume((tmp_path / "moved" / "state.json").read_text())) == ["review"]


def test_a_store_without_a_key_is_a_mistake_that_is_explained(shop: str) -> None:
    told = f"{shop!r} is a store; name a key of that cache"
    for arguments in (["run", shop], ["unit", shop], ["graph", shop], ["diff", shop, shop]):
        assert told in failing(*arguments, code=2)
    assert told in failing("graph", shop, "--format", "html", "--against", "x", code=2)


def test_a_key_that_the_store_lacks_gets_suggestions(shop: str) -> None:
    assert "did you mean 'a/shop'" in failing("run", shop, "a/shap")


def test_the_shell_completes_keys_and_processes_of_a_store(shop: str) -> None:
    assert list(_named({"place": shop})) == ["a/shop", "b/pay"]
    assert list(_named({"place": shop, "names": ["a/shop"]})) == ["shop"]


def test_a_folder_is_watched_and_cached_into_a_store(url: str, tmp_path: Path) -> None:
    pytest.importorskip("watchfiles")
    if os.name == "nt":
        pytest.skip("Windows sends no SIGINT to one process")
    from watching import Watching  # noqa: PLC0415

    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "orders.bpmn").write_bytes((EXAMPLES / "orders.bpmn").read_bytes())
    running = Watching("cache", url, tree)
    try:
        assert "cached order: " in "\n".join(running.until("watching"))
        (tree / "claim.bpmn").write_bytes((EXAMPLES / "claim.bpmn").read_bytes())
        running.until("1 cached, 2 unchanged")
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(30) == 0
    finally:
        running.stop()
