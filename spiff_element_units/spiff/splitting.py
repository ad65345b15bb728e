"""Splits states into pieces, and joins and checks pieces."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from typing import Any, Callable, NamedTuple

from SpiffWorkflow.workflow import Workflow

from ..core.cut import Cut, cut_state, splice
from .piece_texts import (
    LISTED_TWICE,
    LIVE,
    Facts,
    Member,
    Read,
    Written,
    checked,
    checksum_of,
    content,
    damage,
    piece_text,
    process_names,
    read_list,
    together,
)
from .pieces import StatePieces, StoredPieces
from .state import HEADER, StateError, parse, require_run
from .versions import with_settled

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
    cut: Cut,
    version_of: Callable[[str], int],
    below: Mapping[Any, Mapping[str, Facts]],
    drifting: Container[Any] = (),
) -> Split:
    """Split a text into pieces.

    `version_of` gives the number of the version that a subprocess settled on. `below` has those
    settled subprocesses that the text lacks, by the numbers of their callers, and `drifting` the
    callers that have such a one at a task without children.
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
        piece_id = cut.id(number)
        own = tuple(cut.names(number))
        newest = cut.newest(number)
        facts[number] = together(
            Facts(
                names.setdefault(own, frozenset(own)),
                cut.states(number),
                newest,
                bool(children),
                cut.drifts(number) or number in drifting,
                version_of(piece_id),
            ),
            children.values(),
        )
        parent = cut.parent(number)
        caller = None if parent is None or parent == ROOT else cut.id(parent)
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
    if cut is None:  # with escapes, because a piece must be UTF-8
        text = text if text.isascii() else json.dumps(json.loads(text))
        return StatePieces({LIVE: piece_text(LIVE, {}, text)})
    head = cut.head()
    run = json.loads(head)
    header = run.get(HEADER)
    header = header if isinstance(header, dict) else {}
    earlier = header.get("earlier", [])
    numbers = {
        one: number for number, then in enumerate(earlier) for one in then.get("settled", ())
    }
    split = split_cut(cut, lambda one: numbers.get(one, len(earlier)), {})
    if earlier:
        header["earlier"] = with_settled(earlier, {})
        head = json.dumps(run)
    more: dict[str, Any] = {}
    if split.texts and "processes" not in header:
        more["processes"] = sorted(process_names(cut, json.loads))
    live = piece_text(LIVE, split.listed, head, **more)
    return StatePieces({LIVE: live, **split.texts}, (), split.written)


def join_pieces(read: Read) -> str:
    """The state that pieces make, as one text; errors are those of `pieces.checked`."""
    live = checked(read, LIVE)
    listed, head = content(live)
    source = StoredPieces(read, json.loads, live)
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
    header = run.get(HEADER)
    if isinstance(header, dict) and header.get("earlier"):
        earlier = header["earlier"]
        numbers = source.versions(len(earlier))
        header["earlier"] = with_settled(earlier, numbers)
        head = json.dumps({**run, "subprocesses": json.loads(head)["subprocesses"]})
    text = splice(head, members)
    return _joined(head, members) if text is None else text


def _joined(head: str, members: list[Member]) -> str:
    """What `splice` gives, for texts that only `json` reads, such as those with long numbers."""
    apart = {one[0]: one[1] for one in members if isinstance(one, tuple)}
    ids = [one[0] if isinstance(one, tuple) else one for one in members]
    run = parse(head, None)
    found = {**run["subprocesses"], **{one: parse(text, None) for one, text in apart.items()}}
    if len(found) != len(ids) or found.keys() != set(ids):
        raise damage(LIVE, "it does not contain a state")
    return json.dumps({**run, "subprocesses": {one: found[one] for one in ids}})


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
