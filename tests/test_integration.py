"""Every model runs on element units as it does on the full workflow.

The application here uses only the two functions. It starts with the start unit of the root. When
the engine asks for a missing process, it gets the start unit of that process from the cache. Each
step must be the same as with the full workflow: the same tasks in the same order, the same task
tree, states and data.
"""

from __future__ import annotations

import json

import driving
import models
import pytest
from SpiffWorkflow.bpmn import BpmnWorkflow

import spiff_element_units
from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

MODELS = list(models.MODELS.values())


class Reached(dict):
    """Subprocess specs, loaded from the cache when the engine asks for them."""

    def __init__(self, cache_dir, model):
        self.cache_dir, self.model = cache_dir, model
        self.registry = models.serializer().registry
        self.wanted = [
            process_id
            for process_id, spec in models.spec_dict(model)["subprocess_specs"].items()
            if spec is not None
        ]

    def fetch(self, process_id):
        """The spec of a process; what is embedded in it comes with it."""
        unit = json.loads(
            spiff_element_units.workflow_from_cached_element_unit(
                self.cache_dir, self.model.name, process_id, process_id
            )
        )
        for name, spec in unit["subprocess_specs"].items():
            self.setdefault(name, self.registry.restore(spec))
        return self.registry.restore(unit["spec"])

    def __contains__(self, process_id):
        if not super().__contains__(process_id) and process_id in self.wanted:
            self[process_id] = self.fetch(process_id)
        return super().__contains__(process_id)

    def __missing__(self, process_id):
        if process_id not in self:
            raise KeyError(process_id)
        return self[process_id]

    def get(self, process_id, default=None):
        return super().get(process_id, default) if process_id in self else default


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    """A cache with every model in it, under its name."""
    cache_dir = tmp_path_factory.mktemp("cache")
    for model in MODELS:
        spiff_element_units.cache_element_units_for_workflow(
            cache_dir, model.name, models.spec_json(model)
        )
    return cache_dir


def on_units(cache_dir, model):
    """A new workflow of the model whose processes come from the cache when they are reached."""
    specs = Reached(cache_dir, model)
    root = specs.fetch(models.spec_dict(model)["spec"]["name"])
    workflow = BpmnWorkflow(root, dict(specs), script_engine=models.script_engine())
    workflow.subprocess_specs = specs
    return workflow


def saved_and_restored(workflow):
    """The workflow after a save with the specs that were loaded, and a restore of that."""
    reached = workflow.subprocess_specs
    workflow.subprocess_specs = dict(dict.items(reached))
    restored = driving.saved_and_restored(workflow)
    specs = Reached(reached.cache_dir, reached.model)
    specs.update(restored.subprocess_specs)
    restored.subprocess_specs = specs
    return restored


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_model_runs_on_units_as_on_the_full_workflow(model, cache_dir):
    full = driving.run(model, driving.start(model))
    units = driving.run(model, on_units(cache_dir, model))
    assert units.actions == full.actions
    assert units.snapshots == full.snapshots
    assert units.error == full.error


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_model_saved_and_restored_after_every_step_runs_as_on_the_full_workflow(model, cache_dir):
    full = driving.run(model, driving.start(model), driving.saved_and_restored)
    units = driving.run(model, on_units(cache_dir, model), saved_and_restored)
    assert units.actions == full.actions
    assert units.snapshots == full.snapshots
    assert units.error == full.error


def under_another_root(model):
    """The model's text, but another process is the root and calls the old root."""
    workflow = json.loads(models.spec_json(model))
    inner, outer = workflow["spec"], json.loads(json.dumps(workflow["spec"]))
    outer["name"] = "town"
    for task in outer["task_specs"].values():
        if task["typename"] == "CallActivity":
            task["spec"] = inner["name"]
    workflow["spec"] = outer
    workflow["subprocess_specs"] = {inner["name"]: inner, **workflow["subprocess_specs"]}
    return json.dumps(workflow)


def test_a_process_that_is_not_the_root_runs_on_its_unit_as_by_itself(tmp_path):
    """Up to 3.1, the engine looks at an event for all processes that the event starts."""
    model = models.MODELS["message_starts_called"]
    root = models.spec_dict(model)["spec"]["name"]
    spiff_element_units.cache_element_units_for_workflow(
        tmp_path, model.name, under_another_root(model)
    )
    assert ElementUnits.open(tmp_path, model.name).root == "town"
    full = driving.run(model, driving.start(model))
    units = driving.run(model, on_units(tmp_path, model))
    assert units.actions == full.actions
    assert units.snapshots == full.snapshots
    loader = SpecLoader(ElementUnits.open(tmp_path, model.name), models.serializer())
    loaded = driving.run(model, loader.start(root, script_engine=models.script_engine()))
    assert loaded.actions == full.actions
    assert loaded.snapshots == full.snapshots


def resumed(workflow):
    """The workflow after a save, and a restore with the unit of the places where it is."""
    reached = workflow.subprocess_specs
    # A process that calls itself needs the name of the call, because its own id means its start.
    places = {
        place
        for _, task in driving.tree(workflow)
        if task.id in workflow.subprocesses
        for place in (task.task_spec.name, task.task_spec.spec)
    }
    workflow.subprocess_specs = {}
    state = json.loads(models.serializer().serialize_json(workflow))
    with ElementUnits.open(reached.cache_dir, reached.model.name) as units:
        reachable = units.needs(units.root, defer="nothing")
        # Up to 3.1, an event adds a task spec to start a process. No unit contains it.
        places &= {*reachable}.union(*map(units.element_ids, reachable))
        unit = json.loads(units.workflow(units.root, *places))
    state["subprocess_specs"] = unit["subprocess_specs"]
    restored = models.serializer().deserialize_json(json.dumps(state))
    restored.script_engine = workflow.script_engine
    specs = Reached(reached.cache_dir, reached.model)
    specs.update(restored.subprocess_specs)
    restored.subprocess_specs = specs
    return restored


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_model_resumed_with_one_unit_after_every_step_runs_as_on_the_full_workflow(
    model, cache_dir
):
    full = driving.run(model, driving.start(model), driving.saved_and_restored)
    units = driving.run(model, on_units(cache_dir, model), resumed)
    assert units.actions == full.actions
    assert units.snapshots == full.snapshots
    assert units.error == full.error
