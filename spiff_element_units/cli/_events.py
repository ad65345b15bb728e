"""What happens to an instance of `run` from outside: messages, signals, and time that passes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, NamedTuple, Optional

from SpiffWorkflow.bpmn import BpmnEvent
from SpiffWorkflow.bpmn.specs.event_definitions import (
    MessageEventDefinition,
    SignalEventDefinition,
)
from SpiffWorkflow.bpmn.specs.event_definitions.timer import TimerEventDefinition
from SpiffWorkflow.util.task import TaskState

from ._answers import option_object
from ._output import moment, shown

_A_MOMENT = timedelta(milliseconds=1)


class Event(NamedTuple):
    """A message or signal that the command line gives. `kind` is the class of its definition."""

    kind: Any
    name: str
    payload: Any

    @property
    def word(self) -> str:
        return "message" if self.kind is MessageEventDefinition else "signal"


def given(messages: tuple[str, ...], signals: tuple[str, ...]) -> list[Event]:
    """The events for `--message NAME=JSON` and `--signal NAME`. Raises UsageError."""
    events = []
    for text in messages:
        name, equals, payload = text.partition("=")
        fields = option_object(payload, f"the payload of --message {name!r}") if equals else {}
        events.append(Event(MessageEventDefinition, name, fields))
    return events + [Event(SignalEventDefinition, name, None) for name in signals]


class Events:
    """The events that are still to come. Each is used once, when something waits for it."""

    def __init__(self, events: list[Event], timers: Optional[str], say: Callable[..., None]):
        self.left = events
        self._timers = timers
        self._say = say

    def deliver(self, workflow: Any) -> bool:
        """Send the first event that something waits for; whether there is one."""
        for event in self.left:
            for task, definition in _awaited(workflow):
                if isinstance(definition, event.kind) and definition.name == event.name:
                    self.left.remove(event)
                    self._say(f"! {event.word} {shown(event.name)}", "bold magenta")
                    workflow.send_event(_sent(event, definition, task))
                    return True
        return False

    def pass_time(self, workflow: Any) -> bool:
        """Wait for the next timer, or skip the time until it; whether there is one."""
        waiting = dict(_timers(workflow)) if self._timers is not None else {}
        if not waiting:
            return False
        due = min(waiting.values())
        left = max(due - datetime.now(timezone.utc) + _A_MOMENT, timedelta())
        if self._timers == "wait":
            self._say(f"! waits until {moment(due.astimezone(timezone.utc))}", "bold magenta")
            time.sleep(left.total_seconds())
            return True
        self._say(f"! skips {_rounded(left)}", "bold magenta")
        for task, at in waiting.items():
            _set_due(task, at - left)
        return True


def _awaited(workflow: Any) -> Iterator[tuple[Any, Any]]:
    """The tasks that wait for an event, and for which; and the events that start a process."""
    for task in workflow.get_tasks(state=TaskState.WAITING):
        definition = getattr(task.task_spec, "event_definition", None)
        for one in (definition, *getattr(definition, "event_definitions", ())):
            if one is not None:
                yield task, one
    for name in getattr(workflow.spec.start, "trigger_specs", None) or ():
        for start in getattr(workflow.subprocess_specs[name], "bpmn_start_events", ()):
            yield workflow.task_tree, start.event_definition


def _sent(event: Event, definition: Any, task: Any) -> Any:
    """The event as SpiffWorkflow takes it."""
    payload = event.payload
    if event.kind is SignalEventDefinition:
        return BpmnEvent(definition, payload)
    correlations = definition.get_correlations(task, payload)
    if type(definition).__module__.startswith("SpiffWorkflow.camunda"):
        payload = {"payload": payload, "result_var": definition.result_var}
    return BpmnEvent(definition, payload, correlations)


def _timers(workflow: Any) -> Iterator[tuple[Any, datetime]]:
    """The tasks that wait for a time, and the time."""
    for task in workflow.get_tasks(state=TaskState.WAITING):
        value = task.internal_data.get("event_value")
        if isinstance(value, dict):
            value = value["next"] if value["cycles"] else None
        if value is None:
            continue
        at = TimerEventDefinition.parse_time_or_duration(value)
        if isinstance(at, datetime):
            yield task, at


def _set_due(task: Any, at: datetime) -> None:
    value = task.internal_data["event_value"]
    text = at.isoformat()
    task.internal_data["event_value"] = {**value, "next": text} if isinstance(value, dict) else text


def _rounded(left: timedelta) -> str:
    """A span of time for people."""
    return str(timedelta(seconds=round(left.total_seconds())))
