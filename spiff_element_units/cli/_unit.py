"""`unit`: writes a unit, or explains what it contains."""

from __future__ import annotations

import sys
from typing import Any, Optional

import click

from ..asking import DEFERS, Defer
from ..cache.store import Place
from ..units import ElementUnits
from ._app import command
from ._output import Column, Output, count, percent, shown
from ._paths import Step, paths
from ._place import names, opened_place, parser, require_process, split

_VERBS = {"call": "calls", "embedded": "embeds", "trigger": "triggers"}


@command(
    "spiff-element-units unit unit-cache Claim Claim order_transfer -o unit.json\n"
    "spiff-element-units unit models/claim.bpmn Claim order_transfer --explain"
)
@names("[KEY] [PROCESS] [ELEMENT]...")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to a file.")
@click.option(
    "--explain",
    is_flag=True,
    help="Explain what the unit contains, and why, instead of writing it.",
)
@click.option(
    "--defer",
    type=click.Choice(DEFERS),
    default=DEFERS[0],
    show_default=True,
    help="Which processes the application loads later, so that the unit omits them.",
)
@parser
def unit(
    out: Output,
    place: Place,
    names: tuple[str, ...],
    output: Optional[str],
    explain: bool,
    defer: Defer,
    parser: str,
) -> None:
    """Write the unit that starts PROCESS, or resumes it at ELEMENT, as JSON.

    A cache needs a KEY, and a file has none. PROCESS is the root if you omit it.

    --explain shows which processes the unit contains, and the path of references to each of them.
    A unit is always JSON; --json is for the output of --explain.
    """
    key, asked = split(place, names)
    with opened_place(place, key, parser, asked[0] if asked else None, "name") as units:
        process_id = asked[0] if asked else units.root
        require_process(units, process_id)
        element_ids = asked[1:]
        if explain:
            return _explain(out, units, process_id, element_ids, defer)
        text = units.workflow(process_id, *element_ids, defer=defer)
    if output is not None:
        with open(output, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode() + b"\n")
    return None


def _explain(
    out: Output, units: ElementUnits, process_id: str, element_ids: tuple[str, ...], defer: Defer
) -> None:
    held = paths(units, process_id, element_ids, defer)
    sizes = {one: len(units.spec_json(one)) for one in held}
    if out.as_json:
        return out.json(
            {
                "process": process_id,
                "elements": list(element_ids),
                "defer": defer,
                "bytes": len(units.workflow(process_id, *element_ids, defer=defer).encode()),
                "processes": [
                    {"id": one, "bytes": sizes[one], "path": [_described(step) for step in path]}
                    for one, path in held.items()
                ],
            }
        )
    whole = sum(len(units.spec_json(one)) for one in units.process_ids)
    total = sum(sizes.values())
    out.table(
        [
            Column("process", style="bold"),
            Column("size", True, rank=1),
            Column("of unit", True, rank=2),
            Column("reached by"),
        ],
        [
            (shown(one), out.size(sizes[one]), percent(sizes[one], total), _told(path))
            for one, path in held.items()
        ],
    )
    processes = count(len(held), "process")
    return out.line(
        f"{processes}, {out.bytes(total)}: {percent(total, whole)} of the workflow", "dim"
    )


def _described(step: Step) -> dict[str, Any]:
    return {
        "process": step.process_id,
        "element": step.element_id,
        "kind": step.kind,
        "to": step.to,
    }


def _told(path: tuple[Step, ...]) -> str:
    """A path in words. Each process is named once."""
    if not path:
        return "requested"
    words = [shown(path[0].process_id)]
    for step in path:
        words.append(f"> {shown(step.element_id)} {_VERBS[step.kind]} {shown(step.to)}")
    return " ".join(words)
