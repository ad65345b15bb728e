"""Moves an instance to another version of its workflow.

The instance is restored with the specs that it was saved with, and each process of it that has
changed gets its new spec as `migrate_workflow` of SpiffWorkflow's `bpmn.util.diff` does it: a task
gets the task spec that its old one is aligned with, and what is READY or WAITING is reset, so that
what comes is predicted anew. It differs in two ways:

- The predictions of a STARTED subprocess, loop or multi-instance are made anew too.
- A READY or WAITING instance of a loop or multi-instance keeps its data. SpiffWorkflow would reset
  it to the data of the loop, without the item that it is for.

Then the instance is saved and resumed, so that nothing of the old version is left in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from functools import partial
from typing import Any, Optional, Union

from SpiffWorkflow.util.task import TaskState

from .alignment import Alignment
from .changes import apply
from .comparing import Comparing
from .mapping import SpecMapping
from .opening import Opening
from .pieces import LIVE, Read
from .sameness import versions_of
from .specs import plain
from .standin import is_unopened
from .state import ChangedWorkflow, unzipped, with_callers
from .versions import Versions, version

FINISHED = TaskState.FINISHED_MASK
RESET = TaskState.READY | TaskState.WAITING
PREDICTED = TaskState.PREDICTED_MASK | TaskState.FUTURE


class Migration:
    """One migration, of a state that is one text, or of the pieces that a function reads."""

    def __init__(
        self,
        loader: Any,
        source: Union[str, bytes, Read],
        old: Any,
        renamed: Optional[Mapping[str, str]],
        script_engine: Any,
    ) -> None:
        self._loader = loader
        self._source = source
        self._read = source if callable(source) else None
        self._engine = script_engine
        self._comparing = Comparing(loader, old, renamed)
        state = source if not callable(source) else source(LIVE)
        self._state = state
        self.comparison = self._comparing.compare(state)

    def run(self) -> Any:
        """The migrated workflow. Raises ChangedWorkflow if the instance cannot be migrated."""
        self._comparing.require_old_ids()
        if self.comparison.can_resume:
            return self._resume(self._source)
        if not self.comparison.can_migrate:
            error = ChangedWorkflow(str(self.comparison))
            error.comparison = self.comparison
            raise error
        run = self._loader._serializing.run_of(self._state)
        opening = Opening(self._loader, False)
        header = opening.begin(run)
        workflow = self._as_saved(header or {}) if header is not None else self._native()
        mapping = self._mapping(opening, run, workflow)
        self._move(workflow, mapping, header or {}, run)
        return self._again(workflow)

    def _resume(self, source: Any) -> Any:
        if callable(source):
            return self._loader.resume_pieces(source, self._engine)
        return self._loader.resume(source, self._engine)

    def _as_saved(self, header: dict[str, Any]) -> Any:
        """The instance on the version that it was saved with."""
        sources, externals = self._loader._sources, header.get("externals", {})

        def resolve(name: str) -> Any:
            where = externals.get(name)
            store = None if where is None else self._comparing.store_then(where, False)
            found = store or sources.ask(name)
            return None if found is None else found.units

        then = self._comparing.store_then(header, True)
        assert then is not None
        resolves = resolve if externals or sources.resolves else None
        loader = type(self._loader)(then.units, self._loader._serializer, resolve=resolves)
        if callable(self._source):
            return loader.resume_pieces(self._source, self._engine)
        return loader.resume(self._source, self._engine)

    def _native(self) -> Any:
        """The instance with the specs in its state, which `serialize_json` wrote."""
        state = self._loader.join(self._source) if callable(self._source) else self._source
        workflow = self._loader._serializer.deserialize_json(unzipped(state))
        if self._engine is not None:
            workflow.script_engine = self._engine
        return workflow

    def _mapping(self, opening: Opening, run: Any, workflow: Any) -> SpecMapping:
        """The specs that the instance continues with."""
        mapping: SpecMapping = self._loader.subprocess_specs(opening.process_id)
        pieces = getattr(getattr(workflow.subprocesses, "restorer", None), "pieces", None)
        if pieces is None:
            settled = _settled(workflow)
            kept = {key: run.get(key) for key in ("tasks", "subprocess_specs")}
            mapping.versions = Versions(
                opening.same.header or {},
                lambda: settled,
                lambda: set(settled.values()),
                partial(opening.same.is_same, lambda: kept),
            )
        else:
            mapping.versions = versions_of(opening.same, run, pieces)
        mapping.versions.moved = [
            *mapping.versions.moved,
            {
                "from": self.comparison.saved_with._asdict(),
                "to": version(self._loader._sources.own),
                "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            },
        ]
        return mapping

    def _move(self, workflow: Any, mapping: SpecMapping, header: Any, run: Any) -> None:
        own = self._loader._sources.own
        changes = header.get("spec_changes", {})
        mapping.origins.record(header.get("externals", {}))
        mapping.changes_to_make.update(changes.get("subprocess_specs", {}))
        name = self.comparison.process_id
        spec = self._loader.spec(name)
        if not own.keeps(name, spec):
            apply(changes.get("spec", {}), spec, own.registry.restore)
        changed = {one.process_id for one in self.comparison.processes if one.result == "changed"}
        processes = [(name, spec, workflow)]
        processes += [
            (called, mapping[called], subprocess) for called, subprocess in _living(workflow)
        ]
        workflow.subprocess_specs = mapping
        for called, new, process in processes:
            old = process.spec
            if called in changed:
                move(process, self._comparing.align(old, new))
            else:
                give_spec(process, new, {})

    def _again(self, workflow: Any) -> Any:
        if not callable(self._source):
            return self._resume(self._loader.save(workflow))
        read, changed = self._source, self._loader.save_pieces(workflow).changed
        return self._resume(lambda one: changed[one] if one in changed else read(one))


def move(process: Any, alignment: Alignment) -> None:
    """Move a process, or a subprocess, to the new version of its spec."""
    give_spec(process, alignment.new, alignment.partners)
    for task in list(process.tasks.values()):
        if task.id not in process.tasks:  # removed with the prediction that it belonged to
            continue
        if task.state & (RESET | TaskState.STARTED):
            under_way = task.triggered or any(child.triggered for child in task.children)
            if task.state & RESET and not under_way:
                task.reset_branch(None)
            else:
                _predict_anew(task)
    process.last_task = None  # as SpiffWorkflow's `migrate_workflow` leaves it


def give_spec(process: Any, spec: Any, partners: Mapping[str, Any]) -> None:
    """Put the task specs of a spec in the place of their partners."""
    process.spec = spec
    for task in process.tasks.values():
        name = partners.get(task.task_spec.name, task.task_spec.name)
        task.task_spec = spec.task_specs.get(name, task.task_spec)


def _predict_anew(task: Any) -> None:
    """Predict what comes after a task that goes on as it is."""
    children = [child for child in task.children if not child.triggered]
    if any(not child.state & PREDICTED for child in children):
        return
    for child in children:
        task.workflow._remove_task(child.id)
    task.task_spec._predict_hook(task)
    for child in task.children:
        if child.state & PREDICTED:
            child.task_spec._predict(child, mask=PREDICTED)


def _living(workflow: Any) -> list[tuple[str, Any]]:
    """The subprocesses that have not settled, with the names of their processes."""
    settled = _settled(workflow)
    return [
        (plain(one.spec.name), one)
        for key, one in dict.items(workflow.subprocesses)
        if not is_unopened(one) and str(key) not in settled
    ]


def _settled(workflow: Any) -> dict[str, str]:
    """The settled subprocesses that are restored: the names of their processes, by their ids."""
    restored = {key: one for key, one in dict.items(workflow.subprocesses) if not is_unopened(one)}
    callers = {task: key for key, one in restored.items() for task in one.tasks}
    unsettled = with_callers([key for key, one in restored.items() if _is_open(one)], callers)
    return {str(key): plain(one.spec.name) for key, one in restored.items() if key not in unsettled}


def _is_open(subprocess: Any) -> bool:
    completed = getattr(subprocess, "completed", True)  # 3.0 does not keep it
    return not completed or any(not one.state & FINISHED for one in subprocess.tasks.values())
