"""One resume: from a saved run to the specs that it continues with."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any, Literal, Optional

from SpiffWorkflow.bpmn.serializer.migration.version_migration import MIGRATIONS

from ..errors import ElementUnitsError, UnitNotFound
from .changes import apply, changes_in_json
from .changing import may_have_changed
from .events import Event
from .lazy import LazyDict
from .mapping import SpecMapping
from .sameness import Pieces, Sameness, versions_of
from .specs import Spec, SpecStore, label, plain
from .state import (
    FORMAT,
    HEADER,
    ChangedWorkflow,
    StateError,
    has_spec,
    needed_specs,
    require_run,
    settled_in,
    take_header,
)
from .versions import WorkflowVersion, place, version

Binding = Literal["latest", "version"]


def same_version(binding: Binding) -> bool:
    """Whether a binding asks for the very version. Raises ElementUnitsError if it is none."""
    if binding not in ("latest", "version"):
        raise ElementUnitsError(f"binding must be 'latest' or 'version', not {binding!r}")
    return binding == "version"


def explained(error: ChangedWorkflow, loader: Any, state: Any) -> ChangedWorkflow:
    """The error for a refused state, with its comparison and what can be done."""
    with suppress(ElementUnitsError):
        error.comparison = comparison = loader.compare(state)
        ways = "it can be migrated: migrate the state"
        if not comparison.can_migrate:
            ways = "it cannot be migrated: " + "; ".join(comparison.reasons)
        elif comparison.can_resume:
            ways = 'it continues here with binding="latest"'
        error.args = (f"{error}; {ways}",)
    return error


class Opening:
    """The specs of one run that is resumed.

    `begin` and `specs` are called one after the other, with the run before and after it was
    migrated to this version of SpiffWorkflow. Both put in and take out only header and specs.

    The run continues on another version of its workflow if each process that it is in is the same
    there. If `same_version` is true, it continues only on the version that it was saved with.

    `process_id` is the process of a run that does not say it. Such a run does not say its version
    either, and is taken to be of this one.
    """

    def __init__(self, loader: Any, same_version: bool, process_id: Optional[str] = None) -> None:
        self._loader = loader
        self._own: SpecStore = loader._sources.own
        self._same_version = same_version
        self.same: Sameness
        self._mapping: SpecMapping
        self._standing: dict[str, Spec] = {}
        self._settled: Optional[dict[str, str]] = None  # found when it is first needed
        self._migrating: Optional[tuple[Any, float]] = None  # from which version, and since when
        self._named = None if process_id is None else plain(process_id)
        self.process_id = self._own.root

    def begin(self, run: dict[str, Any]) -> Optional[dict[str, Any]]:
        """Take the header out of a run and return it; put specs into a run that has none.

        Raises StateError.
        """
        require_run(run)
        self._note_version(run)
        if self._named is not None:
            self._name(run, self._named)
        header = take_header(run)
        self.same = Sameness(self._own, self._loader._sources, header, self._same_version)
        self.process_id = run["spec"]["name"] if header is None else header["process_id"]
        if header is not None:  # what migrates a run may read its specs
            run["spec"] = self._decoded(self.process_id)
            run["subprocess_specs"] = LazyDict(self._decoded_specs)
        return header

    def specs(
        self, run: dict[str, Any], pieces: Pieces
    ) -> tuple[Spec, SpecMapping, dict[str, Spec]]:
        """The spec of the process that was started, and the mapping for all others.

        `pieces` has the settled subprocesses that are not in the run. The third result has the
        specs of settled subprocesses in the run that ran on others, by their ids.

        Raises ChangedWorkflow, UnitNotFound.
        """
        self._tell_migrated()
        self._require_root()
        versions = versions_of(self.same, run, pieces)
        self._mapping = mapping = self._loader._mapping(self.process_id, versions)
        header = self.same.header
        changes: dict[str, Any] = {}
        if header is None:
            if not self.same.is_as_saved(self.process_id, self._own, run["spec"], run):
                raise self._changed(self.process_id)
        else:
            mapping.origins.record(header.get("externals", {}))
            changes = header.get("spec_changes", {})
            mapping.changes_to_make.update(changes.get("subprocess_specs", {}))
            if self.same.differs(self.process_id, self._own):
                raise self._changed(self.process_id)
        spec = self._loader.spec(self.process_id)
        if not self._own.keeps(self.process_id, spec):
            apply(changes.get("spec", {}), spec, self._own.registry)
        if header is None:
            self._change(self.process_id, spec, self._own, run["spec"], run)
        needed_specs(run, spec, self.process_id, partial(self._spec_of, run))
        if header is None:
            self._change_as_saved(mapping, run)
        return spec, mapping, self._standing

    def _name(self, run: dict[str, Any], process_id: str) -> None:
        """Add a header if a run does not say its process. Raises StateError if it says another."""
        header = run.get(HEADER)
        if header is None and not has_spec(run):
            run[HEADER] = {"state_format": FORMAT, "process_id": process_id, **version(self._own)}
            if self._loader._sources.resolves:
                run[HEADER]["externals_unknown"] = True
            return
        said = run["spec"]["name"] if header is None else dict(header).get("process_id")
        if said != process_id:
            raise StateError(
                f"the state is of process {said!r}, not of {process_id!r}; leave process_id out, "
                "because the state says which process it is"
            )

    def _note_version(self, run: dict[str, Any]) -> None:
        engine = run.get(self._loader._serializer.VERSION_KEY)
        if isinstance(engine, str) and engine in MIGRATIONS:
            self._migrating = engine, perf_counter()

    def _tell_migrated(self) -> None:
        if self._migrating is not None and self._own.events.wanted("migrated"):
            engine, since = self._migrating
            detail = f"a state of serializer version {engine!r}"
            key, took = self._own.units.cache_key, perf_counter() - since
            self._own.events.tell(Event("migrated", key, self.process_id, took, detail=detail))

    def spec_then(self, task: Any, number: Optional[int]) -> Optional[Spec]:
        """The spec of a settled subprocess, if it is another one than runs now.

        `task` is the task of its caller. `number` is that of the version that it settled on, if its
        piece says so. Raises StateError if that version is not there.
        """
        name = plain(task.task_spec.spec)
        versions = self._mapping.versions
        if number is not None:
            versions.note(str(task.id), number)
        self._mapping.get(task.task_spec.spec)  # the name tells who calls the process
        found = versions.spec_then(
            str(task.id), name, self._mapping.owner(name), self._loader._sources
        )
        if found is not None:
            versions.brought_back.add(task.id)
        return found

    def _require_root(self) -> None:
        if not self._own.has(self.process_id):
            if self.same.header is not None and self.same.header["digest"] != self._own.digest:
                raise self._changed(self.process_id)
            self._loader._require_process(self.process_id)

    # The same process, or another one

    def _spec_of(self, run: dict[str, Any], task_id: str, name: str) -> Spec:
        """The spec of a subprocess in a run. Raises ChangedWorkflow if it is another one now."""
        mapping = self._mapping
        try:
            found = mapping[name]
        except (UnitNotFound, KeyError):
            if self.same.header is None or self.same.header["digest"] == self._own.digest:
                raise
            found = None
        store = mapping.owner(name)
        name = plain(name)
        if found is not None and store is not None and self.same.is_same(lambda: run, name, store):
            return found
        if self._settled is None:
            self._settled = settled_in(run)
        if task_id not in self._settled:
            raise self._changed(name, store)
        then = mapping.versions.spec_then(task_id, name, store, self._loader._sources)
        if then is None:
            return found
        self._standing[task_id] = then
        return then

    def _changed(self, name: str, now: Optional[SpecStore] = None) -> ChangedWorkflow:
        saved = WorkflowVersion.told(
            {} if self.same.header is None else place(self.same.header, name)
        )
        now = now or self._own
        return ChangedWorkflow(
            f"process {name!r}, which the instance is in, is not the same in {label(now)} with "
            f"digest {now.digest} as in {saved}"
        )

    def _change_as_saved(self, mapping: SpecMapping, run: dict[str, Any]) -> None:
        """Change specs as the engine did, according to the specs in a state of `serialize_json`.

        This is done now, so that the run's dict need not be kept.
        """
        for name, saved in (run.get("subprocess_specs") or {}).items():
            if saved and may_have_changed(saved):
                spec, store = mapping.get(name), mapping.owner(name)
                if spec is not None and store is not None:
                    self._change(name, spec, store, saved, run)

    def _change(self, name: str, spec: Spec, store: SpecStore, saved: Any, run: Any) -> None:
        if not store.keeps(name, spec):  # no run changes a shared spec
            change = changes_in_json(saved, spec, store.before(name), run, store.registry.convert)
            apply(change, spec, store.registry)

    def _decoded(self, process_id: str, called: bool = False) -> LazyDict:
        store = self._own.for_calls(process_id) if called else self._own
        return LazyDict(lambda: store.decoded(process_id))

    def _decoded_specs(self) -> dict[str, Any]:
        roster = self._own.units._roster().items()
        return {name: self._decoded(name, True) if has_spec else None for name, has_spec in roster}
