"""Which specs the workflows of a loader share, and that it serves several threads."""

from __future__ import annotations

import copy
import gc
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import driving
import lockstep
import models
import pytest
import spiff_bpmn
from lockstep import loader_of
from SpiffWorkflow.bpmn import BpmnEvent, BpmnWorkflow
from SpiffWorkflow.spiff.specs.event_definitions import SignalEventDefinition
from threads import at_once

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

every_model = pytest.mark.parametrize("model", models.MODELS.values(), ids=lambda model: model.name)


def shape(spec):
    """What the engine could change in a spec: its task specs, connections and subscribers."""
    return {
        name: (
            list(task_spec._inputs),
            list(task_spec._outputs),
            task_spec.completed_event.n_subscribers(),
            sorted(key for key in vars(task_spec) if key != "event_definition"),
        )
        for name, task_spec in spec.task_specs.items()
    }


@every_model
def test_no_kept_spec_is_changed_by_a_run(model):
    """This makes sharing safe. Specs that the engine changes must not be kept."""
    loader = loader_of(model)
    kept = {name: loader._sources.own.spec(name) for name in loader.units.process_ids}
    kept = {name: spec for name, spec in kept.items() if name in loader.kept}
    before = {name: copy.deepcopy(shape(spec)) for name, spec in kept.items()}
    driving.run(model, loader.start(script_engine=models.script_engine()))
    after = {name: shape(spec) for name, spec in kept.items()}
    assert after == before


@every_model
def test_specs_that_the_engine_does_not_change_are_shared(model):
    loader = loader_of(model)
    first, second = loader.start(), loader.start()
    for name in loader.kept:
        # Before 3.2 it gives a copy, which events may extend.
        assert (loader.spec(name) is loader.spec(name)) == (models.SPIFF_VERSION >= (3, 2))
    mappings = first.subprocess_specs, second.subprocess_specs
    for name in first.subprocess_specs:
        specs = [mapping[name] for mapping in mappings]
        assert (specs[0] is specs[1]) == (name in loader.kept or specs[0] is None)


def changing(model):
    """The ids of the processes of a model whose specs the engine changes."""
    loader = loader_of(model)
    mapping = loader.subprocess_specs()
    assert all(mapping.values())
    return set(loader.units.process_ids) - {loader.units.root} - set(loader.kept)


def test_ad_hoc_specs_and_those_with_triggers_are_restored_anew_for_each_workflow():
    if models.SPIFF_VERSION < (3, 2):
        pytest.skip("SpiffWorkflow before 3.2 has neither")
    found = {name: changing(model) for name, model in models.MODELS.items() if not model.external}
    assert found["ad_hoc"] | found["ad_hoc_data_object"] == {"errands_any", "cleaning_jobs"}
    collaboration = loader_of(models.MODELS["collaboration"])
    assert collaboration.start().spec is not collaboration.start().spec
    assert collaboration.spec("purchase") is not collaboration.spec("purchase")
    assert collaboration.spec("supplier") is collaboration.spec("supplier")


before_3_2 = pytest.mark.skipif(
    models.SPIFF_VERSION >= (3, 2), reason="SpiffWorkflow from 3.2 on does not extend specs"
)


@before_3_2
@every_model
def test_before_3_2_each_workflow_has_a_spec_of_its_own_of_the_process_that_is_started(model):
    """Events extend this spec. It has everything of one workflow, and nothing of another one."""
    loader = loader_of(model)
    first, second = loader.start().spec, loader.start().spec
    shared = loader._sources.own.spec(first.name)
    kinds = [type(one) for one in (shared, first)]
    assert kinds[0] is kinds[1]
    assert list(first.task_specs) == list(shared.task_specs)
    assert models.serializer().to_dict(first) == models.serializer().to_dict(shared)
    for name, task_spec in first.task_specs.items():
        found = set()
        for value in [*vars(task_spec).values(), *vars(first).values()]:
            inner = [*value.values()] if isinstance(value, dict) else value
            found.update(map(id, inner if isinstance(inner, list) else [value]))
        for other in (shared, second):
            others = set(map(id, other.task_specs.values()))
            assert found.isdisjoint(others), name
        assert task_spec._wf_spec is first
        assert first.task_specs[name] is not second.task_specs[name]
    assert first.start is first.task_specs["Start"]


@before_3_2
@pytest.mark.parametrize("assigned_before", [True, False])
def test_before_3_2_a_process_that_is_assigned_and_started_by_an_event_changes_no_shared_spec(
    assigned_before,
):
    processes = {"root": [("human",), ("call", "other"), ("human",)], "other": [("human",)]}
    text = spiff_bpmn.spec_json(processes, "root")
    with_helper = {**processes, "helper": [("human",)]}
    more = json.loads(spiff_bpmn.spec_json(with_helper, "root", starts={"helper": "go"}))
    helper = more["subprocess_specs"]["helper"]
    loader = SpecLoader(ElementUnits.from_json(text), models.serializer())
    kept = loader._sources.own.spec("root")
    before = copy.deepcopy(shape(kept))
    specs = loader.subprocess_specs()
    if assigned_before:
        specs["helper"] = models.serializer().from_dict(helper)
    workflow = BpmnWorkflow(loader.spec("root"), specs, script_engine=models.script_engine())
    workflow.do_engine_steps()
    if not assigned_before:
        workflow.subprocess_specs["helper"] = models.serializer().from_dict(helper)
    tasks = [task.task_spec.name for task in loader.start().get_tasks()]
    workflow.catch(BpmnEvent(SignalEventDefinition("go")))
    assert "helper" in [one.spec.name for one in workflow.subprocesses.values()]
    assert shape(kept) == before
    fresh = loader.start(script_engine=models.script_engine())
    assert [task.task_spec.name for task in fresh.get_tasks()] == tasks
    fresh.do_engine_steps()


def test_a_spec_is_restored_once():
    loader, restored = loader_of(models.MODELS["parallel_calls"]), []
    own = loader._sources.own
    restore = own.restore
    own.restore = lambda process_id: restored.append(process_id) or restore(process_id)
    for _ in range(3):
        workflow = loader.start(script_engine=models.script_engine())
        run = driving.run(models.MODELS["parallel_calls"], workflow)
        loader.resume(loader.save(run.workflow))
    assert sorted(restored) == sorted({*restored}) == ["cellar", "kitchen", "moving_day"]


THREADED = (
    "parallel_calls",
    "multi_instance_call_parallel",
    "ad_hoc_data_object",
    "collaboration",
    "boundary_timer",
)


@pytest.mark.parametrize("name", THREADED)
def test_one_loader_serves_several_threads(name, tmp_path):
    model = models.MODELS.get(name) or pytest.skip("needs SpiffWorkflow 3.2")
    expected = driving.run(model, driving.start(model))
    loader_of(model).units.save(tmp_path, "key")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(3):
            loader = SpecLoader(ElementUnits.open(tmp_path, "key"), models.serializer())
            barrier = threading.Barrier(8)

            def run(saves, loader=loader, barrier=barrier):
                barrier.wait()
                carry = lockstep.resumed if saves else lockstep.kept
                workflow = loader.start(script_engine=models.script_engine())
                return driving.run(model, workflow, lambda workflow: carry(workflow, loader))

            with ThreadPoolExecutor(8) as pool:
                runs = list(pool.map(run, [True, False] * 4))
            for one in runs:
                assert one.actions == expected.actions
                assert one.snapshots == expected.snapshots
    finally:
        sys.setswitchinterval(interval)


def test_threads_that_ask_at_once_get_one_spec_restored_once():
    loader, restored = loader_of(models.MODELS["nested_calls"]), []
    own = loader._sources.own
    restore = own.restore

    def slowly(process_id):
        restored.append(process_id)
        time.sleep(0.05)  # the others are asking by now
        return restore(process_id)

    own.restore = slowly
    specs = at_once(4, lambda: loader.subprocess_specs()["transport"])
    assert len({id(spec) for spec in specs}) == 1
    assert restored == ["transport"]


class Slow:
    """A value whose conversion takes long. It notes how many conversions run at the same time."""

    lock = threading.Lock()
    now = most = 0

    @classmethod
    def to_dict(cls, value):
        with cls.lock:
            cls.now += 1
            cls.most = max(cls.most, cls.now)
        time.sleep(0.02)
        with cls.lock:
            cls.now -= 1
        return {}


def test_one_thread_at_a_time_writes():
    """SpiffWorkflow's serializer marks its registry while it writes, and loaders may share it."""
    model = models.MODELS["human_tasks"]
    serializer = models.serializer()
    serializer.registry.register(Slow, Slow.to_dict, lambda dct: Slow())
    units = ElementUnits.from_json(models.spec_json(model))

    def save():
        loader = SpecLoader(units, serializer)
        workflow = loader.start()
        workflow.task_tree.data["slow"] = Slow()
        return loader.save(workflow)

    assert len(at_once(4, save)) == 4
    assert Slow.most == 1


@every_model
def test_a_save_leaves_nothing_for_the_garbage_collector(model):
    """The converted dicts are as large as the state, and must not stay until a collection."""
    loader = loader_of(model)
    workflow = loader.start(script_engine=models.script_engine())
    loader.save(workflow)
    gc.collect()
    gc.disable()
    try:
        loader.save(workflow)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_names_of_processes_that_the_workflow_has_are_not_looked_up_one_by_one(monkeypatch):
    """Each look-up reads a record of the pack. The record of the process itself has all of them."""
    looked_up = []
    has = ElementUnits._has

    def counted(units, process_id):
        looked_up.append(process_id)
        return has(units, process_id)

    monkeypatch.setattr(ElementUnits, "_has", counted)
    loader = loader_of(models.MODELS["nested_calls"])
    loader.spec(loader.units.root)
    assert looked_up == []
