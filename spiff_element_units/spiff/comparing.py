"""Compares states with a version of their workflow: which continue, which can be migrated, and why.

An instance continues without a migration if every process that it is in is the same in the version.
It can be migrated if it has not finished any changed element and is not at one. Only the living
processes of a state count, because settled subprocesses do not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Optional

from ..errors import ElementUnitsError, UnitNotFound
from ..units import ElementUnits
from .alignment import Alignment
from .comparison import ElementComparison, ProcessComparison, StateComparison
from .judging import Judged, judge
from .opening import Opening
from .specs import SpecStore, label
from .state import State, damage_told, settled_in
from .versions import WorkflowVersion, place, version


class Comparing:
    """Compares states with the workflow of a loader.

    `old` is the version that they were saved with, as ElementUnits or a loader. If it is None, the
    version is looked up in the cache of the loader's workflow, under the key in the state.
    `renamed` contains the new ids of elements, by their old ids. Only one thread may use it at a
    time.
    """

    def __init__(self, loader: Any, old: Any = None, renamed: Optional[Mapping[str, str]] = None):
        self._loader = loader
        self._own: SpecStore = loader._sources.own
        self._old = None if old is None else self._store_of(old)
        loaders = [old, loader] if isinstance(old, type(loader)) else [loader]
        self._places = [one._sources for one in loaders]
        self._renamed = dict(renamed or {})
        if self._renamed:
            self._require_new_ids()
        self._alignments: dict[tuple[str, str, str, bool], Alignment] = {}
        self._old_workflows: dict[str, ElementUnits] = {}  # by their digests

    def compare(self, state: State) -> StateComparison:
        """Compare one state: one text, a mapping, or a live piece."""
        with damage_told("compared"):
            run = self._loader._serializing.run_of(state)
            opening = Opening(self._loader, False)
            header = opening.begin(run)
            serializing = self._loader._serializing
            migrated = serializing.migrate(run)
            before: Iterable[str]
            if header is None:
                before = serializing.settled_processes(None if migrated else state, run)
            else:
                before = header.get("processes", {})
            return _Comparison(self, run, header, opening).result(before)

    def alignment(
        self, name: str, then: dict[str, Any], header: dict[str, Any], now: SpecStore
    ) -> Optional[Alignment]:
        """The elements of a process then and now; None if the old version cannot be found."""
        store = self.store_then(then, then is header)
        if store is None or not store.has(name):
            return None
        self._old_workflows[store.digest] = store.units
        if now is not self._own:  # the root may have another spec for calls
            store = store.for_calls(name)
        key = name, store.process_digest(name), now.process_digest(name), now is self._own
        if key not in self._alignments:
            self._alignments[key] = self.align(store.restore(name), now.restore(name))
        return self._alignments[key]

    def align(self, old: Any, new: Any) -> Alignment:
        """The elements of two specs."""
        return Alignment(self._own.registry, old, new, self._renamed)

    def store_then(self, then: dict[str, Any], own: bool) -> Optional[SpecStore]:
        """The workflow of a version that a state names."""
        digest = then.get("digest")
        if self._old is not None and self._old.digest == digest:
            return self._old
        found = (one.earlier(then.get("cache_key"), digest, own) for one in self._places)
        return next((store for store in found if store is not None), None)

    def require_old_ids(self) -> None:
        """Raise ElementUnitsError if none of the old workflows has an id that was renamed."""
        if not (self._renamed and self._old_workflows):
            return
        known = {one for units in self._old_workflows.values() for one in _element_ids(units)}
        for name in self._renamed:
            if name not in known and not self._loader._sources.resolves:
                raise ElementUnitsError(
                    f"the version that the instance was saved with has no element {name!r}; "
                    "correct the old id"
                )

    def _require_new_ids(self) -> None:
        new = _element_ids(self._own.units)
        for name, partner in self._renamed.items():
            if partner not in new and not self._loader._sources.resolves:
                raise ElementUnitsError(
                    f"{label(self._own)} has no element {partner!r}, the new id of {name!r}; "
                    "correct the new id"
                )

    def _store_of(self, old: Any) -> SpecStore:
        if isinstance(old, ElementUnits):
            return SpecStore(old, self._loader._serializer)
        if isinstance(old, type(self._loader)):
            store: SpecStore = old._sources.own
            return store
        raise TypeError(f"old must be an ElementUnits or a SpecLoader, not {type(old).__name__}")


class _Comparison:
    """The comparison of one state."""

    def __init__(
        self, comparing: Comparing, run: Any, header: Optional[dict[str, Any]], opening: Opening
    ) -> None:
        self._comparing = comparing
        self._own = comparing._own
        self._run = run
        self._header = header
        self._opening = opening
        self._reasons: list[str] = []
        self._migrates = True
        mapping = comparing._loader.subprocess_specs()
        if header is not None:
            mapping.origins.record(header.get("externals", {}))
        self._mapping = mapping

    def result(self, before: Iterable[str]) -> StateComparison:
        """The comparison. `before` are the processes that the instance has been in."""
        living = self._living()
        found = [self._process(name, tasks) for name, tasks in living.items()]
        can_resume = all(one.result == "same" for one in found)
        found += [
            ProcessComparison(name, self._verdict(name, self._saved_spec(name)), False)
            for name in before
            if name not in living
        ]
        saved = {} if self._header is None else self._header
        return StateComparison(
            process_id=self._opening.process_id,
            saved_with=WorkflowVersion.told(saved),
            compared_with=WorkflowVersion.told(version(self._own)),
            processes=tuple(found),
            can_resume=can_resume,
            can_migrate=can_resume or self._migrates,
            reasons=tuple(self._reasons),
        )

    def _living(self) -> dict[str, list[dict[str, Any]]]:
        """The tasks of each process that the instance is in: a dict of them for each subprocess."""
        found = {self._opening.process_id: [self._run["tasks"]]}
        subprocesses = self._run["subprocesses"]
        settled = settled_in(self._run) if subprocesses else {}
        attached = _attached(self._run["tasks"], subprocesses)
        for key, one in subprocesses.items():
            if key in attached and key not in settled:
                found.setdefault(one["spec"], []).append(one["tasks"])
        return found

    def _process(self, name: str, subprocesses: list[dict[str, Any]]) -> ProcessComparison:
        saved = self._saved_spec(name)
        verdict = self._verdict(name, saved)
        if verdict == "same":
            return ProcessComparison(name, verdict, True)
        if verdict == "gone":
            self._refuse(
                f"process {name!r} is not in {label(self._own)} any more, and the instance is in it"
            )
            return ProcessComparison(name, verdict, True)
        self._reasons.append(f"process {name!r} has changed, and the instance is in it")
        alignment = self._alignment(name, saved)
        if alignment is None:
            then = WorkflowVersion.told(place(self._header or {}, name))
            self._refuse(
                f"what has changed in process {name!r} is not known, because {then} is not there; "
                "cache it again under that key, or pass it as old="
            )
            return ProcessComparison(name, verdict, True)
        known = self._added_by_engine(name)
        judged = [judge(name, alignment, tasks, known) for tasks in subprocesses]
        for one in judged:
            for reason in one.reasons:
                self._refuse(reason)
        return ProcessComparison(name, verdict, True, _elements(alignment, judged))

    def _refuse(self, reason: str) -> None:
        self._migrates = False
        if reason not in self._reasons:
            self._reasons.append(reason)

    def _saved_spec(self, name: str) -> Any:
        """The spec of a process in a state of `serialize_json`."""
        if self._header is not None:
            return None
        if name == self._opening.process_id:
            return self._run["spec"]
        return (self._run.get("subprocess_specs") or {}).get(name)

    def _verdict(self, name: str, saved: Any) -> Any:
        now = self._now(name)
        if now is None:
            return "gone"
        if self._header is None:
            same = saved is None or self._opening.same.is_as_saved(name, now, saved, self._run)
        else:
            same = not self._opening.same.differs(name, now, self._comparing.store_then)
        return "same" if same else "changed"

    def _now(self, name: str) -> Optional[SpecStore]:
        """The workflow that has a process now."""
        if self._own.has(name):
            return self._own if name == self._opening.process_id else self._own.for_calls(name)
        try:
            found: Optional[SpecStore] = self._mapping.origins.decide(name)
        except UnitNotFound:
            return None
        return found

    def _alignment(self, name: str, saved: Any) -> Optional[Alignment]:
        now = self._now(name)
        assert now is not None
        if self._header is not None:
            where = place(self._header, name)
            return self._comparing.alignment(name, where, self._header, now)
        if saved is None:
            return None
        old = self._own.registry.restore(deepcopy(saved))
        return self._comparing.align(old, now.restore(name))

    def _added_by_engine(self, name: str) -> set[str]:
        changes = {} if self._header is None else self._header.get("spec_changes", {})
        if name == self._opening.process_id:
            change = changes.get("spec", {})
        else:
            change = changes.get("subprocess_specs", {}).get(name, {})
        return set(change.get("task_specs", {}))


def _element_ids(units: ElementUnits) -> set[str]:
    return {one for name in units.process_ids for one in units.element_ids(name)}


def _attached(tasks: dict[str, Any], subprocesses: dict[str, Any]) -> set[str]:
    """The subprocesses whose tasks are still there. SpiffWorkflow keeps others, and restores none
    of them."""
    found: set[str] = set()
    waiting = [tasks]
    while waiting:
        new = (subprocesses.keys() & waiting.pop().keys()) - found
        found |= new
        waiting += [subprocesses[key]["tasks"] for key in new]
    return found


def _elements(alignment: Alignment, judged: list[Judged]) -> tuple[ElementComparison, ...]:
    def one(name: str, change: Any, fields: tuple[str, ...] = ()) -> ElementComparison:
        partner = alignment.partners.get(name)
        return ElementComparison(
            element_id=name,
            change=change,
            fields=fields,
            new_id=partner if partner not in (None, name) else None,
            finished=sum(found.finished.get(name, 0) for found in judged),
            current=sum(found.current.get(name, 0) for found in judged),
            predicted=sum(found.predicted.get(name, 0) for found in judged),
        )

    return (
        *(one(name, "removed") for name in alignment.removed),
        *(one(name, "changed", fields) for name, fields in alignment.changed.items()),
        *(one(name, "added") for name in alignment.added),
    )
