"""Where packs lie: one file a cache key, published whole or not at all.

A pack is at `<cache_dir>/v2/<2 hex>/<sha256 of the key>.pack`: no key reaches a path. It is written
to a temporary file beside its place and renamed, so that a reader sees the old pack, the new one or
none, whatever happens to the writer. Packs are never changed in place.

Nothing else in the package touches the file system. Everything here is safe across threads and
processes.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Union

from ._pack import Pack
from .errors import CacheError, CorruptPack, UnitNotFound

LAYOUT = "v2"

CacheDir = Union[str, os.PathLike[str]]

# Flags that a platform lacks are 0. Not to block on a pipe in a pack's place; to give no open file
# to child processes; bytes as they are on Windows.
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_READ |= getattr(os, "O_NONBLOCK", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_CREATE |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class PackFile:
    """An open pack file. It is closed when nothing uses it any more.

    Its descriptor is never closed under a reader: a number closed while another thread reads could
    by then be that of another file.
    """

    __slots__ = ("_fd", "size")

    def __init__(self, path: str) -> None:
        self._fd = -1
        self._fd = os.open(path, _READ)
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            raise CacheError(f"{path!r} is not a regular file; remove it and cache again")
        self.size: int = status.st_size

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset` on; fewer at the end of the file."""
        data = os.pread(self._fd, length, offset)
        while len(data) < length:
            more = os.pread(self._fd, length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def pack_path(cache_dir: CacheDir, cache_key: str) -> str:
    """The path of the pack of a key; TypeError where an argument is of the wrong type."""
    directory = os.fspath(cache_dir)
    if not isinstance(directory, str):
        raise TypeError(f"cache_dir must be a str or a path of str, not {type(directory).__name__}")
    if not isinstance(cache_key, str):
        raise TypeError(f"cache_key must be a str, not {type(cache_key).__name__}")
    if not directory:
        raise CacheError("cache_dir is empty; name a directory ('.' is the current one)")
    name = hashlib.sha256(cache_key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{directory}{os.sep}{LAYOUT}{os.sep}{name[:2]}{os.sep}{name}.pack"


def open_pack(cache_dir: CacheDir, cache_key: str) -> Pack:
    """Open the pack of a key.

    Raises UnitNotFound where the key is not cached, CorruptPack where its pack is damaged or
    another key's, CacheError where it cannot be read.
    """
    path = pack_path(cache_dir, cache_key)
    try:
        file = PackFile(path)
        pack = Pack(file.read, file.size, f"pack {path!r} of cache key {cache_key!r}")
    except FileNotFoundError as error:
        raise UnitNotFound(
            f"cache key {cache_key!r} is not cached in {os.fspath(cache_dir)!r}; "
            "call cache_element_units_for_workflow first"
        ) from error
    except CacheError:
        raise
    except (OSError, ValueError) as error:
        raise CacheError(f"cannot read the pack {path!r}: {error}") from error
    if pack.key != cache_key:
        raise CorruptPack(
            f"pack {path!r} belongs to cache key {pack.key!r}, not {cache_key!r}; "
            "cache the workflow again"
        )
    return pack


def holds(cache_dir: CacheDir, cache_key: str, digest: bytes) -> bool:
    """Whether a good pack of the workflow with that digest is cached under the key already."""
    try:
        pack = open_pack(cache_dir, cache_key)
        if pack.digest != digest:
            return False
        pack.check()
    except (CacheError, UnitNotFound, OSError):
        return False
    return True


def publish(cache_dir: CacheDir, cache_key: str, pack: Pack) -> None:
    """Store a pack under a key, in place of what is there.

    Raises CacheError where the directory or the file cannot be made or written; what was there
    stays then.
    """
    path = pack_path(cache_dir, cache_key)
    body = pack.body_bytes()
    temporary = f"{path}.{os.getpid():x}-{os.urandom(8).hex()}.tmp"
    try:
        file = _create(path, temporary)
        try:
            with open(file, "wb", buffering=0) as stream:
                for part in (pack.header(cache_key), body):
                    rest = memoryview(part)
                    while rest:
                        rest = rest[stream.write(rest) :]
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except (OSError, ValueError) as error:
        raise CacheError(f"cannot write the pack {path!r}: {error}") from error


def _create(path: str, temporary: str) -> int:
    """Open a new file for writing, in a directory that is made where it is missing."""
    try:
        return os.open(temporary, _CREATE, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(temporary, _CREATE, 0o666)
