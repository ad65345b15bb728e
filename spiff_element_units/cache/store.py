"""What a store is: named bytes that several machines read and write.

A cache can lie in a store instead of a directory, so that machines without a common disk share it.
`Store` is the whole of what the library asks of one. `stored` says what it keeps there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Optional, Protocol, Union

from ..errors import CacheError

if TYPE_CHECKING:
    from typing_extensions import TypeIs

LONGEST_NAME = 200


class Stored(NamedTuple):
    """What a store knows of one name: its size in bytes, and when it was written.

    `modified` is in seconds since 1970, by the clock of the store. It increases when the name is
    written again, if the clock of the store is fine enough.
    """

    name: str
    size: int
    modified: float


class Store(Protocol):
    """Named bytes in a place that several machines reach: a database, Redis, an object store.

    A name has at most 200 characters of `a-z`, `0-9`, `-` and `/`, and never begins with `/`. What
    is written is never empty. Each method may be called by several threads at the same time, and
    several processes and machines may use the same place.

    Each method raises `CacheError` if the store fails: if it cannot be reached, refuses, is full,
    or does not answer in time. The message says which store and why, and contains no credentials.
    The store itself tries again as often as is sensible. All methods can be repeated safely.

    `str(store)` names the store in messages, without credentials.
    """

    def read(self, name: str, ranges: Sequence[tuple[int, int]]) -> Optional[list[bytes]]:
        """Return the bytes of each `(offset, length)` of a name's content; None without the name.

        Each offset is inside the content, and each length is at least 1. At the end of the content
        a range gives fewer bytes. The library asks for several ranges only of names that are
        written once. One request for all of them is best.
        """
        ...

    def write(self, name: str, content: bytes) -> None:
        """Store the content under this name, in place of what had it.

        It is stored whole or not at all: until the last byte is stored, readers get what was there.
        """
        ...

    def list_names(self, prefix: str) -> Iterable[Stored]:
        """Return everything whose name begins with the prefix, in any order.

        The prefix ends with `/`.
        """
        ...

    def delete(self, name: str, modified: Optional[float] = None) -> bool:
        """Delete what has this name. Return False if nothing has.

        With `modified`, delete nothing and return False if it was written again since `list_names`
        gave this time. If the store cannot do that in one step, it looks just before.
        """
        ...


CacheDir = Union[str, os.PathLike[str]]
Place = Union[str, os.PathLike[str], Store]


def is_store(place: object) -> TypeIs[Store]:
    """Whether this is a store. Everything else counts as a directory, even if it is not a path."""
    return not isinstance(place, (str, os.PathLike)) and all(
        callable(getattr(place, method, None))
        for method in ("read", "write", "list_names", "delete")
    )


def read_one(store: Store, name: str, offset: int, length: int) -> Optional[bytes]:
    """Read one range; None if the store has nothing of this name.

    Raises CacheError if the store does not return a range for the one that it was asked for.
    """
    found = store.read(name, [(offset, length)])
    if found is None:
        return None
    if len(found) != 1 or len(found[0]) > length:
        raise CacheError(
            f"{store} returned other ranges of {name!r} than it was asked for; test the store with "
            "spiff_element_units.stores.testing"
        )
    return found[0]
