"""The cache directory: one file for each cache key, written completely or not at all.

A pack is at `<cache_dir>/v2/<2 hex>/<sha256 of the key>.pack`, so a key never becomes part of a
path. Whatever happens to the writer, a reader sees the old pack, the new pack or no pack. A pack
never changes in place: `writing` writes another file and renames it.

Only the modules of this folder use the file system. Everything here is safe for several threads and
processes.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from itertools import count
from typing import Callable, Optional

from ..core import verify
from ..core.fault import Fault
from ..core.pack import Pack
from ..errors import CacheError, CorruptPack, UnitNotFound
from ..wording import in_words
from . import platform, writing
from .store import CacheDir

LAYOUT = "v2"

# Characters from the cache directory to the end of a temporary file's path.
_LONGEST_BELOW = len(f"/{LAYOUT}/00/{64 * '0'}.pack.{8 * '0'}-{16 * '0'}.tmp")
LOG = logging.getLogger("spiff_element_units")


class PackFile:
    """An open pack file. It is closed when nothing uses it any more.

    Its descriptor is never closed while somebody reads. Otherwise another thread could open another
    file, get the same number for it, and the reader would read that file.
    """

    __slots__ = ("_content", "_fd", "path", "status")

    def __init__(self, path: str, *, follow: bool = True) -> None:
        self._fd = -1
        self.path = path
        if not follow and os.path.islink(path):
            raise CorruptPack(
                f"{path!r} is a symbolic link; remove it and cache the workflow again"
            )
        try:
            self._fd = platform.open_to_read(path, follow=follow)
            self.status = os.fstat(self._fd)
            regular = stat.S_ISREG(self.status.st_mode)
        except IsADirectoryError:
            regular = False
        if not regular:
            raise CorruptPack(
                f"{path!r} is not a regular file; remove it and cache the workflow again"
            )
        self._content = None if platform.READS_AT else self._read_whole()

    @property
    def size(self) -> int:
        return self.status.st_size

    def read(self, offset: int, length: int) -> bytes:
        """Read `length` bytes from `offset` on, or fewer at the end of the file.

        Raises CacheError if the file cannot be read any more.
        """
        if self._content is not None:
            return self._content[offset : offset + length]
        try:
            pieces = [os.pread(self._fd, length, offset)]
            got = len(pieces[0])
            while got < length and pieces[-1]:
                pieces.append(os.pread(self._fd, length - got, offset + got))
                got += len(pieces[-1])
        except (OSError, MemoryError) as error:
            raise CacheError(f"cannot read the pack {self.path!r}: {_reason(error)}") from error
        return b"".join(pieces) if len(pieces) > 1 else pieces[0]

    def refresh(self) -> bool:
        """Make the pack as new as one that was just cached. Return whether it is still there.

        `prune_cache` may be removing the pack because of its age. Then either this method finds the
        pack locked or gone, or `prune_cache` finds that the pack is new and puts it back.
        """
        if platform.try_lock(self._fd, shared=True) is False:
            return False
        try:
            platform.touch(self._fd, self.path)
            there = os.lstat(self.path)
        except OSError:
            return False
        finally:
            platform.unlock(self._fd)
        return (there.st_dev, there.st_ino) == (self.status.st_dev, self.status.st_ino)

    def _read_whole(self) -> bytes:
        """Return the content and close the file."""
        with open(self._fd, "rb") as stream:
            self._fd = -1
            return stream.read()

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def directory_path(cache_dir: CacheDir) -> str:
    """A cache directory as `str`; TypeError if it has the wrong type."""
    try:
        directory = os.fspath(cache_dir)
    except TypeError:  # it does not name the argument
        directory = cache_dir  # type: ignore[assignment]
    if not isinstance(directory, str):
        raise TypeError(f"cache_dir must be a str or a path of str, not {type(directory).__name__}")
    if type(directory) is not str:
        directory = str.__str__(directory)
    if not directory:
        raise CacheError("cache_dir is empty; pass a directory ('.' is the current one)")
    return platform.reachable(directory, _LONGEST_BELOW)


def key_text(cache_key: str) -> str:
    """A cache key as a plain `str`; TypeError if it has another type."""
    if not isinstance(cache_key, str):
        raise TypeError(f"cache_key must be a str, not {type(cache_key).__name__}")
    return cache_key if type(cache_key) is str else str.__str__(cache_key)


def pack_name(cache_key: str) -> str:
    """The file name of the pack of a key."""
    digest = hashlib.sha256(cache_key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{digest}.pack"


def pack_path(cache_dir: CacheDir, cache_key: str) -> str:
    """The path of the pack of a key; TypeError if an argument has the wrong type."""
    return pack_file(directory_path(cache_dir), pack_name(key_text(cache_key)))


def pack_file(directory: str, name: str) -> str:
    """The path of the pack with this file name."""
    return f"{directory}{os.sep}{LAYOUT}{os.sep}{name[:2]}{os.sep}{name}"


Mark = tuple[int, int, int, int]


def mark_of(path: str) -> Optional[Mark]:
    """A value that changes if the pack of a path is replaced or cached again; None without a pack.

    The last number is the size of the pack in bytes.
    """
    try:
        return mark_in(os.stat(path))
    except (OSError, ValueError):
        return None


def mark_in(status: os.stat_result) -> Mark:
    """The mark of a pack with this status."""
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


class Published:
    """Notices at hardly any cost that this process has put a pack in place."""

    numbers = count(1)
    latest = 0  # another number after each pack


def open_pack(cache_dir: CacheDir, cache_key: str) -> Pack:
    """Open the pack of a key.

    Raises UnitNotFound if the key is not cached, CorruptPack if its pack is damaged or belongs to
    another key, and CacheError if the pack cannot be read.
    """
    return open_file(cache_dir, cache_key, follow=True)[1]


def open_whole_pack(cache_dir: CacheDir, cache_key: str) -> Pack:
    """Open the pack of a key and check every part of it. Raises the errors of `open_pack`."""
    pack = open_pack(cache_dir, cache_key)
    check(pack)
    return pack


def read_pack(read: Callable[[int, int], bytes], size: int, name: str) -> Pack:
    """The pack whose bytes `read(offset, length)` returns. Messages call it `name`.

    Raises CorruptPack if it is not a pack, and the errors of `read`.
    """
    try:
        return Pack(read, size, name)
    except Fault as fault:
        raise in_words(fault) from fault.__cause__


def check(pack: Pack) -> None:
    """Check every part of a pack. CorruptPack names the first part that is damaged."""
    try:
        verify.check(pack)
    except Fault as fault:
        raise in_words(fault) from fault.__cause__


def content(pack: Pack, cache_key: str) -> tuple[bytes, memoryview]:
    """The content of the file of a pack: its header with the key, and its checked body.

    Raises CorruptPack if a part is damaged.
    """
    try:
        return pack.header(key_text(cache_key)), verify.body_bytes(pack)
    except Fault as fault:
        raise in_words(fault) from fault.__cause__


def open_file(cache_dir: CacheDir, cache_key: str, *, follow: bool) -> tuple[PackFile, Pack]:
    """The file of a key and its pack. Raises the errors of `open_pack`."""
    directory, cache_key = directory_path(cache_dir), key_text(cache_key)
    path = pack_file(directory, pack_name(cache_key))
    try:
        file = PackFile(path, follow=follow)
        pack = read_pack(file.read, file.size, f"pack {path!r} of cache key {cache_key!r}")
    except FileNotFoundError as error:
        raise UnitNotFound(
            f"cache key {cache_key!r} is not cached in {str.__str__(os.fspath(cache_dir))!r}; "
            "call cache_element_units_for_workflow first"
        ) from error
    except CacheError:
        raise
    except (OSError, ValueError, MemoryError) as error:
        raise CacheError(f"cannot read the pack {path!r}: {_reason(error)}") from error
    if pack.key != cache_key:
        raise CorruptPack(
            f"pack {path!r} belongs to cache key {pack.key!r}, not {cache_key!r}; "
            "cache the workflow again"
        )
    return file, pack


def holds(
    cache_dir: CacheDir,
    cache_key: str,
    digest: bytes,
    *,
    says_events: bool = True,
    durable: bool = False,
) -> bool:
    """Whether a good pack of the workflow with this digest is already cached under the key.

    With `says_events`, a pack that does not say which processes events start does not count.

    If there is one, it becomes as new as one that was just cached, if its time can be changed. With
    `durable` it is also synced to disk, and CacheError says why if that fails.
    """
    try:
        file, pack = open_file(cache_dir, cache_key, follow=False)
        if pack.digest != digest:
            return False
        check(pack)
        if says_events and not pack.says_events():
            return False
    except (CacheError, UnitNotFound, Fault):
        return False
    if not file.refresh():
        return False
    if durable:
        try:
            writing.sync_stored(file.path)
        except OSError as error:
            raise CacheError(f"cannot sync the pack {file.path!r}: {error}") from error
    return True


def publish(cache_dir: CacheDir, cache_key: str, pack: Pack, *, durable: bool = False) -> None:
    """Store a pack under a key, and replace the pack that was there.

    With `durable`, the file and its directories are synced to disk before this returns.

    Raises CacheError if the directory or the file cannot be created or written. The pack that was
    there is then still there.
    """
    tell_published(cache_key, write_pack(cache_dir, cache_key, pack, durable=durable))


def tell_published(cache_key: str, size: int) -> None:
    """Let this process and its log know that a pack of so many bytes is in place."""
    Published.latest = next(Published.numbers)
    LOG.info("cached %r: %s bytes", key_text(cache_key), f"{size:,}")


def write_pack(cache_dir: CacheDir, cache_key: str, pack: Pack, *, durable: bool = False) -> int:
    """Do what `publish` does, and tell nobody. Returns the size of the pack in bytes."""
    path = pack_path(cache_dir, cache_key)
    parts = content(pack, cache_key)
    try:
        writing.write_file(path, parts, durable=durable)
    except (OSError, ValueError) as error:
        raise CacheError(f"cannot write the pack {path!r}: {error}") from error
    return sum(map(len, parts))


def _reason(error: BaseException) -> str:
    return "it does not fit in memory" if isinstance(error, MemoryError) else str(error)
