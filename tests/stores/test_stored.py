"""A cache in a store: units, publishing, requests, upkeep, and what happens when the store fails.

The store is in memory. It counts requests, and can return wrong answers.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from memory_store import MemoryStore
from store_workflows import workflow

from spiff_element_units import (
    CacheError,
    CorruptPack,
    ElementUnits,
    UnitNotFound,
    cache_element_units_for_workflow,
    cache_keys,
    prune_cache,
    remove_cached_workflow,
    verify_cache,
    workflow_from_cached_element_unit,
)
from spiff_element_units.cache import stored
from spiff_element_units.stores import CachedStore

TEXT = workflow(200)
SMALL, OTHER = workflow(6, "small"), workflow(6, "other")


def packs(store: MemoryStore) -> list[str]:
    return [name for name in store.held if "/packs/" in name]


def test_units_from_a_store_are_those_from_memory(store: MemoryStore) -> None:
    units = ElementUnits.from_json(TEXT)
    units.save(store, "key")
    read = ElementUnits.open(store, "key")
    assert read.process_ids == units.process_ids
    for process in units.process_ids[:40]:
        assert read.workflow(process) == units.workflow(process)
        assert read.element_ids(process) == units.element_ids(process)
    assert read.workflow("p0", "p60_t3") == units.workflow("p0", "p60_t3")
    assert read.workflow("p0", defer="nothing") == units.workflow("p0", defer="nothing")


def test_the_two_functions_take_a_store(store: MemoryStore) -> None:
    cache_element_units_for_workflow(store, "key", SMALL)
    unit = workflow_from_cached_element_unit(store, "key", "p1", "p1")
    assert unit == ElementUnits.from_json(SMALL).workflow("p1", "p1")
    with pytest.raises(UnitNotFound, match="'other' is not cached in memory"):
        workflow_from_cached_element_unit(store, "other", "p1", "p1")


def test_a_cold_get_takes_two_requests_and_a_warm_one_none(store: MemoryStore) -> None:
    ElementUnits.from_json(TEXT).save(store, "key")
    store.counted()
    for process in ("p0", "p7", "p150"):
        units = ElementUnits.open(store, "key")
        assert store.counted() == 1
        units.workflow(process, process)
        assert store.counted() <= 1
        units.workflow(process, process)
        assert store.counted() == 0


@pytest.mark.parametrize("processes", [1, 6, 200, 1000])
def test_one_request_opens_a_key_and_brings_the_start_unit_of_its_root(
    store: MemoryStore, processes: int
) -> None:
    units = ElementUnits.from_json(workflow(processes))
    units.save(store, "key")
    store.counted()
    assert ElementUnits.open(store, "key").workflow("p0") == units.workflow("p0")
    assert store.counted() == 1


def test_a_start_unit_that_is_large_takes_another_request_and_its_key_stays_small(
    store: MemoryStore,
) -> None:
    units = ElementUnits.from_json(workflow(3, "large" * 20_000))
    units.save(store, "key")
    assert len(store.held[stored.key_name("key")][0]) <= stored.LONGEST < 200_000
    store.counted()
    assert ElementUnits.open(store, "key").workflow("p0") == units.workflow("p0")
    assert store.counted() == 2


def test_a_list_of_the_keys_takes_one_request_for_each(store: MemoryStore) -> None:
    for number in range(5):
        ElementUnits.from_json(workflow(number + 1)).save(store, f"{number}")
    store.counted()
    assert len(cache_keys(store)) == 5
    assert store.counted() == 6


def test_a_walk_through_a_whole_workflow_takes_a_handful_of_requests(store: MemoryStore) -> None:
    ElementUnits.from_json(TEXT).save(store, "key")
    units = ElementUnits.open(store, "key")
    store.counted()
    units.workflow("p0", defer="nothing")
    for process in units.process_ids:
        units.spec_json(process)
    assert store.counted() <= 5


def test_caching_takes_three_requests_and_caching_again_stores_no_pack(store: MemoryStore) -> None:
    ElementUnits.from_json(TEXT).save(store, "key")
    assert store.counted() == 3  # look, write the pack, write the key
    store.now += 10
    ElementUnits.from_json(TEXT).save(store, "key")
    assert store.counted() == 3  # look, check the pack, renew the key
    assert len(packs(store)) == 1
    (cached,) = cache_keys(store)
    assert cached.cached_at.timestamp() == store.now


def test_get_or_cache_makes_the_workflow_once(store: MemoryStore) -> None:
    made: list[str] = []

    def make() -> str:
        made.append("made")
        return SMALL

    for _ in range(2):
        units = ElementUnits.get_or_cache(store, "key", make)
        store.counted()
        units.workflow("p3")
        assert store.counted() == 0  # all of it was read and checked
    assert made == ["made"]


def test_get_or_cache_serves_from_memory_if_the_store_cannot_be_written(
    store: MemoryStore,
) -> None:
    store.fail = lambda method, name: method == "write"
    with pytest.warns(RuntimeWarning, match="memory cannot write"):
        units = ElementUnits.get_or_cache(store, "key", lambda: SMALL)
    assert units.root == "p0"


def test_a_reader_of_a_replaced_workflow_goes_on_with_it(store: MemoryStore) -> None:
    ElementUnits.from_json(TEXT).save(store, "key")
    before = ElementUnits.open(store, "key")
    ElementUnits.from_json(OTHER).save(store, "key")
    assert before.workflow("p150") == ElementUnits.from_json(TEXT).workflow("p150")
    assert ElementUnits.open(store, "key").digest == ElementUnits.from_json(OTHER).digest


def test_a_write_that_fails_at_any_request_leaves_what_was_there(store: MemoryStore) -> None:
    ElementUnits.from_json(SMALL).save(store, "key")
    failed = 0
    for number in range(10):
        store.counted()
        store.fail = lambda method, name, at=number: len(store.requests) > at  # type: ignore[misc]
        try:
            ElementUnits.from_json(OTHER).save(store, "key")
        except CacheError:
            failed += 1
            store.fail = lambda method, name: False
            units = ElementUnits.open(store, "key")
            assert units.workflow("p2") == ElementUnits.from_json(SMALL).workflow("p2")
        else:
            break
    assert failed == 3
    store.fail = lambda method, name: False
    assert ElementUnits.open(store, "key").digest == ElementUnits.from_json(OTHER).digest


def test_keys_with_any_characters_are_kept_apart(store: MemoryStore) -> None:
    keys = ["", "a", "A", "../x", "ü\ud800", "k" * 100_000]
    for number, key in enumerate(keys):
        ElementUnits.from_json(workflow(2, str(number))).save(store, key)
    assert {cached.cache_key for cached in cache_keys(store)} == set(keys)
    for number, key in enumerate(keys):
        want = ElementUnits.from_json(workflow(2, str(number))).digest
        assert ElementUnits.open(store, key).digest == want
    assert all(len(name) <= 200 for name in store.held)


def read_units(store: object) -> list[str]:
    with ElementUnits.open(store, "key") as units:  # type: ignore[arg-type]
        return [units.workflow("p1"), units.workflow("p0", "p5_t1")]


def test_wrong_bytes_are_an_error_and_never_a_wrong_unit(store: MemoryStore) -> None:
    ElementUnits.from_json(SMALL).save(store, "key")
    right = read_units(store)
    dice = random.Random(1)
    refused = 0
    for _ in range(400):
        name = dice.choice(["keys", "packs"])
        at, bit = dice.random(), 1 << dice.randrange(8)

        def lie(of: str, data: bytes, name: str = name, at: float = at, bit: int = bit) -> bytes:
            if f"/{name}/" not in of or not data:
                return data
            place = int(at * len(data))
            return data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]

        store.lie = lie
        try:
            assert read_units(store) == right
        except (CorruptPack, UnitNotFound):
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("name", ["keys", "packs"])
def test_a_range_that_is_cut_off_is_an_error_and_never_a_wrong_unit(
    store: MemoryStore, name: str
) -> None:
    text = workflow(60)
    ElementUnits.from_json(text).save(store, "key")
    want = ElementUnits.from_json(text).workflow("p40")
    refused = 0
    for cut in (0, 1, 7, 50, 200, 1000, 10_000, 40_000):
        store.lie = lambda of, data, cut=cut: data[:cut] if f"/{name}/" in of else data
        try:
            with ElementUnits.open(store, "key") as units:
                assert units.workflow("p40") == want
        except CacheError:
            refused += 1
    assert refused >= 4


def test_old_content_of_a_key_gives_the_old_workflow_or_an_error(store: MemoryStore) -> None:
    ElementUnits.from_json(SMALL).save(store, "key")
    name = stored.key_name("key")
    old = store.held[name][0]
    ElementUnits.from_json(OTHER).save(store, "key")
    store.lie = lambda of, data: old[: len(data)] if of == name else data
    assert ElementUnits.open(store, "key").digest == ElementUnits.from_json(SMALL).digest
    for pack in packs(store):
        del store.held[pack]
    store.lie = lambda of, data: old[:2000] if of == name else data
    with pytest.raises(CorruptPack, match="is not there any more"):
        ElementUnits.open(store, "key").workflow("p1")


@pytest.mark.parametrize("value", [0x00, 0x01, 0x7F, 0xFF])
def test_a_start_that_is_damaged_is_an_error_and_never_a_wrong_unit(
    store: MemoryStore, value: int
) -> None:
    """Damages the table of the bytes that are kept with the key, and some of these bytes."""
    ElementUnits.from_json(TEXT).save(store, "key")
    want = ElementUnits.from_json(TEXT).workflow("p0")
    name = stored.key_name("key")
    whole, refused = store.held[name][0], 0
    for at in range(400):
        store.write(name, whole[:at] + bytes([value]) + whole[at + 1 :])
        try:
            assert ElementUnits.open(store, "key").workflow("p0") == want
        except (CorruptPack, UnitNotFound):
            refused += 1
    assert refused > 100


def test_content_of_another_key_is_refused(store: MemoryStore) -> None:
    ElementUnits.from_json(SMALL).save(store, "key")
    ElementUnits.from_json(OTHER).save(store, "other")
    store.held[stored.key_name("key")] = store.held[stored.key_name("other")]
    with pytest.raises(CorruptPack, match="belongs to cache key 'other'"):
        ElementUnits.open(store, "key")
    assert not verify_cache(store).ok


def test_a_store_that_fails_gives_its_own_error(store: MemoryStore) -> None:
    ElementUnits.from_json(SMALL).save(store, "key")
    store.fail = lambda method, name: True
    for call in (
        lambda: ElementUnits.open(store, "key"),
        lambda: cache_keys(store),
        lambda: verify_cache(store),
        lambda: prune_cache(store),
        lambda: remove_cached_workflow(store, "key"),
    ):
        with pytest.raises(CacheError, match="told to fail"):
            call()


@pytest.mark.parametrize("place", [1, None, object(), b"bytes", MemoryStore])
def test_what_is_neither_a_path_nor_a_store_is_a_type_error(place: object) -> None:
    calls: list[Callable[[], object]] = [
        lambda: ElementUnits.open(place, "key"),  # type: ignore[arg-type]
        lambda: cache_keys(place),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()


def test_a_path_with_colons_is_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ElementUnits.from_json(SMALL).save("s3:cache", "key")
    assert (tmp_path / "s3:cache" / "v2").is_dir()
    assert json.loads(ElementUnits.open("s3:cache", "key").workflow("p1"))


def test_a_loader_runs_on_a_store(store: MemoryStore, tmp_path: Path) -> None:
    import models  # noqa: PLC0415

    from spiff_element_units.spiff import SpecLoader  # noqa: PLC0415

    cached = CachedStore(store, tmp_path, max_bytes=10**7)
    text = models.spec_json(next(iter(models.MODELS.values())))
    ElementUnits.from_json(text).save(cached, "key")
    loader = SpecLoader(ElementUnits.open(cached, "key"), models.serializer())
    workflow = loader.start()
    again = loader.resume(loader.save(workflow))
    assert len(again.get_tasks()) == len(workflow.get_tasks())
