"""Splits states into pieces, and joins and checks pieces."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from typing import Any, NamedTuple

from SpiffWorkflow.workflow import Workflow

from ..core.cut import Cut, cut_state, splice
from .pieces import (
    LISTED_TWICE,
    LIVE,
    Facts,
    Member,
    Read,
    StatePieces,
    StoredPieces,
    Written,
    checked,
    checksum_of,
    content,
    damage,
    piece_text,
    read_list,
    together,
)
from .state import StateError, parse, require_run

ROOT = -1  # the number of the root in a cut

# SpiffWorkflow 3.0 does not save whether a subprocess is completed. It is if its tasks are.
WRITES_COMPLETED = hasattr(Workflow, "_mark_complete")


class DamagedPiece(NamedTuple):
    """A piece that cannot be read or is damaged, and why."""

    piece_id: str
    reason: str


class Split(NamedTuple):
    """A split text: its settled subprocesses, and the list of the live piece."""

    texts: dict[str, str]
    written: dict[str, Written]
    listed: dict[str, Facts]


def split_cut(
    cut: Cut, below: Mapping[Any, Mapping[str, Facts]], drifting: Container[Any] = ()
) -> Split:
    """Split a text into pieces.

    `below` contains the settled subprocesses that are not in the text, by the numbers of their
    callers. `drifting` contains those callers that have one of them at a task without children.
    """
    split = Split({}, {}, dict(below.get(ROOT, {})))
    facts: dict[int, Facts] = {}
    names: dict[tuple[str, ...], frozenset[str]] = {}
    for number in reversed(cut.order()):
        if not cut.is_settled(number):
            split.listed.update(below.get(number, {}))
            continue
        ids = cut.task_ids(number)
        children = {cut.id(child): facts[child] for child in cut.children(number)}
        if number in below:
            children.update(below[number])
            children = {one: children[one] for one in ids if one in children}
        own = tuple(cut.names(number))
        newest = cut.newest(number)
        facts[number] = together(
            Facts(
                names.setdefault(own, frozenset(own)),
                cut.states(number),
                newest,
                bool(children),
                cut.drifts(number) or number in drifting,
            ),
            children.values(),
        )
        parent = cut.parent(number)
        caller = None if parent is None or parent == ROOT else cut.id(parent)
        piece_id = cut.id(number)
        text = split.texts[piece_id] = piece_text(piece_id, children, cut.text(number))
        split.written[piece_id] = Written(
            facts[number], checksum_of(text), caller, (len(ids), newest)
        )
        if parent is None or caller is None or not cut.is_settled(parent):
            split.listed[piece_id] = facts[number]
    return split


def split_text(text: str) -> StatePieces:
    """Return the pieces of a state that is one text."""
    cut = cut_state(text, WRITES_COMPLETED)
    if cut is None:
        return StatePieces({LIVE: piece_text(LIVE, {}, text)})
    split = split_cut(cut, {})
    live = piece_text(LIVE, split.listed, cut.head())
    return StatePieces({LIVE: live, **split.texts}, (), split.written)


def join_pieces(read: Read) -> str:
    """Return the state of pieces as one text. Raises the errors of `pieces.checked`."""
    listed, head = content(checked(read, LIVE))
    source = StoredPieces(read, json.loads)
    pieces = {one: source.made(one, facts, None) for one, facts in read_list(listed, LIVE)}
    run = parse(head, None)
    require_run(run)
    members: list[Member] = []
    waiting = list(reversed(run["tasks"]))
    while waiting:
        task_id = waiting.pop()
        if task_id in pieces:
            members.extend(pieces[task_id].members())
        elif task_id in run["subprocesses"]:
            members.append(task_id)
            subprocess = run["subprocesses"].pop(task_id)
            if not isinstance(subprocess, dict) or not isinstance(subprocess.get("tasks"), dict):
                raise damage(LIVE, "it does not contain a state")
            waiting.extend(reversed(subprocess["tasks"]))
    members.extend(run["subprocesses"])  # of tasks that were removed from the tree
    text = splice(head, members)
    if text is None:
        raise damage(LIVE, "it does not contain a state")
    return text


def damaged_pieces(read: Read) -> list[DamagedPiece]:
    """The pieces that cannot be read or are damaged. Pieces below such a piece are not read."""
    damaged: list[DamagedPiece] = []
    waiting = [LIVE]
    met: set[str] = set()
    while waiting:
        piece_id = waiting.pop()
        try:
            if piece_id in met:
                raise damage(piece_id, LISTED_TWICE)
            met.add(piece_id)
            listed, _ = content(checked(read, piece_id))
            waiting.extend(one for one, _facts in read_list(listed, piece_id))
        except StateError as error:
            damaged.append(DamagedPiece(piece_id, str(error)))
    return damaged
