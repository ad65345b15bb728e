"""The process specs of one workflow, restored when they are asked for.

A restored spec is kept and handed to everyone, as one spec serves any number of instances in
SpiffWorkflow itself. The exceptions are the specs that the engine changes while an instance runs.
What it changes, read in its sources:

- 3.2: an ad-hoc subprocess connects its start task to each conditional path that it starts
  (`AdHocSubprocessSpec.add_path`), a start task with trigger specs connects itself to each process
  that it triggers (`BpmnStartTask.trigger_wf`).
- 3.0 and 3.1: an event for which a process of the workflow has a start event adds a call activity
  to the spec that the instance was started with (`BpmnWorkflow.update_collaboration`). The process
  may be one that the application has assigned.

The first are restored anew for each workflow. The second is any spec that is started: each workflow
gets a copy of it. That a loop task connects itself to the task it repeats
is no change: a restored spec has the connection already.
"""

from __future__ import annotations

import json
from time import perf_counter
from types import MethodType
from typing import Any, Callable, Optional, Protocol
from weakref import WeakValueDictionary

from SpiffWorkflow.bpmn.specs import bpmn_process_spec
from SpiffWorkflow.bpmn.specs.mixins.subworkflow_task import CallActivity, SubWorkflowTask
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.exceptions import SpiffWorkflowException

from ..errors import CorruptPack, InvalidWorkflowSpec, UnitNotFound
from ..units import ElementUnits
from .events import QUIET, Event, Events
from .forks import Lock
from .kept import KeptSpecs

Spec = Any  # a BpmnProcessSpec
Resolve = Callable[[str], Optional[ElementUnits]]
Links = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]  # a task spec's inputs and outputs

# SpiffWorkflow before 3.2: events add task specs to the spec that an instance was started with.
EVENTS_EXTEND_SPECS = hasattr(BpmnWorkflow, "update_collaboration")
_AD_HOC: Any = getattr(bpmn_process_spec, "AdHocSubprocessSpec", ())


class Serializer(Protocol):
    """What is used of SpiffWorkflow's `BpmnWorkflowSerializer`."""

    VERSION: Any
    registry: Any
    json_decoder_cls: Any

    @property
    def VERSION_KEY(self) -> str: ...
    def serialize_json(self, workflow: Any) -> Any: ...
    def deserialize_json(self, serialization: Any) -> Any: ...
    def to_dict(self, obj: Any, **kwargs: Any) -> Any: ...
    def from_dict(self, dct: Any, **kwargs: Any) -> Any: ...
    def migrate(self, dct: Any) -> Any: ...


class ExternalName(str):
    """The name of a process of another workflow, as it stands in a task spec that refers to it.

    To everyone it is that name. The mapping of specs, which the engine asks with it, learns from it
    which process needs the other one, and can name the element where nobody has it.
    """

    task_spec: Any
    process_id: str
    called: bool

    @classmethod
    def of(cls, name: str, task_spec: Any, process_id: str, called: bool) -> ExternalName:
        """`name`, as `task_spec` of process `process_id` refers to it, by a call or not."""
        made = cls(name)
        made.task_spec = task_spec
        made.process_id = process_id
        made.called = called
        return made


def plain(name: str) -> str:
    """A process id as plain `str`, where it is a kind of that. Raises TypeError where not."""
    if not isinstance(name, str):
        raise TypeError(f"process_id must be a str, not {type(name).__name__}")
    return str.__str__(name)


class SpecStore:
    """Restores the process specs of one `ElementUnits` and keeps those that can be shared.

    With a `bound`, it drops specs again that others make room for. It then still knows those that a
    workflow runs on, and gives them to others.

    Safe to use from several threads at once. A thread that needs a spec waits only for a thread
    that restores the same one.
    """

    def __init__(
        self,
        units: ElementUnits,
        serializer: Serializer,
        own: bool = True,
        *,
        events: Events = QUIET,
        bound: Optional[KeptSpecs] = None,
    ) -> None:
        self.units = units
        self.events = events
        self.bound = bound
        self._own = own  # the workflow of the loader, and not one that it has resolved
        self.digest: str = units.digest
        self.root: str = units.root
        self._serializer = serializer
        self._inner: Optional[SpecStore] = None
        self.registry: Any = serializer.registry
        self._decoder = serializer.json_decoder_cls
        self._restoring: dict[str, Lock] = {}
        self._kept: dict[str, Spec] = {}
        self._in_use: WeakValueDictionary[str, Spec] = WeakValueDictionary()  # if there is a bound
        self._changing: set[str] = set()  # ids of the processes whose specs the engine changes
        self._links: dict[str, Links] = {}

    @property
    def kept(self) -> tuple[str, ...]:
        """The ids of the processes whose specs are kept."""
        return tuple(self._kept)

    def has(self, process_id: str) -> bool:
        """Whether the workflow has a process."""
        return self.units._has(process_id)

    def spec(self, process_id: str) -> Spec:
        """The spec of a process to be called or embedded: the one kept, or one of the caller's own.

        Raises UnitNotFound, InvalidWorkflowSpec.
        """
        spec = self._kept.get(process_id)
        if spec is not None:
            if self.bound is not None:
                self.bound.used(self, process_id)
            return spec
        if process_id in self._changing:
            return self._tell_after(self._restored, process_id)
        return self._tell_after(self._kept_or_restored, process_id)

    def _kept_or_restored(self, process_id: str, told: list[Event]) -> Spec:
        try:
            with self._restoring.setdefault(process_id, Lock()).now:
                spec = self._kept.get(process_id)
                if spec is not None:
                    return spec
                spec = self._in_use.get(process_id)
                if spec is None:
                    spec = self._restored(process_id, told)
                if changes_while_running(spec):
                    self._changing.add(process_id)
                else:
                    self._keep(self._kept, process_id, spec, told)
                return spec
        finally:
            self._restoring.pop(process_id, None)

    def _keep(self, held: dict[str, Any], process_id: str, value: Any, told: list[Event]) -> None:
        """Keep a spec, or how its task specs are connected, in one of the store's dicts."""
        if self.bound is None:
            held[process_id] = value
            return
        if held is self._kept:
            self._in_use[process_id] = value
        for store, name in self.bound.keep(self, held, process_id, value):
            told.append(Event("evicted", store.units.cache_key, name))

    def drop(self, process_id: str) -> None:
        """Keep a spec no longer; called by `bound`."""
        self._kept.pop(process_id, None)
        self._links.pop(process_id, None)

    def _tell_after(self, restore: Callable[[str, list[Event]], Any], process_id: str) -> Any:
        """Restore something, and tell what happened when no lock is held any more."""
        told: list[Event] = []
        try:
            return restore(process_id, told)
        except CorruptPack as error:
            key = self.units.cache_key
            told.append(Event("damaged", key, process_id, detail=str(error)))
            raise
        finally:
            for event in told:
                self.events.tell(event)

    def root_spec(self, process_id: str) -> Spec:
        """The spec of a process to be run by itself, on the terms of `spec`."""
        spec = self.spec(process_id)
        if not EVENTS_EXTEND_SPECS or not self.keeps(process_id, spec):
            return spec
        # Loops are connected to the task that they repeat, as objects.
        looping = any(one.completed_event.n_subscribers() for one in spec.task_specs.values())
        return self._tell_after(self._restored, process_id) if looping else extensible(spec)

    def restore(self, process_id: str) -> Spec:
        """A new spec object. This tells nobody."""
        decoded = self.decoded(process_id)
        try:
            spec = self.registry.restore(decoded)
            task_specs = spec.task_specs
        except SpiffWorkflowException:
            raise
        except Exception as error:
            raise self._not_restored(process_id, error) from error
        self._name_externals(process_id, spec, task_specs)
        return spec

    def _restored(self, process_id: str, told: list[Event]) -> Spec:
        started = perf_counter()
        spec = self.restore(process_id)
        if self.events.wanted("restored"):
            seconds, size = perf_counter() - started, len(self.units.spec_json(process_id))
            told.append(Event("restored", self.units.cache_key, process_id, seconds, size))
        return spec

    def for_calls(self, process_id: str) -> SpecStore:
        """The store with the spec that a call of a process runs, which may be another's.

        A workflow may have another spec under its root's id in `subprocess_specs` than as `spec`.
        """
        if process_id != self.root:
            return self
        if self._inner is None:
            differs = self.units._inner_root() is not None
            self._inner = self
            if differs:
                self._inner = InnerRoot(
                    self.units, self._serializer, events=self.events, bound=self.bound
                )
        return self._inner

    def links(self, process_id: str) -> Links:
        """How the task specs of a process are connected before an instance runs."""
        links = self._links.get(process_id)
        if links is None:
            links = self._tell_after(self._made_links, process_id)
        return links

    def _made_links(self, process_id: str, told: list[Event]) -> Links:
        links = links_of(self._shared(process_id) or self._restored(process_id, told))
        self._keep(self._links, process_id, links, told)
        return links

    def _shared(self, process_id: str) -> Optional[Spec]:
        """The spec that is kept, or that a workflow still runs on."""
        return self._kept.get(process_id) or self._in_use.get(process_id)

    def keeps(self, process_id: str, spec: Spec) -> bool:
        """Whether this spec object is the one that is kept, or was kept, and shared."""
        return self._shared(process_id) is spec

    def decoded(self, process_id: str) -> Any:
        """One process spec as a dict of the caller's own, as the serializer's decoder reads it."""
        decoder = self._decoder
        if decoder is None or decoder is json.JSONDecoder:
            return self.units._decoded(process_id)
        return json.loads(self.units.spec_json(process_id), cls=decoder)

    def _name_externals(self, process_id: str, spec: Spec, task_specs: dict[str, Any]) -> None:
        """Lets the references to processes of other workflows tell where they stand.

        In a workflow that was resolved those are all references.
        """

        def leads_away(name: Any) -> bool:
            return isinstance(name, str) and not (self._own and self.has(name))

        for task_spec in task_specs.values():
            if isinstance(task_spec, SubWorkflowTask) and leads_away(task_spec.spec):
                called = isinstance(task_spec, CallActivity)
                task_spec.spec = ExternalName.of(task_spec.spec, task_spec, process_id, called)
                _explain_where_missing(task_spec)
        triggers = getattr(spec.start, "trigger_specs", None)
        if triggers and any(map(leads_away, triggers)):
            spec.start.trigger_specs = [
                ExternalName.of(name, spec.start, process_id, False) if leads_away(name) else name
                for name in triggers
            ]

    def _not_restored(self, process_id: str, error: Exception) -> InvalidWorkflowSpec:
        spec = self.decoded(process_id)
        unknown = _unknown_typename(spec, self.registry.convert_from_dict)
        if unknown is not None:
            place, typename = unknown
            return InvalidWorkflowSpec(
                f"the serializer cannot restore process {process_id!r}: {place} has the typename "
                f"{typename!r}, which it does not know; register a converter for it, or serialize "
                "the workflow again with this version of SpiffWorkflow"
            )
        return InvalidWorkflowSpec(
            f"the serializer cannot restore process {process_id!r} ({type(error).__name__}: "
            f"{error}); serialize the workflow again with this serializer and version of "
            "SpiffWorkflow, and cache it"
        )


class InnerRoot(SpecStore):
    """The spec under the id of a workflow's root in its `subprocess_specs`."""

    def decoded(self, process_id: str) -> Any:
        text = self.units._inner_root() or b"null"
        if self._decoder is None or self._decoder is json.JSONDecoder:
            return self.units._parsed(text, process_id)
        return json.loads(text, cls=self._decoder)


class SpecSources:
    """Where the specs of a loader come from: its own workflow, and others that `resolve` brings.

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
        self._serializer = serializer
        self._resolve = resolve
        self._lock = Lock()
        self._stores = {self.own.digest: self.own}
        self._resolved: dict[str, SpecStore] = {}

    def bind(self, bound: KeptSpecs) -> None:
        """Bound the specs that are kept; before any is restored."""
        self.own.bound = bound

    def forget(self) -> None:
        """Drop all specs that are kept; with a bound."""
        for store in (*self._stores.values(), self.own._inner):
            if store is not None and store.bound is not None:
                store.bound.forget(store)

    @property
    def resolves(self) -> bool:
        """Whether there is a `resolve`."""
        return self._resolve is not None

    def resolved(self, process_id: str) -> Optional[SpecStore]:
        """The workflow that `resolve` has for a process. It is asked until it has one, then kept.

        Raises TypeError where it returns something else than it may, UnitNotFound where what it
        returns lacks the process.
        """
        store = self._resolved.get(process_id)
        if store is not None:
            return store
        store = self._ask(process_id)
        return store and self._resolved.setdefault(process_id, store)

    def version(self, digest: str, process_ids: list[str]) -> Optional[tuple[SpecStore, str]]:
        """A workflow with this digest, and the process id that it was resolved for.

        It is one that is known, or one that `resolve` has for one of the process ids now.
        """
        store = self._stores.get(digest)
        if store is not None:
            known = (name for name in process_ids if self._resolved.get(name) is store)
            return store, next(known, process_ids[0])
        for name in process_ids:
            kept = name in self._resolved
            store = self.resolved(name)
            if kept and store is not None and store.digest != digest:
                store = self._ask(name)  # it may be a newer one than was kept
            if store is not None and store.digest == digest:
                return store, name
        return None

    def _ask(self, process_id: str) -> Optional[SpecStore]:
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
                own = self.own
                store = SpecStore(
                    units, self._serializer, own=False, events=own.events, bound=own.bound
                )
                self._stores[units.digest] = store
        if not store.has(process_id):
            raise UnitNotFound(
                f"resolve({process_id!r}) returned {label(store)}, which has no such process; "
                "return the ElementUnits of a workflow that contains it, or None"
            )
        return store


def get_missing_subworkflow_error(self: Any, my_task: Any) -> Any:
    """What SpiffWorkflow asks a task spec for, to raise it: here that is raised which tells more.

    It bears the name of the method whose place it takes, so that specs can be pickled.
    """
    missing = getattr(my_task.workflow.top_workflow.subprocess_specs, "missing", None)
    if missing is not None:
        raise missing(self.spec, my_task)
    return type(self).get_missing_subworkflow_error(self, my_task)


def _explain_where_missing(task_spec: Any) -> None:
    if hasattr(task_spec, "get_missing_subworkflow_error"):  # since SpiffWorkflow 3.2
        task_spec.get_missing_subworkflow_error = MethodType(
            get_missing_subworkflow_error, task_spec
        )


def label(store: SpecStore) -> str:
    """What an error calls a workflow."""
    key = store.units.cache_key
    cached = "" if key is None else f" cached as {key!r}"
    return f"the workflow of {store.units.root!r}{cached}"


def changes_while_running(spec: Spec) -> bool:
    """Whether the engine changes this spec while an instance runs."""
    return isinstance(spec, _AD_HOC) or bool(getattr(spec.start, "trigger_specs", None))


def extensible(spec: Spec) -> Spec:
    """A copy of a spec, to which task specs can be added while the original stays as it is.

    Its task specs are copies too, which belong to it. They share what no engine changes.
    """
    copies = {}
    made = _like(spec)
    for task_spec in spec.task_specs.values():
        copied = copies[id(task_spec)] = _like(task_spec)
        copied._wf_spec = made
        copied._inputs, copied._outputs = [*task_spec._inputs], [*task_spec._outputs]
        name = getattr(task_spec, "spec", None)
        if isinstance(name, ExternalName):
            copied.spec = ExternalName.of(name, copied, name.process_id, name.called)
    made.task_specs = {name: copies[id(one)] for name, one in spec.task_specs.items()}
    for name, value in vars(spec).items():
        if id(value) in copies:
            setattr(made, name, copies[id(value)])
    return made


def _like(obj: Any) -> Any:
    made = object.__new__(type(obj))
    made.__dict__.update(obj.__dict__)
    return made


def links_of(spec: Spec) -> Links:
    """How the task specs of a spec are connected."""
    return {
        name: (tuple(task_spec._inputs), tuple(task_spec._outputs))
        for name, task_spec in spec.task_specs.items()
    }


def _unknown_typename(value: Any, known: dict[str, Any], place: str = "spec") -> Any:
    """The place and the name of the first typename that is not known, or None."""
    if isinstance(value, dict):
        typename = value.get("typename")
        if isinstance(typename, str) and typename not in known:
            return place, typename
        inner = ((f'{place}["{key}"]', one) for key, one in value.items())
    elif isinstance(value, list):
        inner = ((f"{place}[{index}]", one) for index, one in enumerate(value))
    else:
        return None
    found = (_unknown_typename(one, known, where) for where, one in inner)
    return next((one for one in found if one is not None), None)
