"""Notes in a cache: small texts under names, which may be lost at any time.

A note is at `<cache_dir>/v2/<2 hex>/<sha256 of its name>.note`. It lies and is written like a pack,
so a reader sees a whole note or none. The last writer wins.
"""

from __future__ import annotations

from typing import Optional

from . import directory


def note_path(cache_dir: str, name: str) -> str:
    """The path of a note."""
    return f"{directory.pack_path(cache_dir, name).removesuffix('.pack')}.note"


def read_note(cache_dir: str, name: str) -> Optional[bytes]:
    """The content of a note; None if there is none or it cannot be read."""
    try:
        with open(note_path(cache_dir, name), "rb") as stream:
            return stream.read()
    except (OSError, ValueError):
        return None


def write_note(cache_dir: str, name: str, content: bytes) -> None:
    """Write a note. If that is not possible, the log says so at level DEBUG."""
    path = note_path(cache_dir, name)
    try:
        directory.write_file(path, (content,))
    except (OSError, ValueError) as error:
        directory.LOG.debug("cannot write the note %r: %s", path, error)
