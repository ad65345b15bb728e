"""Managing a cache: list it, check it, and remove old packs and abandoned temporary files.

You can call these functions while other threads and processes read and write the cache, or call
these functions too. A reader can continue to use a pack that it has open. If a pack is cached or
replaced while one of these functions runs, it is not removed.

A cache directory that does not exist counts as an empty cache. The functions ignore files whose
names are not those of packs or temporary files, and symbolic links in the place of packs.

A source that is kept beside a pack is removed together with the pack. A source without a pack is a
leftover when it is an hour old: a writer stores the source first.

Each function takes a store in place of the directory. There, "path" means the name of the store and
a name in it. A store keeps a pack for an hour after its key was removed or cached again. A later
`prune_cache` then deletes the pack, and reports it as a leftover.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Callable, NamedTuple, Optional, Union

from ..core.pack import Pack
from ..errors import CacheError, CorruptPack
from . import platform, stored_upkeep
from .directory import (
    LAYOUT,
    Mark,
    PackFile,
    check,
    directory_path,
    mark_in,
    pack_name,
    pack_path,
    read_pack,
)
from .kept_source import SUFFIX, source_path
from .reports import (
    CachedWorkflow,
    CacheReport,
    DamagedPack,
    PruneReport,
    moment,
    oldest_kept,
    size_limit,
)
from .store import CacheDir, Place, is_store
from .stored import GRACE
from .writing import temporary_path

__all__ = [
    "CacheReport",
    "CachedWorkflow",
    "DamagedPack",
    "PruneReport",
    "cache_keys",
    "prune_cache",
    "remove_cached_workflow",
    "verify_cache",
]

_SHARD = re.compile(r"[0-9a-f]{2}")
# Packs, sources and temporary files.
_FILE = re.compile(
    r"[0-9a-f]{64}\.(?:pack|source|(?:pack|note|source)\.[0-9a-f]+-[0-9a-f]{16}\.tmp)"
)

# If files cannot be locked, a writer counts as dead when it has taken longer than any writer takes.
_WRITTEN_WITHIN = 24 * 60 * 60 * 10**9  # nanoseconds


class _Found(NamedTuple):
    """A pack as it was when the cache was listed. Packs sort by age, oldest first.

    `size` includes the source beside it.
    """

    time: int
    path: str
    size: int
    mark: Mark


def cache_keys(cache_dir: Place) -> tuple[CachedWorkflow, ...]:
    """Return all cached workflows, sorted by key.

    This reads the header of each pack. Packs with a damaged header are not in the result; use
    `verify_cache` to find them.

    Raises CacheError if the directory cannot be read.
    """
    if is_store(cache_dir):
        return stored_upkeep.cache_keys(cache_dir)
    listed = (_describe(path) for path in _files(cache_dir) if _is_pack(path))
    return tuple(sorted(workflow for workflow in listed if workflow is not None))


def remove_cached_workflow(cache_dir: Place, cache_key: str) -> bool:
    """Remove a workflow from a cache. Return True if it was cached, and False if it was not.

    An `ElementUnits` that has the workflow open can still be used. If another process caches the
    workflow at the same time, the new pack may or may not be removed.

    Raises CacheError if the pack cannot be removed.
    """
    if is_store(cache_dir):
        return stored_upkeep.remove_cached_workflow(cache_dir, cache_key)
    path = pack_path(cache_dir, cache_key)
    there = True
    try:
        try:
            platform.unlink(path)
        except FileNotFoundError:
            there = False
        with suppress(FileNotFoundError):
            platform.unlink(source_path(path))
    except (OSError, ValueError) as error:
        raise CacheError(f"cannot remove the pack {path!r}: {error}") from error
    return there


def verify_cache(cache_dir: Place) -> CacheReport:
    """Read every pack of a cache and check every byte.

    A pack is damaged if a checksum is wrong, if it is in the place of another key's pack, or if it
    cannot be read. To repair it, cache its workflow again or remove its file.

    Raises CacheError if the cache directory itself cannot be read.
    """
    if is_store(cache_dir):
        return stored_upkeep.verify_cache(cache_dir)
    good: list[CachedWorkflow] = []
    damaged: list[DamagedPack] = []
    leftovers: list[str] = []

    def unreadable(shard: str, error: OSError) -> None:
        damaged.append(DamagedPack(shard, f"cannot list {shard!r}: {error}", None))

    for path in _files(cache_dir, unreadable):
        if _is_temporary(path):
            leftovers.append(path)
        if not _is_pack(path):
            continue
        found = _verify(path)
        if isinstance(found, CachedWorkflow):
            good.append(found)
        elif found is not None:
            damaged.append(found)
    return CacheReport(tuple(sorted(good)), tuple(damaged), tuple(leftovers))


def prune_cache(
    cache_dir: Place,
    *,
    max_age: Optional[Union[timedelta, float]] = None,
    max_bytes: Optional[int] = None,
    dry_run: bool = False,
) -> PruneReport:
    """Remove old packs, and temporary files of processes that died while they wrote.

    `max_age` is a timedelta or a number of seconds. Packs that were last cached longer ago are
    removed. Caching the same workflow again makes its pack new. `max_bytes` is a size in bytes. The
    oldest packs are removed until the packs of the cache, with the sources that are kept beside
    them, have at most this size. Without both, only temporary files and sources without a pack are
    removed. With `dry_run` nothing is removed, and the report says what would be removed.

    A pack that is cached while this function runs is not removed, and neither is a temporary file
    that a process is still writing. If files cannot be locked, as on some network file systems, a
    temporary file is removed when it is a day old.

    Raises CacheError if the cache cannot be read or a file cannot be removed, and ElementUnitsError
    if a limit is negative.
    """
    if is_store(cache_dir):
        return stored_upkeep.prune_cache(
            cache_dir, max_age=max_age, max_bytes=max_bytes, dry_run=dry_run
        )
    oldest = oldest_kept(max_age, time.time_ns())
    limit = size_limit(max_bytes)
    paths = list(_files(cache_dir))
    packs = sorted(filter(None, (_look(path) for path in paths if _is_pack(path))))
    removed: list[CachedWorkflow] = []
    unnamed: list[str] = []
    freed = 0
    for path in paths:
        if _is_pack(path):
            continue
        remove = _remove_leftover if _is_temporary(path) else _remove_orphan
        size = remove(path, dry_run)
        if size is not None:
            unnamed.append(path)
            freed += size
    for pack, workflow in _drop_packs(packs, oldest, limit, dry_run):
        freed += pack.size
        if workflow is None:
            unnamed.append(pack.path)
        else:
            removed.append(workflow)
    return PruneReport(tuple(removed), tuple(unnamed), freed)


# What there is


def _files(
    cache_dir: CacheDir, unreadable: Optional[Callable[[str, OSError], None]] = None
) -> Iterator[str]:
    """The paths of packs, sources and temporary files, in order.

    If a directory in the cache cannot be listed, `unreadable` is called with it. Without
    `unreadable`, that is a CacheError.
    """
    root = os.path.join(directory_path(cache_dir), LAYOUT)
    try:
        shards = sorted(filter(_SHARD.fullmatch, _names(root)))
    except (OSError, ValueError) as error:
        raise CacheError(f"cannot list the cache {root!r}: {error}") from error
    for shard in shards:
        directory = os.path.join(root, shard)
        try:
            names = _names(directory)
        except OSError as error:
            if unreadable is None:
                raise CacheError(f"cannot list {directory!r}: {error}") from error
            unreadable(directory, error)
            continue
        for name in sorted(names):
            if _FILE.fullmatch(name):
                yield os.path.join(directory, name)


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _is_pack(path: str) -> bool:
    return path.endswith(".pack")


def _is_temporary(path: str) -> bool:
    return path.endswith(".tmp")


def _open(path: str) -> tuple[PackFile, Pack]:
    file = PackFile(path, follow=False)
    return file, read_pack(file.read, file.size, f"pack {path!r}")


def _require_place(path: str, pack: Pack) -> None:
    name = pack_name(pack.key)
    if os.path.basename(path) != name or os.path.basename(os.path.dirname(path)) != name[:2]:
        raise CorruptPack(
            f"pack {path!r} belongs to cache key {pack.key!r} and is in the wrong place; remove it"
        )


def _workflow(file: PackFile, pack: Pack) -> CachedWorkflow:
    cached_at = moment(file.status.st_mtime_ns)
    return CachedWorkflow(pack.key, file.size, cached_at, pack.digest.hex(), file.path)


def _describe(path: str) -> Optional[CachedWorkflow]:
    """What the header of a pack says; None if the header is damaged or the file is gone."""
    try:
        file, pack = _open(path)
        _require_place(path, pack)
    except (CacheError, OSError, MemoryError):
        return None
    return _workflow(file, pack)


def _verify(path: str) -> Union[CachedWorkflow, DamagedPack, None]:
    """Read and check a pack; None if it was removed in the meantime."""
    key = None
    try:
        file, pack = _open(path)
        key = pack.key
        _require_place(path, pack)
        check(pack)
    except FileNotFoundError:
        return None
    except (CacheError, OSError, MemoryError) as error:
        return DamagedPack(path, str(error) or "it does not fit in memory", key)
    return _workflow(file, pack)


# Removing


def _look(path: str) -> Optional[_Found]:
    """A pack as it is now; None if it is not a regular file."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CacheError(f"cannot read the pack {path!r}: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        return None
    size = status.st_size
    with suppress(OSError):
        size += os.lstat(source_path(path)).st_size
    return _Found(status.st_mtime_ns, path, size, mark_in(status))


def _drop_packs(
    packs: list[_Found], oldest: float, limit: float, dry_run: bool
) -> Iterator[tuple[_Found, Optional[CachedWorkflow]]]:
    """Remove packs, oldest first, while they are too old or the cache is too large."""
    total = sum(pack.size for pack in packs)
    for pack in packs:
        if pack.time > oldest and total <= limit:
            return
        workflow = _describe(pack.path)
        if dry_run or _drop(pack):
            total -= pack.size
            yield pack, workflow


def _drop(pack: _Found) -> bool:
    """Remove a pack if it is still as it was found; whether it was.

    No system call removes a file on a condition. The lock keeps writers from replacing the pack in
    the meantime. It also tells other calls of `prune_cache` that the renamed file is not abandoned.
    If files cannot be locked, the renamed file shows whether the pack was cached again before it
    was renamed, and the pack is put back.
    """
    file = platform.open_to_lock(pack.path)
    try:
        if file >= 0 and platform.try_lock(file) is False:
            return False
        if mark_in(os.lstat(pack.path)) != pack.mark:
            return False
        aside = temporary_path(pack.path)
        os.rename(pack.path, aside)
        if mark_in(os.lstat(aside)) != pack.mark:
            platform.put_back(aside, pack.path)
            return False
        os.unlink(aside)
        with suppress(FileNotFoundError):
            platform.unlink(source_path(pack.path))
    except FileNotFoundError:
        return False
    except OSError as error:
        if platform.in_use(error):
            return False
        raise CacheError(f"cannot remove the pack {pack.path!r}: {error}") from error
    finally:
        if file >= 0:
            os.close(file)
    return True


def _remove_leftover(path: str, dry_run: bool) -> Optional[int]:
    """Remove a temporary file if its writer is dead; its size if it was removed."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or not _is_abandoned(path, status):
            return None
        if not dry_run:
            os.unlink(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        if platform.in_use(error):
            return None
        raise CacheError(f"cannot remove the temporary file {path!r}: {error}") from error
    return status.st_size


def _remove_orphan(path: str, dry_run: bool) -> Optional[int]:
    """Remove a source if it has no pack, and nobody is about to write one; its size if it did."""
    try:
        status = os.lstat(path)
        if os.path.lexists(f"{path.removesuffix(SUFFIX)}.pack"):
            return None
        if time.time_ns() - status.st_mtime_ns < GRACE * 10**9:
            return None
        if not dry_run:
            platform.unlink(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CacheError(f"cannot remove the source {path!r}: {error}") from error
    return status.st_size


def _is_abandoned(path: str, status: os.stat_result) -> bool:
    """Whether no process is writing a temporary file any more."""
    if platform.WINDOWS:
        return True  # one that is open cannot be removed
    try:
        file = os.open(path, platform.WRITE)
    except FileNotFoundError:
        return False
    except OSError:
        locked = None
    else:
        locked = platform.try_lock(file)
        os.close(file)
    if locked is None:
        return time.time_ns() - status.st_mtime_ns > _WRITTEN_WITHIN
    return locked
