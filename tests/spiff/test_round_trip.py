"""What `check_round_trip` finds, and that it finds nothing if nothing is lost."""

from __future__ import annotations

import copy

import models
import pytest
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.spiff.serializer.config import SPIFF_CONFIG
from SpiffWorkflow.spiff.serializer.task_spec import SpiffBpmnTaskConverter
from SpiffWorkflow.util.event import Event

from spiff_element_units.spiff import RoundTripError, check_round_trip

every_model = pytest.mark.parametrize("model", models.MODELS.values(), ids=lambda model: model.name)


def specs_of(model):
    root, others = models.parse(model)
    return {root.name: root, **others}


class Spoiling:
    """A serializer that spoils each spec when it restores it."""

    json_encoder_cls = json_decoder_cls = None

    def __init__(self, spoil):
        self._serializer = models.serializer()
        self._spoil = spoil

    def to_dict(self, spec):
        return self._serializer.to_dict(spec)

    def from_dict(self, dct):
        spec = self._serializer.from_dict(dct)
        self._spoil(spec)
        return spec


@every_model
def test_nothing_is_lost_with_spiffworkflows_own_converters(model):
    specs = specs_of(model)
    check_round_trip(specs, models.serializer())
    check_round_trip(specs.values(), models.serializer())
    check_round_trip(specs[model.process_id], models.serializer())


@every_model
def test_each_attribute_of_each_task_spec_that_is_missing_is_named(model):
    """Everything in a parsed task spec counts, except the subscribers of its events."""
    (process_id, spec) = next(iter(specs_of(model).items()))
    for element_id, task_spec in spec.task_specs.items():
        for attribute, value in vars(task_spec).items():
            if isinstance(value, Event):
                continue

            def spoil(restored, element_id=element_id, attribute=attribute):
                delattr(restored.task_specs[element_id], attribute)

            with pytest.raises(RoundTripError) as found:
                check_round_trip(spec, Spoiling(spoil))
            error = found.value
            assert (error.process_id, error.element_id) == (process_id, element_id)
            assert error.attribute == attribute


OTHERS = {str: "another", bool: None, int: -7, list: [1, 2, 3, 4, 5], dict: {}, type(None): "value"}


@every_model
def test_each_value_that_changes_is_named(model):
    spec = next(iter(specs_of(model).values()))
    changed = 0
    for element_id, task_spec in spec.task_specs.items():
        for attribute, value in vars(task_spec).items():
            other = OTHERS.get(type(value), value)
            if other == value:
                continue
            changed += 1

            def spoil(restored, element_id=element_id, attribute=attribute, other=other):
                setattr(restored.task_specs[element_id], attribute, other)

            with pytest.raises(RoundTripError) as found:
                check_round_trip(spec, Spoiling(spoil))
            assert found.value.element_id == element_id
            assert found.value.attribute.split("[")[0] == attribute
    assert changed


def nested(**attributes):
    """Spoils an attribute inside the event definition of the first event that has one."""

    def spoil(spec):
        for task_spec in spec.task_specs.values():
            definition = getattr(task_spec, "event_definition", None)
            if definition is not None and hasattr(definition, next(iter(attributes))):
                for name, value in attributes.items():
                    setattr(definition, name, value)

    return spoil


def test_what_is_lost_inside_an_attribute_is_named_with_its_place():
    spec = specs_of(models.MODELS["boundary_timer"])
    with pytest.raises(RoundTripError) as found:
        check_round_trip(spec, Spoiling(nested(expression="'PT9H'")))
    assert found.value.attribute == "event_definition.expression"
    assert "'PT9H'" in str(found.value)


def test_an_object_that_is_in_two_places_must_come_back_in_both():
    spec = models.parse(models.MODELS["custom_task"])[0]
    shared = {"note": ["kept"]}
    tasks = [one for one in spec.task_specs.values() if type(one) is models.CountedTask]
    first, last = tasks[0], tasks[-1]
    first.extensions = last.extensions = {"one": shared, "other": shared}

    def spoil(restored):
        restored.task_specs[last.name].extensions["other"] = {"note": ["changed"]}

    check_round_trip(spec, models.serializer())
    with pytest.raises(RoundTripError) as found:
        check_round_trip(spec, Spoiling(spoil))
    assert found.value.element_id == last.name
    assert found.value.attribute == "extensions['other']['note'][0]"


def test_a_task_spec_that_is_missing_is_named():
    model = models.MODELS["nested_calls"]
    spec = models.parse(model)[0]
    name = list(spec.task_specs)[2]
    with pytest.raises(RoundTripError, match="loses") as found:
        check_round_trip(spec, Spoiling(lambda restored: restored.task_specs.pop(name)))
    assert (found.value.element_id, found.value.attribute) == (name, None)


@pytest.mark.parametrize("attribute", ["description", "io_specification", "data_objects"])
def test_an_attribute_of_the_process_spec_is_named(attribute):
    spec = models.parse(models.MODELS["data_objects"])[0]
    with pytest.raises(RoundTripError) as found:
        check_round_trip(spec, Spoiling(lambda restored: delattr(restored, attribute)))
    assert (found.value.element_id, found.value.attribute) == (None, attribute)


class Audited(models.CountedTask):
    """An application's task spec, with an attribute that its converter must write."""

    auditor = None


def audited_spec():
    spec = models.parse(models.MODELS["custom_task"])[0]
    changed = [one for one in spec.task_specs.values() if type(one) is models.CountedTask]
    for one in changed:
        one.__class__, one.auditor = Audited, "Ada"
    return spec, changed[0].name


def own_serializer(converter):
    config = {**SPIFF_CONFIG, Audited: converter, models.AuditedCall: models.AuditedCallConverter}
    return BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(config))


class Whole(SpiffBpmnTaskConverter):
    def to_dict(self, spec):
        return {**super().to_dict(spec), "auditor": spec.auditor}

    def from_dict(self, dct):
        auditor = dct.pop("auditor")
        spec = super().from_dict(dct)
        spec.auditor = auditor
        return spec


def test_a_converter_of_the_application_that_leaves_something_out_is_told():
    spec, name = audited_spec()
    with pytest.raises(RoundTripError) as found:
        check_round_trip(spec, own_serializer(SpiffBpmnTaskConverter))
    error = found.value
    assert (error.element_id, error.attribute) == (name, "auditor")
    assert str(error) == (
        f"the serializer loses 'auditor' of Audited {name!r} of process 'custom': it is "
        "'Ada', and is missing afterwards; let the converter of Audited write it and restore it"
    )
    check_round_trip(spec, own_serializer(Whole))


def test_a_spec_that_comes_back_as_another_class_is_told():
    spec = models.parse(models.MODELS["custom_task"])[0]

    def spoil(restored):
        for one in restored.task_specs.values():
            if type(one) is models.CountedTask:
                one.__class__ = models.NoneTask

    told = "loses the class of CountedTask .*: it is a CountedTask, and comes back as"
    with pytest.raises(RoundTripError, match=told) as found:
        check_round_trip(spec, Spoiling(spoil))
    assert found.value.attribute == "__class__"


def test_a_class_without_a_converter_is_told():
    spec = models.parse(models.MODELS["custom_task"])[0]
    with pytest.raises(RoundTripError, match="cannot convert process 'custom'"):
        check_round_trip(spec, BpmnWorkflowSerializer())


def test_nothing_is_changed_by_the_check():
    spec = models.parse(models.MODELS["nested_calls"])[0]
    before = copy.deepcopy(models.serializer().to_dict(spec))
    check_round_trip([spec, None], models.serializer())
    assert models.serializer().to_dict(spec) == before
