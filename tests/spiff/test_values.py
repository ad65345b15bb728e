"""Data that `json` reads and other readers refuse: every form of a state keeps it."""

from __future__ import annotations

import json

import models
import pytest
from settled import do_human_task, new_loader, started
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer

from spiff_element_units.spiff import StateError

VALUES = {
    "one half of a surrogate pair": "caf\ud83d",
    "a number that is too long for most": 10**1000,
    "no number": float("inf"),
}


class AsIs(json.JSONEncoder):
    """Writes text as it is, without escapes."""

    def __init__(self, **options):
        super().__init__(**{**options, "ensure_ascii": False})


def loaders():
    registry = models.serializer().registry
    return [new_loader(), new_loader(BpmnWorkflowSerializer(registry, json_encoder_cls=AsIs))]


def data_of(state) -> list:
    run = json.loads(state)
    processes = [run, *run["subprocesses"].values()]
    return [task["data"] for process in processes for task in process["tasks"].values()]


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_data_that_json_reads_is_kept_in_every_form_of_a_state(value, settled):
    for loader in loaders():
        workflow = started(loader, 1)
        process = next(iter(workflow.subprocesses.values())) if settled else workflow
        process.task_tree.data["value"] = value
        state = loader.save(workflow)
        expected = data_of(state)
        assert {"value": value} in expected
        pieces = loader.save_pieces(workflow).changed
        forms = {
            "saved": loader.save(loader.resume(state)),
            "from a dict": loader.save(loader.resume(loader.to_dict(workflow))),
            "without escapes": loader.save(
                loader.resume(json.dumps(json.loads(state), ensure_ascii=False))
            ),
            "split and joined": loader.join(loader.split(state).changed.__getitem__),
            "in pieces": loader.join(pieces.__getitem__),
            "from pieces": loader.save(loader.resume_pieces(pieces.__getitem__)),
            "migrated": loader.save(loader.migrate(state)),
        }
        for form, text in forms.items():
            assert data_of(text) == expected, form
        assert loader.waiting(state) == loader.waiting(workflow)
        assert loader.compare(state).can_resume
        assert not loader.verify_pieces(pieces.__getitem__)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_pieces_go_on_when_such_data_comes_to_them_and_goes(value):
    loader = new_loader()
    store: dict = {}
    workflow = started(loader)
    for step in range(4):
        if step == 1:
            workflow.task_tree.data["value"] = value
        if step == 3:
            del workflow.task_tree.data["value"]
        written = loader.save_pieces(workflow)
        store.update(written.changed)
        for one in written.removed:
            del store[one]
        joined = loader.join(store.__getitem__)
        assert json.loads(joined)["subprocesses"] == loader.to_dict(workflow)["subprocesses"]
        assert not loader.verify_pieces(store.__getitem__)
        workflow = loader.resume_pieces(store.__getitem__, script_engine=models.script_engine())
        if step < 3:
            do_human_task(workflow)
    assert len(store) == len(workflow.subprocesses) + 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_bytes_are_read_as_json_reads_them(encoding):
    loader = new_loader()
    workflow = started(loader, 1)
    state = loader.save(workflow)
    encoded = state.encode(encoding)
    assert data_of(loader.save(loader.resume(encoded))) == data_of(state)
    assert data_of(loader.join(loader.split(encoded).changed.__getitem__)) == data_of(state)
    assert loader.waiting(encoded) == loader.waiting(workflow)
    assert loader.state_info(encoded) == loader.state_info(state)


def test_a_piece_with_one_half_of_a_surrogate_pair_is_damaged():
    loader = new_loader()
    pieces = loader.split(loader.save(started(loader, 1))).changed
    assert [one.piece_id for one in loader.verify_pieces(lambda one: pieces[one] + "\ud83d")]
    with pytest.raises(StateError, match="UTF-8"):
        loader.resume_pieces(lambda one: pieces[one] + "\ud83d")
