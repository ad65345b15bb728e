"""Which specs the workflows of a loader share, and that it serves several threads."""

from __future__ import annotations

import copy
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
    """That is what makes sharing safe. What the engine changes must not be kept."""
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
        assert loader.spec(name) is loader.spec(name)
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


def test_before_3_2_a_root_that_events_extend_is_restored_anew_for_each_workflow():
    if models.SPIFF_VERSION >= (3, 2):
        pytest.skip("SpiffWorkflow from 3.2 on does not extend specs")
    processes = {"main": [("throw", "go"), ("call", "other")], "other": [("human",)]}
    silent = {**processes, "main": [("call", "other")]}
    for text, shared in (
        (spiff_bpmn.spec_json(processes, "main", starts={"other": "go"}), False),
        (spiff_bpmn.spec_json(silent, "main"), True),
    ):
        loader = SpecLoader(ElementUnits.from_json(text), models.serializer())
        assert (loader.start().spec is loader.start().spec) == shared
        # The processes of other workflows are not known, and may be started by events.
        resolving = SpecLoader(loader.units, models.serializer(), resolve=lambda name: None)
        assert resolving.start().spec is not resolving.start().spec


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


def at_once(number, action):
    """What an action returns in some threads that do it at once."""
    barrier = threading.Barrier(number)

    def run(_):
        barrier.wait()
        return action()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(run, range(number)))


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
    """A value that takes its time to be converted, and notes how many are at that at once."""

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
    """SpiffWorkflow's serializer keeps on its registry, which loaders may share, that it does."""
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
