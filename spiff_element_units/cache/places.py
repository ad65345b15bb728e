"""A cache lies in a directory or in a store: these functions take both.

A string or a path is a directory and goes straight to `directory`. For what they do and raise, see
there and in `stored`.
"""

from __future__ import annotations

import os
import warnings
from typing import Optional, Union

from ..core.pack import Pack
from ..errors import CacheError
from . import directory, stored
from .cached_store import CachedStore
from .store import Place, Store, is_store, read_one

Mark = Union[directory.Mark, stored.Mark]

_warned: dict[str, object] = {}  # the caches that cannot be written, of which a warning was given


def checked(place: Place) -> Union[str, Store]:
    """A store as it is, or the path of a directory. TypeError if it is something else."""
    if is_store(place):
        return place
    return directory.directory_path(place)


def open_pack(place: Place, cache_key: str) -> Pack:
    if type(place) is str:  # a short way, because every get of a unit takes it
        return directory.open_pack(place, cache_key)
    if isinstance(place, CachedStore):
        return place.open_pack(cache_key)
    if is_store(place):
        return stored.open_pack(place, cache_key)
    return directory.open_pack(place, cache_key)


def open_whole_pack(place: Place, cache_key: str) -> Pack:
    if isinstance(place, CachedStore):
        return place.open_whole_pack(cache_key)
    if is_store(place):
        return stored.open_whole_pack(place, cache_key)
    return directory.open_whole_pack(place, cache_key)


def holds(
    place: Place,
    cache_key: str,
    digest: bytes,
    *,
    says_events: bool = True,
    durable: bool = False,
) -> bool:
    """Whether a good pack of this digest is cached under the key. A store is always durable."""
    if is_store(place):
        return stored.holds(place, cache_key, digest, says_events=says_events)
    return directory.holds(place, cache_key, digest, says_events=says_events, durable=durable)


def publish(place: Place, cache_key: str, pack: Pack, *, durable: bool = False) -> None:
    if is_store(place):
        stored.publish(place, cache_key, pack)
    else:
        directory.publish(place, cache_key, pack, durable=durable)


def publish_or_warn(place: Place, cache_key: str, pack: Pack, *, durable: bool = False) -> None:
    """Store a pack, and warn if that is not possible.

    A process warns once for each cache, with a RuntimeWarning and in the log of
    `spiff_element_units`.
    """
    try:
        publish(place, cache_key, pack, durable=durable)
    except CacheError as error:
        this_time = object()
        if _warned.setdefault(_told(place), this_time) is this_time:
            told = (
                f"{error}; this process uses the workflow from memory, and each process makes "
                "it again until the cache can be written"
            )
            directory.LOG.warning(told)
            warnings.warn(told, RuntimeWarning, stacklevel=4)


def mark_of(place: Place, cache_key: str) -> Optional[Mark]:
    """A value that changes if another pack is cached under a key; None if it is not known.

    The last member is the size of the pack in bytes. In a store this is one small request.
    """
    if isinstance(place, CachedStore):
        return place.mark_of(cache_key)
    if is_store(place):
        return stored.mark_of(place, cache_key)
    return directory.mark_of(directory.pack_path(place, cache_key))


def is_cached(place: Place, cache_key: str) -> bool:
    """Whether anything is cached under the key, good or damaged."""
    if is_store(place):
        return read_one(place, stored.key_name(cache_key), 0, 1) is not None
    return os.path.lexists(directory.pack_path(place, cache_key))


def pack_size(place: Place, cache_key: str) -> int:
    """The size of the pack of a key in bytes. Raises the errors of `open_pack` in a store."""
    if is_store(place):
        return stored.open_key(place, stored.key_name(cache_key)).reader.size
    return os.path.getsize(directory.pack_path(place, cache_key))


def _told(place: Place) -> str:
    return str(checked(place))
