"""What a saved state contains, what `resume` takes, and what it refuses."""

from __future__ import annotations

import copy
import enum
import gzip
import json
import pickle
import uuid
from datetime import datetime, timedelta

import driving
import lockstep
import models
import pytest
import spiff_bpmn
from lockstep import HEADER, full_specs, loader_of
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer, DefaultRegistry
from SpiffWorkflow.bpmn.serializer.default.workflow import BpmnWorkflowConverter
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.spiff.serializer.config import SPIFF_CONFIG

from spiff_element_units import ElementUnits, ElementUnitsError, InvalidWorkflowSpec, UnitNotFound
from spiff_element_units.spiff import ChangedWorkflow, SpecLoader, StateError
from spiff_element_units.spiff.changes import apply

NESTED = models.MODELS["nested_calls"]
PLAIN = models.MODELS["human_tasks"]


def in_the_middle(model, loader, steps=12):
    """A workflow of a model, some steps on its way."""
    workflow, driver = loader.start(script_engine=models.script_engine()), driving.Driver(model)
    for _ in range(steps):
        driver.step(workflow)
    return workflow


def altered(state, **changes):
    """A state with changes in its header."""
    dct = json.loads(state)
    dct[HEADER].update(changes)
    return json.dumps(dct)


# What a state contains


def test_a_state_is_the_run_and_where_it_belongs(tmp_path):
    ElementUnits.from_json(models.spec_json(NESTED)).save(tmp_path, "orders")
    units = ElementUnits.open(tmp_path, "orders")
    loader = SpecLoader(units, models.serializer())
    workflow = in_the_middle(NESTED, loader)
    state = json.loads(loader.save(workflow))
    assert state.pop(HEADER) == {
        "state_format": 1,
        "process_id": "order",
        "cache_key": "orders",
        "digest": units.digest,
        "processes": {
            one: units.process_digest(one) for one in ("order", "delivery", "transport", "handover")
        },
    }
    expected = json.loads(models.serializer().serialize_json(workflow))
    del expected["spec"], expected["subprocess_specs"]
    assert state == expected
    assert len(workflow.subprocesses) > 1


def test_no_spec_is_converted_by_a_save():
    loader = loader_of(NESTED)
    workflow = in_the_middle(NESTED, loader)
    registry = loader._serializer.registry
    converted = []

    def noting(to_dict):
        def convert(obj, **kwargs):
            converted.append(type(obj).__name__)
            return to_dict(obj, **kwargs)

        return convert

    for typename, to_dict in registry.convert_to_dict.items():
        if typename != "BpmnWorkflow":
            registry.convert_to_dict[typename] = noting(to_dict)
    loader.save(workflow)
    assert set(converted) == {"BpmnSubWorkflow", "Task"}


def test_a_save_leaves_the_workflow_and_the_serializer_as_they_were():
    loader = loader_of(NESTED)
    workflow = in_the_middle(NESTED, loader)
    before = driving.snapshot(workflow), dict(vars(workflow)), dict(vars(loader._serializer))
    assert loader.save(workflow) == loader.save(workflow)
    assert before == (driving.snapshot(workflow), vars(workflow), vars(loader._serializer))
    assert "BpmnProcessSpec" in type(workflow.spec).__name__


def test_a_resume_restores_what_the_living_subprocesses_need_and_no_more():
    loader = loader_of(NESTED)
    workflow = loader.start(script_engine=models.script_engine())
    driver, states = driving.Driver(NESTED), []
    while driver.step(workflow):
        living = (one for one in workflow.subprocesses.values() if not one.is_completed())
        needed = {"order", *(one.spec.name for one in living)}
        states.append((needed, loader.save(workflow)))
    assert len({len(needed) for needed, _ in states}) == 4
    for needed, state in states:
        fresh = SpecLoader(loader.units, models.serializer())
        resumed = fresh.resume(state)
        assert set(fresh.kept) == needed
        assert set(resumed.subprocess_specs.touched) == needed - {"order"}


def test_a_process_that_was_started_by_itself_is_resumed_as_that():
    loader = loader_of(NESTED)
    workflow = loader.start("transport", script_engine=models.script_engine())
    workflow.do_engine_steps()
    resumed = loader.resume(loader.save(workflow))
    assert resumed.spec.name == "transport"
    assert set(resumed.subprocess_specs) == {"handover"}


def test_the_script_engine_is_that_of_the_caller():
    loader, engine = loader_of(PLAIN), models.script_engine()
    state = loader.save(loader.start(script_engine=engine))
    assert loader.resume(state, engine).script_engine is engine
    assert loader.resume(state, script_engine=engine).script_engine is engine
    assert loader.resume(state).script_engine is not engine
    assert loader.start(script_engine=engine).script_engine is engine


class Name(str):
    """A kind of text."""

    def __repr__(self):
        return "a kind of text"


class Process(str, enum.Enum):
    ORDER = "order"
    TRANSPORT = "transport"
    DELIVERY = "delivery"


@pytest.mark.parametrize("kind", [Name, Process])
@pytest.mark.parametrize("process_id", ["order", "transport"])
def test_a_process_id_may_be_a_kind_of_text(kind, process_id):
    loader = loader_of(NESTED)
    workflow = loader.start(kind(process_id), script_engine=models.script_engine())
    assert type(workflow.subprocess_specs.process_id) is str
    workflow.do_engine_steps()
    saved = json.loads(loader.save(workflow))
    assert saved[HEADER]["process_id"] == process_id
    assert loader.resume(json.dumps(saved)).spec.name == process_id
    assert loader.spec(kind("delivery")).name == "delivery"
    assert list(loader.subprocess_specs(kind(process_id))) == list(
        loader.subprocess_specs(process_id)
    )
    mapping = loader_of(NESTED).subprocess_specs()
    assert mapping[kind("delivery")].name == "delivery"
    assert mapping.get(kind("transport")).name == "transport"
    assert all(type(key) is str for key in mapping)
    assert kind("delivery") in mapping.copy()
    with pytest.raises(UnitNotFound, match="nobody"):
        loader.start(Name("nobody"))


# Data, converters and serializers of the application's own


class Money:
    """A value that only the application's serializer knows."""

    def __init__(self, amount):
        self.amount = amount

    def __eq__(self, other):
        return self.amount == other.amount

    __hash__ = None


def money_registry():
    registry = DefaultRegistry()
    registry.register(
        Money, lambda money: {"amount": money.amount}, lambda dct: Money(dct["amount"])
    )
    return registry


class NamedWorkflow(BpmnWorkflow):
    """A workflow of the application's own."""

    label = "unnamed"


class NamedWorkflowConverter(BpmnWorkflowConverter):
    """Converts it, and looks at its spec on the way."""

    def to_dict(self, workflow):
        return {**super().to_dict(workflow), "label": workflow.label, "of": workflow.spec.name}

    def from_dict(self, dct):
        workflow = super().from_dict(dct)
        workflow.label = dct["label"]
        return workflow


class HexEncoder(json.JSONEncoder):
    """An encoder of the application's own, for bytes."""

    def default(self, obj):
        return {"bytes": obj.hex()} if isinstance(obj, bytes) else super().default(obj)


class HexDecoder(json.JSONDecoder):
    """The decoder that goes with it."""

    def __init__(self, **kwargs):
        super().__init__(object_hook=self.restored, **kwargs)

    @staticmethod
    def restored(dct):
        return bytes.fromhex(dct["bytes"]) if dct.keys() == {"bytes"} else dct


def own_serializer():
    config = {**SPIFF_CONFIG, NamedWorkflow: NamedWorkflowConverter}
    return BpmnWorkflowSerializer(
        BpmnWorkflowSerializer.configure(config, money_registry()),
        version="of-the-application",
        json_encoder_cls=HexEncoder,
        json_decoder_cls=HexDecoder,
    )


DATA = {
    "money": Money(7),
    "nested": [{"money": Money(8)}],
    "when": datetime(2024, 2, 29, 12, 30),
    "long": timedelta(days=2, seconds=3),
    "id": uuid.UUID(int=5),
    "raw": b"\x00\xff",
    "big": 12345678901234567890123,
    "text": "\u00fc\u4e2d\U0001f600",
    "number": 1e300,
    "none": None,
    "infinite": float("inf"),
}


def test_the_applications_converters_and_json_classes_are_used():
    serializer = own_serializer()
    loader = SpecLoader(ElementUnits.from_json(models.spec_json(NESTED)), serializer)
    workflow = loader.start(workflow_class=NamedWorkflow, script_engine=models.script_engine())
    assert type(workflow) is NamedWorkflow
    workflow.label = "mine"
    workflow.do_engine_steps()
    task = driving.ready_tasks(workflow)[0]
    task.data.update(DATA)
    workflow.data["money"] = Money(9)
    state = loader.save(workflow)
    assert lockstep.without_specs(state) == lockstep.without_specs(
        serializer.serialize_json(workflow)
    )
    assert json.loads(state)["serializer_version"] == "of-the-application"
    assert json.loads(state)["of"] == "order"
    resumed = loader.resume(state)
    assert type(resumed) is NamedWorkflow
    assert resumed.label == "mine"
    assert resumed.data["money"] == Money(9)
    data = resumed.get_task_from_id(task.id).data
    assert {key: data[key] for key in DATA} == DATA


def test_what_the_serializer_cannot_write_is_its_own_error():
    loader = loader_of(PLAIN)
    workflow = loader.start()
    workflow.task_tree.data["unknown"] = Money(1)
    with pytest.raises(TypeError, match="Money"):
        loader.save(workflow)


# States of SpiffWorkflow's own


def test_a_state_of_serialize_json_is_taken_and_its_specs_are_not_if_they_are_the_same():
    loader = loader_of(NESTED)
    workflow = in_the_middle(NESTED, loader)
    serializer = models.serializer()
    state = json.loads(serializer.serialize_json(workflow))
    resumed = loader.resume(json.dumps(state))
    lockstep.same_point(workflow, resumed)
    kept = loader.subprocess_specs()["delivery"]
    assert resumed.subprocess_specs["delivery"] is kept
    zipped = serializer.serialize_json(workflow, use_gzip=True)
    assert loader.resume(zipped).subprocess_specs["delivery"] is kept
    assert loader.resume(json.dumps(state).encode()).subprocess_specs["delivery"] is kept


def test_a_workflow_of_serialize_json_can_be_saved_by_the_loader():
    loader = loader_of(NESTED)
    workflow = driving.start(NESTED)
    workflow.do_engine_steps()
    resumed = loader.resume(loader.save(workflow))
    lockstep.same_point(workflow, resumed)


def test_a_state_of_a_process_that_there_is_not():
    state = models.serializer().serialize_json(driving.start(PLAIN))
    with pytest.raises(UnitNotFound, match="application"):
        loader_of(NESTED).resume(state)
    with pytest.raises(UnitNotFound, match="application"):
        loader_of(NESTED).save(driving.start(PLAIN))


# Another version of the workflow


def another_version(model, change=lambda spec: None):
    dct = models.spec_dict(model)
    dct["spec"]["description"] = "another version"
    change(dct)
    return ElementUnits.from_json(json.dumps(dct))


def test_a_state_of_another_version_is_refused_with_both_digests(tmp_path):
    another_version(NESTED).save(tmp_path, "new key")
    ElementUnits.from_json(models.spec_json(NESTED)).save(tmp_path, "old key")
    old = SpecLoader(ElementUnits.open(tmp_path, "old key"), models.serializer())
    new = SpecLoader(ElementUnits.open(tmp_path, "new key"), models.serializer())
    workflow = in_the_middle(NESTED, old)
    state = old.save(workflow)
    with pytest.raises(ChangedWorkflow) as raised:
        new.resume(state)
    for named in (old.units.digest, new.units.digest, "old key", "new key", "can be migrated"):
        assert named in str(raised.value)
    resumed = new.migrate(state)
    if models.SPIFF_VERSION >= (3, 1):
        workflow.last_task = None  # SpiffWorkflow's migration forgets it; 3.0 has no migration
    lockstep.same_point(workflow, resumed)
    assert resumed.spec.description == "another version"
    again = json.loads(new.save(resumed))[HEADER]
    assert again["digest"] == new.units.digest


def test_the_same_workflow_under_another_key_is_the_same(tmp_path):
    old = loader_of(NESTED)
    old.units.save(tmp_path, "key")
    new = SpecLoader(ElementUnits.open(tmp_path, "key"), models.serializer())
    assert new.resume(old.save(old.start())).spec.name == "order"


def test_an_element_that_is_gone_is_named():
    loader = loader_of(PLAIN)
    workflow = in_the_middle(PLAIN, loader, 3)
    task = driving.ready_tasks(workflow)[0]
    gone = task.task_spec.name

    def rename(dct):
        text = json.dumps(dct["spec"]).replace(f'"{gone}"', '"renamed"')
        dct["spec"] = json.loads(text)

    other = SpecLoader(another_version(PLAIN, rename), models.serializer())
    state = loader.save(workflow)
    assert gone in [
        one.element_id for one in other.compare(state, old=loader).processes[0].elements
    ]
    reason = "of process 'application' (was removed|has changed)"
    with pytest.raises(ChangedWorkflow, match=reason):
        other.migrate(state, loader)


def test_an_element_that_is_no_call_any_more_is_named():
    loader = loader_of(NESTED)
    workflow = in_the_middle(NESTED, loader)
    (call,) = [one for one in workflow.spec.task_specs.values() if hasattr(one, "spec")]

    def no_call(dct):
        task_spec = dct["spec"]["task_specs"][call.name]
        task_spec["typename"] = "NoneTask"
        del task_spec["spec"]

    other = SpecLoader(another_version(NESTED, no_call), models.serializer())
    reason = rf"element '{call.name}' of process 'order' has changed \(its type\)"
    with pytest.raises(ChangedWorkflow, match=reason):
        other.migrate(loader.save(workflow), loader)


def test_a_workflow_of_another_loader_is_not_saved():
    mine, other = loader_of(NESTED), SpecLoader(another_version(NESTED), models.serializer())
    with pytest.raises(ElementUnitsError, match="save it with the loader that started it"):
        other.save(mine.start())
    assert SpecLoader(mine.units, models.serializer()).save(mine.start())


def test_specs_of_the_applications_own_do_not_disturb_a_save():
    loader = loader_of(NESTED)
    workflow = in_the_middle(NESTED, loader)
    workflow.subprocess_specs.update(mine="no spec", transport=loader.spec("handover"))
    del workflow.subprocess_specs["handover"]
    state = loader.save(workflow)
    assert set(json.loads(state)[HEADER]) == {
        *("state_format", "process_id", "cache_key", "digest", "processes")
    }
    assert set(loader.resume(state).subprocess_specs) == set(full_specs(NESTED))


# Texts that are not states


def broken_states():
    loader = loader_of(NESTED)
    workflow = in_the_middle(NESTED, loader)
    good = loader.save(workflow)
    plain = json.loads(models.serializer().serialize_json(workflow))
    dct = json.loads(good)
    some_task = next(iter(dct["tasks"]))
    yield "cut off", good[: len(good) // 2], "not JSON"
    yield "empty", "", "not JSON"
    yield "bytes that are no text", b"\xff\xfe\xff", "not JSON"
    yield "gzip cut off", gzip.compress(good.encode())[:40], "not JSON"
    yield "nested too deep", "[" * 100_000, "not JSON"
    yield "a list", "[]", "JSON list"
    yield "null", "null", "JSON NoneType"
    yield "no header and no spec", json.dumps({**dct, HEADER: None}), HEADER
    yield "no header, spec a text", json.dumps({**plain, "spec": "order"}), HEADER
    yield "spec without name", json.dumps({**plain, "spec": {}}), "name"
    for key in ("tasks", "subprocesses", "root"):
        yield f"without {key}", json.dumps({k: v for k, v in dct.items() if k != key}), key
        yield f"{key} a number", json.dumps({**dct, key: 1}), key
    for key in ("last_task", "success", "serializer_version"):
        yield f"without {key}", json.dumps({k: v for k, v in dct.items() if k != key}), key
    for key in dct["tasks"][some_task]:
        if key not in ("typename", "delta", "data"):
            task = {k: v for k, v in dct["tasks"][some_task].items() if k != key}
            tasks = {**dct["tasks"], some_task: task}
            yield f"a task without {key}", json.dumps({**dct, "tasks": tasks}), key
    yield "a task that is a text", json.dumps({**dct, "tasks": {some_task: "x"}}), "restored"
    yield "a root that is no id", json.dumps({**dct, "root": "x"}), "restored"
    yield "a typename nobody knows", json.dumps({**dct, "typename": "Nobody"}), "restored"
    yield "format of the future", altered(good, state_format=2), "state_format is 2"
    yield "header a text", json.dumps({**dct, HEADER: "x"}), "state_format"
    yield "digest a number", altered(good, digest=1), "digest"
    yield "process a number", altered(good, process_id=1), "process_id"


@pytest.mark.parametrize(
    ("state", "named"), [pytest.param(*rest, id=name) for name, *rest in broken_states()]
)
def test_a_broken_state_is_told(state, named):
    with pytest.raises(StateError) as raised:
        loader_of(NESTED).resume(state)
    assert named in str(raised.value)


def test_a_truncated_state_never_resumes():
    loader = loader_of(PLAIN)
    state = loader.save(in_the_middle(PLAIN, loader, 3))
    for end in range(0, len(state) - 1, 7):
        with pytest.raises(StateError):
            loader.resume(state[:end])


# Specs that the serializer cannot restore, and processes that do not exist


def test_unknown_processes():
    loader = loader_of(NESTED)
    for action in (loader.start, loader.spec, loader.subprocess_specs):
        with pytest.raises(UnitNotFound, match=r"'handovr'.*did you mean 'handover'"):
            action("handovr")
        with pytest.raises(TypeError):
            action(1)


def test_a_spec_that_the_serializer_cannot_restore_names_process_and_typename():
    serializer = BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(SPIFF_CONFIG))
    text = models.spec_json(models.MODELS["custom_task"])
    loader = SpecLoader(ElementUnits.from_json(text), serializer)
    with pytest.raises(InvalidWorkflowSpec) as raised:
        loader.start()
    for named in (
        "'custom'",
        'task_specs"]["counted_task"]',
        "'CountedTask'",
        "register a converter",
    ):
        assert named in str(raised.value)


def test_a_spec_that_lacks_something_names_the_process():
    dct = models.spec_dict(NESTED)
    del dct["subprocess_specs"]["delivery"]["file"]
    loader = SpecLoader(ElementUnits.from_json(json.dumps(dct)), models.serializer())
    workflow = loader.start(script_engine=models.script_engine())
    with pytest.raises(InvalidWorkflowSpec, match=r"process 'delivery'.*KeyError: 'file'"):
        workflow.do_engine_steps()


def test_arguments_of_the_wrong_type():
    with pytest.raises(TypeError, match="units must be an ElementUnits, not str"):
        SpecLoader("text", models.serializer())


# States of an earlier SpiffWorkflow


def test_a_state_of_an_earlier_serializer_is_migrated_with_the_specs_at_hand(monkeypatch):
    loader = loader_of(NESTED)
    workflow = in_the_middle(NESTED, loader)
    state = json.loads(loader.save(workflow))
    state["serializer_version"] = "earlier"
    seen = []

    def migrate(self, dct):
        seen.append((dct.pop(self.VERSION_KEY), dct["spec"]["name"], [*dct["subprocess_specs"]]))
        dct["data"]["migrated"] = True

    monkeypatch.setattr(BpmnWorkflowSerializer, "migrate", migrate)
    resumed = loader.resume(json.dumps(state))
    assert seen == [("earlier", "order", [*full_specs(NESTED)])]
    assert resumed.data["migrated"]
    del resumed.data["migrated"]
    lockstep.same_point(workflow, resumed)


def test_a_state_of_spiffworkflow_3_0_goes_on():
    """Its serializer wrote version 1.3. Later ones change only loops and subprocesses in it."""
    loader = loader_of(PLAIN)
    workflow = in_the_middle(PLAIN, loader, 3)
    for state in (loader.save(workflow), models.serializer().serialize_json(workflow)):
        dct = json.loads(state)
        dct["serializer_version"] = "1.3"
        lockstep.same_point(workflow, loader.resume(json.dumps(dct)))


# What the engine changes in specs

SIGNALLED = {
    # The call activity that the engine adds has the class of an existing one.
    "main": [("human",), ("throw", "called"), ("call", "third"), ("throw", "called"), ("human",)],
    "third": [("human",)],
    "other": [("human",), ("script", "other = True")],
}


def signalled(saved):
    """Both sides of a workflow in which a signal starts a process (before SpiffWorkflow 3.2)."""
    text = spiff_bpmn.spec_json(SIGNALLED, "main", starts={"other": "called"})
    dct = json.loads(text)
    registry = models.serializer().registry
    engine = models.script_engine()
    loader = SpecLoader(ElementUnits.from_json(text), models.serializer())
    plain = BpmnWorkflow(
        registry.restore(dct["spec"]),
        {name: registry.restore(spec) for name, spec in dct["subprocess_specs"].items()},
        script_engine=engine,
    )
    units = loader.start(script_engine=engine)
    while True:
        plain, units = driving.saved_and_restored(plain), saved(units, loader)
        lockstep.same_point(plain, units)
        for one in (plain, units):
            one.do_engine_steps()
            ready = driving.ready_tasks(one)
            if not ready:
                return plain, units, loader
            ready[0].run()


@pytest.mark.parametrize(
    "saved", [lockstep.resumed, lockstep.resumed_by_another, lockstep.moved_over, lockstep.own_save]
)
def test_processes_that_a_signal_starts_go_on_after_a_save(saved):
    plain, units, loader = signalled(saved)
    assert plain.is_completed()
    assert [*units.spec.task_specs] == [*plain.spec.task_specs]
    assert len(plain.subprocesses) == (3 if models.SPIFF_VERSION < (3, 2) else 1)
    # None of this is in the spec of the next workflow.
    fresh = loader.start()
    assert len(fresh.spec.task_specs) == len(loader._sources.own.restore("main").task_specs)


STARTED_INSIDE = {
    "main": [("human",), ("call", "middle")],
    # `other` is called late or never. The signal starts it before that.
    "middle": [("human",), ("throw", "go"), ("call", "inner"), ("throw", "go"), ("human",)],
    "inner": [("parallel", [("human",)], [("call", "other")])],
    "other": [("human",), ("script", "other = True")],
    "aside": [("human",)],
}


@pytest.mark.parametrize(
    "carry", [lockstep.kept, lockstep.resumed, lockstep.resumed_by_another, lockstep.moved_over]
)
@pytest.mark.parametrize("process_id", ["main", "middle"])
def test_processes_that_events_start_are_started_whichever_process_runs(process_id, carry):
    """By itself a process starts those that it leads to, as with SpiffWorkflow's parser."""
    text = spiff_bpmn.spec_json(STARTED_INSIDE, "main", starts={"other": "go", "aside": "go"})
    dct = json.loads(text)
    restore = models.serializer().registry.restore
    known = {"main": dct["spec"], **dct["subprocess_specs"]}
    names = set(known) - {"main"} if process_id == "main" else lockstep.reachable(known, process_id)
    plain = BpmnWorkflow(
        restore(copy.deepcopy(known[process_id])),
        # In the order of the workflow. The engine starts them in this order.
        {name: restore(copy.deepcopy(known[name])) for name in known if name in names},
        script_engine=models.script_engine(),
    )
    loader = SpecLoader(ElementUnits.from_json(text), models.serializer())
    units = loader.start(process_id, script_engine=models.script_engine())
    started = set()
    while True:
        plain, units = driving.saved_and_restored(plain), carry(units, loader)
        lockstep.same_point(plain, units)
        for one in (plain, units):
            one.do_engine_steps()
        ready = [driving.ready_tasks(one) for one in (plain, units)]
        if not ready[0]:
            break
        for tasks in ready:
            tasks[0].run()
        inner = [(one.spec.name, one.parent_workflow) for one in units.subprocesses.values()]
        started.update(name for name, parent in inner if parent is units)
    before_3_2 = models.SPIFF_VERSION < (3, 2)
    assert ("other" in started) == before_3_2
    assert ("aside" in started) == (before_3_2 and process_id == "main")


def links(spec):
    return {name: (one._inputs, one._outputs) for name, one in spec.task_specs.items()}


@pytest.mark.parametrize("name", ["ad_hoc_data_object", "collaboration"])
@pytest.mark.parametrize(
    "saved", [lockstep.resumed, lockstep.resumed_by_another, lockstep.moved_over]
)
def test_connections_that_the_engine_made_are_there_after_a_resume(name, saved):
    """At each step, specs have the connections that SpiffWorkflow's own save keeps."""
    model = models.MODELS.get(name) or pytest.skip("needs SpiffWorkflow 3.2")
    loader = loader_of(model)
    plain, units = driving.start(model), loader.start(script_engine=models.script_engine())
    sides = [
        lockstep.Side(model, plain, lockstep.own_save, None),
        lockstep.Side(model, units, saved, loader),
    ]
    fresh = (
        links(loader.start().spec),
        {key: links(spec) for key, spec in loader.subprocess_specs().items()},
    )
    changed = False
    while True:
        done = [side.step() for side in sides]
        plain, units = (side.workflow for side in sides)
        assert links(units.spec) == links(plain.spec)
        for key, spec in plain.subprocess_specs.items():
            assert links(units.subprocess_specs[key]) == links(spec)
        now = links(units.spec), {k: links(one) for k, one in units.subprocess_specs.items()}
        changed = changed or now != fresh
        if done == [None, None]:
            break
    assert changed, "the model does not show what this test is about"
    assert fresh == (
        links(loader.start().spec),
        {key: links(spec) for key, spec in loader.subprocess_specs().items()},
    )


def natively_restored(workflow, loader):
    """Restored by SpiffWorkflow's serializer, which puts specs into a dict, and by the loader."""
    return lockstep.resumed(driving.saved_and_restored(workflow), loader)


def unpickled(workflow, loader):
    """The same, restored from a pickle."""
    engine, workflow.script_engine = workflow.script_engine, None
    copied = pickle.loads(pickle.dumps(workflow))
    workflow.script_engine = copied.script_engine = engine
    return loader.resume(loader.save(copied), engine)


@pytest.mark.parametrize("saved", [natively_restored, unpickled])
@pytest.mark.parametrize("name", ["ad_hoc_data_object", "collaboration"])
def test_what_the_engine_added_to_specs_in_a_dict_is_saved(name, saved):
    test_connections_that_the_engine_made_are_there_after_a_resume(name, saved)


@pytest.mark.parametrize("saved", [lockstep.resumed, natively_restored, lockstep.moved_over])
def test_what_the_engine_added_to_the_spec_of_an_external_ad_hoc_subprocess_is_saved(saved):
    """It is embedded in a process that `resolve` has brought."""
    model = models.MODELS.get("ad_hoc_data_object") or pytest.skip("needs SpiffWorkflow 3.2")
    called = models.spec_dict(model)["spec"]["name"]
    own = ElementUnits.from_json(spiff_bpmn.spec_json({"outer": [("call", called)]}, "outer"))
    external = {called: ElementUnits.from_json(models.spec_json(model))}

    def fresh():
        return SpecLoader(own, models.serializer(), resolve=external.get)

    workflow, driver = fresh().start(script_engine=models.script_engine()), driving.Driver(model)
    made = set()
    while driver.step(workflow):
        if "cleaning_jobs" in [one.spec.name for one in workflow.subprocesses.values()]:
            before = links(workflow.subprocess_specs["cleaning_jobs"])
            made.add(len(before["Start"][1]))
            workflow = saved(workflow, fresh())
            assert links(workflow.subprocess_specs["cleaning_jobs"]) == before
    assert len(made) > 1, "the model does not show what this test is about"


def test_what_the_engine_added_stays_while_nobody_looks_at_the_spec():
    model = models.MODELS.get("ad_hoc_data_object") or pytest.skip("needs SpiffWorkflow 3.2")
    loader = loader_of(model)
    workflow = driving.run(model, loader.start(script_engine=models.script_engine())).workflow
    added = links(workflow.subprocess_specs["cleaning_jobs"])
    before_it = next(
        task for task in workflow.get_tasks() if task.task_spec.name == "cleaning_jobs"
    )
    workflow.reset_from_task_id(before_it.parent.id)
    assert not workflow.subprocesses
    for _ in range(2):
        workflow = lockstep.resumed_by_another(workflow, loader)
        assert workflow.subprocess_specs.touched == ()
    assert links(workflow.subprocess_specs["cleaning_jobs"]) == added


def test_what_was_added_to_elements_that_are_gone_is_left_out():
    spec = loader_of(PLAIN).spec(models.spec_dict(PLAIN)["spec"]["name"])
    before, added = copy.deepcopy(links(spec)), {"Start": ["gone"], "gone": ["Start"]}
    apply({"inputs": added, "outputs": added}, spec, models.serializer().registry)
    assert links(spec) == before


def test_what_was_added_to_specs_is_all_that_a_state_has_of_them():
    if models.SPIFF_VERSION < (3, 2):
        pytest.skip("SpiffWorkflow before 3.2 has no trigger specs")
    model = models.MODELS["collaboration"]
    loader = loader_of(model)
    workflow = driving.run(model, loader.start(script_engine=models.script_engine())).workflow
    changes = json.loads(loader.save(workflow))[HEADER]["spec_changes"]
    assert set(changes) == {"spec"}
    assert set(changes["spec"]) == {"inputs", "outputs"}
    assert changes["spec"]["outputs"]["Start"] == workflow.spec.start.trigger_specs
