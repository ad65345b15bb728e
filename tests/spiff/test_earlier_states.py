"""States that an earlier version of SpiffWorkflow wrote, which its serializer migrates."""

from __future__ import annotations

import json

import driving
import models
import pytest
from SpiffWorkflow.bpmn.serializer.migration.version_migration import MIGRATIONS
from version_models import do, finish, started, waiting
from version_models import loader_of as loader_of_calls

from spiff_element_units.spiff import StateError

CALLS = {
    "root": [("human", "first"), ("call", "handle", "claim"), ("human", "last")],
    "claim": [("human", "review"), ("embed", "inner", [("human", "look")]), ("human", "decide")],
}
KEY = models.serializer().VERSION_KEY
NUMBER = "0.9"


@pytest.fixture
def loader(monkeypatch):
    monkeypatch.setitem(MIGRATIONS, NUMBER, lambda run: None)
    return loader_of_calls(CALLS)


def without_names(workflow):
    """A state as SpiffWorkflow 2 wrote it: a subprocess does not name its process."""
    run = json.loads(models.serializer().serialize_json(workflow))
    run[KEY] = NUMBER
    for one in run["subprocesses"].values():
        del one["spec"]
    return run


@pytest.mark.parametrize(
    "done",
    [
        ["first"],
        ["first", "review"],
        ["first", "review", "look"],
        ["first", "review", "look", "decide"],
    ],
    ids=len,
)
@pytest.mark.parametrize("form", [json.dumps, lambda run: run], ids=["text", "dict"])
def test_subprocesses_that_do_not_name_their_process_are_understood(loader, done, form):
    workflow = started(loader, *done)
    assert workflow.subprocesses
    state = form(without_names(workflow))
    expected = driving.snapshot(workflow)
    comparison = loader.compare(state)
    assert comparison.can_resume
    assert {one.process_id for one in comparison.processes} >= {"root", "claim"}
    assert loader.waiting(state) == loader.waiting(workflow)
    for again in (loader.resume(state), loader.migrate(state)):
        assert driving.snapshot(again) == expected
        again.script_engine = models.script_engine()
        rest = [task.task_spec.name for task in waiting(again)]
        assert finish(again)[:1] == rest
    saved = json.loads(loader.save(loader.resume(state)))
    assert all(one["spec"] for one in saved["subprocesses"].values())


def test_an_instance_on_a_changed_model_is_moved(loader):
    state = json.dumps(without_names(started(loader, "first")))
    new = loader_of_calls({**CALLS, "claim": [*CALLS["claim"], ("human", "check")]})
    assert (new.compare(state).can_resume, new.compare(state).can_migrate) == (False, True)
    moved = new.migrate(state, script_engine=models.script_engine())
    assert finish(moved) == ["review", "look", "decide", "check", "last"]


def test_a_state_that_spiffworkflow_cannot_migrate_is_told(loader, monkeypatch):
    def broken(run):
        raise NameError("name 'sp' is not defined")

    monkeypatch.setitem(MIGRATIONS, NUMBER, broken)
    workflow = started(loader, "first")
    do(workflow, "review")
    state = json.dumps(without_names(workflow))
    for ask in (loader.compare, loader.waiting, loader.migrate):
        with pytest.raises(StateError, match=r"cannot migrate the state, whose .* is '0.9'"):
            ask(state)
