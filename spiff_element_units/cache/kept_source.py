"""The source of a workflow, kept beside its pack: bytes, which may be lost at any time.

In a directory, the source of a key is at `<cache_dir>/v2/<2 hex>/<sha256 of the key>.source`, and
lies and is written like the pack. In a store its name is `f<format>/sources/<sha256 of the key>`.
Its content is a magic number, an XXH64 of what follows, the digest of the pack and the source,
compressed with zlib.

A source belongs to the workflow with this digest. If another one is cached under the key, the key
has no source any more. `upkeep` removes a source together with its pack. If somebody removes a key
while it is cached, its source may be lost.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Optional

from ..core.verify import xxh64_of
from ..errors import CacheError
from . import directory, writing
from .store import Place, is_store, read_one
from .stored import KEYS, PREFIX, key_name

LONGEST = 64 * 1024 * 1024
"""Bytes of a source, before it is compressed, at most."""
SUFFIX = ".source"
SOURCES = f"{PREFIX}sources/"

_MAGIC = b"\x89SEUSRC\n"
_SUM = 8  # bytes of a checksum
_DIGEST = hashlib.sha256().digest_size
_AT = len(_MAGIC) + _SUM + _DIGEST
_LONGEST_STORED = _AT + LONGEST + LONGEST // 1000 + 64  # zlib makes nothing longer than this


def source_path(pack_path: str) -> str:
    """The path of the source that lies beside a pack in a directory."""
    return pack_path.removesuffix(".pack") + SUFFIX


def source_name(key_name: str) -> str:
    """The name of the source of a key in a store, from the name of the key."""
    return SOURCES + key_name[len(KEYS) :]


def require_fitting(source: bytes) -> None:
    """Raise CacheError if a source is too long to be kept."""
    if len(source) > LONGEST:
        raise CacheError(
            f"its source has {len(source):,} bytes, and a cache keeps at most {LONGEST:,}; cache "
            "it without its source"
        )


def keep_source(
    place: Place, cache_key: str, digest: bytes, source: bytes, *, durable: bool = False
) -> None:
    """Keep the source of the workflow with this digest. A store is always durable.

    It is not written again if it is there. Raises CacheError if it is too long or cannot be
    written.
    """
    require_fitting(source)
    if read_source(place, cache_key, digest) == source:
        return
    rest = digest + zlib.compress(source, 9)
    content = _MAGIC + _sum(rest) + rest
    if is_store(place):
        place.write(source_name(key_name(cache_key)), content)
        return
    path = source_path(directory.pack_path(place, cache_key))
    try:
        writing.write_file(path, (content,), durable=durable)
    except (OSError, ValueError) as error:
        raise CacheError(f"cannot write the source {path!r}: {error}") from error


def read_source(place: Place, cache_key: str, digest: bytes) -> Optional[bytes]:
    """The source of a workflow; None if it is not there, damaged, or that of another digest."""
    try:
        if is_store(place):
            name = source_name(key_name(cache_key))
            content = read_one(place, name, 0, _LONGEST_STORED)
        else:
            path = source_path(directory.pack_path(place, cache_key))
            with open(path, "rb") as stream:
                content = stream.read(_LONGEST_STORED)
    except (OSError, ValueError, CacheError):
        return None
    return None if content is None else _decoded(content, digest)


def _decoded(content: bytes, digest: bytes) -> Optional[bytes]:
    rest = content[len(_MAGIC) + _SUM :]
    if content[: len(_MAGIC)] != _MAGIC or rest[:_DIGEST] != digest:
        return None
    if content[len(_MAGIC) : len(_MAGIC) + _SUM] != _sum(rest):
        return None
    unpacking = zlib.decompressobj()
    try:
        source = unpacking.decompress(rest[_DIGEST:], LONGEST)
    except zlib.error:
        return None
    return source if unpacking.eof else None


def _sum(content: bytes) -> bytes:
    return xxh64_of(content, len(content)).to_bytes(_SUM, "little")
