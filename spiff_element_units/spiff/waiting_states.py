"""Finds the task specs at which a saved state waits, without restoring a spec.

They are those that the instance ran on. If a process has changed since, they come from the version
that the state was saved with. A state of `serialize_json` contains them.
"""

from __future__ import annotations

from typing import Any, Optional

from ..errors import UnitNotFound
from .opening import Opening
from .specs import SpecStore
from .state import State, StateError, damage_told, no_element
from .versions import WorkflowVersion, place
from .waiting import Waiting, waiting_of
from .waiting_tasks import in_run


def waiting_in_state(loader: Any, state: State, process_id: Optional[str]) -> Waiting:
    """What the instance of a state waits for. Raises StateError."""
    with damage_told("read"):
        run = loader._serializing.run_of(state)
        opening = Opening(loader, False, process_id)
        task_specs = _TaskSpecs(loader, run, opening.begin(run), opening)
        loader._serializing.migrate(run)
        found = in_run(run, opening.process_id, task_specs.one)
        return waiting_of(found, loader._serializer.registry)


class _TaskSpecs:
    """The task specs of the processes of one state, as they are written."""

    def __init__(
        self, loader: Any, run: Any, header: Optional[dict[str, Any]], opening: Opening
    ) -> None:
        self._loader = loader
        self._own: SpecStore = loader._sources.own
        self._run = run
        self._header = header
        self._opening = opening
        self._found: dict[str, Any] = {}

    def one(self, process_id: str, name: str) -> Any:
        """A task spec of a process. Raises StateError if there is none of that name."""
        specs = self._found.get(process_id)
        if specs is None:
            specs = self._found[process_id] = self._of(process_id)
        if name not in specs:
            raise no_element(name, process_id)
        return specs[name]

    def _of(self, name: str) -> Any:
        started = name == self._opening.process_id
        if self._header is None:
            spec = self._run["spec"] if started else self._run["subprocess_specs"][name]
            return spec["task_specs"]
        store = self._store(name, self._header)
        specs = (store if started else store.for_calls(name)).waiting_task_specs(name)
        changes = self._header.get("spec_changes", {})
        change = changes.get("spec") if started else changes.get("subprocess_specs", {}).get(name)
        added = (change or {}).get("task_specs")
        return {**specs, **added} if added else specs

    def _store(self, name: str, header: dict[str, Any]) -> SpecStore:
        """The workflow whose spec of a process the state ran on."""
        now: Optional[SpecStore] = self._own
        if not self._own.has(name):
            mapping = self._loader.subprocess_specs()
            mapping.origins.record(header.get("externals", {}))
            try:
                now = mapping.origins.decide(name)
            except UnitNotFound:
                now = None
        if now is not None and not self._opening.same.differs(name, now):
            return now
        where = place(header, name)
        then: Optional[SpecStore] = self._loader._sources.earlier(
            where.get("cache_key"), where.get("digest"), where is header
        )
        if then is None or not then.has(name):
            raise StateError(
                f"process {name!r}, which the instance is in, has changed since, and "
                f"{WorkflowVersion.told(where)} is not there any more; keep that version in the "
                "cache under its key, or ask a loader of it"
            )
        return then
