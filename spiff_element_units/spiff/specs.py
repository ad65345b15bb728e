"""The process specs of one workflow, restored when somebody asks for them.

A restored spec is kept, and all instances share it, as they may in SpiffWorkflow itself. The
exceptions are the specs that the engine changes while an instance runs: see `changing`.
"""

from __future__ import annotations

import json
from time import perf_counter
from typing import Any, Callable, Optional, Protocol
from weakref import WeakValueDictionary

from SpiffWorkflow.bpmn.specs.mixins.subworkflow_task import CallActivity, SubWorkflowTask
from SpiffWorkflow.exceptions import SpiffWorkflowException

from ..errors import CorruptPack, InvalidWorkflowSpec
from ..units import ElementUnits
from .changing import EVENTS_EXTEND_SPECS, Before, before_run, changes_while_running, extensible
from .events import QUIET, Event, Events
from .external import ExternalName, explain_where_missing
from .forks import Locks
from .kept import KeptSpecs

Spec = Any  # a BpmnProcessSpec
Resolve = Callable[[str], Optional[ElementUnits]]


class Serializer(Protocol):
    """The parts of SpiffWorkflow's `BpmnWorkflowSerializer` that this package uses."""

    VERSION: Any
    registry: Any
    json_decoder_cls: Any
    json_encoder_cls: Any

    @property
    def VERSION_KEY(self) -> str: ...
    def serialize_json(self, workflow: Any) -> Any: ...
    def deserialize_json(self, serialization: Any) -> Any: ...
    def to_dict(self, obj: Any, **kwargs: Any) -> Any: ...
    def from_dict(self, dct: Any, **kwargs: Any) -> Any: ...
    def migrate(self, dct: Any) -> Any: ...


def plain(name: str) -> str:
    """A process id as plain `str`, also if it is of a subclass of `str`. Raises TypeError."""
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
        self._own = own  # whether it is the loader's workflow; False if `resolve` returned it
        self.digest: str = units.digest
        self.root: str = units.root
        self._serializer = serializer
        self._inner: Optional[SpecStore] = None
        self.registry: Any = serializer.registry
        self._decoder = serializer.json_decoder_cls
        self._restoring = Locks()
        self._kept: dict[str, Spec] = {}
        self._in_use: WeakValueDictionary[str, Spec] = WeakValueDictionary()  # if there is a bound
        self._changing: set[str] = set()  # ids of the processes whose specs the engine changes
        self._before: dict[str, Before] = {}
        self._waiting: dict[str, dict[str, Any]] = {}
        self._digests: dict[str, str] = {}
        self._known: set[str] = set()  # ids of processes that the workflow contains

    @property
    def kept(self) -> tuple[str, ...]:
        """The ids of the processes whose specs are kept."""
        return tuple(self._kept)

    def has(self, process_id: str) -> bool:
        """Whether the workflow contains a process."""
        if process_id in self._known:
            return True
        if not self.units._has(process_id):
            return False
        self._known.add(process_id)
        return True

    def process_digest(self, process_id: str) -> str:
        """The digest of a process, to compare it with the same process in another workflow."""
        digest = self._digests.get(process_id)
        if digest is None:
            digest = self._digests[process_id] = self.units.process_digest(process_id)
        return digest

    def spec(self, process_id: str) -> Spec:
        """The spec of a process that is called or embedded: the kept one, or a new one.

        It is a new one if the engine changes it. Raises UnitNotFound and InvalidWorkflowSpec.
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
        lock = self._restoring.of(process_id)
        with lock.now:
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

    def _keep(self, held: dict[str, Any], process_id: str, value: Any, told: list[Event]) -> None:
        """Keep a spec, or something about one, in one of the store's dicts."""
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
        self._before.pop(process_id, None)
        self._waiting.pop(process_id, None)

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
        """The spec of a process that is started. Raises the errors of `spec`."""
        spec = self.spec(process_id)
        if not EVENTS_EXTEND_SPECS or not self.keeps(process_id, spec):
            return spec
        # A loop is connected to the object of the task that it repeats, so it cannot be copied.
        looping = any(one.completed_event.n_subscribers() for one in spec.task_specs.values())
        return self._tell_after(self._restored, process_id) if looping else extensible(spec)

    def restore(self, process_id: str) -> Spec:
        """Restore a new spec object. This tells nobody."""
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
        """The store of the spec that a call of a process runs. It can be a different store.

        A workflow may have one spec as `spec`, and another one under the same id in
        `subprocess_specs`. A call runs the second.
        """
        if process_id != self.root:
            return self
        if self._inner is None:
            differs = self.units._inner_root() is not None
            inner: SpecStore = self
            if differs:
                inner = InnerRoot(
                    self.units, self._serializer, events=self.events, bound=self.bound
                )
            self._inner = inner
        return self._inner

    def before(self, process_id: str) -> Before:
        """What the engine may change in a process, as it is before an instance runs."""
        before = self._before.get(process_id)
        if before is None:
            before = self._tell_after(self._made_before, process_id)
        return before

    def waiting_task_specs(self, process_id: str) -> dict[str, Any]:
        """The task specs of a process by their names, as they are written. Restores nothing.

        Those that are neither manual nor events are empty: no task waits at them for something from
        outside.
        """
        found = self._waiting.get(process_id)
        if found is None:
            found = self._tell_after(self._decoded_waiting, process_id)
        return found

    def _decoded_waiting(self, process_id: str, told: list[Event]) -> dict[str, Any]:
        task_specs = self.decoded(process_id)["task_specs"]
        found = {
            name: one if one.get("manual") or "event_definition" in one else {}
            for name, one in task_specs.items()
        }
        self._keep(self._waiting, process_id, found, told)
        return found

    def _made_before(self, process_id: str, told: list[Event]) -> Before:
        spec = self._shared(process_id) or self._restored(process_id, told)
        before = before_run(spec, self.registry.convert)
        self._keep(self._before, process_id, before, told)
        return before

    def _shared(self, process_id: str) -> Optional[Spec]:
        """The spec that is kept, or that a workflow still runs on."""
        return self._kept.get(process_id) or self._in_use.get(process_id)

    def keeps(self, process_id: str, spec: Spec) -> bool:
        """Whether this spec object is the one that is or was kept, which all instances share."""
        return self._shared(process_id) is spec

    def decoded(self, process_id: str) -> Any:
        """One process spec as a new dict, as the serializer's decoder reads it."""
        decoder = self._decoder
        if decoder is None or decoder is json.JSONDecoder:
            return self.units._decoded(process_id)
        return json.loads(self.units.spec_json(process_id), cls=decoder)

    def _name_externals(self, process_id: str, spec: Spec, task_specs: dict[str, Any]) -> None:
        """Replace the names of processes of other workflows by ExternalNames.

        In a workflow that `resolve` returned, this replaces all names.
        """

        # One record says this of all references. `has` reads a record for each name.
        references = self.units.references(process_id) if self._own else ()
        here = {one.process_id for one in references if not one.external}

        def leads_away(name: Any) -> bool:
            if not isinstance(name, str) or name in here:
                return False
            return not (self._own and self.has(name))

        for task_spec in task_specs.values():
            if isinstance(task_spec, SubWorkflowTask) and leads_away(task_spec.spec):
                called = isinstance(task_spec, CallActivity)
                task_spec.spec = ExternalName.of(task_spec.spec, task_spec, process_id, called)
                explain_where_missing(task_spec)
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
    """The spec that `subprocess_specs` has under the id of the workflow's root."""

    def decoded(self, process_id: str) -> Any:
        text = self.units._inner_root() or b"null"
        if self._decoder is None or self._decoder is json.JSONDecoder:
            return self.units._parsed(text, process_id)
        return json.loads(text, cls=self._decoder)


def label(store: SpecStore) -> str:
    """How an error message refers to a workflow."""
    key = store.units.cache_key
    cached = "" if key is None else f" cached as {key!r}"
    return f"the workflow of {store.units.root!r}{cached}"


def _unknown_typename(value: Any, known: dict[str, Any], place: str = "spec") -> Any:
    """The place and the name of the first unknown typename, or None."""
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
