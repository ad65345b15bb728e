"""Where packs lie: one file a cache key, published whole or not at all.

A pack is at `<cache_dir>/v2/<2 hex>/<sha256 of the key>.pack`: no key reaches a path. It is written
to a temporary file beside its place and renamed, so that a reader sees the old pack, the new one or
none, whatever happens to the writer. Packs are never changed in place.

A writer holds a lock on its temporary file, which the system takes back when the writer dies: what
is not locked is a leftover, and `upkeep` removes it. A writer whose file is removed under it all
the same (no locks on this file system, or the directory is deleted) writes once more.

Nothing but this module, `upkeep` and `platform` touches the file system. Everything here is safe
across threads and processes.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import stat
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Callable, Union

from ..core import verify
from ..core.fault import Fault
from ..core.pack import Pack
from ..errors import CacheError, CorruptPack, UnitNotFound
from ..wording import in_words
from . import platform

LAYOUT = "v2"

CacheDir = Union[str, os.PathLike[str]]

_Parts = Iterable[Union[bytes, memoryview]]

# Characters from the cache directory to the end of a temporary file's path.
_LONGEST_BELOW = len(f"/{LAYOUT}/00/{64 * '0'}.pack.{8 * '0'}-{16 * '0'}.tmp")
_LOG = logging.getLogger("spiff_element_units")
_warned: dict[str, object] = {}  # the cache directories that a warning has told cannot be written
_ATTEMPTS = 100  # to write a pack whose temporary file is removed meanwhile
# What is told where a file or a directory is removed under way: the second by a file server, the
# third by `os.makedirs`.
_REMOVED = (errno.ENOENT, errno.ESTALE, errno.EEXIST)


class PackFile:
    """An open pack file. It is closed when nothing uses it any more.

    Its descriptor is never closed under a reader: a number closed while another thread reads could
    by then be that of another file.
    """

    __slots__ = ("_content", "_fd", "path", "status")

    def __init__(self, path: str, *, follow: bool = True) -> None:
        self._fd = -1
        self.path = path
        if not follow and os.path.islink(path):
            raise CorruptPack(f"{path!r} is a symbolic link; remove it and cache again")
        try:
            self._fd = platform.open_to_read(path, follow=follow)
            self.status = os.fstat(self._fd)
            regular = stat.S_ISREG(self.status.st_mode)
        except IsADirectoryError:
            regular = False
        if not regular:
            raise CorruptPack(f"{path!r} is not a regular file; remove it and cache again")
        self._content = None if platform.READS_AT else self._read_whole()

    @property
    def size(self) -> int:
        return self.status.st_size

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset` on; fewer at the end of the file.

        Raises CacheError where the file cannot be read any more.
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
        """Give the pack the age of one just cached; whether it is in its place afterwards.

        One that is dropped for its age meanwhile is either locked or seen to be gone here, or seen
        to be fresh by who drops it, and put back.
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
        """The content, with the file closed."""
        with open(self._fd, "rb") as stream:
            self._fd = -1
            return stream.read()

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def directory_path(cache_dir: CacheDir) -> str:
    """A cache directory as `str`; TypeError where it is of the wrong type."""
    directory = os.fspath(cache_dir)
    if not isinstance(directory, str):
        raise TypeError(f"cache_dir must be a str or a path of str, not {type(directory).__name__}")
    directory = str.__str__(directory)
    if not directory:
        raise CacheError("cache_dir is empty; name a directory ('.' is the current one)")
    return platform.reachable(directory, _LONGEST_BELOW)


def key_text(cache_key: str) -> str:
    """A cache key as plain `str`; TypeError where it is of the wrong type."""
    if not isinstance(cache_key, str):
        raise TypeError(f"cache_key must be a str, not {type(cache_key).__name__}")
    return str.__str__(cache_key)


def pack_name(cache_key: str) -> str:
    """The name of the pack of a key."""
    digest = hashlib.sha256(cache_key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{digest}.pack"


def pack_path(cache_dir: CacheDir, cache_key: str) -> str:
    """The path of the pack of a key; TypeError where an argument is of the wrong type."""
    directory = directory_path(cache_dir)
    name = pack_name(key_text(cache_key))
    return f"{directory}{os.sep}{LAYOUT}{os.sep}{name[:2]}{os.sep}{name}"


def temporary_path(path: str) -> str:
    """A name beside a pack that nothing else has."""
    return f"{path}.{os.getpid():x}-{os.urandom(8).hex()}.tmp"


def open_pack(cache_dir: CacheDir, cache_key: str) -> Pack:
    """Open the pack of a key.

    Raises UnitNotFound where the key is not cached, CorruptPack where its pack is damaged or
    another key's, CacheError where it cannot be read.
    """
    return _open(cache_dir, cache_key, follow=True)[1]


def open_whole_pack(cache_dir: CacheDir, cache_key: str) -> Pack:
    """Open the pack of a key and check every part of it; errors are those of `open_pack`."""
    pack = open_pack(cache_dir, cache_key)
    check(pack)
    return pack


def read_pack(read: Callable[[int, int], bytes], size: int, name: str) -> Pack:
    """The pack that `read(offset, length)` gives the bytes of; `name` names it in messages.

    Raises CorruptPack where it is none, and what `read` raises.
    """
    try:
        return Pack(read, size, name)
    except Fault as fault:
        raise in_words(fault) from fault.__cause__


def check(pack: Pack) -> None:
    """Check every part of a pack; CorruptPack names the first that is damaged."""
    try:
        verify.check(pack)
    except Fault as fault:
        raise in_words(fault) from fault.__cause__


def content(pack: Pack, cache_key: str) -> tuple[bytes, memoryview]:
    """What a pack's file holds under a key, every part of it known to be good: header and body.

    Raises CorruptPack where a part is damaged.
    """
    try:
        return pack.header(key_text(cache_key)), verify.body_bytes(pack)
    except Fault as fault:
        raise in_words(fault) from fault.__cause__


def _open(cache_dir: CacheDir, cache_key: str, *, follow: bool) -> tuple[PackFile, Pack]:
    path = pack_path(cache_dir, cache_key)
    cache_key = key_text(cache_key)
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
    """Whether a good pack of the workflow with that digest is cached under the key already.

    With `says_events` a pack is none that does not say which processes are started by events.

    If so it has the age of one just cached afterwards, where it can be changed; with `durable` it
    is on the disk too, or CacheError says why not.
    """
    try:
        file, pack = _open(cache_dir, cache_key, follow=False)
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
            _sync_stored(file.path)
        except OSError as error:
            raise CacheError(f"cannot sync the pack {file.path!r}: {error}") from error
    return True


def publish(cache_dir: CacheDir, cache_key: str, pack: Pack, *, durable: bool = False) -> None:
    """Store a pack under a key, in place of what is there.

    With `durable`, file and directories are on the disk when it returns.

    Raises CacheError where the directory or the file cannot be made or written; what was there
    stays then.
    """
    path = pack_path(cache_dir, cache_key)
    parts = content(pack, cache_key)
    try:
        _write_until_it_stays(path, parts, durable)
    except (OSError, ValueError) as error:
        raise CacheError(f"cannot write the pack {path!r}: {error}") from error


def publish_or_warn(
    cache_dir: CacheDir, cache_key: str, pack: Pack, *, durable: bool = False
) -> None:
    """Store a pack, or go on without where it cannot be stored.

    The first time in a process that this is so in a directory, a RuntimeWarning and the log of
    `spiff_element_units` tell it.
    """
    try:
        publish(cache_dir, cache_key, pack, durable=durable)
    except CacheError as error:
        this_time = object()
        if _warned.setdefault(directory_path(cache_dir), this_time) is this_time:
            told = (
                f"{error}; this process serves the workflow from memory, and each process makes "
                "it again until the cache can be written"
            )
            _LOG.warning(told)
            warnings.warn(told, RuntimeWarning, stacklevel=3)


def _write_until_it_stays(path: str, parts: _Parts, durable: bool) -> None:
    """Write a pack; again where its temporary file or the directory is removed under way."""
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
        # Closed before it is renamed: some file systems tell only then that the disk is full.
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
    """Replace a pack while nobody drops it: what is dropped then might be the new one."""
    file = platform.open_to_lock(path)
    try:
        platform.lock_patiently(file)
        yield
    finally:
        platform.unlock(file)
        if file >= 0:
            os.close(file)


def _own(file: int, temporary: str) -> None:
    """Lock a new temporary file; FileNotFoundError where it was taken for a leftover before."""
    locked = platform.try_lock(file)
    if locked is False or (locked and not os.path.lexists(temporary)):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), temporary)


def _create(path: str, temporary: str) -> tuple[int, list[str]]:
    """Open a new file for writing, in a directory that is made where it is missing.

    Gives the directories in which others were made, too.
    """
    try:
        return os.open(temporary, platform.CREATE, 0o666), []
    except FileNotFoundError:
        made = _make_directory(os.path.dirname(path))
        return os.open(temporary, platform.CREATE, 0o666), made


def _make_directory(directory: str) -> list[str]:
    """Make a directory; the parents of those that were missing."""
    parents = []
    missing = directory
    while missing and not os.path.lexists(missing):
        missing = os.path.dirname(missing)
        parents.append(missing or os.curdir)
    os.makedirs(directory, exist_ok=True)
    return parents


def _sync_directories(path: str, others: list[str]) -> None:
    """Sync every directory between the cache's own and the pack, and some others."""
    shard = os.path.dirname(path)
    layout = os.path.dirname(shard)
    for directory in dict.fromkeys([shard, layout, os.path.dirname(layout), *others]):
        platform.sync_directory(directory)


def _sync_stored(path: str) -> None:
    """Sync a pack that another process may have stored without."""
    file = os.open(path, platform.SYNC | platform.NO_FOLLOW)
    try:
        platform.sync_file(file)
    finally:
        os.close(file)
    _sync_directories(path, [])


def _reason(error: BaseException) -> str:
    return "it does not fit in memory" if isinstance(error, MemoryError) else str(error)
