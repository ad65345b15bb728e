"""Notes in a cache: small texts under names, which may be lost at any time.

In a directory, a note is at `<cache_dir>/v2/<2 hex>/<sha256 of its name>.note`. It lies and is
written like a pack, so a reader sees a whole note or none. In a store its name is
`f<format>/notes/<sha256 of its name>`, and its content is an XXH64 and the text. The last writer
wins.
"""

from __future__ import annotations

import hashlib
from typing import Optional

from ..core.verify import xxh64_of
from ..errors import CacheError
from . import directory, writing
from .store import CacheDir, Place, Store, is_store, read_one
from .stored import PREFIX

_SUM = 8  # bytes of a checksum
_LONGEST = 64 * 1024 * 1024  # bytes of a note in a store


def note_path(cache_dir: CacheDir, name: str) -> str:
    """The path of a note in a directory."""
    return f"{directory.pack_path(cache_dir, name).removesuffix('.pack')}.note"


def stored_name(name: str) -> str:
    """The name of a note in a store."""
    return f"{PREFIX}notes/{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()}"


def read_note(place: Place, name: str) -> Optional[bytes]:
    """The content of a note; None if there is none or it cannot be read."""
    try:
        if is_store(place):
            return _read(place, stored_name(name))
        with open(note_path(place, name), "rb") as stream:
            return stream.read()
    except (OSError, ValueError, CacheError):
        return None


def write_note(place: Place, name: str, content: bytes) -> None:
    """Write a note. If that is not possible, the log says so at level DEBUG."""
    try:
        if is_store(place):
            place.write(stored_name(name), _sum(content) + content)
        else:
            writing.write_file(note_path(place, name), (content,))
    except (OSError, ValueError, CacheError) as error:
        directory.LOG.debug("cannot write the note %r in %s: %s", name, place, error)


def _read(store: Store, name: str) -> Optional[bytes]:
    stored = read_one(store, name, 0, _LONGEST)
    if stored is None or stored[:_SUM] != _sum(stored[_SUM:]):
        return None
    return stored[_SUM:]


def _sum(content: bytes) -> bytes:
    return xxh64_of(content, len(content)).to_bytes(_SUM, "little")
