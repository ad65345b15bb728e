"""Random walks through generated process trees, on plain SpiffWorkflow and on units.

Human tasks are completed in any order. At any point, an instance is saved and resumed, reset to an
earlier task, or cancelled. After each move, both sides must be at the same point.
"""

from __future__ import annotations

import json

import awaited
import driving
import lockstep
import models
import spiff_bpmn
from hypothesis import given, settings
from hypothesis import strategies as st
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.util.task import TaskState

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

NAMES = ("p0", "p1", "p2", "p3", "p4")
STEP = ("script", "steps = steps + 1")


def nodes(later, depth=2):
    """Nodes of a process that may call the processes in `later`."""
    simple = [st.just(("human",)), st.just(STEP)]
    if later:
        called = st.sampled_from(later)
        simple += [
            st.tuples(st.just("call"), called),
            st.tuples(st.just("calls"), called, st.integers(1, 2)),
        ]
    kinds = list(simple)
    if depth:
        inner = nodes(later, depth - 1)
        kinds.append(st.tuples(st.just("embed"), inner))
        kinds.append(st.tuples(st.just("parallel"), inner, inner))
    return st.lists(st.one_of(kinds), min_size=1, max_size=3)


# A process calls only later ones, so that every walk ends.
TREES = st.fixed_dictionaries({name: nodes(NAMES[at + 1 :]) for at, name in enumerate(NAMES)})

MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("complete"), st.integers(0, 9)),
        st.tuples(st.just("complete"), st.integers(0, 9)),
        st.tuples(
            st.just("save"), st.sampled_from(["resumed", "resumed_by_another", "moved_over"])
        ),
        st.tuples(st.just("save"), st.just("own_save")),
        st.tuples(st.just("reset"), st.integers(0, 99)),
        st.tuples(st.just("cancel"), st.just(0)),
    ),
    max_size=25,
)


def sides(processes, root):
    """The two workflows and the loader of one of them."""
    text = spiff_bpmn.spec_json(processes, root)
    dct = json.loads(text)
    registry = models.serializer().registry
    plain = BpmnWorkflow(
        registry.restore(dct["spec"]),
        {name: registry.restore(spec) for name, spec in dct["subprocess_specs"].items()},
        script_engine=models.script_engine(),
    )
    loader = SpecLoader(ElementUnits.from_json(text), models.serializer())
    units = loader.start(script_engine=models.script_engine())
    for workflow in (plain, units):
        workflow.task_tree.data["steps"] = 0
    return plain, units, loader


def move(workflow, kind, number):
    """Makes a move on one side; says what SpiffWorkflow raised, if it did."""
    try:
        if kind == "complete":
            ready = [task for task in driving.ready_tasks(workflow) if task.task_spec.manual]
            if ready:
                ready[number % len(ready)].run()
            workflow.do_engine_steps()
        elif kind == "reset":
            done = [
                task
                for _, task in driving.tree(workflow)
                if task.state == TaskState.COMPLETED and task.parent is not None
            ]
            if done:
                workflow.reset_from_task_id(done[number % len(done)].id)
        elif kind == "cancel":
            workflow.cancel()
    except Exception as error:
        return lockstep.ID.sub("<id>", f"{type(error).__name__}: {error}")
    return None


@settings(max_examples=60)
@given(TREES, MOVES)
def test_both_sides_walk_the_same_way(processes, moves):
    plain, units, loader = sides(processes, "p0")
    for workflow in (plain, units):
        workflow.do_engine_steps()
    lockstep.same_point(plain, units)
    # To the end after the random moves, or until an error.
    for kind, number in [*moves, *([("complete", 0)] * 15)]:
        if kind == "save":
            plain = lockstep.own_save(plain, None)
            units = getattr(lockstep, number)(units, loader)
        else:
            raised = [move(workflow, kind, number) for workflow in (plain, units)]
            assert raised[0] == raised[1], (kind, number, raised)
            if raised[0]:
                break
        lockstep.same_point(plain, units, f"{kind} {number}")


@settings(max_examples=25)
@given(TREES, st.sampled_from(NAMES))
def test_any_process_can_be_the_one_that_is_started(processes, root):
    """A process started from the workflow of another runs as in a workflow of its own."""
    plain, _, _ = sides(processes, root)
    _, _, loader = sides(processes, "p0")
    units = loader.start(root, script_engine=models.script_engine())
    units.task_tree.data["steps"] = 0
    for _ in range(12):
        for workflow in (plain, units):
            assert move(workflow, "complete", 1) is None
        lockstep.same_point(plain, units)
        plain, units = lockstep.own_save(plain, None), lockstep.resumed(units, loader)


@settings(max_examples=40)
@given(TREES, MOVES)
def test_a_walk_restores_only_what_it_comes_to(processes, moves):
    _, units, loader = sides(processes, "p0")
    met = {"p0"}
    for kind, number in [("complete", 0), *moves]:
        if kind == "save":
            if number == "resumed_by_another":
                state = loader.save(units)
                loader = SpecLoader(loader.units, models.serializer())
                units = loader.resume(state, script_engine=models.script_engine())
                met = {"p0", *(one.spec.name for one in units.subprocesses.values())}
        elif kind != "complete":
            continue
        elif move(units, kind, number):
            break
        met |= {one.spec.name for one in units.subprocesses.values()}
        assert set(loader.kept) <= met | set(units.subprocess_specs.touched)
        assert set(units.subprocess_specs.touched) | {"p0"} == met


@settings(max_examples=25)
@given(TREES, MOVES)
def test_a_walk_tells_at_each_point_what_it_waits_for(processes, moves):
    _, units, loader = sides(processes, "p0")
    for kind, number in [("complete", 0), *moves]:
        if kind == "save":
            units = getattr(lockstep, number)(units, loader)
        elif move(units, kind, number):
            break
        awaited.check(loader, units)
