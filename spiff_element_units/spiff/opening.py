"""One resume: from a saved run to the specs that it goes on with."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Callable, Optional

from SpiffWorkflow.bpmn.serializer.migration.version_migration import MIGRATIONS

from .changes import apply, changes_in_json
from .events import Event
from .lazy import LazyDict
from .mapping import SpecMapping
from .specs import Spec, SpecStore, label, plain
from .state import ChangedWorkflow, needed_specs, require_run, take_header


class Opening:
    """The specs of one run that is resumed.

    `begin` and `specs` are called one after the other, with the run before and after it was
    migrated. Both put and take nothing but header and specs.
    """

    def __init__(self, loader: Any, accept_changed: bool) -> None:
        self._loader = loader
        self._own: SpecStore = loader._sources.own
        self._accept_changed = accept_changed
        self._header: Optional[dict[str, Any]] = None
        self._migrating: Optional[tuple[Any, float]] = None  # from which version, and since when
        self._spec_of: Callable[[str], Spec]
        self.process_id = self._own.root

    def begin(self, run: dict[str, Any]) -> None:
        """Takes the header out of a run, and puts specs into it where it has none.

        Raises StateError, ChangedWorkflow, UnitNotFound.
        """
        require_run(run)
        self._note_version(run)
        self._header = header = take_header(run)
        self.process_id = run["spec"]["name"] if header is None else header["process_id"]
        if header is None:
            self._loader._require_process(self.process_id)
            return
        if not self._accept_changed:
            require_same(header, self._own, self.process_id)
        self._loader._require_process(self.process_id)
        # What migrates a run may read its specs.
        run["spec"] = self._decoded(self.process_id)
        run["subprocess_specs"] = LazyDict(self._decoded_specs)

    def specs(self, run: dict[str, Any]) -> tuple[Spec, SpecMapping]:
        """The spec of the process that was started, and the mapping for all others."""
        self._tell_migrated()
        mapping = self._loader.subprocess_specs(self.process_id)
        spec = self._loader.spec(self.process_id)
        changes: dict[str, Any] = {}
        told: dict[str, Any] = {}
        if self._header is not None:
            changes = self._header.get("spec_changes", {})
            told = self._header.get("externals", {})
            if told:
                mapping.origins.record(told)
            if changes:
                mapping.changes_to_make.update(changes.get("subprocess_specs", {}))

        def spec_of(name: str) -> Spec:
            found = mapping[name]
            store = mapping.owner(name)
            assert store is not None
            if not self._accept_changed:
                require_same(told.get(name), store, plain(name))
            return found

        self._spec_of = spec_of
        if not self._own.keeps(self.process_id, spec):
            apply(changes.get("spec", {}), spec, self._own.registry.restore)
        if self._header is None:
            self._change(self.process_id, spec, self._own, run["spec"], run)
        needed_specs(run, spec, self.process_id, spec_of)
        if self._header is None:
            self._change_as_saved(mapping, run)
        return spec, mapping

    def _note_version(self, run: dict[str, Any]) -> None:
        version = run.get(self._loader._serializer.VERSION_KEY)
        if isinstance(version, str) and version in MIGRATIONS:
            self._migrating = version, perf_counter()

    def _tell_migrated(self) -> None:
        if self._migrating is not None and self._own.events.wanted("migrated"):
            version, since = self._migrating
            detail = f"a state of serializer version {version!r}"
            key, took = self._own.units.cache_key, perf_counter() - since
            self._own.events.tell(Event("migrated", key, self.process_id, took, detail=detail))

    def prepare(self, name: str) -> None:
        """Check the version of a process, before a settled subprocess of it is restored.

        Raises ChangedWorkflow.
        """
        self._spec_of(name)

    def _change_as_saved(self, mapping: SpecMapping, run: dict[str, Any]) -> None:
        """Changes specs as the engine has, which a state of `serialize_json` has changed specs of.

        That is done now, so that the run's dict need not be kept.
        """
        for name, saved in (run.get("subprocess_specs") or {}).items():
            if saved and "conditional_paths" in saved:
                spec, store = mapping.get(name), mapping.owner(name)
                if spec is not None and store is not None:
                    self._change(name, spec, store, saved, run)

    def _change(self, name: str, spec: Spec, store: SpecStore, saved: Any, run: Any) -> None:
        if not store.keeps(name, spec):  # what is shared, no run changes
            change = changes_in_json(saved, spec, store.links(name), run)
            apply(change, spec, store.registry.restore)

    def _decoded(self, process_id: str, called: bool = False) -> LazyDict:
        store = self._own.for_calls(process_id) if called else self._own
        return LazyDict(lambda: store.decoded(process_id))

    def _decoded_specs(self) -> dict[str, Any]:
        roster = self._own.units._roster().items()
        return {name: self._decoded(name, True) if has_spec else None for name, has_spec in roster}


def require_same(then: Any, now: SpecStore, process_id: str) -> None:
    """Raises ChangedWorkflow where a process is of another version of its workflow.

    `then` is what a state tells of the workflow with the process; None if nothing.
    """
    if then is None or then["digest"] == now.digest:
        return
    cached = "" if then.get("cache_key") is None else f" cached as {then['cache_key']!r}"
    raise ChangedWorkflow(
        f"the state was saved with another version of the workflow that has process "
        f"{process_id!r}: digest {then['digest']}{cached}, and {label(now)} has digest "
        f"{now.digest}; resume it with that version, or pass accept_changed=True to continue with "
        "this one"
    )
