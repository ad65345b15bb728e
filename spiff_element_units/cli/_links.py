"""Calls from one cached workflow to another: finds processes that a workflow does not contain.

A process that nobody's workflow contains stays external. If several workflows contain it, the one
whose root it is comes first, and then the one whose key is most like that of the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple, Optional

import orjson

from ..cache import upkeep
from ..cache.store import Place
from ..errors import ElementUnitsError
from ..units import ElementUnits


class _Place(NamedTuple):
    """A workflow that contains a process, and if the process is its root."""

    key: str
    is_root: bool


class Links:
    """The other workflows of the cache that a workflow is in.

    `used` has the key that each process was found under. `others` has the further keys, if there is
    a choice.
    """

    def __init__(self, cache_dir: Place, key: str) -> None:
        self.used: dict[str, str] = {}
        self.others: dict[str, list[str]] = {}
        self._cache_dir = cache_dir
        self._key = key
        self._opened: dict[str, ElementUnits] = {}

    @cached_property
    def _places(self) -> dict[str, list[_Place]]:
        """The workflows that contain each process that can be called."""
        places: dict[str, list[_Place]] = {}
        for cached in upkeep.cache_keys(self._cache_dir):
            if cached.cache_key == self._key:
                continue
            try:
                units = ElementUnits.open(self._cache_dir, cached.cache_key)
                for one in _callable(units):
                    places.setdefault(one, []).append(_Place(cached.cache_key, one == units.root))
            except ElementUnitsError:  # removed or damaged in the meantime
                continue
        return places

    @property
    def opened(self) -> tuple[ElementUnits, ...]:
        """The workflows that processes were found in."""
        return tuple(self._opened.values())

    def find(self, process_id: str) -> Optional[ElementUnits]:
        """The workflow that contains a process; None if none does."""
        places = self._places.get(process_id)
        if not places:
            return None
        key, *others = sorted(
            (place.key for place in places if place.is_root == any(one.is_root for one in places)),
            key=lambda key: (-_alike(key, self._key), key),
        )
        self.used[process_id] = key
        if others:
            self.others[process_id] = others
        if key not in self._opened:
            self._opened[key] = ElementUnits.open(self._cache_dir, key)
        return self._opened[key]


def externals(units: ElementUnits, process_ids: Optional[Iterable[str]] = None) -> Iterator[str]:
    """The processes that a workflow refers to and does not contain, each once.

    With `process_ids`, only those that these processes refer to.
    """
    within = units.process_ids if process_ids is None else process_ids
    named = (one for process in within for one in units.references(process))
    yield from dict.fromkeys(one.process_id for one in named if one.external)


def linked(
    units: ElementUnits, cache_dir: Place, key: Optional[str]
) -> tuple[ElementUnits, dict[str, str]]:
    """A workflow with what it calls from others, and the key that each such process is from.

    Without a key, the workflow is from a file, and is returned as it is.
    A process stays external if it leads to one whose id is that of another process here.
    """
    waiting = list(externals(units)) if key is not None else []
    if key is None or not waiting:
        return units, {}
    links = Links(cache_dir, key)
    specs = {one: units.spec_json(one) for one in units.process_ids}
    origins: dict[str, str] = {}
    for name in waiting:  # grows
        other = None if name in specs else links.find(name)
        if other is None:
            continue
        brought = {one: other.spec_json(one) for one in other.needs(name, defer="nothing")}
        if any(specs.get(one, text) != text for one, text in brought.items()):
            continue
        origins.update({one: links.used[name] for one in brought if one not in specs})
        specs.update(brought)
        waiting += [one for one in externals(other, brought) if one not in waiting]
    if not origins:
        return units, origins
    root = specs[units.root]
    inner = {
        one: text for one, text in specs.items() if one != units.root or one in units.subprocess_ids
    }
    members = b",".join(orjson.dumps(one) + b":" + text for one, text in inner.items())
    text = b'{"spec":' + root + b',"subprocess_specs":{' + members + b"}}"
    return ElementUnits.from_json(text), origins


def _callable(units: ElementUnits) -> Iterator[str]:
    """The root, and what is called."""
    named = (one for process in units.process_ids for one in units.references(process))
    called = (one.process_id for one in named if one.kind == "call" and not one.external)
    yield from dict.fromkeys([units.root, *called])


def _alike(key: str, other: str) -> int:
    """How many folders two keys have in common."""
    count = 0
    for one, two in zip(key.split("/")[:-1], other.split("/")[:-1]):
        if one != two:
            break
        count += 1
    return count
