"""Managing a cache that lies in a store: what `upkeep` does in a directory.

Packs are deleted an hour after the last key named them, so that whoever opened one can go on. When
a pack is first found without a key, it gets a mark. It is deleted when the mark is an hour old, by
the clock of the store, and no key names the pack. Because no two packs are stored under one name, a
key that is written meanwhile names another pack.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import NamedTuple, Optional, Union

from ..core.pack import Pack
from ..errors import CacheError, CorruptPack, UnitNotFound
from .directory import check
from .kept_source import SOURCES, source_name
from .reading import PackName
from .reports import (
    CachedWorkflow,
    CacheReport,
    DamagedPack,
    PruneReport,
    moment,
    oldest_kept,
    size_limit,
)
from .store import Store, Stored, read_one
from .stored import GONE, GRACE, KEYS, PACKS, PREFIX, Opened, key_name, open_key, pointed

_CLOCK = f"{PREFIX}clock/"
_HEADER = 8192  # bytes of a key's content that have the header of most packs
_POINTER = 256


class _Key(NamedTuple):
    """A key as it was listed; what it names, if that can be read."""

    modified: float
    name: str
    pack: Optional[PackName]


def cache_keys(store: Store) -> tuple[CachedWorkflow, ...]:
    listed = (_describe(store, key) for key in store.list_names(KEYS))
    return tuple(sorted(workflow for workflow in listed if workflow is not None))


def remove_cached_workflow(store: Store, cache_key: str) -> bool:
    there = store.delete(key_name(cache_key))
    store.delete(source_name(key_name(cache_key)))
    return there


def verify_cache(store: Store) -> CacheReport:
    packs = {pack.name for pack in store.list_names(PACKS)}
    good: list[CachedWorkflow] = []
    damaged: list[DamagedPack] = []
    for key in store.list_names(KEYS):
        found = _verify(store, key)
        if isinstance(found, CachedWorkflow):
            good.append(found)
        elif found is not None:
            damaged.append(found)
    packs -= {key.pack.name for key in _keys(store) if key.pack is not None}
    leftovers = tuple(f"{store}/{name}" for name in sorted(packs))
    return CacheReport(tuple(sorted(good)), tuple(damaged), leftovers)


def prune_cache(
    store: Store,
    *,
    max_age: Optional[Union[timedelta, float]] = None,
    max_bytes: Optional[int] = None,
    dry_run: bool = False,
) -> PruneReport:
    now = _now(store)
    oldest = oldest_kept(max_age, _nanoseconds(now))
    limit = size_limit(max_bytes)
    # A writer stores a pack before the key that names it. So the packs are listed before the keys.
    packs = list(store.list_names(PACKS))
    sources = {source.name: source for source in store.list_names(SOURCES)}
    keys = sorted(_keys(store))
    removed = []
    freed = 0
    named = {key.pack.name for key in keys if key.pack is not None}
    kept = {key.name: sources.pop(source_name(key.name), None) for key in keys}
    total = sum(key.pack.size for key in keys if key.pack is not None)
    total += sum(source.size for source in kept.values() if source is not None)
    for key in keys:
        if _nanoseconds(key.modified) > oldest and total <= limit:
            break
        workflow = _describe(store, Stored(key.name, 0, key.modified))
        if not dry_run and not store.delete(key.name, key.modified):
            continue
        source = kept[key.name]
        if source is not None:
            total -= source.size
            freed += source.size
            if not dry_run:
                store.delete(source.name, source.modified)
        if key.pack is not None:
            total -= key.pack.size
            named.discard(key.pack.name)
        if workflow is not None:
            removed.append(workflow)
    if any(key.pack is None for key in keys):
        return PruneReport(tuple(removed), (), freed)  # nobody knows which packs these keys name
    abandoned = [pack for pack in packs if pack.name not in named]
    deleted = list(_drop_packs(store, abandoned, now, dry_run))
    deleted += _drop_orphans(store, sources.values(), now, dry_run)
    freed += sum(gone.size for gone in deleted)
    leftovers = tuple(f"{store}/{pack.name}" for pack in deleted)
    return PruneReport(tuple(removed), leftovers, freed)


def _now(store: Store) -> float:
    """The time by the clock of the store."""
    store.write(f"{_CLOCK}now", b"now")
    for entry in store.list_names(_CLOCK):
        return entry.modified
    raise CacheError(
        f"{store} does not list what was just written to it; test the store with "
        "spiff_element_units.stores.testing"
    )


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 10**9)


def _keys(store: Store) -> Iterator[_Key]:
    for key in store.list_names(KEYS):
        content = read_one(store, key.name, 0, _POINTER)
        if content is None:
            continue  # removed in the meantime
        try:
            pack = pointed(key.name, content, store)[0]
        except CorruptPack:
            yield _Key(key.modified, key.name, None)
        else:
            yield _Key(key.modified, key.name, pack)


def _drop_packs(
    store: Store, abandoned: list[Stored], now: float, dry_run: bool
) -> Iterator[Stored]:
    """Delete packs that have been without a key for an hour, and mark the others."""
    marks = {mark.name: mark.modified for mark in store.list_names(GONE)}
    for pack in abandoned:
        mark = GONE + pack.name[len(PACKS) :]
        marked = marks.pop(mark, None)
        if marked is None:
            if not dry_run:
                store.write(mark, b"gone")
        elif now - marked >= GRACE:
            if not dry_run:
                store.delete(pack.name)
                store.delete(mark)
            yield pack
    if not dry_run:
        for mark in marks:  # of packs that a key names, or that are gone
            store.delete(mark)


def _drop_orphans(
    store: Store, sources: Iterable[Stored], now: float, dry_run: bool
) -> Iterator[Stored]:
    """Delete sources without a key, unless a writer may be about to write the key."""
    for source in sources:
        if now - source.modified >= GRACE and (
            dry_run or store.delete(source.name, source.modified)
        ):
            yield source


def _require_place(store: Store, name: str, pack: Pack) -> None:
    if key_name(pack.key) != name:
        raise CorruptPack(
            f"{name!r} in {store} belongs to cache key {pack.key!r} and is in the wrong place; "
            "remove it"
        )


def _workflow(store: Store, key: Stored, opened: Opened) -> CachedWorkflow:
    pack = opened.pack
    cached_at = moment(_nanoseconds(key.modified))
    size = opened.reader.size
    return CachedWorkflow(pack.key, size, cached_at, pack.digest.hex(), f"{store}/{key.name}")


def _describe(store: Store, key: Stored) -> Optional[CachedWorkflow]:
    """What the header of a pack says; None if the header is damaged or the key is gone."""
    try:
        opened = open_key(store, key.name, _HEADER)
        _require_place(store, key.name, opened.pack)
    except (CorruptPack, UnitNotFound):
        return None
    return _workflow(store, key, opened)


def _verify(store: Store, key: Stored) -> Union[CachedWorkflow, DamagedPack, None]:
    """Read and check a pack; None if its key was removed in the meantime."""
    cache_key = None
    path = f"{store}/{key.name}"
    try:
        opened = open_key(store, key.name)
        cache_key = opened.pack.key
        _require_place(store, key.name, opened.pack)
        opened.reader.read_whole()
        check(opened.pack)
    except UnitNotFound:
        return None
    except CorruptPack as error:
        return DamagedPack(path, str(error), cache_key)
    return _workflow(store, key, opened)
