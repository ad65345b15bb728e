"""Instances that have caught an event, and move to a new version before they go on with it."""

from __future__ import annotations

import json

import driving
import models
import pytest
from spiff_bpmn import BPMN
from SpiffWorkflow.util.task import TaskState
from version_models import at, do

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

TIMER = '<timerEventDefinition><{0}>"{1}"</{0}></timerEventDefinition>'
MESSAGE = '<messageEventDefinition messageRef="bell"/>'
DURATION = TIMER.format("timeDuration", "P365D")
CYCLE = TIMER.format("timeCycle", "R3/P365D")
DATA_OBJECT = '<dataObject id="notes" name="notes"/>'


def loader_of(event, *humans, name="bell", more=""):
    """A start, an intermediate event, and human tasks."""
    elements = [
        '<startEvent id="start"/>',
        f'<intermediateCatchEvent id="catch">{event}</intermediateCatchEvent>',
        *(f'<manualTask id="{one}"/>' for one in humans),
        '<endEvent id="end"/>',
    ]
    ids = [one.split('id="')[1].split('"')[0] for one in elements]
    flows = [
        f'<sequenceFlow id="{a}_{b}" sourceRef="{a}" targetRef="{b}"/>'
        for a, b in zip(ids, ids[1:])
    ]
    written = "".join([*elements, *flows, more])
    parser = models.SpiffBpmnParser()
    parser.add_bpmn_str(
        f'<definitions xmlns="{BPMN}" targetNamespace="tests"><message id="bell" name="{name}"/>'
        f'<process id="root" isExecutable="true">{written}</process></definitions>'.encode()
    )
    serializer = models.serializer()
    text = json.dumps({"spec": serializer.to_dict(parser.get_spec("root")), "subprocess_specs": {}})
    return SpecLoader(ElementUnits.from_json(text), serializer)


def waiting_at(loader):
    workflow = loader.start(script_engine=models.script_engine())
    workflow.do_engine_steps()
    driving.refresh(workflow)
    return workflow


def ring(workflow):
    workflow.send_event(driving.event(models.Message("bell", {"tone": 3})))
    return workflow


def come_due(workflow):
    driving.make_due(workflow, "catch")
    driving.refresh(workflow)
    return workflow


def migrated(workflow, old, new):
    state = old.save(workflow)
    assert new.compare(state, old=old).can_migrate
    moved = new.migrate(state, old, script_engine=models.script_engine())
    moved.do_engine_steps()
    driving.refresh(moved)
    return moved


@pytest.mark.parametrize(("event", "fire"), [(MESSAGE, ring), (DURATION, come_due)])
def test_an_event_that_was_caught_is_not_lost(event, fire):
    """It would wait for a message that nobody sends again, or for its whole time again."""
    old, new = loader_of(event, "after"), loader_of(event, "after", "last")
    moved = migrated(fire(waiting_at(old)), old, new)
    assert at(moved) == ["after"]
    do(moved, "after")
    do(moved, "last")
    assert driving.is_completed(moved)


def test_an_event_that_was_not_caught_waits_for_what_the_new_version_says():
    old, new = loader_of(MESSAGE, "after"), loader_of(MESSAGE, "after", name="gong")
    moved = migrated(waiting_at(old), old, new)
    assert at(moved) == []
    moved.send_event(driving.event(models.Message("gong")))
    moved.do_engine_steps()
    assert at(moved) == ["after"]


def test_an_event_takes_the_change_of_itself_although_the_old_one_was_caught():
    old, new = loader_of(MESSAGE, "after"), loader_of(MESSAGE, "after", name="gong")
    assert at(migrated(ring(waiting_at(old)), old, new)) == []


def in_second_round(loader):
    """An instance whose cycle timer has fired; one task behind it is completed, others are not."""
    workflow = come_due(waiting_at(loader))
    do(workflow, "after")
    come_due(workflow)
    assert "after" in at(workflow)
    return workflow


def of_timer(workflow):
    """The rounds of the cycle timer, and how many are left."""
    (timer,) = workflow.get_tasks(spec_name="catch")
    rounds = [(str(task.id), task.state) for task in timer.children]
    return rounds, timer.internal_data["event_value"]["cycles"]


def test_the_rounds_of_a_cycle_timer_are_not_lost():
    old, new = loader_of(CYCLE, "after"), loader_of(CYCLE, "after", more=DATA_OBJECT)
    workflow = in_second_round(old)
    state = old.save(workflow)
    moved = new.migrate(state, old, script_engine=models.script_engine())
    assert of_timer(moved) == of_timer(workflow)
    assert TaskState.COMPLETED in [task.state for task in moved.get_tasks(spec_name="after")]
    while at(moved):
        do(moved, "after")
    assert len(moved.get_tasks(state=TaskState.COMPLETED, spec_name="after")) > 1


@pytest.mark.parametrize(
    ("event", "humans"), [(CYCLE.replace("R3", "R9"), ["after"]), (CYCLE, ["before", "after"])]
)
def test_a_cycle_timer_that_has_begun_may_not_change(event, humans):
    """Its rounds would be lost, or those that have begun would skip a step."""
    old, new = loader_of(CYCLE, "after"), loader_of(event, *humans)
    comparison = new.compare(old.save(in_second_round(old)), old=old)
    assert not comparison.can_migrate
    assert any("'catch' of process 'root' has changed" in one for one in comparison.reasons)
    assert new.compare(old.save(waiting_at(old)), old=old).can_migrate


def test_what_an_event_based_gateway_has_caught_is_not_lost():
    model = models.MODELS["event_gateway"]
    text = models.spec_json(model)
    old, new = (
        SpecLoader(ElementUnits.from_json(one), models.serializer())
        for one in (text, text.replace('"slept = True"', '"slept = 1"'))
    )
    expected = driving.run(model, old.start(script_engine=models.script_engine()))
    migrated_at = []
    for number in range(len(expected.actions)):
        driver = driving.Driver(model)
        workflow = old.start(script_engine=models.script_engine())
        for _ in range(number):
            driver.step(workflow)
        state = old.save(workflow)
        if new.compare(state, old=old).can_migrate:
            moved = new.migrate(state, old, script_engine=models.script_engine())
            while driver.step(moved):
                pass
            assert driving.is_completed(moved), expected.actions[number]
            assert moved.data == expected.workflow.data
            migrated_at.append(expected.actions[number])
    assert "run wait_first" in migrated_at


def test_what_follows_an_error_that_was_caught_may_be_gone():
    """The boundary event is READY, and one of the two tasks below it is cancelled."""
    model = models.MODELS["boundary_error"]
    text = models.spec_json(model)
    spec = json.loads(text)
    tasks = spec["spec"]["task_specs"]
    tasks["printing_jam"]["outputs"] = ["printing_jam_end"]
    tasks["printing_jam_end"]["inputs"] = ["printing_jam"]
    del tasks["printing_calls_repair"]
    old, new = (
        SpecLoader(ElementUnits.from_json(one), models.serializer())
        for one in (text, json.dumps(spec))
    )
    driver, workflow = driving.Driver(model), old.start(script_engine=models.script_engine())
    while driver.step(workflow) != "run printing_calls_job":
        pass
    moved = new.migrate(old.save(workflow), old, script_engine=models.script_engine())
    while driver.step(moved):
        pass
    (done,) = moved.get_tasks(spec_name="printing_jam_end")
    assert done.state == TaskState.COMPLETED
    assert driving.is_completed(moved)
