"""Where the specs of a loader come from: its own workflow, those of `resolve`, earlier versions."""

from __future__ import annotations

from typing import Optional

from ..errors import UnitNotFound
from ..units import ElementUnits
from .events import QUIET, Events
from .forks import Lock
from .kept import KeptSpecs
from .specs import Resolve, Serializer, SpecStore, label


class SpecSources:
    """The workflows of a loader: its own, and the others that `resolve` returned.

    Safe to use from several threads at once.
    """

    def __init__(
        self,
        units: ElementUnits,
        serializer: Serializer,
        resolve: Optional[Resolve],
        events: Events = QUIET,
    ) -> None:
        self.own: SpecStore = SpecStore(units, serializer, events=events)
        self.serializer = serializer
        self._resolve = resolve
        self._lock = Lock()
        self._stores = {self.own.digest: self.own}
        self._resolved: dict[str, SpecStore] = {}
        self._earlier: dict[str, SpecStore] = {}

    def bind(self, bound: KeptSpecs) -> None:
        """Bound the specs that are kept; before any is restored."""
        self.own.bound = bound

    def forget(self) -> None:
        """Drop all specs that are kept; with a bound."""
        stores = (*self._stores.values(), *self._earlier.values())
        for store in (*stores, *(one._inner for one in stores)):
            if store is not None and store.bound is not None:
                store.bound.forget(store)

    def _store(self, units: ElementUnits, own: bool) -> SpecStore:
        events, bound = self.own.events, self.own.bound
        return SpecStore(units, self.serializer, own, events=events, bound=bound)

    @property
    def resolves(self) -> bool:
        """Whether there is a `resolve`."""
        return self._resolve is not None

    def resolved(self, process_id: str) -> Optional[SpecStore]:
        """The workflow that `resolve` returns for a process. It is kept, but None is not.

        Raises TypeError if `resolve` returns anything else, and UnitNotFound if it returns a
        workflow that does not contain the process.
        """
        store = self._resolved.get(process_id)
        if store is not None:
            return store
        store = self.ask(process_id)
        return store and self._resolved.setdefault(process_id, store)

    def version(self, digest: str, process_ids: list[str]) -> Optional[tuple[SpecStore, str]]:
        """The workflow with this digest, and the process id that `resolve` returned it for.

        It is a known workflow, or one that `resolve` now returns for one of the process ids.
        """
        store = self._stores.get(digest)
        if store is not None:
            known = (name for name in process_ids if self._resolved.get(name) is store)
            return store, next(known, process_ids[0])
        for name in process_ids:
            kept = name in self._resolved
            store = self.resolved(name)
            if kept and store is not None and store.digest != digest:
                store = self.ask(name)  # it may be a newer one than was kept
            if store is not None and store.digest == digest:
                return store, name
        return None

    def earlier(
        self, cache_key: Optional[str], digest: Optional[str], own: bool
    ) -> Optional[SpecStore]:
        """Another version of a workflow, from the cache of the loader's; None if it is not there.

        `own` if it is a version of the loader's own workflow.
        """
        if digest is None:
            return None
        store = self._stores.get(digest) or self._earlier.get(digest)
        if store is None and cache_key is not None:
            units = self.own.units._beside(cache_key)
            if units is not None and units.digest == digest:
                store = self._earlier[digest] = self._store(units, own)
        return store

    def ask(self, process_id: str) -> Optional[SpecStore]:
        """What `resolve` has for a process now."""
        units = None if self._resolve is None else self._resolve(process_id)
        if units is None:
            return None
        if not isinstance(units, ElementUnits):
            raise TypeError(
                f"resolve({process_id!r}) returned {type(units).__name__}; return an ElementUnits, "
                "or None if no workflow contains the process"
            )
        with self._lock.now:
            store = self._stores.get(units.digest)
            if store is None:
                store = self._stores[units.digest] = self._store(units, own=False)
        if not store.has(process_id):
            raise UnitNotFound(
                f"resolve({process_id!r}) returned {label(store)}, which has no such process; "
                "return the ElementUnits of a workflow that contains it, or None"
            )
        return store
