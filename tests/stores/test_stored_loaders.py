"""The loaders of a worker and the old versions of its instances, if the cache is in a store."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import models
import pytest
from forking import Halfway
from memory_store import MemoryStore
from version_models import at, loader_of, started, units

from spiff_element_units import CacheError, CorruptPack, prune_cache, remove_cached_workflow
from spiff_element_units.cache import stored
from spiff_element_units.cache.directory import Published
from spiff_element_units.spiff import ChangedWorkflow, SpecLoaders
from spiff_element_units.stores import CachedStore

CALLS = {
    "root": [("human", "before"), ("call", "call", "claim"), ("human", "after")],
    "claim": [("human", "review"), ("human", "decide")],
}
OTHER = {**CALLS, "claim": [("human", "review"), ("human", "check"), ("human", "decide")]}


def cached_elsewhere(store: Any, key: str, processes: dict[str, Any]) -> str:
    """Cache a workflow as another machine does it, and return its digest."""
    before = Published.latest
    digest = units(processes, store, key).digest
    Published.latest = before
    return digest


def registry(place: Any, **options: Any) -> SpecLoaders:
    return SpecLoaders(place, models.serializer(), **options)


# SpecLoaders


def test_loaders_name_their_store_and_run_from_it(store: MemoryStore) -> None:
    units(CALLS, store, "key")
    loaders = registry(store)
    assert loaders.cache is store
    assert repr(loaders) == "<SpecLoaders of 'memory', 0 loaders kept>"
    workflow = started(loaders["key"], "before", "review")
    assert at(
        loaders.for_state(loaders["key"].save(workflow)).resume(loaders["key"].save(workflow))
    )


@pytest.mark.parametrize("place", [7, None, b"bytes", object()])
def test_what_is_neither_a_path_nor_a_store_is_a_type_error(place: object) -> None:
    with pytest.raises(TypeError):
        registry(place)


def test_a_key_that_is_not_in_the_store_is_made_once(store: MemoryStore) -> None:
    made: list[str] = []

    def make_json(key: str) -> str:
        made.append(key)
        return version_json()

    for _ in range(2):
        assert registry(store, make_json=make_json)["key"].units.root == "root"
    assert made == ["key"]


def version_json() -> str:
    from version_models import spec_json  # noqa: PLC0415

    return spec_json(CALLS)


def test_a_loader_that_is_kept_asks_the_store_for_one_small_range_a_second(
    store: MemoryStore, clock: list[float]
) -> None:
    units(CALLS, store, "key")
    loaders = registry(store)
    loader = loaders["key"]
    store.counted()
    lengths: list[int] = []
    store.lie = lambda name, data: lengths.append(len(data)) or data  # type: ignore[func-returns-value]
    for _ in range(3):
        clock[0] += 0.9
        assert loaders["key"] is loader
        assert store.counted() == 0
        clock[0] += 0.2
        assert loaders["key"] is loader
        assert store.counted() == 1
    assert max(lengths) < 300


def test_a_key_that_another_machine_caches_anew_is_noticed_in_a_second(
    store: MemoryStore, clock: list[float]
) -> None:
    units(CALLS, store, "key")
    loaders = registry(store)
    older = loaders["key"]
    state = older.save(started(older))
    digest = cached_elsewhere(store, "key", OTHER)
    clock[0] += 0.9
    assert loaders["key"] is older
    clock[0] += 0.2
    assert loaders["key"].units.digest == digest
    assert loaders.for_state(state) is older


def test_a_key_that_this_process_caches_anew_is_noticed_at_once(
    store: MemoryStore, clock: list[float]
) -> None:
    units(CALLS, store, "key")
    loaders = registry(store)
    older = loaders["key"]
    units(OTHER, store, "key")
    assert loaders["key"].units.digest != older.units.digest


@pytest.mark.parametrize("keys_for", [0, 60.0])
def test_behind_a_directory_a_change_is_noticed_when_the_directory_asks_again(
    store: MemoryStore,
    clock: list[float],
    tmp_path: Path,
    keys_for: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from spiff_element_units.cache import cached_store  # noqa: PLC0415

    now = cached_store.time.time
    later = [0.0]
    monkeypatch.setattr(cached_store.time, "time", lambda: now() + later[0])
    cached = CachedStore(store, tmp_path, max_bytes=10**8, keys_for=keys_for)
    units(CALLS, store, "key")
    loaders = registry(cached)
    older = loaders["key"].units.digest
    clock[0] += 2
    assert loaders["key"].units.digest == older
    newer = cached_elsewhere(store, "key", OTHER)
    clock[0] += 2
    assert loaders["key"].units.digest == (older if keys_for else newer)
    later[0] += 61
    clock[0] += 2
    assert loaders["key"].units.digest == newer


def test_behind_a_directory_a_kept_loader_asks_the_store_for_nothing(
    store: MemoryStore, clock: list[float], tmp_path: Path
) -> None:
    units(CALLS, store, "key")
    loaders = registry(CachedStore(store, tmp_path, max_bytes=10**8))
    loader = loaders["key"]
    store.counted()
    for _ in range(3):
        clock[0] += 2
        assert loaders["key"] is loader
    assert store.counted() == 0


def test_what_is_kept_in_the_directory_is_no_news_to_other_loaders(
    store: MemoryStore, tmp_path: Path
) -> None:
    for key in ("one", "two"):
        units(CALLS, store, key)
    published = Published.latest
    loaders = registry(CachedStore(store, tmp_path, max_bytes=10**8))
    loaders["one"], loaders["two"]
    assert Published.latest == published


def test_a_store_that_is_away_stops_no_loader_and_is_asked_a_tenth_of_the_time(
    store: MemoryStore, clock: list[float]
) -> None:
    units(CALLS, store, "key")
    loaders = registry(store)
    loader = loaders["key"]

    def away(method: str, name: str) -> bool:
        clock[0] += 10  # the timeout
        return True

    store.fail = away
    store.counted()
    start = clock[0]
    while clock[0] < start + 1000:
        clock[0] += 0.5
        assert loaders["key"] is loader
    assert 9 <= store.counted() <= 11
    started(loader, "before")


def test_a_store_that_is_away_is_an_error_for_a_key_that_is_not_open(store: MemoryStore) -> None:
    store.fail = lambda method, name: True
    with pytest.raises(CacheError, match="memory cannot read"):
        registry(store)["key"]


def test_nobody_waits_while_another_thread_looks_at_the_store(
    store: MemoryStore, clock: list[float]
) -> None:
    units(CALLS, store, "key")
    loaders = registry(store)
    loader = loaders["key"]
    clock[0] += 2
    halfway = Halfway(lambda: loaders["key"])
    store.fail = lambda method, name: bool(halfway.stop())
    with halfway:
        store.counted()
        assert loaders["key"] is loader
        assert store.counted() == 0


def test_who_asks_for_what_this_process_has_just_cached_does_wait(
    store: MemoryStore, clock: list[float]
) -> None:
    """Not even a look of another thread that began before lets it have the older one."""
    units(CALLS, store, "key")
    loaders = registry(store)
    older = loaders["key"]
    clock[0] += 2
    looked: list[str] = []
    halfway = Halfway(lambda: looked.append(loaders["key"].units.digest))
    store.fail = lambda method, name: bool(halfway.stop())
    with halfway:
        newer = units(OTHER, store, "key").digest
        waiting = Halfway(lambda: looked.append(loaders["key"].units.digest))
        waiting._thread.start()
    waiting._thread.join()
    assert looked[-1] == newer != older.units.digest


def test_a_key_that_is_damaged_is_told_once_and_the_kept_loader_used_on(
    store: MemoryStore, clock: list[float]
) -> None:
    units(CALLS, store, "key")
    told: list[Any] = []
    loaders = registry(store, on_event=told.append)
    loader = loaders["key"]
    store.write(stored.key_name("key"), b"no key")
    told.clear()
    for _ in range(3):
        clock[0] += 2
        assert loaders["key"] is loader
    assert [event.kind for event in told] == ["damaged"]
    with pytest.raises(CorruptPack, match="names no pack"):
        registry(store)["key"]


def test_an_event_tells_the_size_of_a_pack_in_a_store(store: MemoryStore) -> None:
    units(CALLS, store, "key")
    told: list[Any] = []
    registry(store, on_event=told.append)["key"]
    (size,) = (int(name.rpartition("-")[2]) for name in store.held if "/packs/" in name)
    assert [(event.kind, event.size) for event in told] == [("opened", size)]


def test_the_log_tells_what_is_cached_in_a_store(
    store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "spiff_element_units"):
        units(CALLS, store, "key")
    assert any(message.startswith("cached 'key': ") for message in caplog.messages)


def test_a_loader_goes_on_when_its_workflow_was_removed_cached_again_and_pruned(
    store: MemoryStore, clock: list[float]
) -> None:
    """Its pack is then gone. The same pack is in the store under another name."""
    many = {"root": [("human", "first")], **{f"p{n}": [("human", f"h{n}")] for n in range(150)}}
    units(many, store, "key")
    loaders = registry(store)
    loader = loaders["key"]
    remove_cached_workflow(store, "key")
    cached_elsewhere(store, "key", many)
    for _ in range(2):
        prune_cache(store)
        store.now += 3601
    assert sum("/packs/" in name for name in store.held) == 1
    clock[0] += 2
    assert loaders["key"] is loader
    for process in loader.units.process_ids:
        loader.spec(process)


# Old versions


def test_the_old_version_of_an_instance_is_found_in_the_same_store(store: MemoryStore) -> None:
    old, new = loader_of(CALLS, store, "v1"), loader_of(OTHER, store, "v2")
    state = old.save(started(old, "before"))
    assert not new.compare(state).can_resume
    assert at(new.migrate(state)) == ["review"]


def test_an_old_version_that_the_store_has_no_more_is_named(store: MemoryStore) -> None:
    old = loader_of(CALLS, store, "v1")
    state = old.save(started(old, "before"))
    new = loader_of(OTHER, store, "v1")  # under the same key
    with pytest.raises(ChangedWorkflow, match="is not there; cache it again under that key"):
        new.migrate(state)


def test_a_store_that_is_away_has_no_old_version(store: MemoryStore) -> None:
    old, new = loader_of(CALLS, store, "v1"), loader_of(OTHER, store, "v2")
    state = old.save(started(old, "before"))
    store.fail = lambda method, name: name == stored.key_name("v1")
    with pytest.raises(ChangedWorkflow, match="is not there; cache it again under that key"):
        new.migrate(state)
