"""Unfinished tasks are found without a walk, and a walk gives the same."""

from __future__ import annotations

import models
import pytest
from settled import both, ids, new_loader, started, states
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.serializer.default.workflow import BpmnWorkflowConverter
from SpiffWorkflow.bpmn.util.task import BpmnTaskIterator
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.spiff.serializer.config import SPIFF_CONFIG
from SpiffWorkflow.util.task import TaskIterator, TaskState

from spiff_element_units.spiff import unfinished, walks

MASKS = [TaskState.READY, TaskState.WAITING, TaskState.NOT_FINISHED_MASK, TaskState.PREDICTED_MASK]


def go_no_deeper_than(depth, monkeypatch):
    """SpiffWorkflow's iterators stop at a depth of 1,000, which no state of the tests has."""
    for cls in (BpmnTaskIterator, TaskIterator):
        defaults = cls.__init__.__defaults__
        assert unfinished._MAX_DEPTH in defaults
        lower = tuple(depth if one == unfinished._MAX_DEPTH else one for one in defaults)
        monkeypatch.setattr(cls.__init__, "__defaults__", lower)
    monkeypatch.setattr(unfinished, "_MAX_DEPTH", depth)


@pytest.fixture(scope="module")
def restored():
    return [both(model, *texts) for model, *texts in states()]


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 5, 8, 12, 17, 25, 40])
def test_a_task_that_lies_too_deep_for_a_walk_is_not_found(depth, restored, monkeypatch):
    go_no_deeper_than(depth, monkeypatch)
    for whole, units in restored:
        for state in MASKS:
            assert ids(units.get_tasks(state=state)) == ids(whole.get_tasks(state=state))


def test_a_walk_is_not_needed_for_a_ready_task(monkeypatch):
    """Otherwise, the other tests of this file would compare walks with walks."""
    loader = new_loader()
    workflow = loader.resume(loader.save(started(loader, 1)))
    expected = ids(workflow.get_tasks(state=TaskState.READY, max_depth=unfinished._MAX_DEPTH))
    monkeypatch.delattr(walks.Walk, "_next")
    monkeypatch.delattr(TaskIterator, "_next")
    monkeypatch.delattr(BpmnTaskIterator, "_next")
    assert ids(workflow.get_tasks(state=TaskState.READY)) == expected != []
    assert ids([workflow.get_next_task(state=TaskState.READY)]) == expected
    assert workflow.get_next_task(state=TaskState.WAITING) is None


@pytest.mark.skipif(models.SPIFF_VERSION < (3, 1), reason="asks no iterator")
def test_an_iterator_of_the_applications_own_is_asked():
    class FromTheEnd(BpmnWorkflow):
        def get_tasks_iterator(self, first_task=None, **kwargs):
            return iter(list(super().get_tasks_iterator(first_task, **kwargs))[::-1])

    config = {key: value for key, value in SPIFF_CONFIG.items() if key is not BpmnWorkflow}
    config[FromTheEnd] = BpmnWorkflowConverter
    serializer = BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(config))
    loader = new_loader(serializer)
    workflow = loader.start(workflow_class=FromTheEnd, script_engine=models.script_engine())
    workflow.do_engine_steps()
    resumed = loader.resume(loader.save(workflow))
    assert type(resumed) is FromTheEnd
    for arguments in ({}, {"state": TaskState.NOT_FINISHED_MASK}):
        expected = ids(workflow.get_tasks(**arguments))
        assert ids(resumed.get_tasks(**arguments)) == expected
        assert ids([resumed.get_next_task(**arguments)]) == expected[:1]
