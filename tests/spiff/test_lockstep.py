"""Every model of the tests, on plain SpiffWorkflow and on units in lockstep."""

from __future__ import annotations

import json

import driving
import lockstep
import models
import pytest
from lockstep import VARIANTS, loader_of

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

every_model = pytest.mark.parametrize("model", models.MODELS.values(), ids=lambda model: model.name)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda variant: variant.name)
@every_model
def test_units_do_what_the_full_workflow_does(model, variant):
    if not variant.fits(model):
        pytest.skip(model.own_save_differs)
    assert lockstep.lockstep(model, variant)


@every_model
def test_from_a_cache_it_is_the_same(model, tmp_path):
    ElementUnits.from_json(models.spec_json(model)).save(tmp_path, "key")
    loader = SpecLoader(ElementUnits.open(tmp_path, "key"), models.serializer())
    assert lockstep.lockstep(model, lockstep.variant_for(model), loader)


@every_model
def test_a_second_run_of_the_same_loader_is_the_same(model):
    """The changes of the engine to specs in the first run must not be in the second one."""
    loader = loader_of(model)
    first = lockstep.lockstep(model, VARIANTS["no saves"], loader)
    assert lockstep.lockstep(model, VARIANTS["no saves"], loader) == first


@every_model
def test_two_workflows_of_one_loader_side_by_side_are_the_same(model):
    loader = loader_of(model)
    engine = models.script_engine()
    sides = [
        lockstep.Side(model, workflow, lockstep.kept, loader)
        for workflow in (loader.start(script_engine=engine), loader.start(script_engine=engine))
    ]
    plain = driving.run(model, driving.start(model))
    for action, snapshot in zip(plain.actions, plain.snapshots[1:]):
        for side in sides:
            assert side.step() == action
            assert driving.snapshot(side.workflow) == snapshot


@every_model
def test_serialize_json_writes_what_it_writes_of_the_full_workflow(model):
    """If an application still uses SpiffWorkflow's own serializer, it loses no spec."""
    serializer = models.serializer()
    expected = json.loads(serializer.serialize_json(driving.start(model)))
    loader = loader_of(model)
    written = json.loads(serializer.serialize_json(loader.start()))
    for key in lockstep.SPECS:
        assert written[key] == expected[key]
    assert list(written["subprocess_specs"]) == list(expected["subprocess_specs"])


@every_model
def test_every_process_started_by_itself_runs_as_spiffworkflow_runs_it(model):
    loader = loader_of(model)
    for process_id in loader.units.process_ids:
        plain = lockstep.plain_start(model, process_id)
        units = loader.start(process_id, script_engine=models.script_engine())
        assert set(units.subprocess_specs) == set(plain.subprocess_specs)
        lockstep.compare(model, lockstep.variant_for(model), plain, units, loader)
