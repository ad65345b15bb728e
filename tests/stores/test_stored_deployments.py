"""Models that are in files, and the notes of their parses, if the cache is in a store."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import pytest
import spiff_bpmn
from memory_store import MemoryStore

from spiff_element_units import ElementUnits, prune_cache, verify_cache
from spiff_element_units.cache import notes
from spiff_element_units.spiff import Deployments, SpecLoaders


class Worker:
    """A worker with the models of a folder and a cache in a store."""

    def __init__(self, folder: Path, place: Any) -> None:
        self.parsed: list[str] = []
        loaders = SpecLoaders(place, models.serializer())
        self.deployments = Deployments(loaders, self._parse, folder)

    def _parse(self, process_id: str, files: Any) -> Any:
        self.parsed.append(process_id)
        parser = models.SpiffBpmnParser()
        for name in files.needed_for(process_id):
            parser.add_bpmn_io(files.open(name), name)
        return parser.get_spec(process_id), parser.get_subprocess_specs(process_id)

    def key(self, process_id: str = "one") -> Any:
        return self.deployments[process_id].units.cache_key


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "models"
    path.mkdir()
    (path / "one.bpmn").write_text(spiff_bpmn.bpmn({"one": [("human",)]}))
    return path


@pytest.fixture
def worker(folder: Path, store: MemoryStore) -> Callable[[], Worker]:
    return lambda: Worker(folder, store)


def test_a_worker_on_another_machine_does_not_parse_the_model_again(
    worker: Callable[[], Worker], store: MemoryStore
) -> None:
    first, second = worker(), worker()
    assert repr(first.deployments).endswith("in 'memory'>")
    assert first.key() == second.key()
    assert (first.parsed, second.parsed) == (["one"], [])


def test_a_model_that_is_open_costs_no_request_until_a_second_is_over(
    worker: Callable[[], Worker], store: MemoryStore, clock: list[float]
) -> None:
    first = worker()
    first.key()
    store.counted()
    first.key(), first.key()
    assert store.counted() <= 2  # it looks once after this process has cached the model
    first.key()
    assert store.counted() == 0
    clock[0] += 2
    first.key()
    assert store.counted() == 1


def test_a_change_of_a_file_is_parsed_by_one_worker_for_all(
    worker: Callable[[], Worker], folder: Path
) -> None:
    first, second = worker(), worker()
    before = first.key(), second.key()
    (folder / "one.bpmn").write_text(spiff_bpmn.bpmn({"one": [("human",), ("human",)]}))
    after = first.key(), second.key()
    assert len({*before}) == len({*after}) == 1
    assert before[0] != after[0]
    assert (first.parsed, second.parsed) == (["one", "one"], [])


def test_machines_with_different_files_in_one_place_have_their_own_models(
    folder: Path, store: MemoryStore
) -> None:
    """For example two containers. Their notes have the same name, and overwrite one another."""
    texts = {
        number: spiff_bpmn.bpmn({"one": [("human",)] * number, f"p{number}": [("human",)]})
        for number in (1, 2)
    }
    keys: dict[int, set[str]] = {1: set(), 2: set()}
    for number in (1, 2, 1, 2):
        (folder / "one.bpmn").write_text(texts[number])
        one = Worker(folder, store)
        specs = one.deployments["one"].spec("one").task_specs
        assert sum("human" in name for name in specs) == number
        keys[number].add(one.key())
    assert [len(keys[number]) for number in keys] == [1, 1]


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "failing"])
def test_a_note_that_cannot_be_read_costs_a_parse_and_no_more(
    worker: Callable[[], Worker], store: MemoryStore, damage: str
) -> None:
    key = worker().key()
    (name,) = (name for name in store.held if "/notes/" in name)
    whole = store.held[name][0]
    broken = {"cut": whole[:-3], "changed": whole.replace(b"one", b"two"), "empty": b"1"}
    if damage == "failing":
        store.fail = lambda method, asked: (method, asked) == ("read", name)
    else:
        store.write(name, broken[damage])
    later = worker()
    assert later.key() == key
    assert later.parsed == ["one"]


def test_a_note_is_read_as_it_was_written_or_not_at_all(store: MemoryStore) -> None:
    notes.write_note(store, "name", b"content")
    assert notes.read_note(store, "name") == b"content"
    assert notes.read_note(store, "other") is None
    store.lie = lambda name, data: data[:-1]
    assert notes.read_note(store, "name") is None


def test_a_store_that_takes_no_notes_is_told_in_the_log(
    store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.fail = lambda method, name: method == "write"
    with caplog.at_level(logging.DEBUG, "spiff_element_units"):
        notes.write_note(store, "name", b"content")
    assert any("cannot write the note 'name' in memory" in one for one in caplog.messages)


def test_notes_stay_when_the_store_is_pruned_and_are_no_damage(
    worker: Callable[[], Worker], store: MemoryStore
) -> None:
    worker().key()
    report = verify_cache(store)
    assert (report.ok, report.leftovers) == (True, ())
    prune_cache(store, max_age=0)
    assert any("/notes/" in name for name in store.held)
    assert len(ElementUnits.open(store, worker().key()).process_ids) == 1
