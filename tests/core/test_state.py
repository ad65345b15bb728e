"""The cutter of states: what is settled, the text without it, and what is asked of the rest."""

from __future__ import annotations

import json

import models
import pytest
import spiff_bpmn

from spiff_element_units import ElementUnits
from spiff_element_units.core.cut import cut_state, splice
from spiff_element_units.spiff import SpecLoader

SCRIPT = ("script", "n = 1")
PROCESSES = {
    "root": [("call", "a"), ("human",), ("call", "a"), ("human",)],
    "a": [SCRIPT, ("call", "b"), ("embed", [SCRIPT]), ("call", "b")],
    "b": [SCRIPT],
}


@pytest.fixture(scope="module")
def state() -> str:
    """Of an instance that waits in the root after one call."""
    units = ElementUnits.from_json(spiff_bpmn.spec_json(PROCESSES, "root"))
    loader = SpecLoader(units, models.serializer())
    workflow = loader.start()
    workflow.do_engine_steps()
    return loader.save(workflow)


def test_the_head_is_the_state_without_its_settled_subprocesses(state: str) -> None:
    cut = cut_state(state)
    assert cut is not None
    assert len(cut) == 4
    assert json.loads(cut.head()) == {**json.loads(state), "subprocesses": {}}


def test_a_subprocess_is_the_text_of_its_value(state: str) -> None:
    cut = cut_state(state)
    assert cut is not None
    for number, (name, value) in enumerate(json.loads(state)["subprocesses"].items()):
        assert cut.id(number) == name
        assert json.loads(cut.text(number)) == value


def test_pieces_are_spliced_in_as_they_were(state: str) -> None:
    cut = cut_state(state)
    assert cut is not None
    assert splice(cut.head(), list(range(len(cut))), cut) == state


def test_pieces_that_are_kept_apart_are_spliced_in_by_their_ids(state: str) -> None:
    cut = cut_state(state)
    assert cut is not None
    apart = [(cut.id(number), cut.text(number)) for number in range(len(cut))]
    assert splice(cut.head(), list(apart)) == state
    assert splice(cut.head(), [*apart, "living"]) is None
