"""Examples of applications' serializers, which save and resume in their own ways."""

from __future__ import annotations

import copy
import gzip
import json
import pickle

import models
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.serializer.default.workflow import BpmnWorkflowConverter
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.spiff.serializer.config import SPIFF_CONFIG

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

HEADER = "spiff_element_units"
MODEL = models.MODELS["nested_calls"]


def registry(**classes):
    """A registry with converters of one's own for `BpmnWorkflow`, or for a class in its place."""
    workflow_class = classes.get("workflow_class", BpmnWorkflow)
    config = {key: value for key, value in SPIFF_CONFIG.items() if key is not BpmnWorkflow}
    config[workflow_class] = classes.get("converter", BpmnWorkflowConverter)
    return BpmnWorkflowSerializer.configure(config)


def loader_with(serializer):
    return SpecLoader(ElementUnits.from_json(models.spec_json(MODEL)), serializer)


def plain(workflow_class=BpmnWorkflow):
    specs = json.loads(models.spec_json(MODEL))
    restore = registry().restore
    return workflow_class(
        restore(specs["spec"]),
        {name: restore(spec) for name, spec in specs["subprocess_specs"].items()},
        script_engine=models.script_engine(),
    )


class AsTheyCome(BpmnWorkflowSerializer):
    """SpiffWorkflow's own."""


class ByRegistry(BpmnWorkflowSerializer):
    """Asks the registry, and not `to_dict`."""

    def serialize_json(self, workflow, use_gzip=False):
        written = self.registry.convert(workflow)
        return json.dumps({"by": "registry", self.VERSION_KEY: self.VERSION, **written})


class Enveloped(BpmnWorkflowSerializer):
    """Puts the state into something else."""

    def serialize_json(self, workflow, use_gzip=False):
        return json.dumps([1, {"inside": json.loads(super().serialize_json(workflow))}])

    def deserialize_json(self, text, use_gzip=False):
        return super().deserialize_json(json.dumps(json.loads(text)[1]["inside"]))


class EnvelopedAsDict(BpmnWorkflowSerializer):
    """Puts the dict into another dict, whose keys have the same names as those of a state."""

    def to_dict(self, obj, **kwargs):
        return {"spec": "mine", "run": super().to_dict(obj, **kwargs)}

    def migrate(self, dct):
        assert dct.pop("spec") == "mine"
        dct["run"][self.VERSION_KEY] = dct.pop(self.VERSION_KEY)
        super().migrate(dct["run"])

    def from_dict(self, dct, **kwargs):
        return super().from_dict(dct["run"], **kwargs)


class Zipped(BpmnWorkflowSerializer):
    """Writes and reads compressed texts, even if it is not asked to."""

    def serialize_json(self, workflow, use_gzip=False):
        return super().serialize_json(workflow, use_gzip=True)

    def deserialize_json(self, text, use_gzip=False):
        return super().deserialize_json(text, use_gzip=True)


class Scrambled(BpmnWorkflowSerializer):
    """Its states are not JSON, and its methods have no options."""

    def serialize_json(self, workflow):
        return gzip.compress(super().serialize_json(workflow).encode())

    def deserialize_json(self, text):
        return super().deserialize_json(gzip.decompress(text).decode())


class Copying(BpmnWorkflowSerializer):
    """Writes a copy of the workflow, and a copy of the dict."""

    def serialize_json(self, workflow, use_gzip=False):
        return super().serialize_json(copy.copy(workflow))

    def to_dict(self, obj, **kwargs):
        return {**super().to_dict(obj, **kwargs), "copied": True}

    def from_dict(self, dct, **kwargs):
        return super().from_dict({**dct, "copied": "again"}, **kwargs)


class Attaching(BpmnWorkflowSerializer):
    """Gives each workflow that it reads something, and counts on itself."""

    def deserialize_json(self, text, use_gzip=False):
        workflow = super().deserialize_json(text, use_gzip)
        workflow.attached = True
        self.read = getattr(self, "read", 0) + 1
        return workflow


class ReadingSpecs(BpmnWorkflowSerializer):
    """Reads and writes the specs when it migrates."""

    def migrate(self, dct):
        super().migrate(dct)
        dct["spec"]["description"] = dct["spec"]["description"] or ""
        for spec in dct["subprocess_specs"].values():
            assert spec["task_specs"]["Start"]["name"] == "Start"


class ForWorkflows(BpmnWorkflowSerializer):
    """Its `from_dict` takes workflows and nothing else, as SpiffWorkflow calls it."""

    def from_dict(self, dct, **kwargs):
        workflow = super().from_dict(dct, **kwargs)
        workflow.number_of_tasks = len(workflow.tasks)
        return workflow


OWN = [
    *(AsTheyCome, ByRegistry, Enveloped, EnvelopedAsDict, Zipped, Scrambled, Copying, Attaching),
    *(ReadingSpecs, ForWorkflows),
]


# These cannot be resumed


class WithoutHeader(BpmnWorkflowSerializer):
    """Keeps what SpiffWorkflow writes, and nothing else."""

    def to_dict(self, obj, **kwargs):
        return {k: v for k, v in super().to_dict(obj, **kwargs).items() if k != HEADER}


class Pickled(BpmnWorkflowSerializer):
    """Uses neither the registry nor `to_dict`."""

    def serialize_json(self, workflow, use_gzip=False):
        return pickle.dumps(len(workflow.tasks))

    def deserialize_json(self, text, use_gzip=False):
        return BpmnWorkflow(None)


class OneWay(BpmnWorkflowSerializer):
    """Cannot read what it writes."""

    def serialize_json(self, workflow, use_gzip=False):
        return "#" + super().serialize_json(workflow)


class Cutting(BpmnWorkflowSerializer):
    """Loses the tasks."""

    def serialize_json(self, workflow, use_gzip=False):
        dct = json.loads(super().serialize_json(workflow))
        return json.dumps({**dct, "tasks": None})


class NoText(BpmnWorkflowSerializer):
    """Returns a dict instead of a text."""

    def serialize_json(self, workflow, use_gzip=False):
        return json.loads(super().serialize_json(workflow))


class OwnEncoder(json.JSONEncoder):
    """Writes something else than it gets."""

    def encode(self, obj):
        return super().encode({"all": obj})
