"""New versions under instances that were saved where engine steps do not stop.

An application may save a workflow that it has only started, or after each single task.
"""

from __future__ import annotations

import json

import driving
import models
import pytest
from SpiffWorkflow.util.task import TaskState
from version_models import finish, loader_of

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import ChangedWorkflow, SpecLoader, compare_all

CALLING = {
    "root": [("call", "call", "claim"), ("human", "after")],
    "claim": [("script", "review", "seen = 1"), ("human", "decide")],
    "other": [("script", "alone", "x = 1")],
}


def one_by_one(loader, is_there):
    """An instance that runs task by task until something holds for it."""
    workflow = loader.start(script_engine=models.script_engine())
    workflow.task_tree.data["amount"] = 8
    while not is_there(workflow):
        ready = driving.ready_tasks(workflow)
        ready[0].run()
        driving.refresh(workflow)
    return workflow


def state_of(workflow, name) -> int:
    tasks = [one for one in workflow.get_tasks() if one.task_spec.name == name]
    return tasks[0].state if tasks else 0


@pytest.mark.parametrize("in_pieces", [False, True])
def test_an_instance_that_has_done_nothing_is_migrated(in_pieces):
    old = loader_of(CALLING)
    new = loader_of({**CALLING, "root": [("human", "before"), *CALLING["root"]]})
    workflow = one_by_one(old, lambda _: True)
    if in_pieces:
        migrated = new.migrate_pieces(old.save_pieces(workflow).changed.__getitem__, old)
    else:
        migrated = new.migrate(old.save(workflow), old)
    migrated.script_engine = models.script_engine()
    assert finish(migrated) == ["before", "decide", "after"]
    assert migrated.data["amount"] == 8


def is_behind_the_call(workflow) -> bool:
    return state_of(workflow, "call") == TaskState.READY


@pytest.mark.parametrize("new_root", [("call", "call", "other"), ("calls", "call", "claim", 2)])
@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_call_that_ends_may_not_become_another_one(new_root, in_pieces):
    """What it has called is finished, and it waits to be completed with the data of that."""
    old = loader_of(CALLING)
    new = loader_of({**CALLING, "root": [new_root, ("human", "after")]})
    workflow = one_by_one(old, is_behind_the_call)
    state = old.save(workflow)
    if in_pieces:
        state = old.save_pieces(workflow).changed["live"]
    comparison = new.compare(state, old=old)
    assert not comparison.can_migrate
    assert any("'call' of process 'root' has changed" in one for one in comparison.reasons)
    with pytest.raises(ChangedWorkflow):
        new.migrate(old.save(workflow), old)


def test_what_follows_a_call_that_ends_may_change():
    old = loader_of(CALLING)
    new = loader_of({**CALLING, "root": [*CALLING["root"], ("human", "check")]})
    state = old.save(one_by_one(old, is_behind_the_call))
    migrated = new.migrate(state, old, script_engine=models.script_engine())
    assert finish(migrated) == ["after", "check"]
    assert migrated.data["seen"] == 1


INTERRUPTED = models.ALL_MODELS["boundary_multi_instance"]


@pytest.mark.skipif(INTERRUPTED.name not in models.MODELS, reason=INTERRUPTED.why_since)
def test_a_subprocess_whose_task_was_removed_has_no_say():
    """SpiffWorkflow keeps it in the state, and does not restore it."""
    text = models.spec_json(INTERRUPTED)
    old = SpecLoader(ElementUnits.from_json(text), models.serializer())
    renamed = text.replace('"bid_start"', '"bid_begin"')
    new = SpecLoader(ElementUnits.from_json(renamed), models.serializer())
    workflow = driving.run(INTERRUPTED, old.start(script_engine=models.script_engine())).workflow
    for state in (old.save(workflow), old.to_dict(workflow)):
        detached = json.loads(old.save(workflow))["subprocesses"].values()
        assert any(not one["completed"] and one["spec"] == "bid" for one in detached)
        comparison = new.compare(state, old=old)
        assert comparison.can_resume
        assert comparison.processes[0].process_id == "auction"
        assert compare_all([state], new, old=old).resumable == [0]
        assert driving.is_completed(new.resume(state))
