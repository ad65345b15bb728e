"""What managing a cache reports, and the limits that it is given."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import NamedTuple, Optional, Union

from ..errors import ElementUnitsError

_FOREVER = 1e11  # seconds; no file is as old as this
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class CachedWorkflow(NamedTuple):
    """A cached workflow.

    `cache_key` is its key, `size` the size of its pack in bytes, and `cached_at` the time when it
    was last cached (UTC). `digest` is the SHA-256 of its JSON text as 64 hex digits, like
    `ElementUnits.digest`. `path` is the path of its pack.
    """

    cache_key: str
    size: int
    cached_at: datetime
    digest: str
    path: str


class DamagedPack(NamedTuple):
    """A file in the place of a pack that is not a good pack.

    `path` is the path of the file, and `reason` says what is wrong. `cache_key` is the key in the
    file, or None if the key cannot be read.
    """

    path: str
    reason: str
    cache_key: Optional[str]


class CacheReport(NamedTuple):
    """The result of `verify_cache`: the good packs, the damaged packs and the temporary files.

    `leftovers` contains the paths of the temporary files. A temporary file belongs to a process
    that is writing a pack, or was left by one that died.
    """

    good: tuple[CachedWorkflow, ...]
    damaged: tuple[DamagedPack, ...]
    leftovers: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """True if no pack is damaged."""
        return not self.damaged


class PruneReport(NamedTuple):
    """The result of `prune_cache`.

    `removed` contains the removed workflows, oldest first. `leftovers` contains the paths of
    removed files without a key: temporary files of processes that died, sources without a pack, and
    packs that are too damaged to read their key. `bytes_freed` is the total size of all removed
    files.
    """

    removed: tuple[CachedWorkflow, ...]
    leftovers: tuple[str, ...]
    bytes_freed: int


def moment(nanoseconds: int) -> datetime:
    """The time of a file; a time beyond the calendar becomes the end of the calendar."""
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        end = datetime.max if nanoseconds > 0 else datetime.min
        return end.replace(tzinfo=timezone.utc)


def oldest_kept(max_age: Optional[Union[timedelta, float]], now: int) -> float:
    """Packs with this time in nanoseconds, or an earlier one, are too old at `now`."""
    if max_age is None:
        return -math.inf
    if isinstance(max_age, timedelta):
        max_age = max_age.total_seconds()
    if isinstance(max_age, bool) or not isinstance(max_age, (int, float)):
        raise TypeError(
            f"max_age must be a timedelta or a number of seconds, not {type(max_age).__name__}"
        )
    if not max_age >= 0:
        raise ElementUnitsError(f"max_age must not be negative, but is {max_age!r}")
    if max_age > _FOREVER:
        return -math.inf
    return now - int(max_age * 10**9)


def size_limit(max_bytes: Optional[int]) -> float:
    if max_bytes is None:
        return math.inf
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, int):
        raise TypeError(f"max_bytes must be an int, not {type(max_bytes).__name__}")
    if max_bytes < 0:
        raise ElementUnitsError(f"max_bytes must not be negative, but is {max_bytes!r}")
    return max_bytes
