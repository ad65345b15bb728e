"""The page of `graph --format html`: an interactive graph of a workflow in one file.

The page contains its data as JSON in a script element that is not executed, with `<` escaped. Ids
therefore stay data, whatever they contain. The scripts in `page/` show ids only as text. A content
security policy keeps the page from loading anything.
"""

from __future__ import annotations

import base64
import functools
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from typing import Any, NamedTuple, Optional

import orjson

from ..diff import ProcessDiff, told
from ..units import ElementUnits, Reference
from ._facts import Facts
from ._instances import Instances
from ._paths import ids_of, refers_by


class Compared(NamedTuple):
    """The version that a page compares with, and what it is called.

    `diagrams` are texts of its BPMN files. If there are none, `hint` says how to get them.
    """

    units: ElementUnits
    title: str
    diagrams: Sequence[str] = ()
    hint: str = ""


LIBRARIES = ("elk.bundled.js", "tabulator.min.js")
# Only in pages with diagrams.
VIEWER = "bpmn-navigated-viewer.production.min.js"
_VIEWER_STYLES = ("diagram-js.css", "bpmn-js.css")
# They are put together in this order, and share their names.
SCRIPTS = (
    "load.js",
    "model.js",
    "graph.js",
    "moving.js",
    "table.js",
    "tree.js",
    "finding.js",
    "layout.js",
    "ids.js",
    "instances.js",
    "versions.js",
    "diagram.js",
    "details.js",
    "page.js",
)
_KINDS = {"call": 0, "embedded": 1, "trigger": 2}


def page(
    facts: Facts,
    title: str,
    unit: Optional[tuple[str, str]],
    compared: Optional[Compared] = None,
    diagrams: Sequence[str] = (),
    instances: Optional[Instances] = None,
    hint: str = "",
) -> str:
    """The page of a workflow. It first shows `unit`, a process and an element.

    `diagrams` are texts of BPMN files, and `instances` are shown on their diagrams. If there are no
    diagrams, `hint` says how to get them.
    """
    data = _data(facts, title, unit)
    data["against"] = compared and _against(facts, compared, diagrams)
    data["diagrams"] = list(diagrams)
    data["hint"] = hint
    data["instances"] = instances and instances.told()
    with_viewer = bool(diagrams or (compared and compared.diagrams))
    styles = ("tabulator_simple.min.css", *_VIEWER_STYLES * with_viewer, "page.css")
    parts = {
        "licenses": _read("LICENSES.txt").replace("--", "- -"),
        "styles": "".join(map(_read, styles)),
        "libraries": "\n".join(
            f'<script type="text/plain" class="packed">{_library(name)}</script>'
            for name in (*LIBRARIES, *[VIEWER] * with_viewer)
        ),
        "data": _packed(json.dumps(data, separators=(",", ":")).encode()),
        "script": "".join(map(_read, SCRIPTS)),
    }
    pieces = _read("page.html").split("@@")
    return "".join(parts[piece] if at % 2 else piece for at, piece in enumerate(pieces))


def _read(name: str) -> str:
    folder = files("spiff_element_units.cli").joinpath("page")
    return folder.joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _library(name: str) -> str:
    return _packed(_read(name).encode())


def _packed(content: bytes) -> str:
    """Gzip in base64, a third of the size of a library. `page/load.js` unpacks it."""
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode("ascii")


def _data(facts: Facts, title: str, unit: Optional[tuple[str, str]]) -> dict[str, Any]:
    """The data of the page. Processes are numbers; -1 - n is the n-th external process."""
    numbers = {one: number for number, one in enumerate(facts.process_ids)}
    externals: dict[str, int] = {}

    def number(process_id: str, external: bool) -> int:
        if external:
            return -1 - externals.setdefault(process_id, len(externals))
        return numbers[process_id]

    processes = []
    for process_id in facts.process_ids:
        text = facts.units.spec_json(process_id)
        spec = orjson.loads(text)
        task_specs = spec["task_specs"]
        references = facts.units.references(process_id)
        elements = facts.units.element_ids(process_id)
        at = {element: position for position, element in enumerate(elements)}
        processes.append(
            [
                process_id,
                len(text),
                len(task_specs),
                elements,
                [
                    [_KINDS[one.kind], number(one.process_id, one.external), one.element_id]
                    for one in references
                ],
                {
                    at[element]: [numbers[to] for to in leading]
                    for element, leading in _leading(task_specs, references).items()
                    if element is not None
                },
                _other_name(spec.get("description"), process_id),
                {at[element]: name for element, name in _names(task_specs) if element in at},
                [at[name] for name, task in task_specs.items() if _is_added(name, task)],
            ]
        )
    shown = None if unit is None else [numbers[unit[0]], unit[1]]
    return {
        "title": title,
        "root": numbers[facts.root],
        "processes": processes,
        "externals": list(externals),
        "unit": shown,
    }


def _names(task_specs: dict[str, Any]) -> Iterator[tuple[Any, str]]:
    """The ids of elements that have a BPMN name, and the name."""
    for key, task in task_specs.items():
        for id in ids_of(key, task):
            name = _other_name(task.get("bpmn_name"), id)
            if name:
                yield id, name


def _other_name(name: Any, id: Any) -> str:
    """A name, unless it says no more than the id, as "Check policy" beside `check_policy`."""
    if not isinstance(name, str):
        return ""
    return name if _letters(name) != _letters(id or "") else ""


def _letters(text: str) -> list[str]:
    return [one for one in text.casefold() if one.isalnum()]


def _is_added(key: str, task: dict[str, Any]) -> bool:
    """Whether SpiffWorkflow added a task spec, so that the diagram has no such element.

    Before its serializer 1.2, such a task spec can only be told by its name.
    """
    if "bpmn_id" in task:
        return task["bpmn_id"] is None
    return key in ("Start", "End") or key.endswith(("EndJoin", "BoundaryEventParent"))


def _leading(task_specs: dict[str, Any], references: Iterable[Reference]) -> dict[str, list[str]]:
    """The processes that each element brings into a unit."""
    targets: dict[str, list[str]] = {}
    for one in references:
        if one.kind != "trigger" and not one.external:
            targets.setdefault(one.element_id, []).append(one.process_id)
    leading: dict[str, list[str]] = {}
    for name, task in task_specs.items() if targets else ():
        found = targets.get(refers_by(task_specs, name) or name, [])
        for element in dict.fromkeys(ids_of(name, task)) if found else ():
            leading.setdefault(element, []).extend(found)
    return leading


def _against(facts: Facts, compared: Compared, diagrams: Sequence[str]) -> dict[str, Any]:
    """What the page says of the other version. Removed processes have the numbers after the others.

    `gone` are the references of the other version to them and from them: from, kind, to, element.
    A diagram that both versions have is the number that it has in `diagrams`.
    """
    old = compared.units
    found = old.diff(facts.units)
    ids = [*facts.process_ids, *found.removed]
    numbers = {one: number for number, one in enumerate(ids)}
    removed = set(found.removed)
    shared = {text: number for number, text in enumerate(diagrams)}
    return {
        "title": compared.title,
        "diagrams": [shared.get(text, text) for text in compared.diagrams],
        "hint": compared.hint,
        "summary": found.summary,
        "workflow": told(found.fields) if found.fields else "",
        "added": [numbers[one] for one in found.added],
        "removed": [
            [
                one,
                len(old.spec_json(one)),
                len(orjson.loads(old.spec_json(one))["task_specs"]),
                old.element_ids(one),
            ]
            for one in found.removed
        ],
        "changed": [[numbers[one.process_id], *_changes(one, numbers)] for one in found.changed],
        "gone": [
            [numbers[one], _KINDS[to.kind], numbers[to.process_id], to.element_id]
            for one in old.process_ids
            for to in old.references(one)
            if (one in removed or to.process_id in removed) and to.process_id in numbers
        ],
    }


def _changes(process: ProcessDiff, numbers: dict[str, int]) -> list[Any]:
    """The elements that differ, what else of the process does, and what differs within it."""
    plain = not (process.elements or process.within)
    return [
        [
            [one.change, one.element_id, told(one.fields) if one.change == "changed" else ""]
            for one in process.elements
        ],
        told(process.fields) if process.fields or plain else "",
        [numbers[one] for one in process.within if one in numbers],
    ]
