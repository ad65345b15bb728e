"""Packs in a store: one name for each cache key, and one for each pack.

    f<format>/keys/<sha256 of the key>              which pack it names, and the start of that
    f<format>/packs/<digest>-<random>-<size>        a pack, and the SHA-256 of each block of it
    f<format>/gone/<digest>-<random>-<size>         says since when no key names this pack
    f<format>/sources/<sha256 of the key>           the source of a workflow: see `kept_source`

A pack never changes, and no two are stored under one name. A writer stores the pack first and then
lets the key name it. Whatever happens to the writer, a reader gets the old pack or the new one.
Only `stored_upkeep` deletes packs, an hour after the last key named them: a reader that opened one
goes on with it.

Versions of the library with different pack formats have different names, and share a store without
a conflict. Everything here is safe for several threads, processes and machines.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import time
from typing import NamedTuple, Optional

from ..core.fault import Fault
from ..core.pack import Pack
from ..core.verify import xxh64_of
from ..core.writer import PACK_FORMAT
from ..errors import CacheError, CorruptPack, UnitNotFound
from . import start
from .directory import check, content, key_text, read_pack, tell_published
from .reading import PackName, Reader, digests_length, digests_of
from .store import LONGEST_NAME, Store, read_one

PREFIX = f"f{PACK_FORMAT}/"
KEYS = f"{PREFIX}keys/"
PACKS = f"{PREFIX}packs/"
GONE = f"{PREFIX}gone/"
GRACE = 3600.0
"""Seconds that a pack stays after no key names it any more."""

_MAGIC = b"\x89SEUKEY\n"
_FIXED = struct.Struct("<8sQH")  # magic, XXH64 of the pack's name, length of it; then the name
LONGEST = _FIXED.size + LONGEST_NAME + start.LONGEST
"""Bytes of a key's content, at most."""
_PACK = re.compile(rf"{PACKS}([0-9a-f]{{64}})-[0-9a-f]{{16}}-([0-9]{{1,19}})")


Mark = tuple[str, int]
"""What changes if a key is made to name another pack; the last member is the size of the pack."""


class Opened(NamedTuple):
    """A key as it was read: its content, and the pack that it names."""

    content: bytes
    reader: Reader
    pack: Pack


def key_name(cache_key: str) -> str:
    """The name of a key in a store. TypeError if the key is not a `str`."""
    text = key_text(cache_key).encode("utf-8", "surrogatepass")
    return KEYS + hashlib.sha256(text).hexdigest()


def pack_name(name: str) -> Optional[PackName]:
    """What the name of a pack says; None if it is not one."""
    found = _PACK.fullmatch(name)
    return PackName(name, found[1], int(found[2])) if found else None


def pointed(name: str, content: bytes, store: Store) -> tuple[PackName, bytes]:
    """The pack that a key names, and the start of it.

    Raises CorruptPack if the content is not that of a key.
    """
    if len(content) >= _FIXED.size:
        magic, checksum, length = _FIXED.unpack_from(content)
        told = content[_FIXED.size : _FIXED.size + length]
        if magic == _MAGIC and len(told) == length and xxh64_of(told, length) == checksum:
            pack = pack_name(told.decode("ascii", "replace"))
            if pack is not None:
                return pack, content[_FIXED.size + length :]
    raise CorruptPack(
        f"{name!r} in {store} is damaged (it names no pack); cache the workflow again"
    )


def open_key(store: Store, name: str, length: int = LONGEST, *, of: str = "") -> Opened:
    """Open the pack that a key's name names, which takes one request. `of` is for messages.

    Raises UnitNotFound if the store has no such name.
    """
    content = read_one(store, name, 0, length)
    if content is None:
        raise UnitNotFound(f"{name!r} is not in {store}")
    named, rest = pointed(name, content, store)
    told = f"pack {named.name!r}{of} in {store}"
    reader = Reader(store, named, start.decoded(rest, named.size), told)
    return Opened(content, reader, read_pack(reader.read, named.size, told))


def open_cached(store: Store, cache_key: str) -> Opened:
    """Open the pack of a key. Raises the errors of `directory.open_pack`."""
    cache_key = key_text(cache_key)
    name = key_name(cache_key)
    try:
        opened = open_key(store, name, of=f" of cache key {cache_key!r}")
    except UnitNotFound:
        raise UnitNotFound(
            f"cache key {cache_key!r} is not cached in {store}; "
            "call cache_element_units_for_workflow first"
        ) from None
    if opened.pack.key != cache_key:
        raise CorruptPack(
            f"{name!r} in {store} belongs to cache key {opened.pack.key!r}, not {cache_key!r}; "
            "cache the workflow again"
        )
    return opened


def open_pack(store: Store, cache_key: str) -> Pack:
    return open_cached(store, cache_key).pack


def open_whole_pack(store: Store, cache_key: str) -> Pack:
    """Open the pack of a key, and read and check every part of it. It stays in memory."""
    opened = open_cached(store, cache_key)
    opened.reader.read_whole()
    check(opened.pack)
    return opened.pack


def mark_of(store: Store, cache_key: str) -> Optional[Mark]:
    """The mark of a key; None if it is not there, or if the store fails."""
    name = key_name(cache_key)
    try:
        content = read_one(store, name, 0, _FIXED.size + LONGEST_NAME)
    except CacheError:
        return None
    return None if content is None else mark_in(store, name, content)


def mark_in(store: Store, name: str, content: bytes) -> Mark:
    """The mark of a key with this content, damaged or not."""
    try:
        pack = pointed(name, content, store)[0]
    except CorruptPack:
        return hashlib.sha256(content).hexdigest(), len(content)
    return pack.name, pack.size


def holds(store: Store, cache_key: str, digest: bytes, *, says_events: bool = True) -> bool:
    """Whether a good pack of the workflow with this digest is already cached under the key.

    If there is one, it becomes as new as one that was just cached.

    Raises CacheError if the store fails.
    """
    try:
        opened = open_cached(store, cache_key)
        if opened.pack.digest != digest:
            return False
        opened.reader.read_whole()
        check(opened.pack)
        if says_events and not opened.pack.says_events():
            return False
    except (CorruptPack, UnitNotFound, Fault):
        return False
    store.write(key_name(cache_key), opened.content)
    return True


def publish(store: Store, cache_key: str, pack: Pack) -> None:
    """Store a pack under a key, and replace the pack that was there.

    Raises CacheError if the store fails. The pack that was there is then still there.
    """
    whole = b"".join(content(pack, cache_key))
    digests = digests_of(whole)
    assert len(digests) == digests_length(len(whole))
    digest = hashlib.sha256(digests).hexdigest()
    start_of = start.encoded(whole)
    # If this takes so long that the new pack looks abandoned, upkeep may have removed it.
    started = time.monotonic()
    for _ in range(2):
        name = f"{PACKS}{digest}-{os.urandom(8).hex()}-{len(whole)}"
        store.write(name, whole + digests)
        told = name.encode("ascii")
        store.write(
            key_name(cache_key),
            _FIXED.pack(_MAGIC, xxh64_of(told, len(told)), len(told)) + told + start_of,
        )
        if time.monotonic() - started < GRACE / 2 or read_one(store, name, 0, 1) is not None:
            return tell_published(cache_key, len(whole))
    raise CacheError(
        f"cannot store the pack of cache key {cache_key!r} in {store}: it took so long that upkeep "
        "removed the pack; cache the workflow again"
    )
