"""States whose keys a JSON column has put into another order."""

from __future__ import annotations

import json

import driving
import models
import spiff_bpmn
from lockstep import loader_of

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader
from spiff_element_units.spiff.task_order import order_tasks

ORDER = {"order": [("script", "pieces = 3"), ("human",), ("call", "pay")], "pay": [("human",)]}
LONGER = {**ORDER, "order": [*ORDER["order"], ("human",)]}


def loader(processes):
    units = ElementUnits.from_json(spiff_bpmn.spec_json(processes, "order"))
    return SpecLoader(units, models.serializer())


def backwards(value):
    """A value with the keys of all dicts in reverse: children come before their parents."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(one) for one in value] if isinstance(value, list) else value


def waiting(loader):
    workflow = loader.start()
    workflow.do_engine_steps()
    return workflow


def data(workflow):
    (task,) = driving.ready_tasks(workflow)
    return task.data


def test_data_is_kept_in_every_form_of_a_state():
    own = loader(ORDER)
    state = backwards(own.to_dict(waiting(own)))
    for one in (state, json.dumps(state), json.dumps(state).encode()):
        assert data(own.resume(one)) == {"pieces": 3}


def test_data_is_kept_when_an_instance_is_migrated():
    own, longer = loader(ORDER), loader(LONGER)
    workflow = waiting(own)
    with_specs = backwards(json.loads(models.serializer().serialize_json(workflow)))
    for state in (with_specs, json.dumps(with_specs)):
        assert data(longer.migrate(state)) == {"pieces": 3}
    assert data(longer.migrate(backwards(own.to_dict(workflow)), own)) == {"pieces": 3}


def test_tasks_of_a_reordered_state_are_saved_with_parents_first():
    model = models.MODELS["nested_calls"]
    own = loader_of(model)
    workflow = own.start(script_engine=models.script_engine())
    workflow.do_engine_steps()
    saved = own.to_dict(own.resume(backwards(own.to_dict(workflow))))
    for process in (saved, *saved["subprocesses"].values()):
        tasks = list(process["tasks"].values())
        ids = [task["id"] for task in tasks]
        assert all(task["parent"] in [None, *ids[:n]] for n, task in enumerate(tasks))


def tasks(**parents):
    children = {name: [one for one, of in parents.items() if of == name] for name in parents}
    return {"tasks": {n: {"parent": p, "children": children[n]} for n, p in parents.items()}}


def test_tasks_that_are_in_order_stay_as_they_are():
    process = tasks(a=None, b="a", c="a", d="b")
    before = process["tasks"]
    order_tasks(process)
    assert process["tasks"] is before


def test_tasks_are_put_in_order_whatever_they_name():
    process = tasks(d="c", c="a", b="a", x="gone", y="z", z="y", a=None)
    order_tasks(process)
    assert list(process["tasks"]) == ["a", "c", "d", "b", "x", "y", "z"]
