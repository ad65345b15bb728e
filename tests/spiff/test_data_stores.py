"""Data stores of the application: where their values are, and what a called process reads."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest
from SpiffWorkflow.bpmn.parser.BpmnParser import BpmnParser
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.serializer.config import DEFAULT_CONFIG
from SpiffWorkflow.bpmn.serializer.helpers.bpmn_converter import BpmnConverter
from SpiffWorkflow.bpmn.specs.data_spec import BpmnDataStoreSpecification
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

# `order` writes a name into the store, waits, and calls `ship`, which reads it.
BPMN = """<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="t">
<dataStore id="customer" name="Store"/>
<process id="order" isExecutable="true"><startEvent id="start"/>
<sequenceFlow id="f1" sourceRef="start" targetRef="write"/>
<scriptTask id="write"><dataOutputAssociation id="out"><targetRef>written</targetRef>
</dataOutputAssociation><script>customer = "Sue"</script></scriptTask>
<sequenceFlow id="f2" sourceRef="write" targetRef="wait"/><manualTask id="wait"/>
<sequenceFlow id="f3" sourceRef="wait" targetRef="call"/>
<callActivity id="call" calledElement="ship"/>
<sequenceFlow id="f4" sourceRef="call" targetRef="end"/>
<endEvent id="end"/><dataStoreReference id="written" dataStoreRef="customer"/></process>
<process id="ship" isExecutable="true"><startEvent id="ship_start"/>
<sequenceFlow id="g1" sourceRef="ship_start" targetRef="read"/>
<scriptTask id="read"><property id="p" name="__targetRef_placeholder"/>
<dataInputAssociation id="in">
<sourceRef>known</sourceRef><targetRef>p</targetRef></dataInputAssociation>
<script>name = customer</script></scriptTask>
<sequenceFlow id="g2" sourceRef="read" targetRef="ship_end"/><endEvent id="ship_end"/>
<dataStoreReference id="known" dataStoreRef="customer"/></process></definitions>"""


class Store(BpmnDataStoreSpecification):
    """Stands in for a database."""

    rows: ClassVar[dict] = {}

    def get(self, my_task):
        my_task.data[self.bpmn_id] = self.rows.get(self.bpmn_id)

    def set(self, my_task):
        self.rows[self.bpmn_id] = my_task.data.pop(self.bpmn_id)


class Outside(BpmnConverter):
    """Writes what the store is, and not what is in it."""

    def to_dict(self, spec):
        fields = ("bpmn_id", "bpmn_name", "capacity", "is_unlimited")
        return {field: getattr(spec, field) for field in fields}

    def from_dict(self, dct):
        return Store(**dct)


class Inside(Outside):
    """Also writes what is in the store, and puts it back."""

    def to_dict(self, spec):
        return {**super().to_dict(spec), "value": Store.rows.get(spec.bpmn_id)}

    def from_dict(self, dct):
        value = dct.pop("value")
        Store.rows[dct["bpmn_id"]] = value
        return super().from_dict(dct)


class Parser(BpmnParser):
    DATA_STORE_CLASSES: ClassVar[dict] = {"Store": Store}


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setattr(Store, "rows", {})
    return Store.rows


def read(converter, on_units):
    """What `ship` reads, natively or on units, after a save and a resume."""
    config = {**DEFAULT_CONFIG, Store: converter}
    serializer = BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(config))
    parser = Parser()
    parser.add_bpmn_str(BPMN.encode())
    spec, others = parser.get_spec("order"), parser.get_subprocess_specs("order")
    if on_units:
        text = json.dumps(
            {
                "spec": serializer.to_dict(spec),
                "subprocess_specs": {name: serializer.to_dict(one) for name, one in others.items()},
                "serializer_version": serializer.VERSION,
            }
        )
        loader = SpecLoader(ElementUnits.from_json(text), serializer)
        workflow = loader.start("order")
        workflow.do_engine_steps()
        workflow = loader.resume(loader.save(workflow))
    else:
        workflow = BpmnWorkflow(spec, others)
        workflow.do_engine_steps()
        workflow = serializer.deserialize_json(serializer.serialize_json(workflow))
    workflow.get_next_task(spec_name="wait").run()
    workflow.do_engine_steps()
    return workflow.data["name"]


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("on_units", [False, True], ids=["native", "units"])
def test_a_value_that_is_outside_of_specs_is_read_by_every_process(on_units):
    assert read(Outside, on_units) == "Sue"


@pytest.mark.usefixtures("rows")
def test_a_converter_that_puts_the_value_into_specs_reads_what_was_cached():
    """The limit that the page about SpiffWorkflow names: a state has no specs, so no such value."""
    assert read(Inside, on_units=False) == "Sue"
    Store.rows.clear()
    assert read(Inside, on_units=True) is None
