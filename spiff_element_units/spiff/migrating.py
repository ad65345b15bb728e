"""Moves an instance to another version of its workflow.

The instance is restored with the specs that it was saved with. Then each changed process gets its
new spec, as `migrate_workflow` of SpiffWorkflow's `bpmn.util.diff` does it: each task gets the task
spec that its old one is aligned with. READY and WAITING tasks are reset, and the tasks after them
are predicted again. There are these differences:

- The tasks after a STARTED subprocess, loop or multi-instance are predicted again too, and those
  after any other task if one of them has no element any more.
- A READY or WAITING round of a loop or multi-instance keeps its data. SpiffWorkflow would reset it
  to the data of the loop, without the item of this round. So does a READY call or embedded
  subprocess: it already has the data of what has run in it.
- An event that was caught, and has not changed, stays caught. A cycle timer keeps its rounds.

Finally the instance is saved and resumed, so that nothing of the old version is left in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from functools import partial
from typing import Any, Union

from SpiffWorkflow.bpmn.specs.mixins.subworkflow_task import SubWorkflowTask
from SpiffWorkflow.util.task import TaskState

from .alignment import HAS_DIFF, Alignment
from .changes import apply
from .comparing import Comparing
from .judging import is_cycle
from .mapping import SpecMapping
from .opening import Opening
from .piece_texts import LIVE, Read, checked
from .sameness import versions_of
from .specs import plain
from .standin import is_unopened
from .state import FINISHED, ChangedWorkflow, State, with_callers
from .versions import Versions, version

RESET = TaskState.READY | TaskState.WAITING
# What event definitions of SpiffWorkflow note in a task when its event is caught.
_CAUGHT = ("event_fired", "seen_events")
PREDICTED = TaskState.PREDICTED_MASK | TaskState.FUTURE


class Migration:
    """One migration, of a state that is one text, or of the pieces that a function reads."""

    def __init__(
        self,
        loader: Any,
        source: Union[State, Read],
        comparing: Comparing,
        script_engine: Any = None,
    ) -> None:
        self._loader = loader
        self._source = source
        self._engine = script_engine
        self._comparing = comparing
        self._state = checked(source, LIVE) if callable(source) else source
        self.comparison = comparing.compare(self._state)

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
        self._loader._serializing.migrate(run)
        workflow = self._as_saved(header or {}) if header is not None else self._native()
        mapping = self._mapping(opening, run, workflow)
        self._move(workflow, mapping, header or {})
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
        workflow = self._loader._serializing.native(state)
        if self._engine is not None:
            workflow.script_engine = self._engine
        return workflow

    def _mapping(self, opening: Opening, run: Any, workflow: Any) -> SpecMapping:
        """The specs that the instance continues with."""
        pieces = getattr(getattr(workflow.subprocesses, "restorer", None), "pieces", None)
        if pieces is None:
            settled = _settled(workflow)
            kept = {key: run.get(key) for key in ("tasks", "subprocess_specs")}
            versions = Versions(
                opening.same.header or {},
                lambda: settled,
                lambda: set(settled.values()),
                partial(opening.same.is_same, lambda: kept),
            )
        else:
            versions = versions_of(opening.same, run, pieces)
        versions.moved = [
            *versions.moved,
            {
                "from": self.comparison.saved_with._asdict(),
                "to": version(self._loader._sources.own),
                "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            },
        ]
        mapping: SpecMapping = self._loader._mapping(opening.process_id, versions)
        return mapping

    def _move(self, workflow: Any, mapping: SpecMapping, header: dict[str, Any]) -> None:
        own = self._loader._sources.own
        changes = header.get("spec_changes", {})
        mapping.origins.record(header.get("externals", {}))
        mapping.changes_to_make.update(changes.get("subprocess_specs", {}))
        name = self.comparison.process_id
        spec = self._loader.spec(name)
        if not own.keeps(name, spec):
            apply(changes.get("spec", {}), spec, own.registry)
        changed = {one.process_id for one in self.comparison.processes if one.result == "changed"}
        processes = [(name, spec, workflow)]
        processes += [
            (called, mapping[called], subprocess) for called, subprocess in _living(workflow)
        ]
        workflow.subprocess_specs = mapping
        alignments: dict[tuple[int, int], Alignment] = {}  # many subprocesses may be of one process
        for called, new, process in processes:
            if called not in changed:
                give_spec(process, new, {})
                continue
            key = id(process.spec), id(new)
            if key not in alignments:
                alignments[key] = self._comparing.align(process.spec, new)
            move(process, alignments[key])

    def _again(self, workflow: Any) -> Any:
        if not callable(self._source):
            return self._resume(self._loader.save(workflow))
        read, changed = self._source, self._loader.save_pieces(workflow).changed
        return self._resume(lambda one: changed[one] if one in changed else read(one))


def move(process: Any, alignment: Alignment) -> None:
    """Move a process, or a subprocess, to the new version of its spec."""
    give_spec(process, alignment.new, alignment.partners)
    if not alignment.differs:  # something that is embedded in it has changed, and moves by itself
        return
    changed = alignment.changed.items()
    other_events = {alignment.partners[one] for one, how in changed if "event_definition" in how}
    for task in list(process.tasks.values()):
        if task.id not in process.tasks:  # removed with the prediction that it belonged to
            continue
        if task.state & TaskState.STARTED or (task.state & RESET and _has_rounds(task)):
            _predict_anew(task)
        elif task.state & RESET and _keeps_its_data(task, other_events):
            task._drop_children(force=True)  # as reset_branch does
            _predict_anew(task)
        elif task.state & RESET:
            task.reset_branch(None)
    for task in list(process.tasks.values()):
        if task.id in process.tasks and not _has_element(task):
            _predict_anew(_last_not_predicted(task))
    if HAS_DIFF:  # as `migrate_workflow` leaves it; 3.0 has none, and asks for the task
        process.last_task = None


def _has_rounds(task: Any) -> bool:
    """Whether a task is a loop, a round of one, or a cycle timer, that is under way.

    Before SpiffWorkflow 3.2, so is an event-based gateway: the tasks below it know what was caught.
    """
    return (
        any(one.triggered for one in (task, *task.children))
        or any(one.internal_data.get("event_fired") for one in task.children)
        or (bool(task.children) and is_cycle(task.task_spec))
    )


def _keeps_its_data(task: Any, other_events: set[str]) -> bool:
    """Whether a READY or WAITING task has data that its reset would lose."""
    caught = any(task.internal_data.get(one) for one in _CAUGHT)
    return (
        task.parent is None  # it has the data that the instance was started with
        or isinstance(task.task_spec, SubWorkflowTask)  # is READY when its subprocess has ended
        or (caught and task.task_spec.name not in other_events)
    )


def give_spec(process: Any, spec: Any, partners: Mapping[str, Any]) -> None:
    """Replace the old task specs of the tasks by their partners in the new spec."""
    process.spec = spec
    for task in process.tasks.values():
        name = partners.get(task.task_spec.name, task.task_spec.name)
        task.task_spec = spec.task_specs.get(name, task.task_spec)


def _has_element(task: Any) -> bool:
    return task.workflow.spec.task_specs.get(task.task_spec.name) is task.task_spec


def _last_not_predicted(task: Any) -> Any:
    while task.state & PREDICTED:
        task = task.parent
    return task


def _predict_anew(task: Any) -> None:
    """Predict the tasks after a task that continues unchanged."""
    children = [child for child in task.children if not child.triggered]
    if any(not child.state & PREDICTED for child in children):
        return
    for child in children:
        task.workflow._remove_task(child.id)
    state, task._state = task._state, TaskState.STARTED  # SpiffWorkflow predicts only from there
    task.task_spec._predict_hook(task)
    task._state = state
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
