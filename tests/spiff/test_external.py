"""Processes that are not in the workflow, and that `resolve` gets when the engine needs them."""

from __future__ import annotations

import copy
import json
import pickle

import driving
import lockstep
import models
import pytest
import spiff_bpmn
from SpiffWorkflow.bpmn.exceptions import WorkflowTaskException
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.exceptions import WorkflowException
from SpiffWorkflow.util.task import TaskState

from spiff_element_units import ElementUnits, ElementUnitsError, UnitNotFound
from spiff_element_units.spiff import ChangedWorkflow, MissingProcess, SpecLoader

# Four processes, each in a file of its own: outer calls inner three levels down, twice.
FILES = {
    "outer": [("human",), ("call", "middle"), ("human",)],
    "middle": [("embed", [("human",), ("call", "inner")]), ("parallel", [("call", "inner")], [])],
    "inner": [("script", "reached = True"), ("human",), ("call", "innermost")],
    "innermost": [("script", "deep = True")],
}


def units_of(name, processes=FILES, **options):
    """A workflow that was parsed from one file: what it calls is null."""
    others = [one for one in processes if one != name]
    options.setdefault("null", others)
    options.setdefault("absent", others)
    return ElementUnits.from_json(spiff_bpmn.spec_json(processes, name, **options))


def loader_of(name="outer", resolve=None, **options):
    units = units_of(name, **options)
    return SpecLoader(units, models.serializer(), resolve=resolve)


class Shelf:
    """Resolves from a set of workflows, and notes what it was asked for."""

    def __init__(self, *names, processes=FILES):
        self.units = {name: units_of(name, processes) for name in names}
        self.asked = []

    def __call__(self, process_id):
        self.asked.append(process_id)
        return self.units.get(process_id)


def plain(processes=FILES, root="outer"):
    """The same processes parsed together, on plain SpiffWorkflow."""
    specs = json.loads(spiff_bpmn.spec_json(processes, root))
    registry = models.serializer().registry
    return BpmnWorkflow(
        registry.restore(specs["spec"]),
        {name: registry.restore(spec) for name, spec in specs["subprocess_specs"].items()},
        script_engine=models.script_engine(),
    )


def advance(workflow):
    """Completes the first human task and all that follows; False at the end."""
    workflow.do_engine_steps()
    manual = [task for task in driving.ready_tasks(workflow) if task.task_spec.manual]
    if not manual:
        return False
    manual[0].run()
    workflow.do_engine_steps()
    return True


def unpickled(workflow):
    return pickle.loads(pickle.dumps(workflow))


def to_the_end(workflow):
    """Completes all human tasks."""
    while advance(workflow):
        pass


@pytest.mark.parametrize("nothing_written", ["null", "absent"])
@pytest.mark.parametrize("saved", [False, True])
def test_models_cached_one_file_at_a_time_run_together(nothing_written, saved):
    shelf = Shelf("middle", "inner", "innermost")
    null = () if nothing_written == "absent" else FILES
    loader = loader_of(resolve=shelf, null=[one for one in null if one != "outer"])
    expected, workflow = plain(), loader.start(script_engine=models.script_engine())
    while advance(expected):
        assert advance(workflow)
        if saved:
            workflow = loader.resume(loader.save(workflow), script_engine=models.script_engine())
        lockstep.same_point(expected, workflow)
    assert workflow.is_completed()
    assert shelf.asked == ["middle", "inner", "innermost"]


def test_a_fresh_loader_resumes_inside_external_processes():
    engine = models.script_engine()
    loader = loader_of(resolve=Shelf("middle", "inner", "innermost"))
    workflow, expected = loader.start(script_engine=engine), plain()
    for one in (workflow, expected):
        assert advance(one)
        assert advance(one)
    state = loader.save(workflow)
    shelf = Shelf("middle", "inner", "innermost")
    fresh = loader_of(resolve=shelf)
    workflow = fresh.resume(state, script_engine=engine)
    assert set(shelf.asked) == {"middle", "inner"}
    lockstep.same_point(expected, workflow)
    while advance(expected):
        assert advance(workflow)
    lockstep.same_point(expected, workflow)


def test_spiffworkflows_own_serializer_saves_the_external_specs_that_were_used():
    loader = loader_of(resolve=Shelf("middle", "inner", "innermost"), null=())
    workflow = loader.start(script_engine=models.script_engine())
    advance(workflow)
    specs = json.loads(models.serializer().serialize_json(workflow))["subprocess_specs"]
    embedded = [name for name in specs if "embed" in name]
    assert specs.keys() == {"middle", *embedded}
    workflow = driving.saved_and_restored(workflow)
    assert {one.spec.name for one in workflow.subprocesses.values()} == {"middle", *embedded}


def test_spiffworkflows_own_serializer_saves_the_external_specs_of_settled_subprocesses():
    loader = loader_of(resolve=Shelf("middle", "inner", "innermost"), null=())
    workflow, expected = loader.start(script_engine=models.script_engine()), plain()
    for _ in range(3):
        assert advance(workflow)
        assert advance(expected)
    state = loader.save(workflow)
    for copied in (driving.saved_and_restored, unpickled, copy.deepcopy):
        resumed = loader.resume(state, models.script_engine())
        assert list(resumed.subprocesses.unopened)
        brought = set(workflow.subprocess_specs)
        restored = copied(resumed)
        assert set(restored.subprocess_specs) == set(resumed.subprocess_specs) == brought
        lockstep.same_point(expected, restored)


def test_an_external_process_of_a_state_is_deleted_like_any():
    loader = loader_of(resolve=Shelf("middle", "inner", "innermost"), null=())
    workflow = loader.start(script_engine=models.script_engine())
    advance(workflow)
    mapping = loader.resume(loader.save(workflow)).subprocess_specs
    del mapping["middle"]
    assert "middle" not in mapping
    assert "middle" not in list(mapping)


def test_a_state_that_does_not_say_where_its_processes_come_from_takes_any_binding():
    loader = loader_of(resolve=Shelf("middle", "inner", "innermost"))
    expected = plain()
    while advance(expected):
        for binding in ("latest", "version"):
            resumed = loader.resume(loader.save(expected), binding=binding)
            lockstep.same_point(expected, resumed)


CALLED_FIRST = {
    "outer": [("call", "inner"), ("human",), ("human",), ("human",)],
    "inner": [("script", "reached = True"), ("call", "innermost")],
    "innermost": [("script", "deep = True")],
}


@pytest.mark.parametrize("binding", ["latest", "version"])
@pytest.mark.parametrize("files", [["inner", "innermost"], ["inner"]])
def test_settled_external_subprocesses_open_if_no_state_says_where_they_come_from(binding, files):
    """Only the file of `inner` may contain `innermost`, so that `resolve` does not know it."""
    shelf = Shelf(*files, processes=CALLED_FIRST)
    if "innermost" not in files:
        inner = {one: CALLED_FIRST[one] for one in ("inner", "innermost")}
        shelf.units["inner"] = units_of("inner", inner, null=(), absent=())
    expected = plain(CALLED_FIRST)
    expected.do_engine_steps()

    def new_loader():
        return SpecLoader(units_of("outer", CALLED_FIRST), models.serializer(), resolve=shelf)

    pieces = dict(new_loader().save_pieces(expected).changed)
    for _ in range(2):
        loader = new_loader()
        workflow = loader.resume_pieces(pieces.__getitem__, models.script_engine(), binding=binding)
        advance(workflow)
        advance(expected)
        pieces.update(loader.save_pieces(workflow).changed)
    resumed = new_loader().resume_pieces(pieces.__getitem__, binding=binding)
    assert list(resumed.subprocesses.unopened)
    lockstep.same_point(expected, resumed)


def test_resolve_is_asked_once_and_only_for_what_is_external():
    shelf = Shelf("middle", "inner", "innermost")
    loader = loader_of(resolve=shelf)
    for _ in range(2):
        workflow = loader.start(script_engine=models.script_engine())
        to_the_end(workflow)
        assert workflow.is_completed()
    assert shelf.asked == ["middle", "inner", "innermost"]


def test_resolve_is_asked_again_for_what_it_had_not():
    shelf = Shelf()
    loader = loader_of(resolve=shelf, null=())
    mapping = loader.subprocess_specs()
    assert "middle" not in mapping
    assert mapping.get("middle", "default") == "default"
    with pytest.raises(KeyError, match="middle"):
        mapping["middle"]
    shelf.units["middle"] = units_of("middle")
    assert "middle" in mapping
    assert mapping["middle"].name == "middle"
    assert list(mapping) == ["middle"]


def test_specs_of_external_processes_are_shared_by_all_workflows():
    loader = loader_of(resolve=Shelf("middle"))
    first, second = loader.subprocess_specs(), loader.subprocess_specs()
    assert first["middle"] is second["middle"]


def test_what_was_deleted_is_not_brought_again():
    mapping = loader_of(resolve=Shelf("middle")).subprocess_specs()
    del mapping["middle"]
    assert "middle" not in mapping
    assert mapping.get("middle") is None
    del_and_bring = loader_of(resolve=Shelf("middle"), null=()).subprocess_specs()
    del del_and_bring["middle"]
    with pytest.raises(KeyError):
        del_and_bring["middle"]


def test_a_spec_that_refers_to_external_processes_is_as_any():
    """It can be written, copied and pickled as with plain names."""
    loader, plain_spec = loader_of(), plain().spec
    call = next(name for name, one in plain_spec.task_specs.items() if hasattr(one, "spec"))
    written = [models.serializer().to_dict(spec) for spec in (loader.spec("outer"), plain_spec)]
    assert json.dumps(written[0]) == json.dumps(written[1])
    for spec in (loader.spec("outer"), copy.deepcopy(loader.spec("outer"))):
        name = spec.task_specs[call].spec
        assert name == "middle"
        assert {name: 1} == {"middle": 1}
        assert name.task_spec is spec.task_specs[call]
    assert pickle.loads(pickle.dumps(spec)).task_specs[call].spec == "middle"


# Errors


@pytest.mark.parametrize("null", [FILES, ()])
@pytest.mark.parametrize("resolve", [None, lambda process_id: None])
def test_a_process_that_nobody_has_is_named_with_its_call_activity(resolve, null):
    loader = loader_of(resolve=resolve, null=[one for one in null if one != "outer"])
    workflow = loader.start(script_engine=models.script_engine())
    call = next(one for one in workflow.spec.task_specs.values() if hasattr(one, "spec"))
    with pytest.raises(MissingProcess) as raised:
        to_the_end(workflow)
    told = str(raised.value)
    for named in ("CallActivity", f"'{call.name}'", "'outer'", "'middle'"):
        assert named in told
    assert ("resolve returned None" if resolve else "resolve=") in told
    assert raised.value.task_spec.name == call.name
    assert isinstance(raised.value, (UnitNotFound, WorkflowException))


def without(name, *removed):
    """A workflow on plain SpiffWorkflow, and one on units, that lack a process."""
    loader = loader_of(name, absent=removed, null=())
    units = loader.start(script_engine=models.script_engine())
    specs = json.loads(spiff_bpmn.spec_json(FILES, name, absent=removed))
    restore = models.serializer().registry.restore
    inner = {key: restore(spec) for key, spec in specs["subprocess_specs"].items()}
    return BpmnWorkflow(restore(specs["spec"]), inner, models.script_engine()), units


@pytest.mark.parametrize("removed", ["inner", "innermost"])
def test_where_nobody_has_a_process_the_same_is_raised_and_left_behind_as_by_spiffworkflow(removed):
    """The application catches the same exception as without units. The task has the same state."""
    raised = []
    plain, units = without("middle", removed)
    for workflow in (plain, units):
        with pytest.raises(Exception) as error:  # noqa: PT011 - this compares which one it is
            to_the_end(workflow)
        raised.append(error.value)
    lockstep.same_point(plain, units)
    by_plain, by_units = raised
    assert isinstance(by_units, type(by_plain))
    assert isinstance(by_units, MissingProcess)
    if models.SPIFF_VERSION >= (3, 2):
        assert isinstance(by_plain, WorkflowTaskException)
        assert by_plain.task.state == by_units.task.state == TaskState.ERROR
        assert by_plain.task.task_spec.name == by_units.task.task_spec.name
        assert by_plain.task_trace == by_units.task_trace
        assert by_units.task is units.get_task_from_id(by_units.task.id)
    else:
        assert by_units.task is None
    assert "resolve=" in str(by_units)


def test_a_copied_workflow_tells_what_it_lacks_and_an_unpickled_one_as_spiffworkflow_does():
    workflow = loader_of(null=()).start(script_engine=models.script_engine())
    copied = copy.deepcopy(workflow)
    workflow.script_engine = None
    unpickled = pickle.loads(pickle.dumps(workflow))
    unpickled.script_engine = models.script_engine()
    with pytest.raises(MissingProcess, match="'middle'"):
        to_the_end(copied)
    with pytest.raises((WorkflowTaskException, KeyError), match="middle") as raised:
        to_the_end(unpickled)
    assert not isinstance(raised.value, MissingProcess)


def test_resuming_where_a_process_is_gone_names_it_and_its_call_activity():
    loader = loader_of(resolve=Shelf("middle", "inner", "innermost"))
    workflow = loader.start(script_engine=models.script_engine())
    advance(workflow)
    with pytest.raises(MissingProcess, match=r"CallActivity 'outer_call_\d+'.*'middle'"):
        loader_of().resume(loader.save(workflow))


def test_what_resolve_may_not_return():
    with pytest.raises(TypeError, match=r"resolve\('middle'\) returned str"):
        loader_of(resolve=lambda process_id: "text").subprocess_specs()["middle"]
    with pytest.raises(UnitNotFound, match=r"resolve\('middle'\) returned .*'inner'"):
        loader_of(resolve=lambda process_id: units_of("inner")).subprocess_specs()["middle"]


def test_what_resolve_raises_passes_through():
    def resolve(process_id):
        raise RuntimeError(process_id)

    workflow = loader_of(resolve=resolve).start(script_engine=models.script_engine())
    with pytest.raises(RuntimeError, match="middle"):
        to_the_end(workflow)


def test_a_changed_external_process_is_refused_with_both_digests():
    loader = loader_of(resolve=Shelf("middle"))
    workflow = loader.start(script_engine=models.script_engine())
    advance(workflow)
    state = loader.save(workflow)
    changed = {**FILES, "middle": [FILES["middle"][0], ("parallel", [("call", "innermost")], [])]}
    shelf = Shelf("middle", processes=changed)
    other = loader_of(resolve=shelf)
    with pytest.raises(ChangedWorkflow) as raised:
        other.resume(state)
    for digest in (units_of("middle").digest, shelf.units["middle"].digest):
        assert digest in str(raised.value)
    assert "'middle'" in str(raised.value)
    with pytest.raises(ChangedWorkflow, match="what has changed in process 'middle' is not known"):
        other.migrate(state)
    migrated = other.migrate(state, loader, script_engine=workflow.script_engine)
    told = json.loads(other.save(migrated))["spiff_element_units"]
    assert told["externals"]["middle"]["digest"] == shelf.units["middle"].digest


def test_one_id_for_two_embedded_subprocesses_is_refused():
    """The engine finds subprocesses only by id, so it would run one in the place of the other."""
    text = spiff_bpmn.spec_json({"outer": FILES["outer"]}, "outer")
    outer = json.loads(text)
    (name,) = [one for one in units_of("middle").process_ids if "embed" in one]
    outer["subprocess_specs"][name] = {**outer["spec"], "name": name}
    units = ElementUnits.from_json(json.dumps(outer))
    loader = SpecLoader(units, models.serializer(), resolve=Shelf("middle"))
    with pytest.raises(ElementUnitsError) as raised:
        loader.subprocess_specs()["middle"]
    for named in (name, "'outer'", "'middle'"):
        assert named in str(raised.value)


def test_the_same_embedded_subprocess_in_two_workflows_is_no_clash():
    middle = json.loads(spiff_bpmn.spec_json(FILES, "middle"))
    outer = json.loads(spiff_bpmn.spec_json(FILES, "outer"))
    outer["subprocess_specs"].pop("middle")
    loader = SpecLoader(
        ElementUnits.from_json(json.dumps(outer)),
        models.serializer(),
        resolve={"middle": ElementUnits.from_json(json.dumps(middle))}.get,
    )
    workflow = loader.start(script_engine=models.script_engine())
    to_the_end(workflow)
    assert workflow.is_completed()
