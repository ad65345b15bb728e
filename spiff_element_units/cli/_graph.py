"""`graph`: draws the reference graph of a workflow as text, as a picture or as a page."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from typing import Any, Optional

import click

from ..cache.kept_source import read_source
from ..cache.store import Place
from ..errors import ElementUnitsError
from ..units import ElementUnits
from ._app import PROGRAM, Failure, command
from ._diff import opened_versions
from ._drawing import dot, draw, mermaid
from ._facts import Facts
from ._links import linked
from ._output import Output
from ._place import opened_place, parser, place, require_process, require_root

PROCESSES = 100  # that are drawn of a large workflow


@command(
    "spiff-element-units graph unit-cache Claim --format html -o claim.html\n"
    "spiff-element-units graph unit-cache Claim --unit Claim order_transfer"
)
@place
@click.option(
    "--format",
    "form",
    type=click.Choice(["mermaid", "dot", "svg", "html"]),
    default="mermaid",
    show_default=True,
    help="svg needs Graphviz; html is one page that works offline.",
)
@click.option(
    "--unit",
    nargs=2,
    metavar="PROCESS ELEMENT",
    help="Colour the processes of this unit. PROCESS PROCESS is the unit that starts it.",
)
@click.option(
    "--against",
    metavar="KEY|FILE",
    help="Compare with an older version: a key of the cache, or a file if you draw a file (html).",
)
@click.option(
    "--state",
    type=click.Path(exists=True),
    metavar="STATE",
    help="Show the instance with this state on the diagrams (html).",
)
@click.option(
    "--states",
    type=click.Path(exists=True, file_okay=False),
    metavar="FOLDER",
    help="Show where the instances with states in a folder wait (html).",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to a file.")
@click.option("--process", "process_id", help="The root process of a BPMN file.")
@parser
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Show everything (in html, click a process to unfold it).",
)
def graph(
    out: Output,
    place: Place,
    key: Optional[str],
    form: str,
    unit: Optional[tuple[str, str]],
    against: Optional[str],
    state: Optional[str],
    states: Optional[str],
    output: Optional[str],
    process_id: Optional[str],
    parser: str,
    everything: bool,
) -> None:
    """Draw the reference graph of a workflow in a cache or in a file.

    The size of a process in the drawing depends on the size of its spec. Calls, embedded
    subprocesses and triggers have different lines. In a large workflow, only the processes nearest
    to the root are drawn, and the others are folded.

    With --against, the page colours the processes that were added, removed and changed since
    another version, and lists the elements that differ. It shows the diagrams of both versions.
    """
    _require_page(form == "html" and not out.as_json, against, state, states)
    with contextlib.ExitStack() as opened:
        old: Optional[ElementUnits] = None
        origins: dict[str, str] = {}
        own: Optional[ElementUnits] = None
        if against is None:
            own = opened.enter_context(opened_place(place, key, parser, process_id))
            require_root(own, process_id)
            units, origins = linked(own, place, key)
        else:
            versions: tuple[Any, ...] = (against, place) if key is None else (place, against, key)
            old, units = map(opened.enter_context, opened_versions(versions, parser, process_id))
        facts = Facts(units, origins)
        if unit:
            require_process(units, unit[0])
        held = frozenset(units.needs(*unit) if unit else ())
        if out.as_json:
            return out.json(_described(facts, unit, held))
        if form == "html":
            from ._page import Compared, page

            instances = _instances(units, state or states)
            diagrams = _diagrams(units if own is None else own, place, key, parser, origins)
            compared = None
            if old is not None:
                older = str(against)
                where = (older, None) if key is None else (place, older)
                kept = _diagrams(old, where[0], where[1], parser, {})
                compared = Compared(old, older, kept, _OLD_HINTS[key is not None])
            title = key or os.path.basename(str(place))
            hint = "" if diagrams or key is None else _HINT
            text = page(facts, title, unit, compared, diagrams, instances, hint)
        else:
            drawing = draw(facts, held, 0 if everything else PROCESSES)
            text = mermaid(drawing) if form == "mermaid" else dot(drawing)
    if form == "svg":
        text = svg(text)
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode(errors="backslashreplace"))
    else:
        with open(output, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
    return None


def _require_page(
    is_page: bool, against: Optional[str], state: Optional[str], states: Optional[str]
) -> None:
    """Raises UsageError if an option needs the page, or another option excludes it."""
    wrong = ""
    if against is not None and not is_page:
        wrong = (
            f"--against is for --format html; {PROGRAM} diff compares two versions in text or JSON"
        )
    elif (state or states) and not is_page:
        wrong = "--state and --states are for --format html"
    elif state and states:
        wrong = "give --state for one instance, or --states for many"
    if wrong:
        raise click.UsageError(wrong, click.get_current_context())


def _instances(units: ElementUnits, place: Optional[str]) -> Any:
    """The instances whose states are in a file or folder. Raises Failure, which names the file."""
    from ._instances import Instances
    from ._states import read_states

    instances = Instances(units)
    for one in read_states((place,) if place else ()):
        if one.unreadable:
            raise Failure(f"{one.name!r}: {one.unreadable}")
        instances.add(one.name, one.text)
    return instances


_HINT = "For diagrams, cache its BPMN files with --keep-source."
_OLD_HINTS = (
    "For its diagrams, compare with its BPMN files.",
    "For its diagrams, cache its BPMN files with --keep-source.",
)


def _diagrams(
    own: ElementUnits, place: Place, key: Optional[str], parser: str, origins: dict[str, str]
) -> list[str]:
    """The BPMN of a model whose BPMN is at hand, or kept in the cache with it.

    `origins` has the keys of the other workflows that are drawn.
    """
    if key is not None:
        texts = _kept(place, key, own)
        for other in dict.fromkeys(origins.values()):
            with contextlib.suppress(ElementUnitsError), ElementUnits.open(place, other) as units:
                texts += _kept(place, other, units)
        return list(dict.fromkeys(texts))
    if not isinstance(place, str) or not (os.path.isdir(place) or place.lower().endswith(".bpmn")):
        return []
    from ._models import diagrams  # needs SpiffWorkflow

    return diagrams(place, parser)


def _kept(place: Place, key: str, units: ElementUnits) -> list[str]:
    """The BPMN that is kept with a workflow of the cache."""
    source = read_source(place, key, bytes.fromhex(units.digest))
    return [] if source is None else list(json.loads(source))


def _described(
    facts: Facts, unit: Optional[tuple[str, str]], held: frozenset[str]
) -> dict[str, Any]:
    units: ElementUnits = facts.units
    return {
        "root": facts.root,
        "bytes": facts.whole,
        "unit": None if unit is None else {"process": unit[0], "element": unit[1]},
        "processes": [
            {
                "id": one,
                "from": facts.origins.get(one),
                "bytes": facts.sizes[one],
                "in_unit": one in held,
            }
            for one in facts.process_ids
        ],
        "references": [
            {"process": one, **reference._asdict()}
            for one in facts.process_ids
            for reference in units.references(one)
        ],
    }


def svg(text: str) -> str:
    """The SVG that Graphviz makes of a graph."""
    program = shutil.which("dot")
    if program is None:
        raise Failure(
            "--format svg needs Graphviz's dot, which is not installed (Debian: apt install "
            "graphviz); --format dot writes its input, and --format html does not need it"
        )
    done = subprocess.run(
        [program, "-Tsvg"],
        input=text.encode(errors="backslashreplace"),
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise Failure(f"Graphviz's dot failed: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode()
