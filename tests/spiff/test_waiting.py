"""What an instance waits for, from its workflow and from its state."""

from __future__ import annotations

import awaited
import driving
import models
import pytest
from awaited import naive
from lockstep import loader_of
from SpiffWorkflow.exceptions import SpiffWorkflowException

every_model = pytest.mark.parametrize("model", models.MODELS.values(), ids=lambda model: model.name)


def runs(model, loader):
    """The workflow of a model, before its first step and after each."""
    workflow, driver = loader.start(script_engine=models.script_engine()), driving.Driver(model)
    yield workflow
    for _ in range(driving.STEP_LIMIT):
        try:
            if driver.step(workflow) is None:
                return
        except SpiffWorkflowException:
            return
        yield workflow


@every_model
def test_every_form_of_an_instance_says_what_the_full_workflow_waits_for(model):
    loader = loader_of(model)
    for workflow in runs(model, loader):
        expected = awaited.check(loader, workflow)
        if not model.own_save_differs:
            assert naive(driving.saved_and_restored(workflow)) == expected


def test_the_models_wait_for_everything_there_is():
    """Else the test above would compare nothing."""
    found = {
        "human_tasks": 0,
        "timers": 0,
        "messages": 0,
        "signals": 0,
        "cycles": 0,
        "lanes": 0,
        "forms": 0,
        "correlations": 0,
    }
    for model in models.MODELS.values():
        for workflow in runs(model, loader_of(model)):
            waiting = naive(workflow)
            for kind in ("human_tasks", "timers", "messages", "signals"):
                found[kind] += len(getattr(waiting, kind))
            found["cycles"] += sum(one.cycles is not None for one in waiting.timers)
            found["lanes"] += sum(one.lane is not None for one in waiting.human_tasks)
            found["forms"] += sum(one.form is not None for one in waiting.human_tasks)
            found["correlations"] += sum(bool(one.correlations) for one in waiting.messages)
    assert all(found.values()), found
