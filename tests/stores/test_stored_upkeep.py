"""Listing, checking, removing and pruning what is cached in a store."""

from __future__ import annotations

from datetime import timedelta

import pytest
from memory_store import MemoryStore
from store_workflows import workflow

from spiff_element_units import (
    CacheError,
    CorruptPack,
    ElementUnits,
    cache_keys,
    prune_cache,
    remove_cached_workflow,
    verify_cache,
)
from spiff_element_units.cache import stored

TEXT = workflow(200)
SMALL, OTHER = workflow(6, "small"), workflow(6, "other")
HOUR = 3600.0


def packs(store: MemoryStore) -> list[str]:
    return [name for name in store.held if "/packs/" in name]


def marks(store: MemoryStore) -> list[str]:
    return [name for name in store.held if "/gone/" in name]


def test_what_is_cached_is_listed_with_size_and_time(store: MemoryStore) -> None:
    for key in ("b", "a"):
        store.now += 1
        ElementUnits.from_json(SMALL).save(store, key)
    first, second = cache_keys(store)
    assert (first.cache_key, second.cache_key) == ("a", "b")
    assert first.digest == ElementUnits.from_json(SMALL).digest
    assert first.cached_at.timestamp() == store.now
    assert first.path == f"memory/{stored.key_name('a')}"


def test_verify_finds_each_kind_of_damage(store: MemoryStore) -> None:
    for number in range(4):
        ElementUnits.from_json(workflow(40, str(number))).save(store, f"k{number}")
    assert verify_cache(store).ok
    opened = [stored.open_key(store, stored.key_name(f"k{number}")) for number in range(3)]
    names = [one.reader._pack.name for one in opened]
    content = store.held[names[0]][0]
    store.held[names[0]] = content[:-200] + b"?" + content[-199:], store.now
    del store.held[names[1]]
    store.held[stored.key_name("k2")] = b"no key", store.now
    report = verify_cache(store)
    assert [good.cache_key for good in report.good] == ["k3"]
    assert {bad.cache_key for bad in report.damaged} == {"k0", "k1", None}
    assert report.leftovers == (f"memory/{names[2]}",)
    ElementUnits.from_json(workflow(40, "0")).save(store, "k0")
    assert "k0" in [good.cache_key for good in verify_cache(store).good]


def test_a_removed_workflow_is_gone_and_its_pack_an_hour_later(store: MemoryStore) -> None:
    ElementUnits.from_json(TEXT).save(store, "key")
    reader = ElementUnits.open(store, "key")
    assert remove_cached_workflow(store, "key") is True
    assert remove_cached_workflow(store, "key") is False
    assert prune_cache(store).leftovers == ()
    store.now += HOUR - 1
    assert prune_cache(store).bytes_freed == 0
    assert reader.workflow("p150") == ElementUnits.from_json(TEXT).workflow("p150")
    store.now += 2
    (name,) = packs(store)
    size = len(store.held[name][0])
    assert prune_cache(store, dry_run=True).leftovers == (f"memory/{name}",)
    report = prune_cache(store)
    assert (report.leftovers, report.bytes_freed) == ((f"memory/{name}",), size)
    assert packs(store) == marks(store) == []
    # It may need more of the pack than it has read.
    assert reader.workflow("p150") == ElementUnits.from_json(TEXT).workflow("p150")
    with pytest.raises(CorruptPack, match="is not there any more; open the cache key again"):
        reader.workflow("p0", defer="nothing")


def test_a_workflow_that_is_cached_is_never_pruned_without_a_limit(store: MemoryStore) -> None:
    ElementUnits.from_json(SMALL).save(store, "key")
    for _ in range(3):
        prune_cache(store)
        store.now += 2 * HOUR
    assert verify_cache(store).ok
    assert len(packs(store)) == 1


def test_prune_removes_the_oldest(store: MemoryStore) -> None:
    for number in range(4):
        store.now += 100
        ElementUnits.from_json(workflow(4, str(number))).save(store, f"k{number}")
    report = prune_cache(store, max_age=timedelta(seconds=250), dry_run=True)
    assert [one.cache_key for one in report.removed] == ["k0"]
    assert len(cache_keys(store)) == 4
    assert [one.cache_key for one in prune_cache(store, max_age=250).removed] == ["k0"]
    size = sum(one.size for one in cache_keys(store))
    assert [one.cache_key for one in prune_cache(store, max_bytes=size - 1).removed] == ["k1"]
    assert [one.cache_key for one in cache_keys(store)] == ["k2", "k3"]


def test_prune_leaves_a_workflow_that_is_cached_again_meanwhile(store: MemoryStore) -> None:
    ElementUnits.from_json(SMALL).save(store, "key")
    store.now += 1000

    def cache_again(method: str, name: str) -> bool:
        if method == "delete":
            store.fail = lambda method, name: False
            store.now += 1
            ElementUnits.from_json(OTHER).save(store, "key")
        return False

    store.fail = cache_again
    assert prune_cache(store, max_age=10).removed == ()
    assert ElementUnits.open(store, "key").digest == ElementUnits.from_json(OTHER).digest


def test_a_pack_of_a_writer_that_was_killed_is_pruned(store: MemoryStore) -> None:
    store.fail = lambda method, name: method == "write" and "/keys/" in name
    with pytest.raises(CacheError):
        ElementUnits.from_json(SMALL).save(store, "key")
    store.fail = lambda method, name: False
    assert len(packs(store)) == len(verify_cache(store).leftovers) == 1
    prune_cache(store)
    store.now += HOUR
    assert len(prune_cache(store).leftovers) == 1
    assert packs(store) == []


def test_a_writer_that_takes_longer_than_an_hour_stores_its_pack_again(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(stored.time, "monotonic", lambda: clock[0])

    def stall(method: str, name: str) -> bool:
        if method == "write" and "/keys/" in name and clock[0] == 0:
            clock[0] += 2 * HOUR
            prune_cache(store)
            store.now += HOUR
            prune_cache(store)
            assert packs(store) == []
        return False

    store.fail = stall
    ElementUnits.from_json(SMALL).save(store, "key")
    assert verify_cache(store).ok
    assert len(packs(store)) == 1


def test_a_pack_that_was_pruned_while_its_key_was_written_stays_an_hour_after_its_key(
    store: MemoryStore,
) -> None:
    """An old mark must not count when the key of the pack is removed later."""

    def prune(method: str, name: str) -> bool:
        if method == "write" and "/keys/" in name:
            prune_cache(store)
        return False

    store.fail = prune
    ElementUnits.from_json(SMALL).save(store, "key")
    assert len(marks(store)) == 1
    store.fail = lambda method, name: False
    store.now += HOUR
    prune_cache(store)
    remove_cached_workflow(store, "key")
    assert prune_cache(store).leftovers == ()
    assert len(packs(store)) == 1


def test_a_pack_is_marked_by_the_prune_that_removes_its_workflow(store: MemoryStore) -> None:
    ElementUnits.from_json(SMALL).save(store, "key")
    store.now += 100
    assert len(prune_cache(store, max_age=10).removed) == 1
    store.now += HOUR
    prune_cache(store)
    assert packs(store) == []


def test_a_start_that_is_damaged_is_found_and_repaired(store: MemoryStore) -> None:
    """The key has a part of the pack. The pack itself is as it should be."""
    units = ElementUnits.from_json(SMALL)
    units.save(store, "key")
    name = stored.key_name("key")
    whole = store.held[name][0]
    for at in range(len(whole) - 200, len(whole)):
        store.write(name, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert not verify_cache(store).ok, at
    units.save(store, "key")
    assert verify_cache(store).ok


def test_no_pack_is_pruned_while_a_key_is_unreadable(store: MemoryStore) -> None:
    ElementUnits.from_json(SMALL).save(store, "key")
    good = store.held[stored.key_name("key")]
    store.held[stored.key_name("key")] = b"no key", store.now
    for _ in range(2):
        prune_cache(store)
        store.now += HOUR
    store.held[stored.key_name("key")] = good
    assert verify_cache(store).ok
