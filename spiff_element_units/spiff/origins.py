"""Which other workflow each process of an instance comes from.

The engine finds a process only by its name, and several workflows may contain a process of the
same name. For each process of an instance this is decided once. The first of these rules that
applies decides:

1. A process of the loader's own workflow comes from there. This module never sees it.
2. If the instance was resumed, a process comes from the workflow that the state names.
3. An embedded subprocess, or a process that an event starts, comes from the workflow of the process
   that needs it.
4. A called process comes from the workflow that the loader's `resolve` returns for the name. If it
   returns None, the process comes from the workflow of its caller, if that contains it.

The decision never depends on the order in which the instance reaches its processes. If a second
process needs a different version later, that is an error, unless `resolve` has decided.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable, NamedTuple, Optional

from ..errors import ElementUnitsError
from .external import ExternalName
from .sources import SpecSources
from .specs import SpecStore, label, plain
from .versions import version


class Origin(NamedTuple):
    """The workflow of a process, and the process id for which `resolve` returned it."""

    store: SpecStore
    resolved_as: str


class Origins:
    """The origins of the processes of one instance. Only one thread may use it at a time."""

    def __init__(self, sources: SpecSources, is_own: Callable[[str], bool]) -> None:
        self._sources = sources
        self._is_own = is_own
        self._decided: dict[str, Origin] = {}
        self._recorded: dict[str, dict[str, Any]] = {}

    def of_same(self, other: Origins) -> None:
        """Copy the decisions of another object."""
        self._decided = dict(other._decided)
        self._recorded = dict(other._recorded)

    def record(self, externals: dict[str, dict[str, Any]]) -> None:
        """Use what a state says. `told` wrote it."""
        self._recorded = dict(externals)

    @property
    def recorded(self) -> Iterable[str]:
        """The ids of the processes that the state names."""
        return self._recorded.keys()

    def told(self, brought: Callable[[], Iterable[str]]) -> dict[str, dict[str, Any]]:
        """What to save about the processes that were read, and what the state said about others.

        `brought` gives the ids of the processes.
        """
        told = dict(self._recorded)
        for name in self._decided and self._decided.keys() & set(brought()):
            store, resolved_as = self._decided[name]
            told[name] = version(store)
            if resolved_as != name:
                told[name]["resolved_as"] = resolved_as
        return told

    def store(self, name: str) -> Optional[SpecStore]:
        """The workflow that was decided on for a process."""
        origin = self._decided.get(name)
        return None if origin is None else origin.store

    def decide(self, key: str) -> Optional[SpecStore]:
        """The workflow that a process comes from; None if no workflow contains it.

        `key` is its name: an ExternalName from the task spec that refers to it, or a plain `str`.
        Raises ElementUnitsError if the referring process needs a different version than the one
        that was decided.
        """
        name = plain(key)
        caller = self._decided.get(key.process_id) if isinstance(key, ExternalName) else None
        origin = self._decided.get(name)
        if origin is None:
            origin = self._from_state(name) or self._newly(key, name, caller)
            if origin is None:
                return None
            self._bring(name, origin)
        if caller is not None and origin.resolved_as != name:
            self._require_same(name, caller.store, origin.store, caller.resolved_as)
        return origin.store

    def _from_state(self, name: str) -> Optional[Origin]:
        told = self._recorded.get(name)
        if told is None:
            return None
        digest, names = told["digest"], [told.get("resolved_as", name)]
        if "resolved_as" not in told:  # 0.4.0 wrote none; it may be any of these names
            names += [one for one, its in self._recorded.items() if its["digest"] == digest]
        found = self._sources.version(digest, names)
        return Origin(*found) if found is not None and found[0].has(name) else None

    def _newly(self, key: str, name: str, caller: Optional[Origin]) -> Optional[Origin]:
        if caller is not None and isinstance(key, ExternalName) and not key.called:
            return caller
        store = self._sources.resolved(name)
        if store is not None:
            return Origin(store, name)
        return caller if caller is not None and caller.store.has(name) else None

    def _bring(self, name: str, origin: Origin) -> None:
        """Decide for a process and everything that is embedded in it."""
        embedded = [one for one in origin.store.units.needs(name) if one != name]
        for one in embedded:
            store = self._sources.own if self._is_own(one) else self.store(one)
            if store is not None:
                self._require_same(one, origin.store, store, name)
        self._decided[name] = origin
        for one in embedded:
            if not self._is_own(one):
                self._decided.setdefault(one, origin)

    def _require_same(
        self, name: str, wanted: SpecStore, decided: SpecStore, needed_by: str
    ) -> None:
        """Raise ElementUnitsError if one name would stand for two different processes."""
        if wanted is decided or not wanted.has(name):
            return
        if wanted.units.spec_json(name) != decided.units.spec_json(name):
            raise ElementUnitsError(
                f"process {name!r} in {label(wanted)}, which {needed_by!r} needs, differs from the "
                f"one in {label(decided)}, and an instance cannot use both; give one of them "
                "another id, or let resolve return the one that both should call"
            )
