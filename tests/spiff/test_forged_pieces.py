"""Forged pieces with right checksums raise an error of ours, and nothing hangs."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import models
import pytest
import spiff_bpmn

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader, StateError
from spiff_element_units.spiff.piece_texts import LIVE, Facts, content, piece_text

PROCESSES = {
    "root": [("call", "a"), ("human",)],
    "a": [("call", "b")],
    "b": [("script", "x = 1")],
}
UNITS = ElementUnits.from_json(spiff_bpmn.spec_json(PROCESSES, "root"))
FACTS = Facts(frozenset(["an element"]), 64, 1.0, True, False)
ODD = {"tasks": {"a": 1}, "subprocesses": {"a": 1}, "root": "a"}


def new_loader() -> SpecLoader:
    return SpecLoader(UNITS, models.serializer())


def forged() -> dict[str, dict[str, str]]:
    """Pieces of an instance whose calls of `a`, and in it of `b`, are settled; some are forged."""
    loader = new_loader()
    workflow = loader.start(script_engine=models.script_engine())
    workflow.do_engine_steps()
    pieces = dict(loader.save_pieces(workflow).changed)
    listed, live = content(pieces[LIVE])
    (one,) = listed["settled"]
    (other,) = pieces.keys() - {LIVE, one}
    inner = content(pieces[one])[1]

    def listing(**settled: str) -> dict[str, str]:
        """`one`, listed by the live piece, lists `settled`."""
        lists = {LIVE: piece_text(LIVE, {one: FACTS}, live)}
        return {**lists, one: piece_text(one, dict.fromkeys(settled.values(), FACTS), inner)}

    return {
        "a state that is a list": {LIVE: piece_text(LIVE, {}, "[1]")},
        "a state that is not JSON": {LIVE: piece_text(LIVE, {}, "{")},
        "a state of nothing": {LIVE: piece_text(LIVE, {}, "{}")},
        "a state of something else": {LIVE: piece_text(LIVE, {}, json.dumps(ODD))},
        "an id that is none": {LIVE: piece_text(LIVE, {"none": FACTS}, live), "none": pieces[one]},
        "a piece that lists itself": listing(itself=one),
        "a piece that lists one twice": {
            **listing(other=other),
            LIVE: piece_text(LIVE, {one: FACTS, other: FACTS}, live),
            other: piece_text(other, {}, inner),
        },
        "a subprocess that is not JSON": {**listing(), one: piece_text(one, {}, "{")},
        "a subprocess that is a list": {**listing(), one: piece_text(one, {}, "[]")},
    }


FORGED = forged()


MOST = 100


def reader(pieces: dict[str, str]) -> tuple[Callable[[str], str], Callable[[], int]]:
    """A read function that stops after many reads, and a function that counts the reads."""
    asked: list[str] = []

    def read(piece_id: str) -> str:
        asked.append(piece_id)
        return pieces[piece_id] if len(asked) < MOST else ""

    return read, lambda: len(asked)


@pytest.mark.parametrize("pieces", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("what", ["join", "verify", "look", "save"])
def test_a_forged_piece_is_an_error_of_ours(pieces: dict[str, str], what: str) -> None:
    loader = new_loader()
    read, reads = reader(pieces)
    do: dict[str, Callable[[], Any]] = {
        "join": lambda: loader.join(read),
        "verify": lambda: loader.verify_pieces(read),
        "look": lambda: loader.resume_pieces(read, models.script_engine()).get_tasks(),
        "save": lambda: loader.save(loader.resume_pieces(read)),
    }
    with suppress(StateError):
        do[what]()
    assert reads() < MOST


@pytest.mark.parametrize("kind", ["a piece that lists itself", "a piece that lists one twice"])
def test_a_piece_that_is_listed_twice_is_damaged(kind: str) -> None:
    pieces = FORGED[kind]
    (found,) = new_loader().verify_pieces(reader(pieces)[0])
    assert "listed twice" in found.reason
    with pytest.raises(StateError, match="listed twice"):
        new_loader().join(reader(pieces)[0])
