"""`show`: prints the tree of a workflow's processes, and the sizes of units."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

import click

from ..cache.store import Place
from ._app import Failure, command
from ._facts import Facts, Folded, Link, fold
from ._links import linked
from ._output import Column, Output, count, percent, shown
from ._place import PROCESS, opened_place, parser, place, require_process

LINES = 60  # a tree with more lines is folded

_HOW = {"call": "called", "embedded": "embedded", "trigger": "triggered"}
_COLUMNS = (
    Column("process", style="bold", whole=True),
    Column("how", style="cyan", whole=True, rank=1, least=28),
    Column("tasks", True, rank=4),
    Column("size", True),
    Column("share", True, rank=3),
    Column("start unit", True),
    Column("share", True, rank=2),
    Column("largest in it", style="yellow", whole=True, rank=5, least=16),
)


@command(
    "spiff-element-units show unit-cache Claim\nspiff-element-units show models/claim.bpmn --all"
)
@place
@click.option(
    "--process",
    "process_id",
    type=PROCESS,
    help="Show the tree below this process. For a BPMN file: the root process.",
)
@parser
@click.option("--all", "everything", is_flag=True, help="Show everything.")
def show(
    out: Output,
    place: Place,
    key: Optional[str],
    process_id: Optional[str],
    parser: str,
    everything: bool,
) -> None:
    """Show the tree of the processes of a workflow in a cache or in a file.

    For each process you see how it is reached and from which elements, the number of its tasks, its
    size and its share of the workflow, and the size of its start unit with the largest process in
    it. Sizes are those of the JSON of the specs. If a process appears several times, its subtree is
    shown only once. Large trees are folded. --json prints everything.
    """
    with opened_place(place, key, parser, process_id) as own:
        units, origins = linked(own, place, key)
        facts = Facts(units, origins)
        tops = facts.tops
        if process_id is not None:
            require_process(units, process_id)
            tops = (process_id,)
        if out.as_json:
            return out.json(_described(facts, own.digest))
        folded = fold(facts, tops, 0 if everything else LINES)
        lines = list(_lines(facts, folded))
        if not lines:
            raise Failure("the workflow has no process")
        out.table(_COLUMNS, [_row(out, facts, line) for line in lines])
        processes = count(len(facts.process_ids), "process")
        out.line(f"{processes}, {out.bytes(facts.whole)}{_dominates(out, facts, lines)}", "dim")
    return None


class _Line(NamedTuple):
    """A line of the tree: its guides, its process or folded processes, and how it is reached."""

    guides: str
    process_id: str
    link: Optional[Link]
    note: str = ""
    folded: tuple[str, ...] = ()
    source: str = ""  # the process that leads here


def _lines(facts: Facts, folded: Folded) -> Iterator[_Line]:
    unfolded: set[str] = set()
    for top in folded.tops:
        if top in folded.links or top in folded.hidden:
            note = "" if top in (facts.root, folded.tops[0]) else "nothing leads here"
            yield _Line("", top, None, note)
            yield from _below(folded, top, (top,), "", unfolded)


def _below(
    folded: Folded, process_id: str, ancestors: tuple[str, ...], guides: str, unfolded: set[str]
) -> Iterator[_Line]:
    """The lines below a process, depth first, without recursive function calls."""
    stack: list[tuple[str, tuple[str, ...], str, Iterator[Any]]] = []

    def enter(one: str, above: tuple[str, ...], guides: str) -> None:
        unfolded.add(one)
        hidden = folded.hidden.get(one, ())
        inner: list[Any] = list(folded.links.get(one, ()))
        if hidden:
            inner.append(hidden)
        last = len(inner) - 1
        stack.append(
            (one, above, guides, iter([(at == last, item) for at, item in enumerate(inner)]))
        )

    enter(process_id, ancestors, guides)
    while stack:
        source, above, guides, rest = stack[-1]
        following = next(rest, None)
        if following is None:
            stack.pop()
            continue
        last, link = following
        branch = guides + ("└─ " if last else "├─ ")
        if not isinstance(link, Link):
            yield _Line(branch, "", None, "", link)
            continue
        note = ""
        if link.external:
            note = "external"
        elif link.process_id in above:
            note = "recursive"
        elif link.process_id in unfolded and (
            link.process_id in folded.links or link.process_id in folded.hidden
        ):
            note = "again"
        yield _Line(branch, link.process_id, link, note, source=source)
        if not note:
            enter(link.process_id, (*above, link.process_id), guides + ("   " if last else "│  "))


def _row(out: Output, facts: Facts, line: _Line) -> tuple[str, ...]:
    guides = line.guides if out.terminal else "  " * (len(line.guides) // 3)
    if line.folded:
        size = sum(facts.sizes[one] for one in line.folded)
        more = count(len(line.folded), "more process")
        share = percent(size, facts.whole)
        return (f"{guides}… {more}", "folded", "", out.size(size), share, "", "", "")
    how = _how(out, facts.origins, line)
    name = guides + shown(line.process_id)
    if line.note in ("external", "again", "recursive"):
        return (name, how, "", "", "", "", "", "")
    size = facts.sizes[line.process_id]
    unit = facts.start_unit(line.process_id)
    in_unit = sum(facts.sizes[one] for one in unit.process_ids)
    largest = ""
    if len(unit.process_ids) > 1:
        largest = f"{shown(unit.largest)} {percent(facts.sizes[unit.largest], in_unit)}"
    return (
        name,
        how,
        str(facts.tasks(line.process_id)),
        out.size(size),
        percent(size, facts.whole),
        out.size(unit.size),
        percent(in_unit, facts.whole),
        largest,
    )


def _how(out: Output, origins: dict[str, str], line: _Line) -> str:
    if line.link is None:
        return line.note or "root"
    elements = [shown(one) for one in line.link.elements]
    by = ", ".join(elements)
    if out.terminal and len(elements) > 1:
        by = f"{elements[0]} and {len(elements) - 1} more"
    how = f"{_HOW[line.link.kind]} by {by}"
    origin = origins.get(line.process_id)
    if origin is not None and origin != origins.get(line.source):
        how += f", from {shown(origin)}"
    return f"{how}, {line.note}" if line.note else how


def _dominates(out: Output, facts: Facts, lines: list[_Line]) -> str:
    """A sentence about the largest start unit of the processes shown."""
    started = [line.process_id for line in lines if line.process_id in facts.sizes]
    heaviest = max(dict.fromkeys(started), key=lambda one: facts.start_unit(one).size)
    unit = facts.start_unit(heaviest)
    text = f"; the largest start unit is that of {shown(heaviest)}, {out.bytes(unit.size)}"
    if len(unit.process_ids) > 1:
        text += f" with {count(len(unit.process_ids), 'process')}"
    return text


def _described(facts: Facts, digest: str) -> dict[str, Any]:
    return {
        "root": facts.root,
        "digest": digest,
        "bytes": facts.whole,
        "processes": [_process(facts, one) for one in facts.process_ids],
    }


def _process(facts: Facts, process_id: str) -> dict[str, Any]:
    unit = facts.start_unit(process_id)
    return {
        "id": process_id,
        "from": facts.origins.get(process_id),
        "tasks": facts.tasks(process_id),
        "bytes": facts.sizes[process_id],
        "share": _share(facts.sizes[process_id], facts),
        "start_unit": {
            "bytes": unit.size,
            "share": _share(sum(facts.sizes[one] for one in unit.process_ids), facts),
            "processes": len(unit.process_ids),
            "largest": unit.largest,
        },
        "references": [one._asdict() for one in facts.units.references(process_id)],
    }


def _share(part: int, facts: Facts) -> float:
    return round(part / facts.whole, 6)
