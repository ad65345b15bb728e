"""Tasks that are removed while their subprocesses stay, as with `Task.reset_branch`.

SpiffWorkflow keeps such a subprocess, although no walk reaches it. A workflow with stand-ins must
do the same.
"""

from __future__ import annotations

import json
from uuid import uuid4

import lockstep
import models
import pytest
from settled import both, ids, new_loader, started, states
from SpiffWorkflow.exceptions import TaskNotFoundException
from SpiffWorkflow.util.task import TaskState

MASKS = [
    TaskState.READY,
    TaskState.WAITING,
    TaskState.NOT_FINISHED_MASK,
    TaskState.FINISHED_MASK,
    TaskState.ANY_MASK,
]


def begin_again(workflow, task_id, again):
    """Begin a finished task again; says what SpiffWorkflow raised, if it did."""
    workflow.script_engine = models.script_engine()
    task = workflow.get_task_from_id(task_id)
    try:
        task.reset_branch(None) if again == "reset_branch" else task.run()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize("again", ["reset_branch", "run"])
def test_whatever_is_asked_of_a_workflow_whose_tasks_were_removed_is_the_same(again):
    """Subprocesses below the removed tasks run or are settled."""
    removed = 0
    for model, *texts in states():
        before, _ = both(model, *texts)
        known = ids(before.get_tasks())
        done = ids(before.get_tasks(state=TaskState.FINISHED_MASK))
        for task_id in done[:: len(done) // 6 + 1]:
            sides = whole, units = both(model, *texts)
            raised = [begin_again(side, task_id, again) for side in sides]
            assert raised[0] == raised[1]
            for mask in MASKS:  # new tasks have other ids on each side
                left, right = (ids(side.get_tasks(state=mask)) for side in sides)
                assert [one for one in left if one in known] == [
                    one for one in right if one in known
                ]
                assert len(left) == len(right)
            lockstep.same_point(whole, units, f"{model.name} at {task_id}")
            removed += not set(known) <= set(ids(whole.get_tasks()))
    assert removed


def test_a_subprocess_that_is_taken_out_is_whole_with_all_below_it():
    loader = new_loader()
    state = loader.save(started(loader, 2))
    for task_id in list(loader.resume(state).subprocesses):
        workflow = loader.resume(state)
        expected = ids(loader.resume(state).subprocesses[task_id].get_tasks())
        below = [one for one in workflow.subprocesses if one in expected]
        assert workflow.subprocesses[task_id].task_tree
        taken = workflow.subprocesses.pop(task_id)
        assert ids(taken.get_tasks()) == expected
        assert all(workflow.subprocesses[one].task_tree.id for one in below)


def test_an_id_that_is_text_finds_no_task():
    loader = new_loader()
    state = loader.save(started(loader, 2))
    for task_id in ids(loader.resume(state).get_tasks()):
        with pytest.raises(TaskNotFoundException):
            loader.resume(state).get_task_from_id(str(task_id))


def test_a_last_task_that_was_removed_is_none_in_what_is_saved():
    """After a reset, a subprocess may have a last task that is not in its tree any more."""
    loader = new_loader()
    native = json.loads(models.serializer().serialize_json(started(loader, 2)))
    for subprocess in native["subprocesses"].values():
        subprocess["last_task"] = str(uuid4())
        state = json.dumps(native)
        whole = models.serializer().deserialize_json(state)
        wanted = lockstep.in_order(models.serializer().serialize_json(whole))
        assert lockstep.in_order(loader.save(loader.resume(state))) == wanted
        pieces = loader.split(state).changed
        resumed = loader.resume_pieces(pieces.__getitem__)
        assert lockstep.in_order(loader.save(resumed)) == wanted
