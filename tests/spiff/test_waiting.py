"""What an instance waits for, from its workflow and from its state."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone

import awaited
import driving
import models
import pytest
import spiff_bpmn
from awaited import naive
from lockstep import loader_of
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.camunda.parser.CamundaParser import CamundaParser
from SpiffWorkflow.camunda.serializer.config import CAMUNDA_CONFIG
from SpiffWorkflow.exceptions import SpiffWorkflowException

from spiff_element_units import ElementUnits, remove_cached_workflow
from spiff_element_units.spiff import SpecLoader, StateError, Waiting

every_model = pytest.mark.parametrize("model", models.MODELS.values(), ids=lambda model: model.name)


def runs(model, loader):
    """The workflow of a model, before its first step and after each."""
    workflow, driver = loader.start(script_engine=models.script_engine()), driving.Driver(model)
    yield workflow
    for _ in range(driving.STEP_LIMIT):
        try:
            if driver.step(workflow) is None:
                return
        except SpiffWorkflowException:
            return
        yield workflow


@every_model
def test_every_form_of_an_instance_says_what_the_full_workflow_waits_for(model):
    loader = loader_of(model)
    for workflow in runs(model, loader):
        expected = awaited.check(loader, workflow)
        if not model.own_save_differs:
            assert naive(driving.saved_and_restored(workflow)) == expected


def test_the_models_wait_for_everything_there_is():
    """Otherwise, the test above would compare nothing."""
    found = {
        "human_tasks": 0,
        "timers": 0,
        "messages": 0,
        "signals": 0,
        "cycles": 0,
        "lanes": 0,
        "forms": 0,
        "correlations": 0,
    }
    for model in models.MODELS.values():
        for workflow in runs(model, loader_of(model)):
            waiting = naive(workflow)
            for kind in ("human_tasks", "timers", "messages", "signals"):
                found[kind] += len(getattr(waiting, kind))
            found["cycles"] += sum(one.cycles is not None for one in waiting.timers)
            found["lanes"] += sum(one.lane is not None for one in waiting.human_tasks)
            found["forms"] += sum(one.form is not None for one in waiting.human_tasks)
            found["correlations"] += sum(bool(one.correlations) for one in waiting.messages)
    assert all(found.values()), found


# Events of one's own


BPMN = "http://www.omg.org/spec/BPMN/20100524/MODEL"
CAMUNDA = "http://camunda.org/schema/1.0/bpmn"


def loader_with(body, parser=models.SpiffBpmnParser, serializer=None, declared=""):
    """A loader of a process `p` with these elements. Flows are `<flow a="from" b="to"/>`."""
    flow = r'<sequenceFlow id="\1_\2" sourceRef="\1" targetRef="\2"/>'
    body = re.sub(r'<flow a="(\w+)" b="(\w+)"/>', flow, body)
    text = (
        f'<definitions xmlns="{BPMN}" xmlns:camunda="{CAMUNDA}" targetNamespace="tests">{declared}'
        f'<process id="p" isExecutable="true">{body}</process></definitions>'
    )
    made = parser()
    made.add_bpmn_str(text.encode())
    serializer = serializer or models.serializer()
    spec = serializer.to_dict(made.get_spec("p"))
    text = json.dumps({"spec": spec, "subprocess_specs": {}})
    return SpecLoader(ElementUnits.from_json(text), serializer)


def started(loader):
    workflow = loader.start(script_engine=models.script_engine())
    workflow.do_engine_steps()
    return workflow


def timer(kind, expression):
    """A loader of a process that waits for one timer."""
    definition = f"<timerEventDefinition><{kind}>'{expression}'</{kind}></timerEventDefinition>"
    return loader_with(
        '<startEvent id="s"/><flow a="s" b="t"/>'
        f'<intermediateCatchEvent id="t" name="Wait">{definition}</intermediateCatchEvent>'
        '<flow a="t" b="e"/><endEvent id="e"/>'
    )


class Clock(datetime):
    """A clock that stands still."""

    stands_at: datetime

    @classmethod
    def now(cls, tz=None):
        return cls.stands_at.astimezone(tz)


TIMES = [
    ("timeDate", "2400-02-29T12:30:00+02:00"),
    ("timeDate", "2400-02-29T12:30:00.250000"),
    ("timeDate", "2400-02-29"),
    ("timeDate", "2400-W05-3"),
    ("timeDuration", "PT0.5S"),
    ("timeDuration", "P1Y2M3DT4H5M6S"),
    ("timeDuration", "P3W"),
    ("timeCycle", "R2/PT1H"),
    ("timeCycle", "R/PT10M"),
    ("timeCycle", "R3/2400-01-01T00:00:00+01:00/P1M"),
    ("timeCycle", "R2/P1D/2400-03-01"),
]


@pytest.mark.parametrize(("kind", "expression"), TIMES)
def test_a_timer_fires_after_the_time_at_which_it_is_due_and_not_before(
    kind, expression, monkeypatch
):
    loader = timer(kind, expression)
    workflow = started(loader)
    state = loader.save(workflow)
    (found,) = awaited.check(loader, workflow).timers
    assert found.due.tzinfo is timezone.utc
    assert found.due > datetime.now(timezone.utc)
    assert (found.spec_name, found.bpmn_name, found.process_id) == ("t", "Wait", "p")
    assert loader.waiting(workflow).next_due == found.due
    monkeypatch.setattr("SpiffWorkflow.bpmn.specs.event_definitions.timer.datetime", Clock)
    for late, fires in ((timedelta(0), False), (timedelta(microseconds=1), True)):
        monkeypatch.setattr(Clock, "stands_at", found.due + late, raising=False)
        resumed = loader.resume(state)
        before = loader.to_dict(resumed)["tasks"]
        driving.refresh(resumed)
        assert (loader.to_dict(resumed)["tasks"] != before) is fires


def test_a_cycle_tells_its_rounds_until_it_has_none():
    loader = timer("timeCycle", "R2/PT1H")
    workflow = started(loader)
    left, before = [], None
    for _ in range(9):
        timers = awaited.check(loader, workflow).timers
        if not timers:
            break
        left.append(timers[0].cycles)
        assert timers[0].duration == timedelta(hours=1)
        assert (
            before is None or timers[0].cycles == 0 or timers[0].due == before + timedelta(hours=1)
        )
        before = datetime(2001, 1, 1, tzinfo=timezone.utc)
        driving.make_due(workflow, "t")
        driving.refresh(workflow)
    assert [*dict.fromkeys(left)] == [2, 1, 0]
    assert loader.waiting(workflow) == Waiting()


def test_an_unlimited_cycle_says_so():
    loader = timer("timeCycle", "R/PT1H")
    assert [one.cycles for one in loader.waiting(started(loader)).timers] == [-1]


@pytest.mark.parametrize(
    "value", [None, "not a time", "P1D", 7, "2400-13-01", {"cycles": 1, "next": "?", "duration": 1}]
)
def test_a_timer_whose_time_cannot_be_read_is_there_without_one(value):
    for kind in ("timeDate", "timeCycle"):
        loader = timer(*{"timeDate": TIMES[0], "timeCycle": TIMES[7]}[kind])
        workflow = started(loader)
        task = driving.find_task(workflow, "t", 8)
        task.internal_data["event_value"] = value
        (found,) = loader.waiting(workflow).timers
        assert found.due is None
        assert loader.waiting(loader.save(workflow)).timers == (found,)
        assert loader.waiting(workflow).next_due is None


EVENTS = """
<startEvent id="s"/><flow a="s" b="g"/><eventBasedGateway id="g" name="First of all"/>
<flow a="g" b="m"/><flow a="g" b="x"/><flow a="g" b="t"/>
<intermediateCatchEvent id="m"><messageEventDefinition messageRef="msg"/></intermediateCatchEvent>
<intermediateCatchEvent id="x"><signalEventDefinition signalRef="sig"/></intermediateCatchEvent>
<intermediateCatchEvent id="t"><timerEventDefinition><timeDate>'2400-01-01'</timeDate>
</timerEventDefinition></intermediateCatchEvent>
<flow a="m" b="e"/><flow a="x" b="e"/><flow a="t" b="e"/><endEvent id="e"/>
"""
DECLARED = '<message id="msg" name="msg"/><signal id="sig" name="sig"/>'


def test_a_gateway_waits_for_each_of_its_events():
    loader = loader_with(EVENTS, declared=DECLARED)
    found = awaited.check(loader, started(loader))
    assert [one.name for one in found.messages] == ["msg"]
    assert [one.name for one in found.signals] == ["sig"]
    assert [one.due.year for one in found.timers] in ([2400], [2399])  # by the local time zone
    assert {one.spec_name for one in (*found.messages, *found.signals)} == {"g"}


ALL_OF = """
<startEvent id="s"/><flow a="s" b="c"/><intermediateCatchEvent id="c" parallelMultiple="true">
<messageEventDefinition messageRef="msg"/><signalEventDefinition signalRef="sig"/>
</intermediateCatchEvent><flow a="c" b="e"/><endEvent id="e"/>
"""


@pytest.mark.skipif(models.SPIFF_VERSION < (3, 2), reason="it catches no two events before 3.2")
def test_what_a_task_has_caught_that_waits_for_several_events_is_awaited_no_more():
    loader = loader_with(ALL_OF, declared=DECLARED)
    workflow = started(loader)
    found = awaited.check(loader, workflow)
    assert (len(found.messages), len(found.signals)) == (1, 1)
    workflow.send_event(driving.event(models.Message("msg")))
    found = awaited.check(loader, workflow)
    assert (len(found.messages), len(found.signals)) == (0, 1)
    workflow.send_event(driving.event(models.Signal("sig")))
    workflow.do_engine_steps()
    assert awaited.check(loader, workflow) == Waiting()


FORM = """
<startEvent id="s"/><flow a="s" b="u"/>
<userTask id="u" name="Choose" camunda:formKey="choice"><extensionElements><camunda:formData>
<camunda:formField id="size" label="Size" type="enum" defaultValue="m"><camunda:properties>
<camunda:property id="hint" value="as it fits"/></camunda:properties><camunda:validation>
<camunda:constraint name="required" config="true"/></camunda:validation>
<camunda:value id="m" name="Medium"/></camunda:formField>
</camunda:formData></extensionElements></userTask>
<flow a="u" b="e"/><endEvent id="e"/>
"""


def test_a_camunda_form_is_told_with_its_fields():
    serializer = BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(CAMUNDA_CONFIG))
    loader = loader_with(FORM, CamundaParser, serializer)
    workflow = started(loader)
    awaited.check(loader, workflow)
    (task,) = loader.waiting(workflow).human_tasks
    assert task.form["key"] == "choice"
    assert task.form["fields"][0]["options"] == [{"id": "m", "name": "Medium"}]
    task.form["fields"].clear()
    task.extensions["new"] = 1
    assert awaited.check(loader, workflow).human_tasks[0].form["fields"]


def test_answers_can_be_changed_without_changing_the_workflow_or_the_specs():
    for name in ("human_tasks", "correlation"):
        loader = loader_of(models.MODELS[name])
        for workflow in runs(models.MODELS[name], loader):
            state = loader.save(workflow)
            for subject in (workflow, state):
                found = loader.waiting(subject)
                for one in found.human_tasks:
                    one.extensions.clear()
                    (one.form or {}).clear()
                for one in found.messages:
                    one.correlations.clear()
                assert loader.waiting(subject) == naive(workflow)
            assert loader.save(workflow) == state


# Other versions, other workflows, and states that do not say their process


def versions(tmp_path, keep):
    """A state of one version, and a loader of the next, in which the task has another lane."""
    text = models.spec_json(models.MODELS["human_tasks"])
    units = ElementUnits.from_json(text)
    units.save(tmp_path, "one")
    ElementUnits.from_json(text.replace("Fill in the form", "Fill it in")).save(tmp_path, "two")
    loader = SpecLoader(ElementUnits.open(tmp_path, "one"), models.serializer())
    state = loader.save(started(loader))
    if not keep:
        remove_cached_workflow(tmp_path, "one")
    return state, SpecLoader(ElementUnits.open(tmp_path, "two"), models.serializer())


def test_a_state_is_answered_from_the_version_that_it_is_on(tmp_path):
    state, loader = versions(tmp_path, keep=True)
    (task,) = loader.waiting(state).human_tasks
    assert task.bpmn_name == "Fill in the form"
    (task,) = loader.waiting(started(loader)).human_tasks
    assert task.bpmn_name == "Fill it in"


def test_a_version_that_is_not_there_any_more_is_told(tmp_path):
    state, loader = versions(tmp_path, keep=False)
    with pytest.raises(StateError, match=r"'application'.*'one'.*not there any more"):
        loader.waiting(state)


def test_what_waits_in_processes_of_other_workflows_is_found():
    inner = ElementUnits.from_json(spiff_bpmn.spec_json({"inner": [("human",)]}, "inner"))
    text = spiff_bpmn.spec_json({"outer": [("human",), ("call", "inner")]}, "outer")
    loader = SpecLoader(
        ElementUnits.from_json(text),
        models.serializer(),
        resolve=lambda name: inner if name == "inner" else None,
    )
    workflow = started(loader)
    awaited.check(loader, workflow)
    driving.ready_tasks(workflow)[0].run()
    workflow.do_engine_steps()
    (task,) = loader.waiting(workflow).human_tasks
    assert task.process_id == "inner"
    for state in (loader.save(workflow), loader.to_dict(workflow)):
        assert loader.waiting(state).human_tasks == (task,)
    state = loader.to_dict(workflow)
    del state["spiff_element_units"]
    assert loader.waiting(state, process_id="outer").human_tasks == (task,)


def test_a_state_that_names_no_process_needs_it():
    loader = loader_of(models.MODELS["nested_calls"])
    workflow = started(loader)
    state = loader.to_dict(workflow)
    del state["spiff_element_units"]
    assert loader.waiting(state, process_id="order") == naive(workflow)
    with pytest.raises(StateError, match="process_id="):
        loader.waiting(state)


def test_what_is_no_state_is_told():
    loader = loader_of(models.MODELS["nested_calls"])
    state = loader.to_dict(started(loader))
    task = next(iter(state["tasks"].values()))
    for broken, named in (
        ({}, "tasks"),
        ("{", "JSON"),
        (
            {**state, "tasks": {"1": {**task, "state": 8, "task_spec": "nowhere"}}, "root": "1"},
            "nowhere",
        ),
        ({**state, "tasks": {"1": 3}}, "read"),
        ({**state, "subprocesses": {"1": {}}}, "read"),
    ):
        with pytest.raises(StateError, match=named):
            loader.waiting(broken)
    with pytest.raises(TypeError, match="must be str, bytes or a mapping, not int"):
        loader.waiting(3)


def test_tasks_that_were_removed_from_the_tree_are_not_awaited():
    loader = loader_of(models.MODELS["parallel_calls"])
    workflow = started(loader)
    state = loader.to_dict(workflow)
    assert loader.waiting(state).human_tasks
    for task in state["tasks"].values():
        task["children"] = []
    assert loader.waiting(state) == naive(loader.resume(state))


def test_waiting_restores_nothing_and_opens_nothing():
    model = models.MODELS["two_calls"]
    loader = loader_of(model)
    opened = []
    for workflow in runs(model, loader):
        store = loader.save_pieces(workflow).changed

        def read(piece_id, store=store):
            opened.append(piece_id)
            return store[piece_id]

        resumed = loader.resume_pieces(read)
        assert loader.waiting(resumed) == naive(workflow)
    assert set(opened) == {"live"}
    assert len(store) > 1
