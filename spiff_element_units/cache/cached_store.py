"""A local directory in front of a store: what was read is kept, and read from the disk again.

A pack of up to 4 MiB is kept whole, in a cache directory like any other. A larger one is kept as
blocks in one sparse file, each block behind its XXH64:

    <directory>/<hash of the store>/v2/..                               small packs
    <directory>/<hash of the store>/packs/<digest>-<random>-<size>      blocks of a large pack
    <directory>/<hash of the store>/keys/<hash of the key>              which pack a key names

Everything from the store is checked by the digest in the pack's name before it is kept or returned.
What is kept is checked when it is read. A block whose checksum is wrong is not there: a block that
was never read, one that another process is writing, and one that the disk damaged look the same,
and are read from the store. So the directory can be lost at any time, and processes share it
without locks.

What a key names may change. It is kept too, for the time that the application allows. The time of
the file says when the store was asked.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Optional, Union

from ..core import verify
from ..core.pack import Pack
from ..errors import CacheError, CorruptPack, ElementUnitsError, UnitNotFound
from . import platform, stored
from .blocks import ROW, SUM, end_of, length_of, part_of, runs_of, sum_of
from .directory import (
    Mark,
    PackFile,
    check,
    mark_in,
    open_file,
    pack_file,
    write_pack,
)
from .kept_files import KeptFiles
from .reading import BLOCK, DIGEST, PackName, digests_length
from .store import CacheDir, Store, Stored, is_store, read_one
from .stored import KEYS, PACKS, key_name, open_cached, open_whole_pack, pack_name

_WHOLE = 4 * 1024 * 1024  # packs up to this size are read and kept whole


class CachedStore:
    """A store that keeps what was read from another one in a local directory.

    `remote` is the other store. `directory` is made if it does not exist; the processes of one
    machine share it. `max_bytes` is the size of what is kept there: if it is more, the files that
    were not used for longest are removed. Other files in the directory do not count, and stay.

    `keys_for` is the time in seconds for which what a key names is kept too. For so long, this
    machine may open the workflow that was cached before, if another machine caches another one
    under the key. Set it to `math.inf` if you never reuse a key, and to 0 to ask the store each
    time.

    Everything else goes to the other store. If the directory cannot be written, everything does,
    and the log of `spiff_element_units` says so once.

    If the disk damages what is kept, a get raises CorruptPack or reads from the other store, and
    `get_or_cache` repairs it.

    Several threads may use it, and you can use it after a fork if you can use `remote` then.

    Raises TypeError for arguments of another type, and ElementUnitsError if a number is negative.
    """

    def __init__(
        self, remote: Store, directory: CacheDir, *, max_bytes: int, keys_for: float = 60.0
    ) -> None:
        if not is_store(remote):
            raise TypeError(f"remote must be a store, not {type(remote).__name__}")
        if isinstance(max_bytes, bool) or not isinstance(max_bytes, int):
            raise TypeError(f"max_bytes must be an int, not {type(max_bytes).__name__}")
        for name, value in (("max_bytes", max_bytes), ("keys_for", keys_for)):
            if not value >= 0:
                raise ElementUnitsError(f"{name} must not be negative, but is {value!r}")
        self._remote = remote
        self._keys_for = keys_for
        self._files = KeptFiles(directory, str(remote), max_bytes)

    def __str__(self) -> str:
        return f"{self._remote} (kept in {str(self._files)!r})"

    def __repr__(self) -> str:
        return f"<CachedStore {self}>"

    # Packs of keys

    def open_pack(self, cache_key: str) -> Pack:
        """Open the pack of a key, from the directory if it is there."""
        kept = self._kept_pack(cache_key)
        if kept is not None and self._is_fresh(kept[0].status.st_mtime):
            return kept[1]
        name = key_name(cache_key)
        fresh = self._kept_key(name) is not None
        opened = open_cached(self if fresh else self._remote, cache_key)
        if opened.reader.size > _WHOLE:
            if fresh:
                return opened.pack
            self._keep_key(name, opened.content)
            return open_cached(self, cache_key).pack
        if kept is not None and kept[1].digest == opened.pack.digest and kept[0].refresh():
            return kept[1]
        opened.reader.read_whole()
        self._keep_pack(cache_key, opened.pack)
        kept = self._kept_pack(cache_key)
        if kept is not None and kept[1].digest == opened.pack.digest:
            return kept[1]  # which holds no whole pack in memory
        return opened.pack

    def open_whole_pack(self, cache_key: str) -> Pack:
        """Open the pack of a key and check every part of it; it is kept again if it is damaged."""
        with suppress(CorruptPack):
            pack = self.open_pack(cache_key)
            check(pack)
            return pack
        self._forget(key_name(cache_key))
        pack = open_whole_pack(self._remote, cache_key)
        self._keep_pack(cache_key, pack)
        return pack

    def mark_of(self, cache_key: str) -> Optional[Union[Mark, stored.Mark]]:
        """A value that changes if `open_pack` opens another pack; None if it is not known."""
        kept = self._kept_pack(cache_key)
        if kept is not None and self._is_fresh(kept[0].status.st_mtime):
            return mark_in(kept[0].status)
        name = key_name(cache_key)
        content = self._kept_key(name)
        if content is not None:
            return stored.mark_in(self, name, content)
        return stored.mark_of(self._remote, cache_key)

    def _kept_pack(self, cache_key: str) -> Optional[tuple[PackFile, Pack]]:
        try:
            return open_file(self._files.top, cache_key, follow=True)
        except (CacheError, UnitNotFound):
            return None

    def _keep_pack(self, cache_key: str, pack: Pack) -> None:
        whole = verify.body_bytes(pack)  # CorruptPack if a part of it is damaged
        if len(whole) > _WHOLE:
            return
        try:
            write_pack(self._files.top, cache_key, pack)
        except CacheError as error:
            self._files.cannot(error)
        else:
            self._files.written(len(whole))

    def _forget(self, name: str) -> None:
        """Keep nothing of a key any more."""
        digest = name[len(KEYS) :]
        for path in (self._files.path(name), pack_file(self._files.top, f"{digest}.pack")):
            with suppress(OSError):
                platform.unlink(path)

    def _is_fresh(self, modified: float) -> bool:
        return self._keys_for > 0 and 0 <= time.time() - modified < self._keys_for

    # What a store does

    def read(self, name: str, ranges: Sequence[tuple[int, int]]) -> Optional[list[bytes]]:
        if name.startswith(KEYS):
            return self._read_key(name, ranges)
        pack = pack_name(name)
        if pack is None:
            return self._remote.read(name, ranges)
        whole = pack.size <= _WHOLE
        found = self._remote.read(name, ranges) if whole else self._read_pack(pack, ranges)
        if found is None:
            # The key that named this pack was kept for too long.
            shutil.rmtree(os.path.join(self._files.top, "keys"), ignore_errors=True)
            with suppress(OSError):
                os.unlink(self._files.path(name))
        return found

    def write(self, name: str, content: bytes) -> None:
        self._remote.write(name, content)
        if name.startswith(KEYS):
            self._forget(name)

    def list_names(self, prefix: str) -> Iterable[Stored]:
        return self._remote.list_names(prefix)

    def delete(self, name: str, modified: Optional[float] = None) -> bool:
        deleted = self._remote.delete(name, modified)
        if name.startswith(KEYS):
            self._forget(name)
        elif name.startswith(PACKS):
            with suppress(OSError):
                os.unlink(self._files.path(name))
        return deleted

    # Keys

    def _read_key(self, name: str, ranges: Sequence[tuple[int, int]]) -> Optional[list[bytes]]:
        content = self._kept_key(name)
        if content is None:
            content = read_one(self._remote, name, 0, stored.LONGEST)
            if content is None:
                return None
            self._keep_key(name, content)
        return [content[at : at + length] for at, length in ranges]

    def _kept_key(self, name: str) -> Optional[bytes]:
        """What a key names, if that was read not long ago."""
        try:
            with open(self._files.path(name), "rb", buffering=0) as file:
                if not self._is_fresh(os.fstat(file.fileno()).st_mtime):
                    return None
                kept = file.read()
        except OSError:
            return None
        content = kept[SUM:]
        return content if sum_of(content, 0) == kept[:SUM] else None

    def _keep_key(self, name: str, content: bytes) -> None:
        path = self._files.path(name)
        temporary = f"{path}.{os.urandom(8).hex()}"
        try:
            self._files.make_directory(path)
            with open(temporary, "wb", buffering=0) as file:
                file.write(sum_of(content, 0) + content)
            platform.replace(temporary, path)
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary)
            self._files.cannot(error)
        else:
            self._files.written(len(content))

    # Packs

    def _read_pack(
        self, pack: PackName, ranges: Sequence[tuple[int, int]]
    ) -> Optional[list[bytes]]:
        numbers = sorted(
            {
                number
                for at, length in ranges
                for number in range(at // BLOCK, -(-min(at + length, pack.size) // BLOCK))
            }
        )
        path = self._files.path(pack.name)
        blocks = self._kept_blocks(path, pack, numbers)
        wants_digests = any(at + length > pack.size for at, length in ranges)
        digests = (
            self._kept_digests(path, pack) if wants_digests or len(blocks) < len(numbers) else b""
        )
        if digests is None or len(blocks) < len(numbers):
            digests = self._fetch(path, pack, blocks, numbers, digests)
            if digests is None:
                return None
        return [part_of(pack, blocks, digests, at, length) for at, length in ranges]

    def _kept_blocks(self, path: str, pack: PackName, numbers: list[int]) -> dict[int, bytes]:
        """Those of the blocks that are kept and good."""
        blocks = {}
        try:
            with open(path, "rb", buffering=0) as file:
                self._files.touch(file.fileno(), path)
                for number in numbers:
                    length = length_of(pack, number)
                    file.seek(number * ROW)
                    row = file.read(SUM + length)
                    block = row[SUM:]
                    if len(block) == length and sum_of(block, number) == row[:SUM]:
                        blocks[number] = block
        except OSError:
            pass
        return blocks

    def _kept_digests(self, path: str, pack: PackName) -> Optional[bytes]:
        try:
            with open(path, "rb", buffering=0) as file:
                file.seek(end_of(pack))
                digests = file.read(digests_length(pack.size))
        except OSError:
            return None
        return digests if hashlib.sha256(digests).hexdigest() == pack.digest else None

    def _fetch(
        self,
        path: str,
        pack: PackName,
        blocks: dict[int, bytes],
        numbers: list[int],
        digests: Optional[bytes],
    ) -> Optional[bytes]:
        """Read what is missing in one request, check and keep it; the digests, or None: no pack."""
        missing = [number for number in numbers if number not in blocks]
        runs = runs_of(missing)
        ranges = [
            (first * BLOCK, min((last + 1) * BLOCK, pack.size) - first * BLOCK)
            for first, last in runs
        ]
        if digests is None:
            end = (pack.size, digests_length(pack.size))
            if ranges and sum(ranges[-1]) == pack.size:
                ranges[-1] = (ranges[-1][0], ranges[-1][1] + end[1])
            else:
                ranges.append(end)
        found = self._remote.read(pack.name, ranges)
        if found is None:
            return None
        for data, (at, length) in zip(found, ranges):
            if len(data) != length:
                raise CacheError(
                    f"pack {pack.name!r} cannot be read: {self._remote} returned {len(data)} of "
                    f"{length} bytes at byte {at}; try again"
                )
        if digests is None:
            digests = found[-1][-digests_length(pack.size) :]
            if hashlib.sha256(digests).hexdigest() != pack.digest:
                raise self._damaged(pack)
        fetched = {}
        for (first, last), data in zip(runs, found):
            for number in range(first, last + 1):
                at = (number - first) * BLOCK
                block = data[at : at + length_of(pack, number)]
                told = digests[number * DIGEST : (number + 1) * DIGEST]
                if hashlib.sha256(block).digest() != told:
                    raise self._damaged(pack)
                fetched[number] = block
        blocks.update(fetched)
        self._keep_blocks(path, pack, fetched, digests)
        return digests

    def _damaged(self, pack: PackName) -> CorruptPack:
        return CorruptPack(
            f"pack {pack.name!r} in {self._remote} is damaged (its digest is wrong); cache the "
            "workflow again"
        )

    def _keep_blocks(
        self, path: str, pack: PackName, blocks: dict[int, bytes], digests: bytes
    ) -> None:
        try:
            self._files.make_directory(path)
            file = os.open(path, platform.UPDATE, 0o666)
            with open(file, "r+b", buffering=0) as stream:
                for number, block in blocks.items():
                    stream.seek(number * ROW)
                    stream.write(sum_of(block, number) + block)
                stream.seek(end_of(pack))
                stream.write(digests)
        except OSError as error:
            self._files.cannot(error)
        else:
            self._files.written(sum(map(len, blocks.values())) + len(digests))
