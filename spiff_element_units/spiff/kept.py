"""Bounds how many specs are kept, over all loaders of a registry.

The specs that were used longest ago are dropped first. A dropped spec that a workflow still runs on
stays known by a weak reference, so that others get the same object while it lives.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Protocol

from .forks import Lock


class Store(Protocol):
    """Who keeps specs: a `SpecStore`."""

    def drop(self, process_id: str) -> None:
        """Keep a spec no longer."""


class KeptSpecs:
    """Which specs are kept, in the order of their use. Safe to use from several threads at once.

    One lock protects every change to what stores keep, so everything that is kept is counted.
    Nothing else is done under that lock. `used` does not take it, so under the lock only single
    steps read the order.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._order: OrderedDict[tuple[Store, str], None] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._order)

    def keep(self, store: Store, held: dict[str, Any], process_id: str, value: Any) -> list[Any]:
        """Put something that belongs to a process into what a store holds.

        Returns the stores and process ids whose specs are kept no longer.
        """
        dropped = []
        with self._lock.now:
            held[process_id] = value
            self._order[store, process_id] = None
            self._order.move_to_end((store, process_id))
            while len(self._order) > self._limit:
                oldest, name = self._order.popitem(last=False)[0]
                oldest.drop(name)
                dropped.append((oldest, name))
        return dropped

    def used(self, store: Store, process_id: str) -> None:
        """Say that a spec is used now."""
        try:  # noqa: SIM105 - `suppress` takes longer than that
            self._order.move_to_end((store, process_id))
        except KeyError:  # it has just been dropped
            pass

    def forget(self, store: Store) -> None:
        """Drop all that a store keeps."""
        with self._lock.now:
            for key in tuple(self._order):
                if key[0] is store:
                    del self._order[key]
                    store.drop(key[1])
