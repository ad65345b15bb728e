"""SpecLoader: starts, saves and resumes the instances of one workflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable, Optional, Union

from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.exceptions import SpiffWorkflowException

from ..errors import ElementUnitsError
from ..units import ElementUnits
from .changes import changes_in
from .mapping import SpecMapping, untouched
from .opening import Opening
from .origins import version
from .pieces import Read, StatePieces
from .saving import whole_text, workflow_pieces
from .serializing import Serializing
from .specs import (
    Resolve,
    Serializer,
    Spec,
    SpecSources,
    SpecStore,
    changes_while_running,
    label,
    plain,
)
from .splitting import DamagedPiece, damaged_pieces, join_pieces, split_text
from .state import FORMAT, StateError, parse, require_run, unzipped


class SpecLoader:
    """Starts, saves and resumes the instances of one workflow.

    `units` is the workflow, `serializer` the application's own `BpmnWorkflowSerializer`, custom
    classes and all. Anything else than a BpmnWorkflowSerializer is a TypeError.

    `resolve` brings the processes that are not in the workflow: called with a process id, it
    returns an ElementUnits that has it, or None. It is called when the engine first comes to the
    process, and what it returns is kept. If it returns None for a called process, that comes from
    the workflow of the process that calls it. Embedded subprocesses always come from the workflow
    of the process that they are embedded in. All this is decided once for each instance. A saved
    state tells what was decided, and a resumed instance goes on with that.

    The engine knows a process by its name alone. If two workflows need different processes of the
    same name in one instance, and `resolve` has none of that name, ElementUnitsError is raised when
    the engine comes to the second one.

    Shared: restored specs are kept, and are the same objects in all the workflows of a loader, as
    SpiffWorkflow allows. Do not change them, nor connect to their events what belongs to one
    workflow. Specs that the engine changes while it runs are restored anew for each workflow:
    ad-hoc subprocesses, specs whose start task has trigger specs, and on SpiffWorkflow 3.0 and 3.1
    the spec that is started, if a process of the workflow is started by events.

    Safe to use from several threads at once and after a fork; a workflow is for one thread at a
    time. Processes share nothing but the cache.
    """

    def __init__(
        self, units: ElementUnits, serializer: Serializer, *, resolve: Optional[Resolve] = None
    ) -> None:
        if not isinstance(units, ElementUnits):
            raise TypeError(f"units must be an ElementUnits, not {type(units).__name__}")
        self._units = units
        self._serializer = serializer
        self._serializing = Serializing(serializer, resolve is not None)
        self._sources = SpecSources(units, serializer, resolve)
        self._templates: dict[str, dict[str, Any]] = {}

    def __repr__(self) -> str:
        return f"<SpecLoader of {self._units.root!r}, {len(self.kept)} specs kept>"

    @property
    def units(self) -> ElementUnits:
        """The ElementUnits that it serves."""
        return self._units

    @property
    def kept(self) -> tuple[str, ...]:
        """The ids of the workflow's processes whose specs are restored and kept so far."""
        return self._sources.own.kept

    def spec(self, process_id: str) -> Spec:
        """The `BpmnProcessSpec` of a process: restored once and kept.

        One that the engine changes while it runs is a new object at each call.

        Raises UnitNotFound where the workflow lacks the process, InvalidWorkflowSpec where the
        serializer cannot restore it.
        """
        return self._sources.own.root_spec(plain(process_id), self._sources.resolves)

    def subprocess_specs(self, process_id: Optional[str] = None) -> SpecMapping:
        """A new mapping for `BpmnWorkflow(spec, mapping)`, loaded as the engine asks.

        It equals the workflow's `subprocess_specs`, restored; with a `process_id`, those that
        process leads to, which is what SpiffWorkflow's parser gives for it. `SpecMapping` tells
        what it does. Make one for each BpmnWorkflow.

        Raises UnitNotFound where the workflow lacks the process.
        """
        if process_id is not None:
            process_id = plain(process_id)
        if process_id is None or process_id == self._sources.own.root:
            return SpecMapping(self._sources, None, process_id)
        template = self._templates.get(process_id)
        if template is None:
            template = self._templates[process_id] = self._template(process_id)
        return SpecMapping(self._sources, template, process_id)

    def start(
        self,
        process_id: Optional[str] = None,
        *,
        script_engine: Any = None,
        workflow_class: Any = BpmnWorkflow,
        **kwargs: Any,
    ) -> Any:
        """A new `BpmnWorkflow` of a process: any of the workflow's; by default its root.

        The process runs as SpiffWorkflow would run it by itself, called from nowhere. For an
        application with a BpmnWorkflow of its own, `workflow_class` is that; further arguments
        go to it.

        Raises UnitNotFound where the workflow lacks the process, InvalidWorkflowSpec where the
        serializer cannot restore it. While the workflow runs, MissingProcess, InvalidWorkflowSpec
        and CorruptPack may be raised at an element that leads to another process.
        """
        name = self._units.root if process_id is None else process_id
        mapping = self.subprocess_specs(name)
        workflow = workflow_class(self.spec(name), mapping, script_engine=script_engine, **kwargs)
        workflow.subprocess_specs = mapping  # where it was empty, there is now a dict
        return workflow

    def save(self, workflow: Any) -> str:
        """The state of a workflow that was started or resumed by this loader, as JSON.

        It is what the serializer's `serialize_json` writes, the application's converters included,
        less the specs, which are not converted. In addition it holds which process was started,
        the cache key and digest of the workflow, and what the engine has added to specs. It does
        not hold specs that the application has put into `subprocess_specs` by itself.

        Other workflows that run a process of this one may be saved too: `resume` takes the specs
        of this loader.

        Raises UnitNotFound where the workflow runs a process that this one lacks,
        ElementUnitsError where it was started by the loader of another workflow. What the
        serializer raises passes through.
        """
        state: str = whole_text(self._serializing, workflow, self._header(workflow))
        return state

    def resume(
        self,
        state: Union[str, bytes],
        script_engine: Any = None,
        *,
        accept_changed: bool = False,
    ) -> Any:
        """The workflow whose state was saved, by `save` or by SpiffWorkflow's `serialize_json`.

        Restores the specs of the process that was started and of those that have a subprocess in
        the state, and no others. Specs inside a state of `serialize_json` are ignored: the
        instance moves over to the workflow of this loader.

        A state of another version of the workflow is refused unless `accept_changed` is true.
        Then it is resumed if the elements that it has tasks of are still there.

        A state that an earlier SpiffWorkflow has saved is migrated by the serializer, as in
        `deserialize_json`; specs are not. Where SpiffWorkflow has changed how specs are written,
        cache the workflow again, and resume with `accept_changed`. What SpiffWorkflow cannot
        migrate by itself is not resumed either: 3.2.0 raises a NameError for instances of 3.0 and
        3.1 that have subprocesses.

        Raises StateError where the text is no state or a damaged one, ChangedWorkflow where it is
        refused, UnitNotFound where the workflow lacks the process that was started,
        MissingProcess where a process that it needs is nowhere, InvalidWorkflowSpec where the
        serializer cannot restore a spec. SpiffWorkflow's own exceptions pass through.
        """
        text = _state(state)
        opening = Opening(self, accept_changed)
        return self._resumed(
            opening,
            lambda: self._serializing.read(text, opening.begin, opening.specs, opening.prepare),
            script_engine,
        )

    def _resumed(self, opening: Opening, read: Callable[[], Any], script_engine: Any) -> Any:
        try:
            workflow = read()
        except (ElementUnitsError, SpiffWorkflowException):
            raise
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise StateError(
                f"the state of process {opening.process_id!r} cannot be restored "
                f"({type(error).__name__}: {error}); was it altered, or written by another "
                "serializer?"
            ) from error
        if script_engine is not None:
            workflow.script_engine = script_engine
        return workflow

    # Pieces apart

    def save_pieces(self, workflow: Any, since: Optional[StatePieces] = None) -> StatePieces:
        """What of a workflow's state changed, as pieces to be stored apart.

        Settled subprocesses are pieces of their own: those that are completed, with all that is
        below them. A step writes the live piece, and each subprocess that has settled in it once.

        `changed` and `removed` are in relation to what `resume_pieces` has read; without, all is
        new. So saving again after a failed transaction gives the same. For a workflow that stays
        in memory, `since` is what its last save gave: then they are in relation to that. What an
        application changes by hand in the data of a task of a settled subprocess is not seen with
        `since`.

        Raises StateError where the serializer is not one whose states can be taken apart, and
        what `save` raises.
        """
        return workflow_pieces(self._serializing, workflow, self._header(workflow), since)

    def resume_pieces(
        self, read: Read, script_engine: Any = None, *, accept_changed: bool = False
    ) -> Any:
        """The workflow whose pieces were saved by `save_pieces` or made by `split`.

        `read(piece id)` returns the text of a piece, as `str` or UTF-8 `bytes`. It is called with
        "live" first, and with another id when somebody looks into that subprocess, as long as the
        workflow lives.

        Raises StateError where a piece cannot be read or is damaged, now or when it is looked at,
        and what `resume` raises.
        """
        if not callable(read):
            raise TypeError(f"read must be callable, not {type(read).__name__}")
        opening = Opening(self, accept_changed)
        return self._resumed(
            opening,
            lambda: self._serializing.read_pieces(
                read, opening.begin, opening.specs, opening.prepare
            ),
            script_engine,
        )

    def split(self, state: Union[str, bytes]) -> StatePieces:
        """The pieces of a state that is one text: of `save` or of `serialize_json`.

        Raises StateError where it is no state.
        """
        text = unzipped(_state(state))
        require_run(parse(text, None))
        return split_text(text if isinstance(text, str) else text.decode())

    def join(self, read: Read) -> str:
        """The state that pieces make, as one text. `read` is that of `resume_pieces`.

        Raises StateError where a piece cannot be read or is damaged.
        """
        return join_pieces(read)

    def verify_pieces(self, read: Read) -> list[DamagedPiece]:
        """Read all pieces, and tell those that cannot be read or are damaged."""
        return damaged_pieces(read)

    # Saving

    def _header(self, workflow: Any) -> dict[str, Any]:
        mapping = workflow.subprocess_specs
        process_id = plain(workflow.spec.name)
        own = self._sources.own
        if isinstance(mapping, SpecMapping):
            if mapping.sources.own.digest != own.digest:
                raise ElementUnitsError(
                    f"the workflow was started by the loader of {label(mapping.sources.own)}, and "
                    f"this is the loader of {label(own)}; save it with its own"
                )
            process_id = mapping.process_id or process_id
        self._require_process(process_id)
        header = {"state_format": FORMAT, "process_id": process_id, **version(own)}
        if isinstance(mapping, SpecMapping):
            externals = mapping.from_elsewhere()
            if externals:
                header["externals"] = externals
        elif self._sources.resolves:
            header["externals_unknown"] = True
        changes = self._changes(workflow, process_id)
        if changes:
            header["spec_changes"] = changes
        return header

    def _changes(self, workflow: Any, process_id: str) -> dict[str, Any]:
        """What the engine has added to the specs of a workflow."""
        convert = self._serializer.registry.convert
        own = self._sources.own
        changes: dict[str, Any] = {}
        if not own.keeps(process_id, workflow.spec):
            change = changes_in(workflow.spec, own.links(process_id), convert)
            if change:
                changes["spec"] = change
        mapping = workflow.subprocess_specs
        inner: dict[str, Any] = {}
        if isinstance(mapping, SpecMapping):
            inner.update(mapping.changes_to_make)
            changeable = mapping.changeable()
        else:
            changeable = self._changeable(mapping, process_id)
        for name, store, spec in changeable:
            change = changes_in(spec, store.links(name), convert)
            if change:
                inner[name] = change
        if inner:
            changes["subprocess_specs"] = inner
        return changes

    def _changeable(
        self, specs: dict[str, Spec], process_id: str
    ) -> Iterator[tuple[str, SpecStore, Spec]]:
        """As `SpecMapping.changeable`, of the specs in a dict."""
        changing = {plain(name): one for name, one in specs.items() if changes_while_running(one)}
        mapping = self.subprocess_specs(process_id)
        if any(mapping.owner(name) is None for name in changing):
            for name in specs:  # those that are embedded come with those that are called
                mapping.get(name)
        for name, spec in changing.items():
            store = mapping.owner(name)
            if store is not None:
                yield name, store, spec

    # What both check, and what a mapping is made of

    def _require_process(self, process_id: str) -> None:
        if not self._sources.own.has(process_id):
            self._units.element_ids(process_id)  # raises, and knows what was meant

    def _template(self, process_id: str) -> dict[str, Any]:
        """What a mapping starts from for a process that is not the root: those it leads to."""
        root = self._units.root
        reached = self._units.needs(process_id, defer="nothing")
        named = {one.process_id for name in reached for one in self._units.references(name)}
        named.update(name for name in reached if name != process_id)  # what events start
        roster = {root: True, **self._units._roster()}
        return untouched({name: held for name, held in roster.items() if name in named}, root)


def _state(state: object) -> Union[str, bytes]:
    if not isinstance(state, (str, bytes)):
        raise TypeError(f"state must be str or bytes, not {type(state).__name__}")
    return state
