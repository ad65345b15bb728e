"""The source beside a pack, in a directory and in a store: read, replaced and removed with it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from crowd import text
from memory_store import MemoryStore

from spiff_element_units import (
    CacheError,
    ElementUnits,
    cache_element_units_for_workflow,
    cache_keys,
    prune_cache,
    remove_cached_workflow,
    verify_cache,
)
from spiff_element_units.cache import kept_source
from spiff_element_units.cache.kept_source import keep_source, read_source

SOURCE = b"<definitions/>" * 1000


@pytest.fixture(params=["directory", "store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return tmp_path / "cache" if request.param == "directory" else MemoryStore()


def kept(place: Any, key: str = "key", source: bytes = SOURCE, workflow: str = "") -> bytes:
    """Cache a workflow with its source; returns its digest."""
    cache_element_units_for_workflow(place, key, workflow or text(key))
    digest = bytes.fromhex(ElementUnits.open(place, key).digest)
    keep_source(place, key, digest, source)
    return digest


def contents(place: Any) -> dict[str, bytes]:
    """The sources that lie in a cache, by path or name."""
    if isinstance(place, MemoryStore):
        return {name: held for name, (held, _) in place.held.items() if "/sources/" in name}
    return {str(path): path.read_bytes() for path in place.rglob("*.source")}


def put(place: Any, name: str, content: bytes) -> None:
    if isinstance(place, MemoryStore):
        place.held[name] = content, place.now
    else:
        Path(name).write_bytes(content)


def later(place: Any, seconds: float) -> None:
    """Let time pass for the sources of a cache."""
    if isinstance(place, MemoryStore):
        place.now += seconds
        return
    for name in contents(place):
        os.utime(name, (time.time() - seconds, time.time() - seconds))


def test_a_source_is_read_as_it_was_written_and_lies_compressed(place: Any) -> None:
    digest = kept(place)
    assert read_source(place, "key", digest) == SOURCE
    (content,) = contents(place).values()
    assert len(content) < len(SOURCE) / 10
    assert read_source(place, "other", digest) is None


def test_a_source_belongs_to_the_digest_that_it_was_kept_with(place: Any) -> None:
    first = kept(place)
    cache_element_units_for_workflow(place, "key", text("other"))
    second = bytes.fromhex(ElementUnits.open(place, "key").digest)
    assert first != second
    assert read_source(place, "key", second) is None
    keep_source(place, "key", second, b"new")
    assert read_source(place, "key", second) == b"new"
    assert read_source(place, "key", first) is None


def test_a_source_that_is_there_is_not_written_again(place: Any) -> None:
    digest = kept(place)
    if isinstance(place, MemoryStore):
        place.fail = lambda method, name: method == "write"
    else:
        later(place, 1000)
    before = {name: os.stat(name) for name in contents(place) if os.path.exists(name)}
    keep_source(place, "key", digest, SOURCE)
    assert all(os.stat(name) == status for name, status in before.items())
    assert len(contents(place)) == 1


def test_a_damaged_source_is_none_and_is_kept_anew(place: Any) -> None:
    digest = kept(place)
    ((name, content),) = contents(place).items()
    for at in range(len(content)):
        put(place, name, content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert read_source(place, "key", digest) is None, at
        put(place, name, content[: at or 1])
        assert read_source(place, "key", digest) is None, at
    keep_source(place, "key", digest, SOURCE)
    assert read_source(place, "key", digest) == SOURCE


def test_a_source_is_bounded_when_it_is_kept_and_when_it_is_read(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = kept(place)
    monkeypatch.setattr(kept_source, "LONGEST", len(SOURCE))
    assert read_source(place, "key", digest) == SOURCE
    with pytest.raises(CacheError, match="14,001 bytes, and a cache keeps at most 14,000"):
        keep_source(place, "key", digest, SOURCE + b"1")
    monkeypatch.setattr(kept_source, "LONGEST", len(SOURCE) - 1)
    assert read_source(place, "key", digest) is None


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(CacheError, match="cannot write the source"):
        keep_source(blocked, "key", bytes(32), SOURCE)
    store = MemoryStore()
    store.fail = lambda method, name: method == "write"
    with pytest.raises(CacheError, match="told to fail"):
        keep_source(store, "key", bytes(32), SOURCE)
    store.fail = lambda method, name: True
    assert read_source(store, "key", bytes(32)) is None


def test_removing_a_key_removes_its_source(place: Any) -> None:
    kept(place, "one")
    digest = kept(place, "two")
    assert remove_cached_workflow(place, "one")
    assert len(contents(place)) == 1
    assert read_source(place, "two", digest) == SOURCE
    assert not remove_cached_workflow(place, "one")


def test_pruning_counts_and_removes_sources_with_their_packs(place: Any) -> None:
    incompressible = os.urandom(50_000)
    kept(place, "one", incompressible)
    if isinstance(place, MemoryStore):
        place.now += 1
    kept(place, "two", incompressible)
    one = next(cached for cached in cache_keys(place) if cached.cache_key == "one")
    if not isinstance(place, MemoryStore):
        os.utime(one.path, (1, 1))
    assert prune_cache(place, max_bytes=200_000).removed == ()
    wanted = prune_cache(place, max_bytes=90_000, dry_run=True)
    assert len(contents(place)) == 2
    report = prune_cache(place, max_bytes=90_000)
    assert report == wanted
    assert [removed.cache_key for removed in report.removed] == ["one"]
    assert report.bytes_freed > 50_000
    assert len(contents(place)) == 1
    prune_cache(place, max_age=-0.0)
    assert contents(place) == {}


def test_a_source_without_a_pack_does_not_make_a_cache_too_large(place: Any) -> None:
    kept(place, "there")
    keep_source(place, "gone", bytes(32), os.urandom(200_000))
    assert prune_cache(place, max_bytes=100_000).removed == ()


def test_a_source_without_a_pack_is_a_leftover_after_an_hour(place: Any) -> None:
    kept(place, "there")
    keep_source(place, "gone", bytes(32), SOURCE)
    assert prune_cache(place).leftovers == ()  # its writer may be about to store the pack
    later(place, 3601)
    assert len(prune_cache(place, dry_run=True).leftovers) == 1
    assert len(contents(place)) == 2
    report = prune_cache(place)
    assert len(report.leftovers) == 1
    assert report.bytes_freed > 50
    assert len(contents(place)) == 1
    assert verify_cache(place).ok
    assert [cached.cache_key for cached in cache_keys(place)] == ["there"]


def test_a_source_whose_writer_was_killed_is_a_leftover(tmp_path: Path) -> None:
    kept(tmp_path, "key")
    (name,) = contents(tmp_path)
    half = Path(f"{name}.1f-0123456789abcdef.tmp")
    half.write_bytes(SOURCE)
    assert verify_cache(tmp_path).leftovers == (str(half),)
    assert prune_cache(tmp_path).leftovers == (str(half),)
    assert not half.exists()
    assert len(contents(tmp_path)) == 1
