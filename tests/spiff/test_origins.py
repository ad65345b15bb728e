"""If several workflows contain a process of the same name, which one an instance runs."""

from __future__ import annotations

import json
import random

import driving
import lockstep
import models
import pytest
import spiff_bpmn
from lockstep import HEADER

from spiff_element_units import ElementUnits, ElementUnitsError
from spiff_element_units.spiff import ChangedWorkflow, SpecLoader

PROCESSES = {
    "root": [("parallel", [("human",), ("call", "B")], [("human",), ("call", "C")]), ("human",)],
    "B": [("human",), ("call", "common"), ("human",)],
    "C": [("embed", [("human",), ("call", "common")]), ("human",)],
}


def specs(code):
    """All specs by name, where `common` runs this code."""
    common = [("script", code), ("human",), ("embed", [("human",)])]
    dct = json.loads(spiff_bpmn.spec_json({**PROCESSES, "common": common}, "root"))
    return {"root": dct["spec"], **dct["subprocess_specs"]}


ONE, TWO, THREE = (specs(f"version = {number}") for number in (1, 2, 3))
(IN_C,) = [name for name in ONE if name.startswith("C_embed")]


def needed(known, name):
    """A process and what is embedded in it."""
    return [name, *(one for one in known if one.startswith(f"{name}_embed"))]


def units_of(known, name, *others):
    """A file with a process and others that it calls, and what is embedded in them."""
    wanted = [one for process in (name, *others) for one in needed(known, process)]
    return ElementUnits.from_json(
        json.dumps(
            {
                "spec": known[name],
                "subprocess_specs": {one: known[one] for one in wanted if one != name},
                "serializer_version": models.serializer().VERSION,
            }
        )
    )


def files(of_b=ONE, of_c=ONE, common=None):
    """What `resolve` has: B and C hold `common` themselves; it has one by itself if given."""
    found = {"B": units_of(of_b, "B", "common"), "C": units_of(of_c, "C", "common")}
    if common is not None:
        found["common"] = units_of(common, "common")
    return found


def loader_of(resolved):
    return SpecLoader(units_of(ONE, "root"), models.serializer(), resolve=resolved.get)


def ready(workflow):
    return [task for task in driving.ready_tasks(workflow) if task.task_spec.manual]


def do(workflow, name):
    """Completes the first human task of a process."""
    next(task for task in ready(workflow) if task.workflow.spec.name == name).run()
    workflow.do_engine_steps()


def come_to(workflow, first):
    """Starts B and C in this order or in the other."""
    workflow.do_engine_steps()
    ready(workflow)["BC".index(first)].run()
    workflow.do_engine_steps()
    do(workflow, "root")
    return workflow


def versions(workflow):
    return sorted({task.data["version"] for task in ready(workflow) if "version" in task.data})


def as_it_is(workflow, loader, resolved):
    return workflow


def resumed(workflow, loader, resolved):
    return loader.resume(loader.save(workflow), workflow.script_engine)


def resumed_by_another(workflow, loader, resolved):
    return loader_of(resolved).resume(loader.save(workflow), workflow.script_engine)


def as_0_4_0_wrote_it(workflow, loader, resolved):
    state = json.loads(loader.save(workflow))
    for told in state[HEADER].get("externals", {}).values():
        told.pop("resolved_as", None)
    return loader_of(resolved).resume(json.dumps(state), workflow.script_engine)


carried = pytest.mark.parametrize(
    "carry", [as_it_is, resumed, resumed_by_another, as_0_4_0_wrote_it]
)


@carried
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "resolved", [files(), files(common=ONE), files(TWO, TWO, TWO)], ids=["own", "all", "newer"]
)
def test_an_instance_of_unchanged_files_goes_on_in_whatever_order_it_comes_to_them(
    carry, seed, resolved
):
    loader = loader_of(resolved)
    plain, units = (loader.start(script_engine=models.script_engine()) for _ in range(2))
    choices = random.Random(seed)
    steps = 0
    for one in (plain, units):
        one.do_engine_steps()
    while ready(plain):
        index = choices.randrange(len(ready(plain)))
        for one in (plain, units):
            ready(one)[index].run()
            one.do_engine_steps()
        units = carry(units, loader, resolved)
        lockstep.same_point(plain, units)
        steps += 1
    assert plain.is_completed()
    assert steps == 11


@carried
@pytest.mark.parametrize("first", ["B", "C"])
@pytest.mark.parametrize(("caller", "runs"), [("B", 1), (IN_C, 2)])
def test_a_process_that_resolve_has_not_comes_from_the_file_that_calls_it(
    carry, first, caller, runs
):
    resolved = files(ONE, TWO)
    loader = loader_of(resolved)
    workflow = come_to(loader.start(script_engine=models.script_engine()), first)
    workflow = carry(workflow, loader, resolved)
    do(workflow, caller)
    assert versions(workflow) == [runs]
    assert versions(carry(workflow, loader, resolved)) == [runs]


@carried
@pytest.mark.parametrize("first", ["B", "C"])
def test_a_name_that_two_files_use_for_different_processes_is_an_error(carry, first):
    resolved = files(ONE, TWO)
    loader = loader_of(resolved)
    workflow = come_to(loader.start(script_engine=models.script_engine()), first)
    order = ["B", IN_C] if first == "B" else [IN_C, "B"]
    do(workflow, order[0])
    workflow = carry(workflow, loader, resolved)
    with pytest.raises(ElementUnitsError) as raised:
        do(workflow, order[1])
    for told in ("'common'", "'B'", "'C'", "resolve"):
        assert told in str(raised.value)


@carried
@pytest.mark.parametrize("first", ["B", "C"])
def test_what_resolve_has_for_a_called_process_decides_for_all_that_call_it(carry, first):
    resolved = files(ONE, TWO, THREE)
    loader = loader_of(resolved)
    workflow = come_to(loader.start(script_engine=models.script_engine()), first)
    for caller in ("B", IN_C):
        workflow = carry(workflow, loader, resolved)
        do(workflow, caller)
        assert versions(workflow) == [3]


def test_a_state_tells_of_each_process_from_elsewhere_which_workflow_it_came_from():
    resolved = files()
    loader = loader_of(resolved)
    workflow = come_to(loader.start(script_engine=models.script_engine()), "B")
    do(workflow, IN_C)
    told = json.loads(loader.save(workflow))[HEADER]["externals"]
    b, c = ({"cache_key": None, "digest": resolved[name].digest} for name in "BC")
    of_c = {**c, "resolved_as": "C"}
    assert told == {"B": b, "C": c, IN_C: of_c, "common": of_c}


def test_what_was_decided_stays_when_nothing_of_it_is_left():
    """For example, it is called again after a reset: it is the same as before."""
    resolved = files(ONE, TWO)
    loader = loader_of(resolved)
    workflow = come_to(loader.start(script_engine=models.script_engine()), "B")
    do(workflow, IN_C)
    call = next(one for one in workflow.subprocesses.values() if one.spec.name == "common")
    workflow.reset_from_task_id(call.parent_workflow.task_tree.children[0].id)
    assert "common" not in [one.spec.name for one in workflow.subprocesses.values()]
    for _ in range(2):
        workflow = loader_of(resolved).resume(loader.save(workflow), workflow.script_engine)
    with pytest.raises(ElementUnitsError, match="'common' in the workflow"):
        do(workflow, "B")


def test_a_state_of_a_version_that_a_loader_does_not_keep_is_resumed_if_resolve_has_it():
    old, new = files(), files(TWO, TWO)
    now = dict(old)
    loader = SpecLoader(units_of(ONE, "root"), models.serializer(), resolve=now.get)
    engine = models.script_engine()
    of_old = come_to(loader.start(script_engine=engine), "B")
    newer = loader_of(new)
    of_new = newer.save(come_to(newer.start(script_engine=engine), "B"))
    with pytest.raises(ChangedWorkflow, match=new["B"].digest):
        loader.resume(of_new, binding="version")
    # B itself is the same in both, so what it calls comes from the version that exists.
    in_old = loader.resume(of_new, engine)
    do(in_old, "B")
    assert versions(in_old) == [1]
    now.update(new)
    workflow = loader.resume(of_new, engine)
    do(workflow, "B")
    assert versions(workflow) == [2]
    # The loader still keeps the same workflows.
    do(of_old, "B")
    assert versions(of_old) == versions(loader.resume(loader.save(of_old))) == [1]


def test_an_embedded_subprocess_comes_from_the_file_of_its_process():
    """This is so even if `resolve` or another file has a process of that name."""
    other = units_of({**TWO, "B": TWO["B"], "common": TWO["common"]}, "common")
    (embedded,) = [one for one in other.process_ids if "embed" in one]
    strange = json.loads(spiff_bpmn.spec_json({embedded: [("human",)]}, embedded))
    resolved = {**files(), embedded: ElementUnits.from_json(json.dumps(strange))}
    for carry in (as_it_is, resumed_by_another):
        loader = loader_of(resolved)
        workflow = come_to(loader.start(script_engine=models.script_engine()), "B")
        for name in ("B", "common"):
            do(workflow, name)
            workflow = carry(workflow, loader, resolved)
        spec = workflow.subprocess_specs[embedded]
        assert models.serializer().to_dict(spec) == ONE[embedded]
