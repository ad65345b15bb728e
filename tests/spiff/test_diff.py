"""`ElementUnits.diff` finds the changes of elements that SpiffWorkflow's own diff finds.

SpiffWorkflow compares restored specs, so it needs both versions in memory. Ours compares texts.
"""

from __future__ import annotations

import copy
import json
import random

import models
import pytest
from models import MODELS

from spiff_element_units import ElementUnits

spiff = pytest.importorskip("SpiffWorkflow.bpmn.util.diff", reason="not before SpiffWorkflow 3.1")

CHANGES = [
    ("bpmn_name", "another name"),
    ("lane", "another lane"),
    ("documentation", "another text"),
    ("script", "another = 1"),
    ("extensions", {"another": 1}),
]


def specs_of(whole: dict) -> dict[str, dict]:
    held = {name: spec for name, spec in whole["subprocess_specs"].items() if spec is not None}
    return {**held, whole["spec"]["name"]: whole["spec"]}


def edited(whole: dict, chance: random.Random) -> dict:
    """The workflow with other values in half of its elements, and a new element in each process."""
    whole = copy.deepcopy(whole)
    for spec in specs_of(whole).values():
        for task in spec["task_specs"].values():
            field, value = chance.choice(CHANGES)
            # SpiffWorkflow restores these fields only for elements of the diagram.
            if task["bpmn_id"] is not None and field in task and chance.random() < 0.5:
                task[field] = value
        end = spec["task_specs"]["End"]
        links = {"inputs": [], "outputs": []}
        new = {**end, **links, "name": "new_element", "bpmn_id": "new_element"}
        spec["task_specs"]["new_element"] = new
    return whole


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_the_changed_elements_are_those_of_spiffworkflow(model):
    old = json.loads(models.spec_json(model))
    new = edited(old, random.Random(model.name))
    versions = [ElementUnits.from_json(json.dumps(one)) for one in (old, new)]
    ours = {one.process_id: one for one in versions[0].diff(versions[1]).changed}
    registry = models.serializer().registry
    before, after = specs_of(old), specs_of(new)
    compared = 0
    for name in before:
        restored = [registry.restore(copy.deepcopy(one[name])) for one in (before, after)]
        diff = spiff.SpecDiff(registry, *restored)
        elements = {one.element_id: one for one in ours[name].elements}
        assert [key for key, one in elements.items() if one.change == "added"] == ["new_element"]
        assert {one.name for one in diff.removed} == set()
        for spec, fields in diff.comparisons.items():
            found = elements.pop(spec.name, None)
            told = set() if found is None else {one.field.partition(".")[0] for one in found.fields}
            assert told == set(fields), spec.name
            compared += len(told)
    assert compared > 0
