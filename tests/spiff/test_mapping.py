"""`subprocess_specs()` behaves like the dict of subprocess specs, and restores them when read."""

from __future__ import annotations

import copy
import json
import pickle

import driving
import lockstep
import models
import pytest
import spiff_bpmn
from hypothesis import given, settings
from hypothesis import strategies as st
from lockstep import full_specs, loader_of
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader, SpecMapping

every_model = pytest.mark.parametrize("model", models.MODELS.values(), ids=lambda model: model.name)
NESTED = models.MODELS["nested_calls"]
WITH_NULL = models.MODELS["external_call"]
WITHOUT = models.MODELS["human_tasks"]


def written(spec):
    return spec and models.serializer().to_dict(spec)


@every_model
def test_it_equals_the_full_dict(model):
    mapping, full = loader_of(model).subprocess_specs(), full_specs(model)
    assert len(mapping) == len(full)
    assert bool(mapping) == bool(full)
    assert list(mapping) == list(full)
    assert list(reversed(mapping)) == list(reversed(full))
    assert mapping.keys() == full.keys()
    assert list(mapping.keys()) == list(full.keys())
    assert [(k, written(v)) for k, v in mapping.items()] == [
        (k, written(v)) for k, v in full.items()
    ]
    assert list(map(written, mapping.values())) == list(map(written, full.values()))
    for name in [*full, models.spec_dict(model)["spec"]["name"], "nobody", 1, None, ("a", 1)]:
        assert (name in mapping) == (name in full)
        assert written(mapping.get(name)) == written(full.get(name))
        assert mapping.get(name, "default") is not None or full.get(name, "default") is None
    for name in full:
        assert written(mapping[name]) == written(full[name])


@every_model
def test_it_is_equal_to_the_dict_of_its_specs(model):
    mapping = loader_of(model).subprocess_specs()
    full = dict(mapping)
    assert mapping == full
    assert full == mapping
    assert mapping == mapping.copy()
    assert mapping != {**full, "one more": None}
    assert mapping != {**full, "nobody": None}
    assert (mapping == [*full]) is False
    if full:
        assert mapping != dict(list(full.items())[1:])
        assert mapping != {**full, next(iter(full)): "another"}


@every_model
def test_changes_are_those_of_a_dict(model):
    mapping = loader_of(model).subprocess_specs()
    full = dict(loader_of(model).subprocess_specs())
    for mine in (mapping, full):
        for name in [*mine][:1]:
            mine[name] = "another"
        for name in [*mine][1:2]:
            del mine[name]
        mine["new"] = "spec"
        mine.setdefault("new", "not this")
        mine.setdefault("newer", "this")
        mine.update(newest="spec")
    assert list(mapping) == list(full)
    assert mapping.popitem() == full.popitem() == ("newest", "spec")
    assert mapping.pop("newer") == full.pop("newer")
    assert mapping.pop("newer", 1) == full.pop("newer", 1)
    assert mapping["new"] == "spec"
    mapping.clear()
    assert len(mapping) == 0
    assert not mapping
    with pytest.raises(KeyError):
        mapping.popitem()


ACTIONS = {
    "get": lambda specs, name: specs.get(name, "default"),
    "[]": lambda specs, name: specs[name],
    "in": lambda specs, name: name in specs,
    "assign": lambda specs, name: specs.__setitem__(name, "assigned"),
    "delete": lambda specs, name: specs.__delitem__(name),
    "pop": lambda specs, name: specs.pop(name, "default"),
    "setdefault": lambda specs, name: specs.setdefault(name, "assigned"),
    "clear": lambda specs, name: specs.clear(),
    "length": lambda specs, name: len(specs),
    "truth": lambda specs, name: bool(specs),
    "list": lambda specs, name: list(specs),
    "items": lambda specs, name: list(specs.items()),
    "copy": lambda specs, name: dict(copy.copy(specs)),
}
NAMES = [*models.spec_dict(NESTED)["subprocess_specs"], "order", "survey", "nobody", "new"]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([NESTED, WITH_NULL, WITHOUT]),
    st.lists(st.tuples(st.sampled_from(list(ACTIONS)), st.sampled_from(NAMES)), max_size=12),
)
def test_whatever_is_done_to_it_in_any_order_is_as_with_a_dict(model, actions):
    def done(action, specs, name):
        try:
            return action(specs, name)
        except KeyError as error:
            return repr(error)

    loader = loader_of(model)
    mapping, full = loader.subprocess_specs(), dict(loader.subprocess_specs())
    for action, name in actions:
        assert done(ACTIONS[action], mapping, name) == done(ACTIONS[action], full, name)
    assert list(mapping.items()) == list(full.items())


@pytest.mark.skipif(
    models.SPIFF_VERSION < (3, 2), reason="SpiffWorkflow before 3.2 goes through all specs itself"
)
def test_a_run_does_not_list_the_processes_of_the_workflow(monkeypatch):
    loader, driver = loader_of(NESTED), driving.Driver(NESTED)

    def refuse(units):
        raise AssertionError("the processes were listed")

    monkeypatch.setattr(ElementUnits, "_roster", refuse)
    workflow = loader.start(script_engine=models.script_engine())
    for _ in range(12):
        driver.step(workflow)
    workflow = loader.resume(loader.save(workflow), models.script_engine())
    driver.step(workflow)
    assert len(workflow.subprocesses) > 1


def test_what_is_not_there_is_a_key_error():
    mapping = loader_of(NESTED).subprocess_specs()
    for action in (mapping.__getitem__, mapping.__delitem__, mapping.pop):
        with pytest.raises(KeyError, match="nobody"):
            action("nobody")
    del mapping["handover"]
    assert "handover" not in mapping
    for action in (mapping.__getitem__, mapping.__delitem__, mapping.pop):
        with pytest.raises(KeyError, match="handover"):
            action("handover")
    mapping["handover"] = "back"
    assert mapping["handover"] == "back"
    assert list(mapping)[-1] == "handover"
    with pytest.raises(TypeError):
        [] in mapping  # noqa: B015 - as in a dict


def test_null_is_none_and_nothing_else():
    mapping = loader_of(WITH_NULL).subprocess_specs()
    assert "survey" in mapping
    assert mapping["survey"] is None
    assert mapping.get("survey", "default") is None
    assert ("survey", None) in mapping.items()
    assert ("survey", "else") not in mapping.items()
    assert None in mapping.values()
    assert mapping.setdefault("survey", "else") is None
    assert mapping.pop("survey") is None
    assert "survey" not in mapping


def test_only_what_is_looked_at_is_restored():
    loader = loader_of(NESTED)
    mapping = loader.subprocess_specs()
    for name in mapping:
        assert name in mapping
    assert len(mapping) == 3
    assert mapping
    assert "nobody" not in mapping
    assert mapping != {}
    assert mapping != {"delivery": 1, "transport": 2, "nobody": 3}
    assert (mapping.copy(), repr(mapping), copy.copy(mapping), mapping | {}) != ()
    mapping["transport"] = "assigned"
    del mapping["transport"]
    assert loader.kept == ()
    assert mapping["handover"] is loader.subprocess_specs()["handover"]
    assert mapping.touched == loader.kept == ("handover",)


def test_views_live_and_are_sets_as_those_of_a_dict():
    mapping = loader_of(NESTED).subprocess_specs()
    keys, items, values = mapping.keys(), mapping.items(), mapping.values()
    assert len(keys) == len(items) == len(values) == 3
    mapping["new"] = "spec"
    assert ("new", "spec") in items
    assert ("new", "other") not in items
    assert ("nobody", None) not in items
    assert "new" not in items
    assert "spec" in values
    assert next(reversed(items)) == ("new", "spec")
    assert next(reversed(values)) == "spec"
    assert keys & {"new", "nobody"} == {"new"}


def test_a_copy_is_one_of_its_own():
    mapping = loader_of(NESTED).subprocess_specs()
    mapping["mine"] = "spec"
    for copied in (mapping.copy(), copy.copy(mapping), mapping | {}):
        assert isinstance(copied, SpecMapping)
        assert copied == mapping
        del copied["mine"]
        copied["yours"] = "spec"
        assert "mine" in mapping
        assert "yours" not in mapping
    merged = mapping.copy()
    merged |= {"more": 1}
    assert merged["more"] == (mapping | {"more": 1})["more"] == 1
    assert {"more": 1, "mine": 0} | mapping == {"more": 1, **mapping}


def test_a_deep_copy_and_a_pickle_stand_alone():
    mapping = loader_of(NESTED).subprocess_specs()
    spec = mapping["handover"]
    deep = copy.deepcopy(mapping)
    assert isinstance(deep, SpecMapping)
    assert deep["handover"] is not spec
    assert written(deep["handover"]) == written(spec)
    assert deep.touched == ("handover",)
    assert list(deep) == list(mapping)
    mapping.clear()
    mapping["mine"] = {"a": 1}
    assert pickle.loads(pickle.dumps(mapping)) == {"mine": {"a": 1}}


def test_a_deep_copied_workflow_goes_on_by_itself():
    workflow = loader_of(NESTED).start(script_engine=models.script_engine())
    workflow.do_engine_steps()
    copied = copy.deepcopy(workflow)
    expected = driving.run(NESTED, workflow).snapshots
    assert driving.run(NESTED, copied).snapshots == expected


def test_for_a_process_it_has_what_that_leads_to():
    loader = loader_of(NESTED)
    assert list(loader.subprocess_specs("order")) == list(loader.subprocess_specs())
    assert set(loader.subprocess_specs("transport")) == {"handover"}
    assert not loader.subprocess_specs("handover")
    recursive = loader_of(models.MODELS["mutual_recursion"])
    assert set(recursive.subprocess_specs("pong")) == {"ping", "pong"}
    assert set(loader_of(WITH_NULL).subprocess_specs("claim")) == set(full_specs(WITH_NULL))


def with_another_under_the_roots_id():
    """The root calls `middle`, which calls `root`: that is another spec than the root's."""
    inner = [("script", "inner = True"), ("human",), ("call", "elsewhere")]
    known = {"root": [("human",), ("call", "middle")], "middle": [("call", "root")]}
    dct = json.loads(spiff_bpmn.spec_json(known, "root"))
    other = json.loads(spiff_bpmn.spec_json({"root": inner}, "root"))
    dct["subprocess_specs"]["root"] = other["spec"]
    return dct


@pytest.mark.parametrize("carry", [lockstep.kept, lockstep.resumed, lockstep.moved_over])
def test_another_spec_under_the_roots_id_runs_when_that_is_called(carry):
    dct = with_another_under_the_roots_id()
    restore = models.serializer().registry.restore
    elsewhere = spiff_bpmn.spec_json({"elsewhere": [("human",), ("human",)]}, "elsewhere")
    specs = {**dct["subprocess_specs"], "elsewhere": json.loads(elsewhere)["spec"]}
    plain = BpmnWorkflow(
        restore(copy.deepcopy(dct["spec"])),
        {name: restore(copy.deepcopy(spec)) for name, spec in specs.items()},
        script_engine=models.script_engine(),
    )
    external = {"elsewhere": ElementUnits.from_json(elsewhere)}
    loader = SpecLoader(
        ElementUnits.from_json(json.dumps(dct)), models.serializer(), resolve=external.get
    )
    units = loader.start(script_engine=models.script_engine())
    for _ in range(4):
        for one in (plain, units):
            one.do_engine_steps()
            driving.ready_tasks(one)[0].run()
        units = carry(units, loader)
        lockstep.same_point(plain, units)
    for one in (plain, units):
        one.do_engine_steps()
    assert plain.is_completed()
    lockstep.same_point(plain, units)
    mapping = loader.subprocess_specs()
    assert mapping["root"] is mapping["root"] is loader.subprocess_specs()["root"]
    assert list(mapping["root"].task_specs) == list(plain.subprocess_specs["root"].task_specs)
    assert list(loader.spec("root").task_specs) == list(plain.spec.task_specs)
    assert list(loader.subprocess_specs("middle")["root"].task_specs) == list(
        specs["root"]["task_specs"]
    )


def test_a_spec_that_is_called_and_started_is_one_where_both_are_the_same():
    loader = loader_of(models.MODELS["recursive_call"])
    root = loader.units.root
    assert root in loader.subprocess_specs()
    assert loader.subprocess_specs()[root] is loader._sources.own.spec(root)


def test_an_empty_one_is_false_as_a_dict_is_but_not_with_a_resolve():
    """`BpmnWorkflow` puts a dict in the place of a mapping that is false."""
    assert not loader_of(WITHOUT).subprocess_specs()
    resolving = loader_of(WITHOUT, resolve=lambda process_id: None).subprocess_specs()
    assert len(resolving) == 0
    assert resolving


@every_model
def test_a_workflow_made_of_a_spec_and_the_mapping_runs(model):
    """As in the docs: `BpmnWorkflow(loader.spec(..), loader.subprocess_specs())`."""
    loader = loader_of(model)
    workflow = BpmnWorkflow(
        loader.spec(loader.units.root),
        loader.subprocess_specs(),
        script_engine=models.script_engine(),
    )
    lockstep.compare(model, lockstep.variant_for(model), driving.start(model), workflow, loader)


def test_a_workflow_with_a_spec_of_the_applications_own_uses_it():
    """The engine calls this spec, and SpiffWorkflow's own serializer saves it."""
    loader = loader_of(NESTED)
    workflow = loader.start(script_engine=models.script_engine())
    other = loader_of(models.MODELS["survey"])
    workflow.subprocess_specs["delivery"] = other.spec("survey_report")
    driving.run(NESTED, workflow)
    assert {one.spec.name for one in workflow.subprocesses.values()} == {"survey_report"}
    state = json.loads(models.serializer().serialize_json(workflow))
    assert state["subprocess_specs"]["delivery"]["name"] == "survey_report"
