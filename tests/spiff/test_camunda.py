"""Multi-instance tasks of `SpiffWorkflow.camunda`. The engine changes their specs as they start."""

from __future__ import annotations

import json

import driving
import pytest
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.camunda.parser.CamundaParser import CamundaParser
from SpiffWorkflow.camunda.serializer.config import CAMUNDA_CONFIG
from SpiffWorkflow.util.task import TaskState

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

SERIALIZER = BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(CAMUNDA_CONFIG))

# What is repeated: for a number of times, for the items of a collection that the cardinality names,
# or for those of the collection itself, which then has the results too.
REPEATS = {
    "a number": 'camunda:collection="out" camunda:elementVariable="item">'
    "<loopCardinality>3</loopCardinality>",
    "a collection": 'camunda:collection="out" camunda:elementVariable="item">'
    "<loopCardinality>given</loopCardinality>",
    "in place": 'camunda:collection="given" camunda:elementVariable="item">',
}
DATA = ({"given": ["a", "b", "c"]}, {"given": ["x", "y"]}, {"given": ["q"]})


def bpmn(repeat: str, sequential: bool, inner: str) -> str:
    """A process with a repeated task, or one that calls or embeds such tasks."""
    kind = 'isSequential="true" ' if sequential else ""
    tasks = (
        f'<userTask id="each"><multiInstanceLoopCharacteristics {kind}{repeat}'
        "</multiInstanceLoopCharacteristics></userTask>"
    )
    flow = '<sequenceFlow id="{0}_{1}" sourceRef="{0}" targetRef="{1}"/>'
    flows = "".join(flow.format(*one) for one in ("ae", "eb"))
    line = (
        f'<startEvent id="a"/><sequenceFlow id="f" sourceRef="a" targetRef="each"/>{tasks}'
        '<sequenceFlow id="g" sourceRef="each" targetRef="last"/><manualTask id="last"/>'
        '<sequenceFlow id="h" sourceRef="last" targetRef="b"/><endEvent id="b"/>'
    )
    apart = line.replace('"a"', '"from"').replace('"b"', '"to"')
    outer = {
        "called": '<callActivity id="e" calledElement="inner"/>',
        "embedded": f'<subProcess id="e">{apart}</subProcess>',
    }
    called = f'<process id="inner" isExecutable="true">{apart}</process>' * (inner == "called")
    if inner in outer:
        line = f'<startEvent id="a"/>{outer[inner]}{flows}<endEvent id="b"/>'
    return (
        '<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="t" '
        'xmlns:camunda="http://camunda.org/schema/1.0/bpmn">'
        f'<process id="p" isExecutable="true">{line}</process>{called}</definitions>'
    )


@pytest.fixture(params=["root", "called", "embedded"])
def inner(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["parallel", "sequential"])
def sequential(request):
    return request.param


@pytest.fixture(params=REPEATS)
def text(request, sequential, inner):
    return bpmn(REPEATS[request.param], sequential, inner)


def parsed(text):
    parser = CamundaParser()
    parser.add_bpmn_str(text.encode())
    return parser.get_spec("p"), parser.get_subprocess_specs("p")


def loader_of(text):
    spec, others = parsed(text)
    workflow = {
        "spec": SERIALIZER.to_dict(spec),
        "subprocess_specs": {name: SERIALIZER.to_dict(one) for name, one in others.items()},
        "serializer_version": SERIALIZER.VERSION,
    }
    return SpecLoader(ElementUnits.from_json(json.dumps(workflow)), SERIALIZER)


def begin(workflow, data):
    workflow.task_tree.data.update(data)
    workflow.do_engine_steps()
    return workflow


def complete_next(workflow):
    """Complete the first human task; False if there is none. Returns what the engine raises."""
    tasks = workflow.get_tasks(state=TaskState.READY, manual=True)
    if not tasks:
        return False
    if "item" in tasks[0].data:
        tasks[0].data["item"] *= 2
    else:
        tasks[0].data["item"] = len(workflow.get_tasks(state=TaskState.COMPLETED))
    try:
        tasks[0].run()
        workflow.do_engine_steps()
    except Exception as error:  # SpiffWorkflow 3.0 cannot put results into an empty list
        return repr(error)
    return True


def by_text(loader, workflow):
    return loader.resume(loader.save(workflow))


def by_dict(loader, workflow):
    return loader.resume(loader.to_dict(workflow))


def by_pieces(loader, workflow):
    return loader.resume_pieces(loader.save_pieces(workflow).changed.__getitem__)


def by_own_text(loader, workflow):
    return loader.resume(SERIALIZER.serialize_json(workflow))


def by_migration(loader, workflow):
    return loader.migrate(loader.save(workflow))


def by_native_text(_, workflow):
    return SERIALIZER.deserialize_json(SERIALIZER.serialize_json(workflow))


WAYS = [by_text, by_dict, by_pieces, by_own_text, by_migration]


@pytest.mark.parametrize("way", WAYS)
def test_instances_of_one_loader_do_what_each_does_alone(text, way):
    loader = loader_of(text)
    sides = [
        (begin(BpmnWorkflow(*parsed(text)), data), begin(loader.start("p"), data)) for data in DATA
    ]
    while sides:
        sides = [step(loader, way, *side) for side in sides]
        sides = [side for side in sides if side is not None]


def step(loader, way, plain, units):
    """Carry both sides over and complete a task. Returns them, or None at the end."""
    assert driving.snapshot(units) == driving.snapshot(plain)
    plain, units = by_native_text(loader, plain), way(loader, units)
    assert driving.snapshot(units) == driving.snapshot(plain)
    written = json.loads(SERIALIZER.serialize_json(units))
    expected = json.loads(SERIALIZER.serialize_json(plain))
    for key in ("spec", "subprocess_specs"):
        assert written[key] == expected[key]
    more = complete_next(plain)
    assert complete_next(units) == more
    return (plain, units) if more is True else None


def test_a_state_of_spiffworkflow_goes_on_wherever_it_was_saved(text):
    loader = loader_of(text)
    plain = begin(BpmnWorkflow(*parsed(text)), DATA[0])
    more = True
    while more is True:
        state = SERIALIZER.serialize_json(plain)
        assert loader.compare(state).can_resume
        units = loader.resume(state)
        more = complete_next(plain)
        assert complete_next(units) == more
        assert driving.snapshot(units) == driving.snapshot(plain)


def test_a_repeated_task_that_has_changed_since_runs_as_it_is_now():
    """The instance has repeated the task, so its spec was changed. A new version repeats more."""
    number, collection = REPEATS["a number"], REPEATS["a collection"]
    old, new = (loader_of(bpmn(one, False, "root")) for one in (collection, number))
    workflow = begin(old.start("p"), DATA[0])
    for _ in range(3):
        complete_next(workflow)
    workflow.reset_from_task_id(workflow.get_next_task(spec_name="a").id)
    moved = new.migrate(old.save(workflow), old)
    spec = moved.spec.task_specs["each"]
    assert (spec.cardinality, spec.data_input) == ("3", None)
