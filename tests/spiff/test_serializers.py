"""On units, an application's own serializers and converters do the same as without units."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import weakref
from typing import ClassVar

import driving
import lockstep
import models
import pytest
from lockstep import full_specs
from serializers import (
    MODEL,
    OWN,
    AsTheyCome,
    Attaching,
    Cutting,
    NoText,
    OneWay,
    OwnEncoder,
    Pickled,
    WithoutHeader,
    loader_with,
    plain,
    registry,
)
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.serializer.default.workflow import BpmnWorkflowConverter
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow

from spiff_element_units import ElementUnitsError
from spiff_element_units.spiff import StateError
from spiff_element_units.spiff.lazy import LazyDict

# Serializers of the application's own


@pytest.mark.parametrize("cls", OWN)
def test_a_serializer_of_the_applications_own_saves_and_resumes_at_each_step(cls):
    def natively(workflow, loader):
        own = cls(registry())
        restored = own.deserialize_json(own.serialize_json(workflow))
        restored.script_engine = workflow.script_engine
        return restored

    def on_units(workflow, loader):
        state = loader.save(workflow)
        assert b"bpmn_start_events" not in (state if isinstance(state, bytes) else state.encode())
        resumed = loader_with(cls(registry())).resume(state, workflow.script_engine)
        for attribute in ("attached", "number_of_tasks"):
            found = hasattr(resumed, attribute)
            assert found == hasattr(natively(workflow, loader), attribute)
        return resumed

    loader = loader_with(cls(registry()))
    units = loader.start(script_engine=models.script_engine())
    variant = lockstep.Variant(cls.__name__, natively, on_units)
    assert lockstep.compare(MODEL, variant, plain(), units, loader)


@pytest.mark.parametrize("cls", OWN)
def test_states_that_such_a_serializer_has_written_by_itself_move_over(cls):
    workflow = plain()
    workflow.do_engine_steps()
    loader = loader_with(cls(registry()))
    resumed = loader.resume(cls(registry()).serialize_json(workflow))
    lockstep.same_point(workflow, resumed)
    assert resumed.subprocess_specs["delivery"] is loader.subprocess_specs()["delivery"]


def test_what_a_serializer_keeps_on_itself_is_on_itself_afterwards():
    serializer = Attaching(registry())
    loader = loader_with(serializer)
    before = dict(vars(serializer))
    resumed = loader.resume(loader.save(loader.start()))
    assert resumed.attached
    assert serializer.read == 1
    assert vars(serializer) == {**before, "read": 1}


@pytest.mark.parametrize("cls", [WithoutHeader, Pickled, OneWay, Cutting, NoText])
def test_what_could_not_be_resumed_is_not_saved(cls):
    loader = loader_with(cls(registry()))
    with pytest.raises(ElementUnitsError, match=rf"{cls.__name__}\.serialize_json .*resumed"):
        loader.save(loader.start())


def test_what_an_encoder_of_the_applications_own_makes_unreadable_is_not_saved():
    loader = loader_with(BpmnWorkflowSerializer(registry(), json_encoder_cls=OwnEncoder))
    with pytest.raises(ElementUnitsError, match=r"serialize_json .*resumed"):
        loader.save(loader.start())


def test_a_serializer_that_restores_by_itself_is_told_at_resume():
    state = loader_with(AsTheyCome(registry())).save(loader_with(AsTheyCome(registry())).start())

    class Elsewhere(BpmnWorkflowSerializer):
        def deserialize_json(self, text, use_gzip=False):
            return plain()

    with pytest.raises(StateError, match=r"Elsewhere\.deserialize_json does not restore"):
        loader_with(Elsewhere(registry())).resume(state)


def test_what_is_no_serializer_is_told_at_once():
    for wrong in (registry(), object(), None, BpmnWorkflowSerializer):
        with pytest.raises(TypeError, match="serializer must be a BpmnWorkflowSerializer, not"):
            loader_with(wrong)


# Converters of the application's own


class Mine(BpmnWorkflow):
    """A workflow whose copy is different."""

    tenant = None

    def __getstate__(self):
        return {key: value for key, value in vars(self).items() if key != "tenant"}


class Seeing(BpmnWorkflowConverter):
    """Notes what it sees, in the dicts that it writes and on the workflows that it reads."""

    owners: ClassVar[weakref.WeakKeyDictionary] = weakref.WeakKeyDictionary()

    def to_dict(self, workflow):
        dct = super().to_dict(workflow)
        self.written = getattr(self, "written", 0) + 1
        seen = {
            "tenant": workflow.tenant,
            "owner": self.owners.get(workflow),
            "spec": [workflow.spec.name, type(workflow.spec).__name__, bool(workflow.spec)],
            "elements": list(workflow.spec.task_specs),
            "processes": sorted(workflow.subprocess_specs),
            "handover": workflow.subprocess_specs["handover"].name,
            "dict": [dct["spec"]["name"], sorted(dct["subprocess_specs"]), sorted(dct)],
            "starts": {k: v["bpmn_start_events"] for k, v in dct["subprocess_specs"].items()}
            if models.SPIFF_VERSION >= (3, 2)
            else None,
        }
        return {**dct, "seen": seen}

    def from_dict(self, dct):
        there = [dct["spec"]["name"], sorted(dct["subprocess_specs"]), list(dct["spec"])]
        seen = dct.pop("seen")
        workflow = super().from_dict(dct)
        workflow.seen = [seen, there, sorted(workflow.subprocess_specs)]
        workflow.seen.append(workflow.subprocess_specs["handover"].name)
        return workflow


def test_a_converter_sees_the_workflow_and_all_specs_when_it_writes_and_when_it_reads():
    serializer = BpmnWorkflowSerializer(registry(workflow_class=Mine, converter=Seeing))
    loader = loader_with(serializer)
    seen = []
    for workflow in (plain(Mine), loader.start(workflow_class=Mine)):
        workflow.tenant = "Acme"
        Seeing.owners[workflow] = "Ada"
        seen.append(serializer.deserialize_json(serializer.serialize_json(workflow)).seen)
    state = loader.save(workflow)
    assert json.loads(state).keys() & {"spec", "subprocess_specs"} == set()
    seen.append(loader_with(serializer).resume(state).seen)
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0]["owner"] == "Ada"


def test_what_a_converter_keeps_on_itself_is_on_itself_afterwards():
    own = registry(workflow_class=Mine, converter=Seeing)
    loader = loader_with(BpmnWorkflowSerializer(own))
    workflow = loader.start(workflow_class=Mine)
    for _ in range(3):
        loader.save(workflow)
    converter = own.convert_to_dict["Mine"].args[1].__self__
    assert type(converter) is Seeing
    assert converter.written == 3
    assert converter.registry is own


class GoingOn(BpmnWorkflowConverter):
    """Lets the engine run on a workflow that it reads."""

    def from_dict(self, dct):
        workflow = super().from_dict(dct)
        workflow.script_engine = models.script_engine()
        workflow.do_engine_steps()
        return workflow


def test_a_converter_may_go_on_with_the_workflow():
    serializer = BpmnWorkflowSerializer(registry(converter=GoingOn))
    loader, full = loader_with(serializer), plain()
    units = loader.start(script_engine=models.script_engine())
    resumed = loader.resume(loader.save(units))
    lockstep.same_point(serializer.deserialize_json(serializer.serialize_json(full)), resumed)
    assert resumed.subprocesses


class Adding(BpmnWorkflowConverter):
    """Gives each workflow that it reads a process of its own."""

    def from_dict(self, dct):
        workflow = super().from_dict(dct)
        workflow.subprocess_specs["mine"] = "a spec"
        return workflow


def test_what_a_converter_assigns_stays():
    loader = loader_with(BpmnWorkflowSerializer(registry(converter=Adding)))
    resumed = loader.resume(loader.save(loader.start()))
    assert resumed.subprocess_specs["mine"] == "a spec"
    assert sorted(resumed.subprocess_specs) == sorted([*full_specs(MODEL), "mine"])


class Moving(BpmnWorkflowConverter):
    """Writes specs at other places too."""

    def to_dict(self, workflow):
        dct = super().to_dict(workflow)
        return {**dct, "model": dct["spec"], "others": dct.pop("subprocess_specs")}

    def from_dict(self, dct):
        model, others = dct.pop("model"), dct.pop("others")
        workflow = super().from_dict({"subprocess_specs": others, **dct})
        workflow.model = model
        return workflow


def test_specs_that_a_converter_writes_elsewhere_are_written():
    serializer = BpmnWorkflowSerializer(registry(converter=Moving))
    loader = loader_with(serializer)
    state = json.loads(loader.save(loader.start()))
    assert state["model"] == models.spec_dict(MODEL)["spec"]
    assert state["others"] == models.spec_dict(MODEL)["subprocess_specs"]
    resumed = loader.resume(json.dumps(state))
    assert resumed.model["name"] == "order"
    assert resumed.subprocess_specs["delivery"] is loader.subprocess_specs()["delivery"]


def test_workflows_that_are_converted_by_functions_are_saved_and_resumed():
    """Their specs are converted too, because functions look alike, and are not in the state."""
    own = registry()
    converter = own.convert_to_dict["BpmnWorkflow"].args[1].__self__

    def restored(dct):
        workflow = converter.from_dict(dct)
        workflow.processes = sorted(workflow.subprocess_specs)
        return workflow

    def converted(workflow):
        return {**converter.to_dict(workflow), "by": "a function"}

    own.register(BpmnWorkflow, converted, restored)
    loader = loader_with(BpmnWorkflowSerializer(own))
    workflow = loader.start(script_engine=models.script_engine())
    workflow.do_engine_steps()
    state = loader.save(workflow)
    assert json.loads(state).keys() & {"spec", "subprocess_specs"} == set()
    resumed = loader.resume(state)
    lockstep.same_point(workflow, resumed)
    assert resumed.processes == sorted(full_specs(MODEL))
    assert resumed.subprocess_specs["delivery"] is loader.subprocess_specs()["delivery"]


# What stands for a spec


@pytest.mark.parametrize(
    "look",
    [
        *(dict, len, list, repr, bool, json.dumps, copy.copy, copy.deepcopy, str, sorted),
        lambda dct: pickle.loads(pickle.dumps(dct)),
        lambda dct: {**dct},
        lambda dct: dct | {"c": 3},
        lambda dct: {"c": 3} | dct,
        lambda dct: dct == {"a": 1, "b": [2]},
        lambda dct: dct != {"a": 1, "b": [2]},
        lambda dct: dct["a"],
        lambda dct: dct.get("b"),
        lambda dct: "b" in dct,
        lambda dct: "" in dct,
        lambda dct: (dct.pop("a"), dict(dct)),
        lambda dct: (dct.update(c=4), dict(dct)),
        lambda dct: (dct.setdefault("a", 5), list(dct.items())),
        lambda dct: (dct.clear(), dict(dct)),
        lambda dct: (dct.popitem(), list(dct.values())),
        lambda dct: (dct.__delitem__("a"), list(reversed(dct))),
        lambda dct: (dct.__setitem__("d", 1), list(dct.keys())),
        lambda dct: json.dumps({"inside": [dct]}, indent=1),
    ],
)
def test_a_lazy_dict_is_a_dict_however_it_is_looked_at_first(look):
    assert look(LazyDict(lambda: {"a": 1, "b": [2]})) == look({"a": 1, "b": [2]})


def test_a_lazy_dict_is_made_once_and_not_before_somebody_looks():
    made = []
    lazy = LazyDict(lambda: made.append(1) or {"a": 1})
    assert lazy is not None
    assert not made
    assert lazy["a"] == lazy["a"] == len(lazy)
    assert made == [1]


# What is migrated


def decoded_specs(loader, state, monkeypatch):
    """The processes whose specs a resume decodes, although the loader has restored all of them."""
    decoded = []
    own = loader._sources.own
    decode = own.decoded
    monkeypatch.setattr(own, "decoded", lambda name: decoded.append(name) or decode(name))
    loader.resume(state)
    return decoded


@pytest.mark.parametrize("version", ["5", "mine", 7])
def test_a_state_of_a_serializer_with_a_version_of_its_own_decodes_no_spec(version, monkeypatch):
    own = registry()
    workflow = loader_with(AsTheyCome(own)).start(script_engine=models.script_engine())
    workflow.do_engine_steps()
    for written, read in (({"version": version}, {}), ({"version": version},) * 2, ({}, {})):
        state = loader_with(BpmnWorkflowSerializer(own, **written)).save(workflow)
        loader = loader_with(BpmnWorkflowSerializer(own, **read))
        assert all(loader.subprocess_specs().values())
        assert loader.spec("order")
        assert decoded_specs(loader, state, monkeypatch) == []


def test_a_migration_that_looks_at_specs_finds_them(monkeypatch):
    def looking(dct):
        dct["data"]["seen"] = [dct["spec"]["name"], sorted(dct["subprocess_specs"])]
        dct["data"]["seen"].append(dct["subprocess_specs"]["handover"]["name"])

    serializer = AsTheyCome(registry(), version="earlier")
    state = loader_with(serializer).save(loader_with(serializer).start())
    module = __import__("SpiffWorkflow.bpmn.serializer.workflow", fromlist=["MIGRATIONS"])
    monkeypatch.setitem(module.MIGRATIONS, "earlier", looking)
    loader = loader_with(AsTheyCome(registry()))
    assert loader.resume(state).data["seen"] == ["order", sorted(full_specs(MODEL)), "handover"]


def test_a_save_leaves_a_registry_as_it_was():
    own = registry()
    loader = loader_with(AsTheyCome(own))
    before = {key: copy.copy(value) for key, value in vars(own).items()}
    workflow = loader.start(script_engine=models.script_engine())
    loader.resume(loader.save(workflow))
    driving.run(MODEL, workflow)
    assert vars(own) == before


def test_nothing_is_ever_put_among_the_attributes_of_a_serializer_or_registry():
    """Another thread might be looking through them."""
    put = []

    class Noted(dict):
        def __setitem__(self, key, value):
            put.append(key)
            super().__setitem__(key, value)

    serializer = models.serializer()
    for one in (serializer, serializer.registry):
        one.__dict__ = Noted(vars(one))
    loader = loader_with(serializer)
    workflow = loader.start(script_engine=models.script_engine())
    loader.resume(loader.save(workflow))
    assert put == []


# What is left behind


def test_a_save_and_a_resume_leave_nothing_to_the_garbage_collector():
    """A cycle is freed late, together with the state that it refers to."""
    loader = loader_with(models.serializer())
    workflow = loader.start(script_engine=models.script_engine())
    workflow.do_engine_steps()
    kept = []  # a workflow refers to itself
    gc.disable()
    try:
        for _ in range(2):  # the first call makes aliases and other objects that stay
            gc.collect()
            state = loader.save(workflow)
            pieces = loader.save_pieces(workflow).changed
            kept.append(loader.resume(state))
            kept.append(loader.resume_pieces(pieces.__getitem__))
        assert gc.collect() == 0
    finally:
        gc.enable()
