"""Random pairs of versions of a workflow, and random instances of the first, with SpiffWorkflow.

SpiffWorkflow is the reference. If the instance continues by itself, it is restored with a full dict
of the new version. If it is moved, the reference is `migrate_workflow` with fully restored specs.
"""

from __future__ import annotations

import json
from typing import Any

import crowd
import driving
import lockstep
import models
import pytest
import version_models
from hypothesis import event, given, settings
from hypothesis import strategies as st
from lockstep import HEADER
from SpiffWorkflow.util.task import TaskState
from version_models import WAYS, Kept, at, do, loader_of, started, waiting

from spiff_element_units.spiff import ChangedWorkflow, compare_all
from spiff_element_units.spiff.standin import is_unopened

try:
    from SpiffWorkflow.bpmn.util import diff as spiff_diff
except ImportError:  # 3.0
    spiff_diff = None

PASSED = TaskState.COMPLETED | TaskState.STARTED
NAMES = ("root", "a", "b")


@st.composite
def chains(draw: Any, name: str, callable_: tuple, depth: int = 0, most: int = 4) -> list:
    kinds = ["human", "human", "script", "humans"]
    kinds += ["call", "calls"] if callable_ else []
    kinds += ["embed", "parallel"] if depth == 0 else []
    chain = []
    for number in range(draw(st.integers(1, most))):
        chain.append(element(draw, draw(st.sampled_from(kinds)), f"{name}_{number}", callable_))
    return chain


def element(draw: Any, kind: str, name: str, callable_: tuple) -> tuple:
    takes = {
        "script": lambda: (f"x = {draw(st.integers(0, 1))}",),
        "call": lambda: (draw(st.sampled_from(callable_)),),
        "calls": lambda: (draw(st.sampled_from(callable_)), 2),
        "humans": lambda: (2,),
        "embed": lambda: (draw(chains(f"{name}_in", (), 1, 2)),),
        "parallel": lambda: [draw(chains(f"{name}_{side}", (), 1, 2)) for side in "lr"],
    }
    return kind, name, *(takes[kind]() if kind in takes else ())


@st.composite
def versions(draw: Any) -> tuple:
    """Two versions of a workflow; the second is an edit of the first."""
    first = {name: draw(chains(name, NAMES[number + 1 :])) for number, name in enumerate(NAMES)}
    second = {name: list(chain) for name, chain in first.items()}
    for number in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(NAMES))
        second[name] = edited(draw, second[name], f"{name}_new_{number}")
    return first, second


def edited(draw: Any, chain: list, name: str) -> list:
    position = draw(st.integers(0, len(chain)))
    kind = draw(st.sampled_from(["add", "add", "remove", "script", "rename", "inside"]))
    if kind == "add" or not chain:
        new = draw(st.sampled_from([("human", name), ("script", name, "y = 1")]))
        return [*chain[:position], new, *chain[position:]]
    position = min(position, len(chain) - 1)
    one = chain[position]
    if kind == "remove" and len(chain) > 1:
        return chain[:position] + chain[position + 1 :]
    if kind == "rename":
        one = (one[0], name, *one[2:])
    elif kind == "script" and one[0] == "script":
        one = (*one[:2], "z = 1")
    elif kind == "inside" and one[0] == "embed":
        one = (*one[:2], [*one[2], ("human", name)])
    return [*chain[:position], one, *chain[position + 1 :]]


def take(workflow, choices) -> None:
    """Do human tasks. `choices` says which of the ready ones."""
    for choice in choices:
        tasks = waiting(workflow)
        if not tasks:
            return
        tasks[choice % len(tasks)].run()
        workflow.do_engine_steps()


def native(state: str, text: str) -> Any:
    """An instance that SpiffWorkflow restores with the specs of a workflow."""
    run = json.loads(state)
    del run[HEADER]
    serializer = models.serializer()
    workflow = serializer.deserialize_json(
        json.dumps({**run, **{key: json.loads(text)[key] for key in lockstep.SPECS}})
    )
    workflow.script_engine = models.script_engine()
    return workflow


def specs_of(text: str) -> tuple:
    serializer, parsed = models.serializer(), json.loads(text)
    specs = {
        name: serializer.registry.restore(one) for name, one in parsed["subprocess_specs"].items()
    }
    return serializer.registry.restore(parsed["spec"]), specs


def is_settled(workflow, subprocess) -> bool:
    below = [workflow.subprocesses[one] for one in subprocess.tasks if one in workflow.subprocesses]
    return all(t.has_state(TaskState.FINISHED_MASK) for t in subprocess.tasks.values()) and all(
        is_settled(workflow, one) for one in below
    )


def living(workflow) -> list:
    return [
        workflow,
        *(one for one in workflow.subprocesses.values() if not is_settled(workflow, one)),
    ]


def unchanged(process, text: str, old_text: str) -> bool:
    """Whether a process and everything embedded in it have the same JSON in both versions."""

    def written(workflow_text):
        parsed = json.loads(workflow_text)
        specs = {**parsed["subprocess_specs"], parsed["spec"]["name"]: parsed["spec"]}
        found, todo = {}, [process.spec.name]
        while todo:
            name = todo.pop()
            found[name] = specs.get(name)
            todo += [
                one["spec"]
                for one in (found[name] or {"task_specs": {}})["task_specs"].values()
                if one["typename"] == "SubWorkflowTask" and one["spec"] not in found
            ]
        return found

    return written(text) == written(old_text)


def spec_text(process, text: str) -> Any:
    parsed = json.loads(text)
    specs = {**parsed["subprocess_specs"], parsed["spec"]["name"]: parsed["spec"]}
    return specs.get(process.spec.name)


class Reference:
    """The migration as SpiffWorkflow's documentation shows it."""

    def __init__(self, state: str, old_text: str, new_text: str) -> None:
        self.workflow = native(state, old_text)
        self._registry = models.serializer().registry
        self.allowed = True
        self.special = False  # our rules go further here
        self._spec, self._specs = specs_of(new_text)
        for process in living(self.workflow):
            if spec_text(process, new_text) != spec_text(process, old_text):
                self._move(process)
        self.workflow.subprocess_specs = self._specs

    def _move(self, process) -> None:
        new = self._spec if process is self.workflow else self._specs.get(process.spec.name)
        if new is None:
            self.allowed = False
            return
        found = spiff_diff.WorkflowDiff(
            process, spiff_diff.SpecDiff(self._registry, process.spec, new)
        )
        tasks = list(process.tasks.values())
        self.special |= any(
            task.triggered or task.state == TaskState.STARTED for task in tasks
        ) or any(
            task in found.removed and task.state & (TaskState.READY | TaskState.WAITING)
            for task in tasks
        )
        self.allowed &= not any(task.state & PASSED for task in [*found.changed, *found.removed])
        if self.allowed:
            spiff_diff.migrate_workflow(found, process, new)


@settings(max_examples=crowd.amount("VERSIONS", 40), deadline=None)
@given(pair=versions(), choices=st.lists(st.integers(0, 5), max_size=6), data=st.data())
def test_random_versions(tmp_path_factory, pair, choices, data):
    first, second = pair
    texts = [version_models.spec_json(one) for one in pair]
    cache_dir = str(tmp_path_factory.mktemp("cache"))
    old, new = loader_of(first, cache_dir, "1"), loader_of(second, cache_dir, "2")
    workflow = old.start(script_engine=models.script_engine())
    workflow.do_engine_steps()
    take(workflow, choices)
    state = old.save(workflow)
    given_state = data.draw(st.sampled_from([state, json.loads(state)]))  # text or a dict
    comparison = new.compare(given_state, old=old)
    assert set(compare_all([given_state], new, old=old).reasons) == set(comparison.reasons)
    same = all(unchanged(one, *texts) for one in living(native(state, texts[0])))
    assert comparison.can_resume == same
    later = data.draw(st.lists(st.integers(0, 5), max_size=30))
    if same:
        resumed = new.resume(given_state, models.script_engine())
        if all(unchanged(one, *texts) for one in native(state, texts[0]).subprocesses.values()):
            event("goes on")
            step_by_step(native(state, texts[1]), resumed, later)
        else:  # SpiffWorkflow would restore settled subprocesses with specs that they did not run
            event("goes on past what has changed")
            finish(resumed)
        return
    with pytest.raises(ChangedWorkflow) as raised:
        new.resume(given_state)
    assert raised.value.comparison.reasons
    reference = None if spiff_diff is None else Reference(state, *texts)
    if reference is None or not reference.allowed or reference.special:
        reference = None
    else:
        assert comparison.can_migrate, comparison.reasons
    before = native(state, texts[0])
    if not comparison.can_migrate:
        event("refused")
        with pytest.raises(ChangedWorkflow):
            new.migrate(given_state, old)
        require_true_reasons(comparison, state)
        return
    migrated = new.migrate(given_state, old, script_engine=models.script_engine())
    assert finished(migrated) == finished(before)
    for process in living(migrated):
        for task in process.tasks.values():
            assert task.task_spec is process.spec.task_specs[task.task_spec.name]
    event("moved" if reference is None else "moved as SpiffWorkflow moves it")
    if reference is not None:
        step_by_step(reference.workflow, migrated, later)
    finish(migrated)


def finish(workflow) -> None:
    """Do everything that is left. No element of the root may be skipped."""
    while waiting(workflow):
        do(workflow, at(workflow)[0])
    assert driving.is_completed(workflow)
    require_every_step(workflow)


def step_by_step(plain, units, choices) -> None:
    lockstep.same_point(plain, units)
    for choice in choices:
        for workflow in (plain, units):
            take(workflow, [choice])
        lockstep.same_point(plain, units)


def finished(workflow) -> list:
    return sorted(
        (str(task.id), task.task_spec.name, task.state)
        for task in workflow.get_tasks(state=TaskState.FINISHED_MASK)
    )


def require_every_step(workflow) -> None:
    """Require that no element of the root was skipped."""
    done = {t.task_spec.name for t in workflow.tasks.values() if t.state == TaskState.COMPLETED}
    assert done == set(workflow.spec.task_specs)


def require_true_reasons(comparison, state) -> None:
    """Require that the instance has reached each element that is named, and that it has changed."""
    for process in comparison.processes:
        for one in process.elements:
            if any(f"element {one.element_id!r} of process" in r for r in comparison.reasons):
                assert one.change in ("removed", "changed")
                assert one.finished or one.current or one.predicted
    assert any("element" in one or "is not in" in one for one in comparison.reasons)


# Settled subprocesses through many versions


def claims(random) -> dict:
    """A version of a workflow in which processes call one another, with elements here and there."""
    processes = {
        "root": [
            *(("call", "one", "a"), ("call", "two", "b"), ("call", "three", "a")),
            ("human", "end"),
        ],
        "a": [("human", "a_first"), ("call", "inner", "b"), ("human", "a_last")],
        "b": [("human", "b_only"), ("embed", "part", [("human", "part_only")])],
    }
    for name, chain in processes.items():
        if random.random() < 0.5:
            position = len(chain) if name == "root" else random.randrange(len(chain) + 1)
            chain.insert(position, ("human", f"{name}_new_{random.randrange(3)}"))
    return processes


@settings(max_examples=crowd.amount("VERSIONS", 40) // 2, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_what_has_settled_stays_what_it_was_on_the_way_through_versions(tmp_path_factory, random):
    cache_dir = str(tmp_path_factory.mktemp("cache"))
    loaders = [loader_of(claims(random), cache_dir, str(number)) for number in range(3)]
    loader, kept, elements = loaders[0], Kept(random.choice(WAYS)), {}
    workflow = started(loader)
    for _ in range(12):
        if waiting(workflow) and random.random() < 0.6:
            take(workflow, [random.randrange(3)])
            continue
        for key, one in list(dict.items(workflow.subprocesses)):
            if not is_unopened(one) and is_settled(workflow, one):
                elements.setdefault(key, sorted(one.spec.task_specs))
        other = random.choice(loaders)
        comparison = other.compare(loader.save(workflow))
        if comparison.can_resume:
            loader, workflow = other, kept.to(loader, workflow, other)
        elif comparison.can_migrate:
            workflow = other.migrate(loader.save(workflow), script_engine=workflow.script_engine)
            loader, kept = other, Kept(random.choice(WAYS))
        if random.random() < 0.5:
            require_elements(workflow, elements)
    finish(workflow)
    require_elements(workflow, elements)


def require_elements(workflow, elements) -> None:
    for key, expected in elements.items():
        assert sorted(workflow.subprocesses[key].spec.task_specs) == expected
