"""What an instance waits for: people, times, messages and signals.

`Waiting` is made of the READY and WAITING tasks of an instance, and of their task specs as the
serializer writes them. Therefore a workflow and its saved state give the same answer. It opens no
settled subprocess, because none of its tasks is unfinished.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple, Optional
from uuid import UUID

from SpiffWorkflow.bpmn.specs.event_definitions import (
    CycleTimerEventDefinition,
    MessageEventDefinition,
    SignalEventDefinition,
    TimeDateEventDefinition,
)
from SpiffWorkflow.bpmn.specs.event_definitions.multiple import MultipleEventDefinition
from SpiffWorkflow.bpmn.specs.event_definitions.timer import TimerEventDefinition
from SpiffWorkflow.bpmn.specs.mixins.events.event_types import CatchingEvent
from SpiffWorkflow.util.task import TaskState

from .waiting_tasks import UnfinishedTask

_FORM = ("formJsonSchemaFilename", "formUiSchemaFilename")


@dataclass(frozen=True)
class WaitingTask:
    """A task that waits for something.

    `id` is the id of the task, for `workflow.get_task_from_id`. `spec_name` is the name of its task
    spec, which SpiffWorkflow's `get_tasks(spec_name=..)` takes. `bpmn_id` and `bpmn_name` are the
    id and the name of the element in the diagram. `lane` is the name of its lane. `process_id` is
    the process that contains the element: a called process or an embedded subprocess has its own.
    """

    id: UUID
    spec_name: str
    bpmn_id: Optional[str]
    bpmn_name: Optional[str]
    lane: Optional[str]
    process_id: str


@dataclass(frozen=True)
class HumanTask(WaitingTask):
    """A READY task that the engine does not run by itself: its task spec is `manual`.

    `form` is what the model says of its form, or None. For SpiffWorkflow's camunda parser it is the
    form as the serializer writes it, a dict with `key` and `fields`. For its spiff parser it is a
    dict of the properties `formJsonSchemaFilename` and `formUiSchemaFilename`, as far as the model
    has them. `extensions` are all extensions that the spiff parser has found, such as
    `instructionsForEndUser`.
    """

    form: Optional[dict[str, Any]]
    extensions: dict[str, Any]


@dataclass(frozen=True)
class WaitingTimer(WaitingTask):
    """A WAITING task with a timer: an intermediate event, a boundary event or a start event.

    `due` is the time at which the timer fires next, with the time zone UTC. It is None if
    SpiffWorkflow has not computed it or cannot read it. If `due` is in the past, the next
    `refresh_timers` or `do_engine_steps` lets the timer fire.

    A cycle also has the number of `cycles` that are left, -1 if there is no limit, and the
    `duration` between them. If no cycles are left, `due` is the time at which it last fired, and
    one of the next refreshes completes the task.
    """

    due: Optional[datetime]
    cycles: Optional[int] = None
    duration: Optional[timedelta] = None


class CorrelationProperty(NamedTuple):
    """How the engine finds the value of a correlation property in the payload of a message."""

    name: str
    retrieval_expression: str
    correlation_keys: tuple[str, ...]


@dataclass(frozen=True)
class WaitingMessage(WaitingTask):
    """A WAITING task that a message continues.

    `name` is the name of the message. `correlations` are the values that are known to the process
    of the task: `{correlation key: {property: value}}`. If it is empty, any message of that name
    fits. `correlation_properties` say how the values are found in the payload of a message.
    """

    name: str
    correlations: dict[str, Any]
    correlation_properties: tuple[CorrelationProperty, ...]


@dataclass(frozen=True)
class WaitingSignal(WaitingTask):
    """A WAITING task that a signal continues. `name` is the name of the signal."""

    name: str


@dataclass(frozen=True)
class Waiting:
    """What an instance waits for. Each tuple is in the order of the instance's task tree.

    A task that waits for one of several events, such as an event-based gateway, is in the tuple of
    each of these events. Conditions are not here: the engine evaluates them when it refreshes the
    instance. Errors, escalations and cancellations are not here either, because they come from
    inside the instance.
    """

    human_tasks: tuple[HumanTask, ...] = ()
    timers: tuple[WaitingTimer, ...] = ()
    messages: tuple[WaitingMessage, ...] = ()
    signals: tuple[WaitingSignal, ...] = ()

    @property
    def next_due(self) -> Optional[datetime]:
        """When the first timer is due; None if no timer has a time."""
        return min((timer.due for timer in self.timers if timer.due is not None), default=None)


def waiting_of(unfinished: Iterable[UnfinishedTask], registry: Any) -> Waiting:
    """What unfinished tasks wait for. `registry` is the serializer's."""
    found: dict[type, list[Any]] = {
        kind: [] for kind in (HumanTask, WaitingTimer, WaitingMessage, WaitingSignal)
    }
    classes = _Classes(registry)
    for task in unfinished:
        for one in _awaited(task, classes):
            found[type(one)].append(one)
    return Waiting(*(tuple(some) for some in found.values()))


class _Classes:
    """The classes of what the serializer writes, by their typenames."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self._by_name: Optional[dict[str, type]] = None

    def is_a(self, dct: Any, *kinds: type) -> bool:
        """Whether a dict is that of an object of one of these classes."""
        if self._by_name is None:
            self._by_name = {name: cls for cls, name in self._registry.typenames.items()}
        cls = self._by_name.get(dct.get("typename", "")) if isinstance(dct, dict) else None
        return cls is not None and issubclass(cls, kinds)


def _awaited(task: UnfinishedTask, classes: _Classes) -> Iterable[WaitingTask]:
    spec = task.task_spec
    about: dict[str, Any] = {
        "id": task.id,
        "spec_name": task.spec_name,
        "bpmn_id": spec.get("bpmn_id"),
        "bpmn_name": spec.get("bpmn_name"),
        "lane": spec.get("lane"),
        "process_id": task.process_id,
    }
    if task.state == TaskState.READY:
        if spec.get("manual"):
            extensions = deepcopy(spec.get("extensions") or {})
            yield HumanTask(**about, form=_form(spec, extensions), extensions=extensions)
    elif classes.is_a(spec, CatchingEvent):
        for definition in _definitions(task, spec.get("event_definition"), classes):
            if classes.is_a(definition, TimerEventDefinition):
                value = task.internal_data.get("event_value")
                yield WaitingTimer(**about, **_times(definition, value, classes))
            elif classes.is_a(definition, MessageEventDefinition):
                yield WaitingMessage(
                    **about,
                    name=definition["name"],
                    correlations=deepcopy(dict(task.correlations)),
                    correlation_properties=_properties(definition),
                )
            elif classes.is_a(definition, SignalEventDefinition):
                yield WaitingSignal(**about, name=definition["name"])


def _form(spec: Mapping[str, Any], extensions: dict[str, Any]) -> Optional[dict[str, Any]]:
    if spec.get("form") is not None:  # the camunda parser
        return deepcopy(dict(spec["form"]))
    properties = extensions.get("properties") or {}
    return {name: properties[name] for name in _FORM if name in properties} or None


def _definitions(task: UnfinishedTask, definition: Any, classes: _Classes) -> list[Any]:
    """The event definitions that a task waits for."""
    if not classes.is_a(definition, MultipleEventDefinition):
        return [definition]
    left = list(definition["event_definitions"])
    for seen in map(_kind, task.seen):  # one that waits for all of several events
        found = next((one for one in left if _kind(one) == seen), None)
        if found is not None:
            left.remove(found)
    # Up to 3.1, such a timer runs in a task of its own, which is among the unfinished tasks.
    runs = "event_value" in task.internal_data
    return [one for one in left if runs or not classes.is_a(one, TimerEventDefinition)]


def _kind(definition: Mapping[str, Any]) -> Any:
    """What SpiffWorkflow compares of two event definitions."""
    return definition.get("typename"), definition.get("name")


def _properties(definition: Mapping[str, Any]) -> tuple[CorrelationProperty, ...]:
    return tuple(
        CorrelationProperty(
            one["name"], one["retrieval_expression"], tuple(one["correlation_keys"])
        )
        for one in definition.get("correlation_properties") or ()
    )


def _times(definition: Any, value: Any, classes: _Classes) -> dict[str, Any]:
    """When a timer is due, from the value that SpiffWorkflow keeps with its task."""
    if not classes.is_a(definition, CycleTimerEventDefinition):
        return {"due": _time(value, classes.is_a(definition, TimeDateEventDefinition))}
    if not isinstance(value, dict):
        return {"due": None}
    cycles, duration = value["cycles"], timedelta(seconds=value["duration"])
    due = _time(value["next"], False)
    if due is not None and cycles == 0:
        due -= duration
    return {"due": due, "cycles": cycles, "duration": duration}


def _time(text: Any, as_date: bool) -> Optional[datetime]:
    """A time as SpiffWorkflow reads it; None if it cannot read it."""
    if not isinstance(text, str):
        return None
    read = TimerEventDefinition.parse_time_or_duration if as_date else None
    try:
        found = (read or TimerEventDefinition.get_datetime)(text)
    except Exception:  # the engine raises several kinds, one of them `Exception`
        return None
    return found.astimezone(timezone.utc) if isinstance(found, datetime) else None
