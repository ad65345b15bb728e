"""States as dicts: what `to_dict` returns, and mappings that `resume` and others take."""

from __future__ import annotations

import copy
import json
import math
import uuid
from datetime import datetime, timedelta, timezone
from types import MappingProxyType

import driving
import lockstep
import models
import pytest
from lockstep import HEADER, loader_of
from serializers import OWN, NoText, OwnEncoder, WithoutHeader, loader_with, plain, registry
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer

from spiff_element_units import ElementUnitsError, UnitNotFound
from spiff_element_units.spiff import SpecLoader, StateError, StateInfo
from spiff_element_units.spiff.standin import is_unopened

NESTED = models.MODELS["nested_calls"]
LOOP = models.MODELS["two_calls"]


def in_the_middle(model, loader, steps=12):
    """A workflow of a model, some steps on its way."""
    workflow, driver = loader.start(script_engine=models.script_engine()), driving.Driver(model)
    for _ in range(steps):
        driver.step(workflow)
    return workflow


def kinds(value):
    """The types of a value and of all values in it."""
    inner = ()
    if isinstance(value, dict):
        inner = (*value, *value.values())
    elif isinstance(value, (list, tuple, set)):
        inner = value
    return {type(value)}.union(*map(kinds, inner))


# to_dict


def test_a_dict_is_what_save_writes_and_has_only_what_json_has():
    loader = loader_of(NESTED)
    workflow = in_the_middle(NESTED, loader)
    workflow.task_tree.data.update(
        when=datetime(2030, 1, 1), ids=[uuid.UUID(int=7)], pair=(1, 2), nan=math.inf, far=10**30
    )
    state = loader.to_dict(workflow)
    assert state == json.loads(loader.save(workflow))
    assert kinds(state) <= {dict, list, str, int, float, bool, type(None)}


def test_to_dict_restores_and_converts_no_spec(monkeypatch):
    loader = loader_of(NESTED)
    state = loader.save(in_the_middle(NESTED, loader))
    fresh = SpecLoader(loader.units, models.serializer())
    workflow = fresh.resume(state)
    kept = fresh.kept
    conversions = fresh._serializer.registry.convert_to_dict
    for name in [name for name in conversions if name.endswith(("Spec", "Task", "Activity"))]:
        if name != "Task":
            monkeypatch.delitem(conversions, name)
    assert fresh.to_dict(workflow)[HEADER] == json.loads(state)[HEADER]
    assert fresh.kept == kept
    assert len(kept) < len(loader.units.process_ids) or len(workflow.subprocesses) > 1


def test_a_change_of_the_dict_does_not_change_the_workflow():
    loader = loader_of(NESTED)
    workflow = in_the_middle(NESTED, loader)
    workflow.task_tree.data["list"] = [1]
    before = loader.save(workflow)
    ruin(loader.to_dict(workflow))
    assert loader.save(workflow) == before


def ruin(value):
    """Change everything in a state that can be changed."""
    if isinstance(value, dict):
        for one in value.values():
            ruin(one)
        value.clear()
    elif isinstance(value, list):
        for one in value:
            ruin(one)
        value.append("ruined")


# resume


@pytest.mark.parametrize("kind", [dict, MappingProxyType])
def test_the_mapping_and_the_workflow_share_nothing(kind):
    loader = loader_of(NESTED)
    workflow = in_the_middle(NESTED, loader)
    workflow.task_tree.data["deep"] = {"list": [1, {"two": 2}]}
    state = loader.to_dict(workflow)
    before = copy.deepcopy(state)
    resumed = loader.resume(kind(state))
    assert state == before
    resumed.task_tree.data["deep"]["list"].append(3)
    resumed.correlations["new"] = {}
    resumed.do_engine_steps()
    assert state == before
    resumed, expected = loader.resume(kind(state)), loader.save(workflow)
    ruin(state)
    assert loader.save(resumed) == expected


def test_settled_subprocesses_of_a_mapping_stay_unopened():
    loader = loader_of(LOOP)
    workflow = in_the_middle(LOOP, loader, 12)
    resumed = loader.resume(loader.to_dict(workflow))
    assert any(map(is_unopened, dict.values(resumed.subprocesses)))
    assert loader.to_dict(resumed) == loader.to_dict(workflow)


@pytest.mark.parametrize("cls", [*OWN, NoText])
def test_a_serializer_of_the_applications_own_carries_dicts_at_each_step(cls):
    def natively(workflow, loader):
        own = cls(registry())
        state = {**own.to_dict(workflow), own.VERSION_KEY: own.VERSION}
        state = json.loads(json.dumps(state))
        own.migrate(state)
        restored = own.from_dict(state)
        restored.script_engine = workflow.script_engine
        return restored

    def on_units(workflow, loader):
        state = json.loads(json.dumps(loader.to_dict(workflow)))
        assert "bpmn_start_events" not in json.dumps(state)
        loader = loader_with(cls(registry()))
        resumed = loader.resume(state, workflow.script_engine)
        assert loader.to_dict(resumed) == state
        assert loader.state_info(state).process_id == "order"
        return resumed

    loader = loader_with(cls(registry()))
    units = loader.start(script_engine=models.script_engine())
    variant = lockstep.Variant(cls.__name__, natively, on_units)
    assert lockstep.compare(NESTED, variant, plain(), units, loader)


@pytest.mark.parametrize(
    "serializer",
    [
        pytest.param(lambda: WithoutHeader(registry()), id="without header"),
        pytest.param(
            lambda: BpmnWorkflowSerializer(registry(), json_encoder_cls=OwnEncoder), id="encoder"
        ),
    ],
)
def test_a_dict_that_could_not_be_resumed_is_not_returned(serializer):
    loader = loader_with(serializer())
    with pytest.raises(ElementUnitsError, match="cannot be resumed"):
        loader.to_dict(loader.start())


class Money:
    """A value that only the application knows."""

    def __init__(self, cents):
        self.cents = cents


class MoneyEncoder(json.JSONEncoder):
    def default(self, obj):
        return {"cents": obj.cents} if isinstance(obj, Money) else super().default(obj)


class MoneyDecoder(json.JSONDecoder):
    def __init__(self, **kwargs):
        super().__init__(object_hook=self.hook, **kwargs)

    @staticmethod
    def hook(dct):
        return Money(dct["cents"]) if dct.keys() == {"cents"} else dct


@pytest.mark.parametrize("through", ["to_dict", "the serializer's to_dict"])
def test_values_of_an_encoder_and_a_decoder_come_back(through):
    serializer = BpmnWorkflowSerializer(registry(), "5", MoneyEncoder, MoneyDecoder)
    loader = loader_with(serializer)
    workflow = loader.start(script_engine=models.script_engine())
    values = {"price": Money(5), "when": datetime(2030, 1, 1, tzinfo=timezone.utc)}
    values.update(id=uuid.UUID(int=1), span=timedelta(hours=1))
    workflow.task_tree.data.update(values)
    state = loader.to_dict(workflow) if through == "to_dict" else serializer.to_dict(workflow)
    found = loader.resume(state).task_tree.data
    assert found.pop("price").cents == 5
    assert {name: found[name] for name in ("when", "id", "span")} == {
        name: values[name] for name in ("when", "id", "span")
    }


def test_what_the_serializers_own_to_dict_returns_is_resumed():
    """It has the specs and no version, and stays as it is."""
    serializer = models.serializer()
    workflow = driving.start(NESTED)
    workflow.do_engine_steps()
    state = serializer.to_dict(workflow)
    before = json.dumps(state)
    loader = loader_of(NESTED)
    lockstep.same_point(workflow, loader.resume(state))
    assert json.dumps(state) == before
    assert loader.state_info(state) == StateInfo(
        "order", None, has_specs=True, serializer_version=serializer.VERSION
    )
    assert loader.state_info(state) == loader.state_info(serializer.serialize_json(workflow))


def test_numbers_that_are_no_json_and_large_ones_are_resumed():
    loader = loader_of(NESTED)
    workflow = loader.start()
    workflow.task_tree.data.update(nan=math.nan, inf=-math.inf, far=2**70, half="\ud800")
    data = loader.resume(loader.to_dict(workflow)).task_tree.data
    assert math.isnan(data["nan"])
    assert (data["inf"], data["far"], data["half"]) == (-math.inf, 2**70, "\ud800")


def test_what_is_no_state_is_told():
    loader = loader_of(NESTED)
    good = loader.to_dict(loader.start())
    around: dict = {}
    around["around"] = around
    for state, named in (
        ({}, "tasks"),
        ({**good, "tasks": {1: object()}}, "object is not JSON serializable"),
        ({**good, "data": around}, "Circular"),
        ({**good, HEADER: None, "spec": None}, "neither"),
        ({**good, HEADER: 3}, "state_format"),
    ):
        for action in (loader.resume, loader.compare, loader.migrate, loader.state_info):
            if action != loader.state_info or named != "neither":
                with pytest.raises(StateError, match=named):
                    action(state)
    for action in (loader.resume, loader.compare, loader.migrate, loader.state_info, loader.split):
        with pytest.raises(TypeError, match="state must be str, bytes or a mapping, not list"):
            action([])


# States that do not say their process


def bare(state):
    """A state without our header and without specs, as an application's rows may keep it."""
    leave_out = (HEADER, "spec", "subprocess_specs", "serializer_version")
    return {key: value for key, value in state.items() if key not in leave_out}


@pytest.mark.parametrize("native", [False, True], ids=["of a loader", "of SpiffWorkflow"])
@pytest.mark.parametrize("form", [dict, json.dumps], ids=["dict", "text"])
def test_a_state_that_names_no_process_is_resumed_as_the_process_that_is_given(native, form):
    loader = loader_of(NESTED)
    workflow, driver = driving.start(NESTED), driving.Driver(NESTED)
    for _ in range(12):
        driver.step(workflow)
    serializer = models.serializer()
    whole = json.loads(serializer.serialize_json(workflow) if native else loader.save(workflow))
    state = bare(whole)
    if form is json.dumps:
        state["serializer_version"] = serializer.VERSION
    resumed = loader.resume(form(state), process_id="order")
    lockstep.same_point(workflow, resumed)
    assert loader.to_dict(resumed) == {
        HEADER: json.loads(loader.save(workflow))[HEADER],
        **state,
        "serializer_version": serializer.VERSION,
    }
    assert loader.state_info(state).process_id is None
    with pytest.raises(StateError, match="process_id="):
        loader.resume(form(state))
    with pytest.raises(UnitNotFound, match="ordr"):
        loader.resume(form(state), process_id="ordr")


def test_every_process_is_resumed_without_its_header():
    loader = loader_of(NESTED)
    for process_id in loader.units.process_ids:
        workflow = loader.start(process_id)
        resumed = loader.resume(bare(loader.to_dict(workflow)), process_id=process_id)
        lockstep.same_point(workflow, resumed)


def test_a_state_that_says_another_process_is_refused():
    loader = loader_of(NESTED)
    workflow = loader.start()
    states = [
        loader.to_dict(workflow),
        loader.save(workflow),
        models.serializer().to_dict(workflow),
    ]
    for state in states:
        with pytest.raises(StateError, match="is of process 'order', not of 'delivery'"):
            loader.resume(state, process_id="delivery")
        lockstep.same_point(workflow, loader.resume(state, process_id="order"))
    with pytest.raises(TypeError, match="process_id must be a str"):
        loader.resume(states[0], process_id=1)
