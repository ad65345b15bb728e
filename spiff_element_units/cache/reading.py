"""Reads a pack of a store in as few requests as possible.

The start of the pack is stored with its key, and was read with it. A request costs more than the
bytes that it brings. So a read asks for more than it needs, and each further request asks for four
times as much as the last one. A walk through a whole pack needs a handful of requests.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from ..errors import CacheError, CorruptPack
from .start import Windows
from .store import Store, read_one

_AHEAD = 64 * 1024  # bytes that the first request asks for
_MOST = 16 * 1024 * 1024  # bytes that a request asks for if it needs less
_KEPT = 4  # requests whose bytes are kept

BLOCK = 64 * 1024
"""The size of a block, in bytes. The digest of each block is behind the pack."""
DIGEST = 32


class PackName(NamedTuple):
    """The parts of a pack's name: its digest, and its size in bytes without the digests."""

    name: str
    digest: str
    size: int

    @property
    def stored_size(self) -> int:
        """The size with the digests."""
        return self.size + digests_length(self.size)


def digests_length(size: int) -> int:
    """The length of the digests behind a pack of this size."""
    return -(-size // BLOCK) * DIGEST


def digests_of(pack: bytes) -> bytes:
    """The SHA-256 of each block of a pack. The SHA-256 of these is the digest in its name."""
    view = memoryview(pack)
    return b"".join(
        hashlib.sha256(view[at : at + BLOCK]).digest() for at in range(0, len(view), BLOCK)
    )


class Reader:
    """The bytes of one pack in a store. Several threads may use it.

    It keeps the bytes of the last few requests.
    """

    __slots__ = ("_ahead", "_pack", "_start", "_store", "_told", "_windows")

    def __init__(self, store: Store, pack: PackName, start: Windows, told: str) -> None:
        """`start` is what is known of the pack without a request; messages call it `told`."""
        self._store = store
        self._pack = pack
        self._told = told
        self._ahead = _AHEAD
        self._start = start
        self._windows: Windows = ()

    @property
    def size(self) -> int:
        return self._pack.size

    def read(self, offset: int, length: int) -> bytes:
        """Read `length` bytes from `offset` on, or fewer at the end of the pack.

        Raises CacheError if the store fails, and CorruptPack if it does not have the pack any more.
        """
        length = min(length, self._pack.size - offset)
        for at, held in (*self._windows, *self._start):
            if at <= offset and offset + length <= at + len(held):
                return held[offset - at : offset - at + length]
        if length <= 0:
            return b""
        wanted = max(length, self._ahead)
        self._ahead = min(4 * self._ahead, _MOST)
        first = 0 if wanted >= self._pack.size else offset
        data = self._request(first, min(wanted, self._pack.size - first))
        self._windows = (*self._windows[-_KEPT + 1 :], (first, data))
        return data[offset - first : offset - first + length]

    def read_whole(self) -> None:
        """Read the whole pack and keep it. Raises CorruptPack if it is not what its name says."""
        data = self._request(0, self._pack.stored_size)
        pack, digests = data[: self._pack.size], data[self._pack.size :]
        if (
            hashlib.sha256(digests).hexdigest() != self._pack.digest
            or digests_of(pack) != digests
            or any(pack[at : at + len(held)] != held for at, held in self._start)
        ):
            raise CorruptPack(
                f"{self._told} is damaged (its digest is wrong); cache the workflow again"
            )
        self._start, self._windows = ((0, pack),), ()

    def _request(self, offset: int, length: int) -> bytes:
        data = read_one(self._store, self._pack.name, offset, length)
        if data is None:
            raise CorruptPack(
                f"{self._told} is not there any more; open the cache key again, and cache the "
                "workflow again if that fails too"
            )
        if len(data) != length:
            raise CacheError(
                f"{self._told} cannot be read: {self._store} returned {len(data)} of {length} "
                f"bytes at byte {offset}; try again, and cache the workflow again if that fails too"
            )
        return data
