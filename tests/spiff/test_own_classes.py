"""An application's own workflow classes and listeners, on workflows with unopened subprocesses.

The library lets the engine's methods see only the subprocesses that they can need. The
application's code, which these methods call, sees all of them.
"""

from __future__ import annotations

import copy
import json
import pickle

import lockstep
import models
import pytest
from serializers import registry
from settled import IN_A, new_loader, unopened
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.util.task import TaskState


class ByText(BpmnWorkflow):
    """Finds a task by the text of its id too."""

    def get_task_from_id(self, task_id):
        known = {str(one.id): one.id for one in self.get_tasks()}
        return super().get_task_from_id(known.get(str(task_id), task_id))


class Direct(BpmnWorkflow):
    """Finds a task as the engine does."""

    def get_task_from_id(self, task_id):
        return super().get_task_from_id(task_id)


def restored(workflow_class=BpmnWorkflow):
    """A workflow with a settled subprocess that has others below it, whole and with stand-ins."""
    serializer = BpmnWorkflowSerializer(registry(workflow_class=workflow_class))
    loader = new_loader(serializer)
    workflow = loader.start(workflow_class=workflow_class, script_engine=models.script_engine())
    workflow.do_engine_steps()
    whole = serializer.deserialize_json(serializer.serialize_json(workflow))
    resumed = loader.resume(loader.save(workflow))
    assert len(whole.subprocesses) == IN_A
    assert unopened(resumed) == 1  # those below it are not listed yet
    return whole, resumed


def lowest_task(whole):
    """The id of a task of the subprocess that is deepest down."""
    deepest = max(whole.subprocesses.values(), key=lambda one: len(path(whole, one)))
    return next(task.id for task in deepest.tasks.values() if "script" in task.task_spec.name)


def path(whole, subprocess) -> list:
    above = [subprocess]
    while above[-1].parent_task_id is not None:
        above.append(whole.get_task_from_id(above[-1].parent_task_id).workflow)
    return above


@pytest.mark.parametrize("workflow_class", [ByText, Direct])
def test_a_reset_finds_a_task_that_the_applications_own_method_finds(workflow_class):
    whole, resumed = restored(workflow_class)
    task_id = lowest_task(whole)
    removed = [
        [task.id for task in workflow.reset_from_task_id(task_id)] for workflow in (whole, resumed)
    ]
    assert removed[0] == removed[1]
    assert whole.get_tasks(state=TaskState.READY)
    lockstep.same_point(whole, resumed)


@pytest.mark.skipif(models.SPIFF_VERSION < (3, 2), reason="without the event")
def test_a_listener_sees_all_subprocesses_during_a_reset():
    whole, resumed = restored()
    target = whole.get_tasks(spec_name="root_call_2")[0]
    unknown = next(reversed(whole.subprocesses))
    seen = []
    for workflow in (whole, resumed):
        here = []

        def listen(removed_from, task, workflow=workflow, here=here):
            there = workflow.subprocesses
            here.append((len(there), list(there), unknown in there, there.get(unknown) is None))

        workflow.task_removed_event.connect(listen)
        workflow.reset_from_task_id(target.id, remove_subprocess=False)
        seen.append(here)
    assert seen[0]
    assert seen[0] == seen[1]


@pytest.mark.skipif(models.SPIFF_VERSION < (3, 2), reason="without the event")
@pytest.mark.parametrize("workflow_class", [BpmnWorkflow, Direct])
def test_a_listener_can_save_and_find_any_task_during_a_cancel(workflow_class):
    whole, resumed = restored(workflow_class)
    lowest = lowest_task(whole)
    seen = []
    for workflow in (whole, resumed):
        here = []

        def listen(removed_from, task, workflow=workflow, here=here):
            serializer = BpmnWorkflowSerializer(registry(workflow_class=workflow_class))
            here.append(workflow.get_task_from_id(lowest).id)
            here.append(list(json.loads(serializer.serialize_json(workflow))["subprocesses"]))

        workflow.task_removed_event.connect(listen)
        workflow.cancel()
        seen.append(here)
    assert seen[0]
    assert seen[0] == seen[1]


def test_a_pickle_of_a_copy_is_saved_with_the_specs_of_its_settled_subprocesses():
    whole, resumed = restored()
    copied = pickle.loads(pickle.dumps(copy.deepcopy(resumed)))
    loader = new_loader()
    lockstep.same_point(whole, loader.resume(loader.save(copied)))
