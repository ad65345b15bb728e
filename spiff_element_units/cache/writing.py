"""Writes a file of a cache directory whole or not at all, for all that is kept there.

A writer writes to a temporary file in the same directory and then renames it.

A writer holds a lock on its temporary file. The system releases the lock when the writer dies. A
temporary file without a lock is therefore abandoned, and `upkeep` removes it. It can still happen
that the file of a living writer is removed, because the file system has no locks or because
somebody deletes the directory. The writer then writes the file again.

Everything here is safe for several threads and processes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Union

from . import platform

_Parts = Iterable[Union[bytes, memoryview]]

_ATTEMPTS = 100  # to write a pack if its temporary file is removed in the meantime
# The errors if a file or a directory is removed in the meantime. A file server gives the second,
# and `os.makedirs` gives the third.
_REMOVED = (errno.ENOENT, errno.ESTALE, errno.EEXIST)


def temporary_path(path: str) -> str:
    """A unique path in the directory of a pack."""
    return f"{path}.{os.getpid():x}-{os.urandom(8).hex()}.tmp"


def write_file(path: str, parts: _Parts, *, durable: bool = False) -> None:
    """Write a file of the cache whole or not at all. Raises OSError, ValueError.

    With `durable`, the file and its directories are synced to disk before this returns.

    It is written again if its temporary file or the directory is removed in the meantime.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _write(path, parts, durable)
        except OSError as error:
            if error.errno not in _REMOVED or attempt == _ATTEMPTS:
                raise


def _write(path: str, parts: _Parts, durable: bool) -> None:
    temporary = temporary_path(path)
    file, made = _create(path, temporary)
    try:
        with open(file, "wb", buffering=0) as stream:
            _own(file, temporary)
            for part in parts:
                rest = memoryview(part)
                while rest:
                    rest = rest[stream.write(rest) :]
            platform.touch(file, temporary)
            if durable:
                platform.sync_file(file)
            platform.unlock(file)
        # Close it before renaming it: some file systems report a full disk only when it is closed.
        with _kept(path):
            platform.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        _sync_directories(path, made)


@contextmanager
def _kept(path: str) -> Iterator[None]:
    """Keep `prune_cache` from removing the pack of a path: it might remove the new one."""
    file = platform.open_to_lock(path)
    try:
        platform.lock_patiently(file)
        yield
    finally:
        platform.unlock(file)
        if file >= 0:
            os.close(file)


def _own(file: int, temporary: str) -> None:
    """Lock a new temporary file; FileNotFoundError if it was already removed as abandoned."""
    locked = platform.try_lock(file)
    if locked is False or (locked and not os.path.lexists(temporary)):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), temporary)


def _create(path: str, temporary: str) -> tuple[int, list[str]]:
    """Open a new file for writing, and create its directory if it does not exist.

    Also returns the directories in which others were created.
    """
    try:
        return os.open(temporary, platform.CREATE, 0o666), []
    except FileNotFoundError:
        made = _make_directory(os.path.dirname(path))
        return os.open(temporary, platform.CREATE, 0o666), made


def _make_directory(directory: str) -> list[str]:
    """Create a directory; return the parents of all directories that were created."""
    parents = []
    missing = directory
    while missing and not os.path.lexists(missing):
        missing = os.path.dirname(missing)
        parents.append(missing or os.curdir)
    os.makedirs(directory, exist_ok=True)
    return parents


def _sync_directories(path: str, others: list[str]) -> None:
    """Sync every directory from the cache directory down to the pack, and some others."""
    shard = os.path.dirname(path)
    layout = os.path.dirname(shard)
    for directory in dict.fromkeys([shard, layout, os.path.dirname(layout), *others]):
        platform.sync_directory(directory)


def sync_stored(path: str) -> None:
    """Sync a pack that another process may have stored without `durable`."""
    file = os.open(path, platform.SYNC | platform.NO_FOLLOW)
    try:
        platform.sync_file(file)
    finally:
        os.close(file)
    _sync_directories(path, [])
