"""SpecLoader: starts, saves and resumes the instances of one workflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Callable, Optional, TypeVar, Union, overload

from SpiffWorkflow.bpmn.workflow import BpmnWorkflow as BpmnWorkflow  # noqa: PLC0414 - for `sql`
from SpiffWorkflow.exceptions import SpiffWorkflowException

from ..errors import ElementUnitsError
from ..units import ElementUnits
from .comparing import Comparing
from .comparison import StateComparison
from .events import Events, OnEvent
from .headers import header_of
from .mapping import SpecMapping, untouched
from .migrating import Migration
from .opening import Binding, Opening, explained, same_version
from .piece_texts import LIVE, Read, checked
from .pieces import StatePieces
from .saving import whole_text, workflow_pieces
from .serializing import Serializing
from .sources import SpecSources
from .specs import Resolve, Serializer, Spec, plain
from .splitting import DamagedPiece, damaged_pieces, join_pieces, split_text
from .state import (
    NOT_RESTORED,
    ChangedWorkflow,
    State,
    decoded,
    not_restored,
    parse,
    require_run,
    require_state,
    text_of,
    unzipped,
)
from .state_info import StateInfo, info_of
from .versions import Versions
from .waiting import Waiting, waiting_of
from .waiting_states import waiting_in_state
from .waiting_tasks import in_workflow

_Workflow = TypeVar("_Workflow", bound=BpmnWorkflow)
Old = Union[ElementUnits, "SpecLoader", None]


class SpecLoader:
    """Starts, saves and resumes the instances of one workflow.

    `units` is the workflow. `serializer` is your own `BpmnWorkflowSerializer`, with all its custom
    converters. Any other object is a TypeError.

    `resolve` provides the processes that are not in the workflow. It takes a process id and returns
    an ElementUnits that contains the process, or None. The loader calls it when the engine first
    needs the process, and keeps the result. If it returns None for a called process, the process
    comes from the workflow of its caller. An embedded subprocess always comes from the workflow of
    the process that it is embedded in. This is decided once for each instance. A saved state
    records the decision, and a resumed instance follows it.

    The engine finds a process only by its name. If two workflows need different processes of the
    same name in one instance, and `resolve` returns none of that name, the loader raises
    ElementUnitsError when the engine needs the second one.

    All workflows of a loader share the same spec objects, as SpiffWorkflow allows. Do not change
    them, and do not connect anything to their events that belongs to one workflow. The engine
    changes some specs while it runs, and those belong to one workflow each: the loader restores
    ad-hoc subprocesses, specs whose start task has trigger specs, and specs with a multi-instance
    task of `SpiffWorkflow.camunda` for each workflow, and, with SpiffWorkflow 3.0 and 3.1, copies
    the spec that is started.

    `on_event` is called with an Event for each spec that is restored, each state that SpiffWorkflow
    migrates, and each pack that is found damaged.

    Several threads can use a loader at the same time, and you can use it after a fork. A workflow
    may be used by only one thread at a time. Operating system processes share only the cache.
    """

    def __init__(
        self,
        units: ElementUnits,
        serializer: Serializer,
        *,
        resolve: Optional[Resolve] = None,
        on_event: Optional[OnEvent] = None,
    ) -> None:
        if not isinstance(units, ElementUnits):
            raise TypeError(f"units must be an ElementUnits, not {type(units).__name__}")
        self._units = units
        self._serializer = serializer
        self._serializing = Serializing(serializer, resolve is not None)
        self._sources = SpecSources(units, serializer, resolve, Events(on_event))
        self._templates: dict[str, dict[str, Any]] = {}

    def __repr__(self) -> str:
        return f"<SpecLoader of {self._units.root!r}, {len(self.kept)} specs kept>"

    @property
    def units(self) -> ElementUnits:
        """The ElementUnits of the loader."""
        return self._units

    @property
    def kept(self) -> tuple[str, ...]:
        """The ids of the processes whose specs the loader has restored and keeps."""
        return self._sources.own.kept

    def spec(self, process_id: str) -> Spec:
        """Return the `BpmnProcessSpec` of a process. It is restored once and then kept.

        If the engine changes the spec while it runs, each call returns a new object.

        Raises UnitNotFound if the workflow does not contain the process, and InvalidWorkflowSpec if
        the serializer cannot restore it.
        """
        return self._sources.own.root_spec(plain(process_id))

    def subprocess_specs(self, process_id: Optional[str] = None) -> SpecMapping:
        """Return a new mapping for `BpmnWorkflow(spec, mapping)`.

        It contains the `subprocess_specs` of the workflow, and restores each when the engine needs
        it. With a `process_id`, it contains only the processes that this process leads to, like the
        result of SpiffWorkflow's parser. Make a new mapping for each BpmnWorkflow. See SpecMapping.

        Raises UnitNotFound if the workflow does not contain the process.
        """
        return self._mapping(None if process_id is None else plain(process_id), Versions())

    @overload
    def start(
        self,
        process_id: Optional[str] = None,
        *,
        script_engine: Any = None,
        workflow_class: type[_Workflow],
        **kwargs: Any,
    ) -> _Workflow: ...
    @overload
    def start(
        self,
        process_id: Optional[str] = None,
        *,
        script_engine: Any = None,
        **kwargs: Any,
    ) -> BpmnWorkflow: ...
    def start(
        self,
        process_id: Optional[str] = None,
        *,
        script_engine: Any = None,
        workflow_class: Any = BpmnWorkflow,
        **kwargs: Any,
    ) -> Any:
        """Start a process and return its `BpmnWorkflow`.

        `process_id` is any process of the workflow. The default is the root. The process runs as
        the top process of the instance. If you have a subclass of BpmnWorkflow, pass it as
        `workflow_class`. All further arguments are passed to it.

        Raises UnitNotFound if the workflow does not contain the process, and InvalidWorkflowSpec if
        the serializer cannot restore it. While the workflow runs, the engine may raise
        MissingProcess, InvalidWorkflowSpec and CorruptPack at an element that refers to another
        process.
        """
        name = self._units.root if process_id is None else process_id
        mapping = self.subprocess_specs(name)
        workflow = workflow_class(self.spec(name), mapping, script_engine=script_engine, **kwargs)
        workflow.subprocess_specs = mapping  # BpmnWorkflow replaces an empty mapping with a dict
        return workflow

    def save(self, workflow: Any) -> str:
        """Return the state of a workflow that this loader started or resumed, as JSON.

        The state is what the serializer's `serialize_json` writes, including the results of your
        converters, but without the specs. It also says which process was started, the cache key and
        the digest of the workflow, and what the engine has added to specs. It does not contain
        specs that your application put into `subprocess_specs`.

        You can also save a workflow that was not started by a loader, if it runs a process of this
        loader's workflow. `resume` then uses the specs of this loader.

        Raises UnitNotFound if the process of the workflow is not in the loader's workflow, and
        ElementUnitsError if the loader of another workflow started it. Errors of the serializer are
        raised unchanged.
        """
        header, telling = header_of(self, workflow)
        state: str = whole_text(self._serializing, workflow, header, telling)
        return state

    def to_dict(self, workflow: Any) -> dict[str, Any]:
        """Return the state of a workflow as a dict: what `save` returns, decoded as JSON.

            row.state = loader.to_dict(workflow)
            workflow = loader.resume(row.state)

        It contains only what JSON has: dicts with keys of type `str`, lists, strings, numbers,
        booleans and None. Put it into a JSON column, or divide it into rows. It shares nothing with
        the workflow.

        This calls the serializer's `to_dict`, and its encoder for values that are not JSON. It does
        not call an override of `serialize_json`. SpiffWorkflow's own `to_dict` differs in this: it
        returns the specs too and no version, and since 3.2 the data of tasks as they are.

        Raises the errors of `save`.
        """
        header, telling = header_of(self, workflow)
        text = whole_text(self._serializing, workflow, header, telling, to_dict=True)
        state: dict[str, Any] = decoded(text, None)
        return state

    def resume(
        self,
        state: State,
        script_engine: Any = None,
        *,
        binding: Binding = "latest",
        process_id: Optional[str] = None,
    ) -> BpmnWorkflow:
        """Return the workflow of a state that `save` or SpiffWorkflow's `serialize_json` wrote.

        `state` is text, or the state as a mapping: what `to_dict` returned, the value of a JSON
        column, rows that you have put together, or what the serializer's `to_dict` returned. A
        mapping is not changed, and the workflow shares nothing with it. Its keys may be in any
        order, as some JSON columns give them back. It is restored by the serializer's `migrate` and
        `from_dict`. An override of `deserialize_json` is not called. If a mapping has no serializer
        version, it has the serializer's.

        `process_id` is the process of a state that does not say it, because your application stores
        the state without our header and without its specs. Such a state continues on this version
        of the workflow. Nothing tells whether the instance was on another one.

        This restores the specs of the process that was started and of the processes that have a
        living subprocess in the state, and no others.

        If the state was saved with another version of the workflow, it continues on this one if
        every process that the instance is in is the same here. Calls that come later run on this
        version. Otherwise it is refused, and `compare` tells why. With `binding="version"`, it is
        refused unless it was saved with this very version. The specs in a state of
        `serialize_json` are compared in the same way.

        The serializer migrates a state of an earlier SpiffWorkflow, as `deserialize_json` does.
        Specs are not migrated. If SpiffWorkflow has changed how it writes specs, cache the workflow
        again, and `migrate` the state. If SpiffWorkflow cannot migrate a state, it cannot be
        resumed: 3.2.0 raises a NameError for instances of 3.0 and 3.1 with subprocesses.

        Raises StateError if this is not a state, if it is damaged or if it is of another process
        than `process_id`, ChangedWorkflow if the state is refused, UnitNotFound if the workflow
        does not contain the process that was started, MissingProcess if no workflow contains a
        process that the state needs, and InvalidWorkflowSpec if the serializer cannot restore a
        spec. Exceptions of SpiffWorkflow are raised unchanged.
        """
        text = text_of(state, self._serializer)
        opening = Opening(self, same_version(binding), process_id)
        return self._resumed(
            opening,
            lambda: self._serializing.read(
                text, opening.begin, opening.specs, opening.spec_then, text is not state
            ),
            lambda: state,
            script_engine,
        )

    def _resumed(
        self,
        opening: Opening,
        read: Callable[[], Any],
        state: Callable[[], State],
        script_engine: Any,
    ) -> Any:
        try:
            workflow = read()
        except ChangedWorkflow as error:
            raise explained(error, self, state()) from None
        except (ElementUnitsError, SpiffWorkflowException):
            raise
        except NOT_RESTORED as error:
            raise not_restored(f"the state of process {opening.process_id!r}", error) from error
        if script_engine is not None:
            workflow.script_engine = script_engine
        return workflow

    def state_info(self, state: State) -> StateInfo:
        """Tell what a state says about itself: its process, its versions, and how it was written.

            loader.state_info(state).version.cache_key

        `state` is text or a mapping, as for `resume`, or the live piece of an instance in pieces.
        This restores nothing, and reads neither the cache nor settled subprocesses.

        Raises StateError if this is not a state or if it is damaged.
        """
        require_state(state)
        return info_of(self._serializing, self._serializer, state)

    def waiting(
        self, workflow_or_state: Union[BpmnWorkflow, State], *, process_id: Optional[str] = None
    ) -> Waiting:
        """Tell what an instance waits for: human tasks, timers, messages and signals.

            waiting = loader.waiting(state)
            for task in waiting.human_tasks:
                print(task.lane, task.bpmn_name, task.form)
            wake_at = waiting.next_due

        Pass a workflow, or a state as for `resume`, or the live piece of an instance in pieces. The
        answer is the same. From a state, this restores no spec, reads only the specs of processes
        that have unfinished tasks, and reads no settled subprocess. They are the specs of the
        version that the instance is on. A workflow keeps its settled subprocesses unopened.

        Tasks that the engine runs by itself are not in the answer, so let it run first.

        `process_id` is the process of a state that does not say it, as for `resume`.

        Custom converters must write the attributes that SpiffWorkflow's `TaskSpecConverter` and
        `EventDefinitionConverter` write.

        Raises StateError if this is not a state, if it is damaged, or if a process has changed and
        the version that the state was saved with is not in the cache any more.
        """
        if isinstance(workflow_or_state, BpmnWorkflow):
            registry = self._serializer.registry
            return waiting_of(in_workflow(workflow_or_state, registry.convert), registry)
        require_state(workflow_or_state)
        return waiting_in_state(self, workflow_or_state, process_id)

    # Other versions of the workflow

    def compare(
        self, state: State, *, old: Old = None, renamed: Optional[Mapping[str, str]] = None
    ) -> StateComparison:
        """Tell whether an instance continues on this version of its workflow, and why not.

        `state` is text or a mapping, as for `resume`, or the live piece of an instance in pieces.
        The arguments are those of `migrate`. This restores only the specs of processes that have
        changed.

        Raises StateError if this is not a state or if it is damaged.
        """
        require_state(state)
        return Comparing(self, old, renamed).compare(state)

    def migrate(
        self,
        state: State,
        old: Old = None,
        *,
        script_engine: Any = None,
        renamed: Optional[Mapping[str, str]] = None,
    ) -> BpmnWorkflow:
        """Move an instance to this version of its workflow, and return its workflow.

        `state` is text or a mapping, as for `resume`, and stays as it is. `old` is the version that
        the state was saved with. By default, it is the one that is cached under the key that the
        state names, in the cache of this workflow. A state of `serialize_json` contains its specs,
        so it needs no `old`. `renamed` is a mapping from the old ids of elements that were renamed
        to their new ids.

        The elements of both versions are aligned by SpiffWorkflow's `bpmn.util.diff`. An instance
        can be migrated if the elements that it has completed or started are the same. Ready and
        waiting elements may change, and so may what comes later: it is predicted again. In a
        process that has changed, ready and waiting tasks start again, as they do with
        SpiffWorkflow's `migrate_workflow`: a timer waits for its whole time again. The page
        "Changing a model under running instances" has the exact rules.

        You can keep the state to go back. The next state says from which version to which the
        instance was moved, and when.

        Raises ChangedWorkflow, with the comparison, if the instance cannot be migrated, and the
        errors of `resume`.
        """
        require_state(state)
        return Migration(self, state, Comparing(self, old, renamed), script_engine).run()

    def migrate_pieces(
        self,
        read: Read,
        old: Old = None,
        *,
        script_engine: Any = None,
        renamed: Optional[Mapping[str, str]] = None,
    ) -> BpmnWorkflow:
        """Like `migrate`, for an instance in pieces. Then write what `save_pieces` returns.

        Raises StateError if a piece cannot be read or is damaged, and the errors of `migrate`.
        """
        return Migration(self, _callable(read), Comparing(self, old, renamed), script_engine).run()

    # Pieces apart

    def save_pieces(self, workflow: Any, since: Optional[StatePieces] = None) -> StatePieces:
        """Return what changed in the state of a workflow, as pieces that are stored separately.

        A settled subprocess is a piece of its own. It is settled if it is completed and everything
        below it is completed too. The live piece contains the rest. A step changes the live piece,
        and adds each subprocess that settled in this step once.

        Without `since`, `changed` and `removed` describe the difference to the pieces that
        `resume_pieces` read. For a workflow that was not resumed from pieces, everything is new.
        If a transaction fails, save again: you get the same pieces. For a workflow that stays in
        memory, pass the result of its last save as `since`. Do not pass it if you change the data
        of finished tasks yourself, because the call does not notice such a change then.

        Raises StateError if the serializer, its converter for workflows or its subworkflow class
        overrides a method that pieces need, and the errors of `save`.
        """
        header, telling = header_of(self, workflow)
        return workflow_pieces(self._serializing, workflow, header, telling, since)

    def resume_pieces(
        self, read: Read, script_engine: Any = None, *, binding: Binding = "latest"
    ) -> BpmnWorkflow:
        """Return the workflow of pieces that `save_pieces` or `split` made.

        `read(piece id)` returns the text of a piece, as `str` or UTF-8 `bytes`. The loader first
        calls it with "live". It calls it with the id of a subprocess when somebody looks into that
        subprocess, so `read` must work for as long as the workflow is used.

        Raises StateError if a piece cannot be read or is damaged, now or when it is needed, and the
        errors of `resume`.
        """
        _callable(read)
        opening = Opening(self, same_version(binding))
        return self._resumed(
            opening,
            lambda: self._serializing.read_pieces(
                read, opening.begin, opening.specs, opening.spec_then
            ),
            lambda: checked(read, LIVE),
            script_engine,
        )

    def split(self, state: State) -> StatePieces:
        """Return the pieces of a state, which is text or a mapping, as for `resume`.

        Raises StateError if this is not a state.
        """
        text = unzipped(text_of(state, self._serializer))
        require_run(parse(text, None))
        if isinstance(text, bytes):  # as `json` decodes them
            text = text.decode(json.detect_encoding(text), "surrogatepass")
        return split_text(text)

    def join(self, read: Read) -> str:
        """Return the state as one text. `read` is the same function as for `resume_pieces`.

        Raises StateError if a piece cannot be read or is damaged.
        """
        return join_pieces(read)

    def verify_pieces(self, read: Read) -> list[DamagedPiece]:
        """Read all pieces, and return those that cannot be read or are damaged.

        `read` is the same function as for `resume_pieces`. Its exceptions count as damage.
        """
        return damaged_pieces(read)

    # Helpers

    def _mapping(self, process_id: Optional[str], versions: Versions) -> SpecMapping:
        template = None
        if process_id is not None and process_id != self._sources.own.root:
            template = self._templates.get(process_id)
            if template is None:
                template = self._templates[process_id] = self._template(process_id)
        return SpecMapping(self._sources, template, process_id, versions)

    def _require_process(self, process_id: str) -> None:
        if not self._sources.own.has(process_id):
            self._units.element_ids(process_id)  # raises an error with suggestions

    def _template(self, process_id: str) -> dict[str, Any]:
        """The initial content of a mapping for a process that is not the root."""
        root = self._units.root
        reached = self._units.needs(process_id, defer="nothing")
        named = {one.process_id for name in reached for one in self._units.references(name)}
        roster = {root: True, **self._units._roster()}
        return untouched({name: held for name, held in roster.items() if name in named}, root)


def _callable(read: Read) -> Read:
    if not callable(read):
        raise TypeError(f"read must be callable, not {type(read).__name__}")
    return read
