"""What an instance waits for, from SpiffWorkflow's own objects. The tests compare with it.

`naive` asks `get_tasks` and the task specs of a workflow, so it looks at all of its history.
`check` compares it with what a loader says of the workflow and of each form of its state.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import models
from SpiffWorkflow.bpmn.specs.event_definitions import (
    CycleTimerEventDefinition,
    DurationTimerEventDefinition,
    MessageEventDefinition,
    SignalEventDefinition,
    TimeDateEventDefinition,
)
from SpiffWorkflow.bpmn.specs.event_definitions.multiple import MultipleEventDefinition
from SpiffWorkflow.bpmn.specs.event_definitions.timer import TimerEventDefinition
from SpiffWorkflow.bpmn.specs.mixins.events.event_types import CatchingEvent
from SpiffWorkflow.util.task import TaskState

from spiff_element_units.spiff import (
    CorrelationProperty,
    HumanTask,
    SpecLoader,
    Waiting,
    WaitingMessage,
    WaitingSignal,
    WaitingTimer,
)
from spiff_element_units.spiff.standin import is_unopened

ALONE_IN_GATEWAYS = models.SPIFF_VERSION < (3, 2)  # a timer of a gateway has a task of its own


def naive(workflow) -> Waiting:
    """What a workflow waits for."""
    people, timers, messages, signals = [], [], [], []
    for task in workflow.get_tasks(state=TaskState.READY | TaskState.WAITING):
        spec = task.task_spec
        about = (
            *(task.id, spec.name, spec.bpmn_id, spec.bpmn_name, spec.lane),
            str(task.workflow.spec.name),
        )
        if task.has_state(TaskState.READY) and spec.manual:
            extensions = getattr(spec, "extensions", {})
            people.append(HumanTask(*about, form_of(spec), extensions))
        if not (task.has_state(TaskState.WAITING) and isinstance(spec, CatchingEvent)):
            continue
        for definition in definitions(task):
            if isinstance(definition, TimerEventDefinition):
                timers.append(WaitingTimer(*about, **times(definition, task)))
            if isinstance(definition, MessageEventDefinition):
                properties = tuple(
                    CorrelationProperty(
                        one.name, one.retrieval_expression, (*one.correlation_keys,)
                    )
                    for one in definition.correlation_properties
                )
                known = task.workflow.correlations
                messages.append(WaitingMessage(*about, definition.name, known, properties))
            if isinstance(definition, SignalEventDefinition):
                signals.append(WaitingSignal(*about, definition.name))
    return Waiting(*map(tuple, (people, timers, messages, signals)))


def form_of(spec):
    form = getattr(spec, "form", None)
    if form is not None:
        return {"key": form.key, "fields": [field_of(one) for one in form.fields]}
    properties = getattr(spec, "extensions", {}).get("properties", {})
    return {one: text for one, text in properties.items() if one.startswith("form")} or None


def field_of(field):
    found = {"id": field.id, "default_value": field.default_value, "label": field.label}
    found.update(type=field.type, properties=[vars(one) for one in field.properties])
    found.update(validation=[vars(one) for one in field.validation])
    if field.type == "enum":
        found["options"] = [vars(one) for one in field.options]
    return found


def definitions(task) -> list:
    definition = task.task_spec.event_definition
    if not isinstance(definition, MultipleEventDefinition):
        return [definition]
    left = [*definition.event_definitions]
    for event in task.internal_data.get("seen_events", ()):
        if event.event_definition in left:
            left.remove(event.event_definition)
    runs = "event_value" in task.internal_data
    return [one for one in left if runs or not isinstance(one, TimerEventDefinition)]


def times(definition, task) -> dict:
    value = task.internal_data.get("event_value")
    if isinstance(definition, CycleTimerEventDefinition):
        cycles, duration = value["cycles"], timedelta(seconds=value["duration"])
        due = datetime.fromisoformat(value["next"])
        return {"due": due if cycles else due - duration, "cycles": cycles, "duration": duration}
    if isinstance(definition, TimeDateEventDefinition):
        return {"due": definition.parse_time_or_duration(value)}
    assert isinstance(definition, DurationTimerEventDefinition)
    return {"due": datetime.fromisoformat(value)}


def check(loader, workflow) -> Waiting:
    """Compare what a loader says of a workflow, and of its state in all forms, with `naive`."""
    expected = naive(workflow)
    assert loader.waiting(workflow) == expected
    state = loader.save(workflow)
    fresh = SpecLoader(loader.units, loader._serializer, resolve=loader._sources._resolve)
    native = loader._serializer.serialize_json(workflow)
    live = loader.save_pieces(workflow).changed["live"]
    for one in (state, state.encode(), loader.to_dict(workflow), live, native, json.loads(native)):
        assert fresh.waiting(one) == expected
    assert fresh.kept == ()
    resumed = loader.resume(state)
    settled = unopened(resumed)
    assert loader.waiting(resumed) == expected
    assert unopened(resumed) == settled
    return expected


def unopened(workflow) -> list:
    """The unopened stand-ins of a workflow."""
    return [key for key, one in dict.items(workflow.subprocesses) if is_unopened(one)]
