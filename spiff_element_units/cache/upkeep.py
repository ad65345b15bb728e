"""Looking after a cache: list it, check it, and drop what is old, too much or left over.

Everything here is safe beside readers and writers in other threads and processes, and beside
itself. A reader goes on with a pack that it has open. What appears or is cached anew while one of
these functions is at work is let be: a pack is dropped only if it still is what was looked at.

A cache that does not exist is an empty one. Files that are no pack's or writer's by their names,
and links in a pack's place, are left alone.
"""

from __future__ import annotations

import math
import os
import re
import stat
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Callable, NamedTuple, Optional, Union

from ..core.pack import Pack
from ..errors import CacheError, CorruptPack, ElementUnitsError
from . import platform
from .directory import (
    LAYOUT,
    CacheDir,
    PackFile,
    check,
    directory_path,
    pack_name,
    pack_path,
    read_pack,
    temporary_path,
)

_SHARD = re.compile(r"[0-9a-f]{2}")
_PACK = re.compile(r"[0-9a-f]{64}\.pack")
_TEMPORARY = re.compile(r"[0-9a-f]{64}\.pack\.[0-9a-f]+-[0-9a-f]{16}\.tmp")

# Where files cannot be locked, nothing tells a dead writer but that it takes longer than any.
_WRITTEN_WITHIN = 24 * 60 * 60 * 10**9  # nanoseconds

_FOREVER = 1e11  # seconds; more than any file is old
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class CachedWorkflow(NamedTuple):
    """A cached workflow: its key, the size of its pack in bytes, when it was cached last (UTC), the
    SHA-256 of its JSON text as 64 hex digits (`ElementUnits.digest`), and the path of its pack."""

    cache_key: str
    size: int
    cached_at: datetime
    digest: str
    path: str


class DamagedPack(NamedTuple):
    """A file that is in a pack's place and is not a good pack, and why.

    `cache_key` is the key that it says to be of, None where it does not say even that.
    """

    path: str
    reason: str
    cache_key: Optional[str]


class CacheReport(NamedTuple):
    """What `verify_cache` found: good packs, damaged ones, and the paths of temporary files.

    A temporary file is a writer's at work, or the leftover of one that died.
    """

    good: tuple[CachedWorkflow, ...]
    damaged: tuple[DamagedPack, ...]
    leftovers: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damaged


class PruneReport(NamedTuple):
    """What `prune_cache` removed.

    `removed` are cached workflows, oldest first. `leftovers` are the paths of files that no key
    led to: temporary files of dead writers, and packs too damaged to say whose they were.
    """

    removed: tuple[CachedWorkflow, ...]
    leftovers: tuple[str, ...]
    bytes_freed: int


class _Found(NamedTuple):
    """A pack as it was when the cache was looked through; they sort by age, oldest first."""

    time: int
    path: str
    size: int
    identity: tuple[int, int, int, int]


def cache_keys(cache_dir: CacheDir) -> tuple[CachedWorkflow, ...]:
    """What is cached, in the order of the keys; empty where there is no cache.

    Reads the header of each pack. One whose header is damaged is not listed; `verify_cache` tells.

    Raises CacheError where the directory cannot be read.
    """
    listed = (_describe(path) for path in _files(cache_dir) if not _is_temporary(path))
    return tuple(sorted(workflow for workflow in listed if workflow is not None))


def remove_cached_workflow(cache_dir: CacheDir, cache_key: str) -> bool:
    """Remove a key from a cache; whether it was there.

    A key that is not cached is no error: it is not there afterwards, as it should be. Who has the
    workflow open goes on being served. What another process caches meanwhile may stay or go.

    Raises CacheError where the pack cannot be removed.
    """
    path = pack_path(cache_dir, cache_key)
    try:
        platform.unlink(path)
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise CacheError(f"cannot remove the pack {path!r}: {error}") from error
    return True


def verify_cache(cache_dir: CacheDir) -> CacheReport:
    """Read every pack of a cache and check every byte of it.

    A pack is damaged where a checksum is wrong, where it lies in the place of another key's, and
    where it cannot be read. Caching its workflow again mends it, and so does removing its file.

    Raises CacheError where the cache directory itself cannot be read.
    """
    good: list[CachedWorkflow] = []
    damaged: list[DamagedPack] = []
    leftovers: list[str] = []

    def unreadable(shard: str, error: OSError) -> None:
        damaged.append(DamagedPack(shard, f"cannot list {shard!r}: {error}", None))

    for path in _files(cache_dir, unreadable):
        if _is_temporary(path):
            leftovers.append(path)
            continue
        found = _verify(path)
        if isinstance(found, CachedWorkflow):
            good.append(found)
        elif found is not None:
            damaged.append(found)
    return CacheReport(tuple(sorted(good)), tuple(damaged), tuple(leftovers))


def prune_cache(
    cache_dir: CacheDir,
    *,
    max_age: Optional[Union[timedelta, float]] = None,
    max_bytes: Optional[int] = None,
    dry_run: bool = False,
) -> PruneReport:
    """Drop packs that are old or too much, oldest first, and the leftovers of dead writers.

    `max_age` (a timedelta or seconds) drops what was cached longer ago; caching the same workflow
    again counts as caching it. `max_bytes` drops until the packs that are left take no more than
    that. Without either, leftovers alone are removed. With `dry_run` nothing is removed, and the
    report is of what would be.

    A pack that is cached while this is at work stays, and so does a temporary file whose writer is
    alive. Where files cannot be locked (some network file systems), a temporary file is a leftover
    when it is a day old.

    Raises CacheError where the cache cannot be read or a file cannot be removed, ElementUnitsError
    for a negative limit.
    """
    oldest = _oldest_kept(max_age)
    limit = _limit(max_bytes)
    paths = list(_files(cache_dir))
    leftovers = [path for path in paths if _is_temporary(path)]
    packs = sorted(filter(None, (_look(path) for path in paths if not _is_temporary(path))))
    removed: list[CachedWorkflow] = []
    unnamed: list[str] = []
    freed = 0
    for path in leftovers:
        size = _remove_leftover(path, dry_run)
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
    """The paths of packs and temporary files, in order.

    A directory below the cache's own that cannot be listed is told to `unreadable`, or is a
    CacheError.
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
            if _PACK.fullmatch(name) or _TEMPORARY.fullmatch(name):
                yield os.path.join(directory, name)


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _is_temporary(path: str) -> bool:
    return path.endswith(".tmp")


def _open(path: str) -> tuple[PackFile, Pack]:
    file = PackFile(path, follow=False)
    return file, read_pack(file.read, file.size, f"pack {path!r}")


def _require_place(path: str, pack: Pack) -> None:
    name = pack_name(pack.key)
    if os.path.basename(path) != name or os.path.basename(os.path.dirname(path)) != name[:2]:
        raise CorruptPack(f"pack {path!r} belongs to cache key {pack.key!r}, and is misplaced")


def _workflow(file: PackFile, pack: Pack) -> CachedWorkflow:
    cached_at = _moment(file.status.st_mtime_ns)
    return CachedWorkflow(pack.key, file.size, cached_at, pack.digest.hex(), file.path)


def _moment(nanoseconds: int) -> datetime:
    """A file's time; what no calendar has is the end of it."""
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        end = datetime.max if nanoseconds > 0 else datetime.min
        return end.replace(tzinfo=timezone.utc)


def _describe(path: str) -> Optional[CachedWorkflow]:
    """What is said in a pack's header; None where that is damaged or the file is gone."""
    try:
        file, pack = _open(path)
        _require_place(path, pack)
    except (CacheError, OSError, MemoryError):
        return None
    return _workflow(file, pack)


def _verify(path: str) -> Union[CachedWorkflow, DamagedPack, None]:
    """A pack, read and checked; None where it was removed meanwhile."""
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


# Dropping


def _oldest_kept(max_age: Optional[Union[timedelta, float]]) -> float:
    """The time, in nanoseconds, up to which packs are too old."""
    if max_age is None:
        return -math.inf
    if isinstance(max_age, timedelta):
        max_age = max_age.total_seconds()
    if isinstance(max_age, bool) or not isinstance(max_age, (int, float)):
        raise TypeError(
            f"max_age must be a timedelta or a number of seconds, not {type(max_age).__name__}"
        )
    if not max_age >= 0:
        raise ElementUnitsError(f"max_age must not be negative, and is {max_age!r}")
    if max_age > _FOREVER:
        return -math.inf
    return time.time_ns() - int(max_age * 10**9)


def _limit(max_bytes: Optional[int]) -> float:
    if max_bytes is None:
        return math.inf
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, int):
        raise TypeError(f"max_bytes must be an int, not {type(max_bytes).__name__}")
    if max_bytes < 0:
        raise ElementUnitsError(f"max_bytes must not be negative, and is {max_bytes!r}")
    return max_bytes


def _look(path: str) -> Optional[_Found]:
    """A pack as it is now; None for what is no regular file."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CacheError(f"cannot read the pack {path!r}: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        return None
    return _Found(status.st_mtime_ns, path, status.st_size, _identity(status))


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    """Differs where a pack was replaced, or cached again as it was."""
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _drop_packs(
    packs: list[_Found], oldest: float, limit: float, dry_run: bool
) -> Iterator[tuple[_Found, Optional[CachedWorkflow]]]:
    """Drop packs, oldest first, while they are too old or too much."""
    total = sum(pack.size for pack in packs)
    for pack in packs:
        if pack.time > oldest and total <= limit:
            return
        workflow = _describe(pack.path)
        if dry_run or _drop(pack):
            total -= pack.size
            yield pack, workflow


def _drop(pack: _Found) -> bool:
    """Remove a pack if it still is as it was found; whether it was.

    Nothing removes a file on condition. The lock keeps writers from replacing the pack meanwhile,
    and tells other prunes that it is no leftover while it is set aside. Where files cannot be
    locked, setting it aside shows whether it was cached anew until then, and it is put back.
    """
    file = platform.open_to_lock(pack.path)
    try:
        if file >= 0 and platform.try_lock(file) is False:
            return False
        if _identity(os.lstat(pack.path)) != pack.identity:
            return False
        aside = temporary_path(pack.path)
        os.rename(pack.path, aside)
        if _identity(os.lstat(aside)) != pack.identity:
            platform.put_back(aside, pack.path)
            return False
        os.unlink(aside)
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
    """Remove a temporary file if its writer is dead; its size if so."""
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
        raise CacheError(f"cannot remove the leftover {path!r}: {error}") from error
    return status.st_size


def _is_abandoned(path: str, status: os.stat_result) -> bool:
    """Whether no writer is at work on a temporary file."""
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
