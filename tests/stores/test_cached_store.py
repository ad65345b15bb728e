"""A local directory in front of a store: what is kept, what is asked for, and what damage does."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from memory_store import MemoryStore
from store_workflows import workflow

from spiff_element_units import (
    CacheError,
    CorruptPack,
    ElementUnits,
    ElementUnitsError,
    UnitNotFound,
    cache_keys,
    prune_cache,
    remove_cached_workflow,
    verify_cache,
)
from spiff_element_units.cache import blocks, cached_store, reading
from spiff_element_units.stores import CachedStore

TEXT, OTHER = workflow(200), workflow(200, "other")
UNITS = ElementUnits.from_json(TEXT)
LARGE, SMALL = workflow(300), workflow(60)


@pytest.fixture(autouse=True)
def _smaller_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs of more than 1 MiB are kept as blocks, so that these tests need no larger ones."""
    monkeypatch.setattr(cached_store, "_WHOLE", 1024 * 1024)


@pytest.fixture
def remote() -> MemoryStore:
    store = MemoryStore()
    UNITS.save(store, "key")
    store.counted()
    return store


def kept(remote: MemoryStore, folder: Path, **options: Any) -> CachedStore:
    return CachedStore(remote, folder, max_bytes=options.pop("max_bytes", 10**8), **options)


@pytest.fixture(params=[LARGE, SMALL], ids=["large", "small"])
def sized(request: pytest.FixtureRequest) -> ElementUnits:
    """A workflow whose pack is kept as blocks, and one whose pack is kept whole."""
    return ElementUnits.from_json(request.param)


def age(folder: Path, seconds: float) -> None:
    """Make what is kept older."""
    for path in folder.rglob("*"):
        if path.is_file():
            modified = path.stat().st_mtime - seconds
            os.utime(path, (modified, modified))


def files(folder: Path, kind: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.parent.name == kind]


def test_a_second_process_asks_the_store_for_nothing(
    remote: MemoryStore, tmp_path: Path, sized: ElementUnits
) -> None:
    sized.save(remote, "key")
    remote.counted()
    want = sized.workflow("p50")
    assert ElementUnits.open(kept(remote, tmp_path), "key").workflow("p50") == want
    assert remote.counted() == 2
    assert ElementUnits.open(kept(remote, tmp_path), "key").workflow("p50") == want
    assert remote.counted() == 0


def test_a_small_pack_is_kept_whole(remote: MemoryStore, tmp_path: Path) -> None:
    small = ElementUnits.from_json(workflow(60))
    small.save(remote, "small")
    ElementUnits.open(kept(remote, tmp_path), "small").workflow("p50")
    remote.counted()
    units = ElementUnits.open(kept(remote, tmp_path), "small")
    assert [units.workflow(one) for one in units.process_ids] == [
        small.workflow(one) for one in small.process_ids
    ]
    assert remote.counted() == 0


def test_of_a_large_pack_only_what_was_read_is_kept(remote: MemoryStore, tmp_path: Path) -> None:
    large = ElementUnits.from_json(workflow(1500))
    large.save(remote, "large")
    store = kept(remote, tmp_path)
    assert ElementUnits.open(store, "large").workflow("p700") == large.workflow("p700")
    (file,) = files(tmp_path, "packs")
    assert file.stat().st_blocks * 512 < file.stat().st_size / 4
    remote.counted()
    again = ElementUnits.open(kept(remote, tmp_path), "large")
    assert again.workflow("p700") == large.workflow("p700")
    assert remote.counted() == 0
    assert again.workflow("p0", defer="nothing") == large.workflow("p0", defer="nothing")
    assert remote.counted() <= 6


def test_whole_packs_are_read_and_checked_through_the_directory(
    remote: MemoryStore, tmp_path: Path
) -> None:
    store = kept(remote, tmp_path)
    for _ in range(2):
        units = ElementUnits.get_or_cache(store, "key", lambda: pytest.fail("it is cached"))
        assert units.digest == UNITS.digest
    assert verify_cache(store).ok


def test_local_damage_of_blocks_is_read_again_and_changes_no_unit(
    remote: MemoryStore, tmp_path: Path
) -> None:
    large = ElementUnits.from_json(LARGE)
    large.save(remote, "key")
    store = kept(remote, tmp_path)
    names = ["p0", "p70", "p299"]
    want = [large.workflow(name) for name in names]
    dice = random.Random(3)
    asked = 0
    for turn in range(150):
        with ElementUnits.open(kept(remote, tmp_path), "key") as units:
            assert [units.workflow(name) for name in names] == want
        asked += remote.counted()
        (file,) = files(tmp_path, dice.choice(["keys", "packs"]))
        content = bytearray(file.read_bytes())
        change = dice.choice(["flip", "cut", "zeros", "empty"])
        at = dice.randrange(len(content))
        if change == "flip":
            content[at] ^= 1 << dice.randrange(8)
        elif change == "cut":
            del content[at:]
        elif change == "zeros":
            content[at : at + 100_000] = bytes(len(content[at : at + 100_000]))
        else:
            content.clear()
        if turn % 10 == 9:
            shutil.rmtree(tmp_path)
        else:
            file.write_bytes(content)
    assert asked > 30
    assert verify_cache(store).ok


def test_local_damage_of_a_whole_pack_is_an_error_and_is_repaired(
    remote: MemoryStore, tmp_path: Path
) -> None:
    small = ElementUnits.from_json(SMALL)
    small.save(remote, "key")
    want = [small.workflow(name) for name in small.process_ids]
    store = kept(remote, tmp_path)
    ElementUnits.open(store, "key")
    dice = random.Random(7)
    refused = 0
    for _ in range(100):
        (file,) = tmp_path.rglob("*.pack")
        content = bytearray(file.read_bytes())
        at = dice.randrange(len(content))
        if dice.random() < 0.8:
            content[at] ^= 1 << dice.randrange(8)
        else:
            del content[at:]
        file.write_bytes(content)
        try:
            units = ElementUnits.open(store, "key")
            assert [units.workflow(name) for name in small.process_ids] == want
        except CorruptPack:
            refused += 1
        units = ElementUnits.get_or_cache(store, "key", lambda: pytest.fail("it is cached"))
        assert units.digest == small.digest
        units = ElementUnits.open(store, "key")
        assert [units.workflow(name) for name in small.process_ids] == want
    assert refused > 10


@pytest.mark.parametrize("cut", [False, True])
def test_wrong_bytes_of_the_store_are_neither_returned_nor_kept(
    remote: MemoryStore, tmp_path: Path, cut: bool, sized: ElementUnits
) -> None:
    sized.save(remote, "key")
    want = sized.workflow("p50")
    dice = random.Random(5)
    refused = 0
    for _ in range(40):
        shutil.rmtree(tmp_path, ignore_errors=True)
        at = dice.random()

        def lie(name: str, data: bytes, at: float = at) -> bytes:
            place = int(at * len(data))
            if "/packs/" not in name or len(data) < 20_000:  # the digests are right
                return data
            return data[:place] if cut else data[:place] + b"\xff\xfe" + data[place + 2 :]

        remote.lie = lie
        try:
            assert ElementUnits.open(kept(remote, tmp_path), "key").workflow("p50") == want
        except CacheError:
            refused += 1
        remote.lie = lambda name, data: data
        units = ElementUnits.open(kept(remote, tmp_path), "key")
        assert units.workflow("p50") == want
    assert refused > 35


def test_a_key_that_is_cached_elsewhere_is_seen_when_the_time_is_over(
    remote: MemoryStore, tmp_path: Path, sized: ElementUnits
) -> None:
    sized.save(remote, "key")
    store = kept(remote, tmp_path, keys_for=100)
    other = ElementUnits.from_json(OTHER)
    assert ElementUnits.open(store, "key").digest == sized.digest
    other.save(remote, "key")
    age(tmp_path, 50)
    assert ElementUnits.open(store, "key").digest == sized.digest
    age(tmp_path, 51)
    assert ElementUnits.open(store, "key").digest == other.digest


def test_a_key_that_still_names_the_same_is_asked_for_and_its_pack_not_read_again(
    remote: MemoryStore, tmp_path: Path, sized: ElementUnits
) -> None:
    sized.save(remote, "key")
    store = kept(remote, tmp_path, keys_for=100)
    ElementUnits.open(store, "key").workflow("p50")
    age(tmp_path, 200)
    remote.counted()
    assert ElementUnits.open(store, "key").workflow("p50") == sized.workflow("p50")
    assert remote.counted() == 1
    assert ElementUnits.open(store, "key").workflow("p50") == sized.workflow("p50")
    assert remote.counted() == 0


@pytest.mark.parametrize("step", [-10_000, 10_000])
def test_a_clock_that_is_set_back_or_forth_lets_the_store_be_asked(
    remote: MemoryStore, tmp_path: Path, step: int, sized: ElementUnits
) -> None:
    sized.save(remote, "key")
    store = kept(remote, tmp_path, keys_for=100)
    ElementUnits.open(store, "key")
    age(tmp_path, step)
    other = ElementUnits.from_json(OTHER)
    other.save(remote, "key")
    assert ElementUnits.open(store, "key").digest == other.digest


def test_with_keys_for_0_each_open_asks_and_with_infinity_none_does(
    remote: MemoryStore, tmp_path: Path, sized: ElementUnits
) -> None:
    sized.save(remote, "key")
    ElementUnits.open(kept(remote, tmp_path, keys_for=0), "key")
    remote.counted()
    ElementUnits.open(kept(remote, tmp_path, keys_for=0), "key")
    assert remote.counted() >= 1
    ElementUnits.open(kept(remote, tmp_path, keys_for=1), "key")
    age(tmp_path, 1_000_000)
    remote.counted()
    ElementUnits.open(kept(remote, tmp_path, keys_for=math.inf), "key")
    assert remote.counted() == 0


def test_what_this_machine_caches_or_removes_it_sees_at_once(
    remote: MemoryStore, tmp_path: Path, sized: ElementUnits
) -> None:
    sized.save(remote, "key")
    store = kept(remote, tmp_path, keys_for=math.inf)
    ElementUnits.open(store, "key")
    ElementUnits.from_json(OTHER).save(store, "key")
    assert ElementUnits.open(store, "key").digest == ElementUnits.from_json(OTHER).digest
    assert remove_cached_workflow(store, "key")
    with pytest.raises(UnitNotFound):
        ElementUnits.open(store, "key")


@pytest.mark.parametrize("other", [OTHER, workflow(60, "other")], ids=["to large", "to small"])
def test_a_key_whose_pack_was_pruned_is_asked_for_again(
    remote: MemoryStore, tmp_path: Path, sized: ElementUnits, other: str
) -> None:
    sized.save(remote, "key")
    store = kept(remote, tmp_path, keys_for=math.inf)
    assert cache_keys(store)  # keeps the key, and nothing of its pack
    ElementUnits.from_json(other).save(remote, "key")
    for _ in range(2):
        prune_cache(remote)
        remote.now += 3600
    with pytest.raises(CorruptPack, match="open the cache key again"):
        ElementUnits.open(store, "key").workflow("p50", defer="nothing")
    want = ElementUnits.from_json(other)
    assert ElementUnits.open(store, "key").workflow("p50") == want.workflow("p50")


def test_of_a_pack_that_is_pruned_nothing_is_kept(remote: MemoryStore, tmp_path: Path) -> None:
    ElementUnits.from_json(LARGE).save(remote, "key")
    store = kept(remote, tmp_path)
    ElementUnits.open(store, "key").workflow("p150")
    assert len(files(tmp_path, "packs")) == 1
    remove_cached_workflow(store, "key")
    for _ in range(2):
        prune_cache(store)
        remote.now += 3600
    assert files(tmp_path, "packs") == files(tmp_path, "keys") == []


def test_files_that_it_did_not_make_are_not_removed(remote: MemoryStore, tmp_path: Path) -> None:
    UNITS.save(tmp_path, "mine")  # a cache directory that was there before
    own = tmp_path / "notes.txt"
    own.write_text("mine")
    age(tmp_path, 1000)
    ElementUnits.from_json(SMALL).save(remote, "small")
    ElementUnits.open(kept(remote, tmp_path, max_bytes=0), "small")
    assert files(tmp_path, "packs") == files(tmp_path, "keys") == []
    assert own.exists()
    assert ElementUnits.open(tmp_path, "mine").digest == UNITS.digest


def test_the_directory_stays_below_its_limit(remote: MemoryStore, tmp_path: Path) -> None:
    limit = 1_000_000
    store = kept(remote, tmp_path, max_bytes=limit)
    for number in range(8):
        ElementUnits.from_json(workflow(60, str(number))).save(remote, f"k{number}")
        age(tmp_path, 10)
        units = ElementUnits.open(store, f"k{number}")
        assert units.workflow("p50")
        assert sum(file.stat().st_size for file in tmp_path.rglob("*.pack")) <= limit
    remote.counted()
    assert ElementUnits.open(store, "k7").workflow("p50")
    assert remote.counted() == 0  # the newest is there
    assert ElementUnits.open(store, "k0").workflow("p50")
    assert remote.counted() > 0


def test_a_file_that_is_used_becomes_new(remote: MemoryStore, tmp_path: Path) -> None:
    ElementUnits.from_json(LARGE).save(remote, "key")
    store = kept(remote, tmp_path)
    ElementUnits.open(store, "key").workflow("p150")
    (file,) = files(tmp_path, "packs")
    os.utime(file, (1000, 1000))
    ElementUnits.open(store, "key").workflow("p150")
    assert file.stat().st_mtime > 1_000_000


@pytest.mark.skipif(os.name == "nt", reason="a file is no directory in other words there")
def test_a_directory_that_cannot_be_written_is_told_once_and_does_without(
    remote: MemoryStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "file"
    place.write_text("not a directory")
    store = kept(remote, place)
    with caplog.at_level(logging.WARNING, "spiff_element_units"):
        for _ in range(2):
            units = ElementUnits.open(store, "key")
            assert units.workflow("p150") == UNITS.workflow("p150")
    assert len(caplog.records) == 1
    assert "cannot keep what was read from memory" in caplog.text


def test_stores_of_different_names_do_not_see_each_other_s_files(tmp_path: Path) -> None:
    class Named(MemoryStore):
        def __str__(self) -> str:
            return "another"

    one, two = MemoryStore(), Named()
    UNITS.save(kept(one, tmp_path), "key")
    ElementUnits.open(kept(one, tmp_path), "key")
    with pytest.raises(UnitNotFound):
        ElementUnits.open(kept(two, tmp_path), "key")


def test_a_block_is_kept_behind_a_checksum_that_says_which_it_is() -> None:
    assert blocks.sum_of(b"x", 0) != blocks.sum_of(b"x", 1)
    assert hashlib.sha256(b"").digest_size == reading.DIGEST


WRONG: list[tuple[type[Exception], Callable[[Any, Path], Any]]] = [
    (TypeError, lambda remote, folder: CachedStore("path", folder, max_bytes=1)),  # type: ignore
    (TypeError, lambda remote, folder: CachedStore(remote, 5, max_bytes=1)),  # type: ignore
    (TypeError, lambda remote, folder: CachedStore(remote, folder, max_bytes=True)),
    (ElementUnitsError, lambda remote, folder: CachedStore(remote, folder, max_bytes=-1)),
    (
        ElementUnitsError,
        lambda remote, folder: CachedStore(remote, folder, max_bytes=1, keys_for=math.nan),
    ),
]


@pytest.mark.parametrize(("kind", "make"), WRONG)
def test_wrong_arguments_are_refused(
    kind: type[Exception], make: Callable[[Any, Path], Any], remote: MemoryStore, tmp_path: Path
) -> None:
    with pytest.raises(kind):
        make(remote, tmp_path)
