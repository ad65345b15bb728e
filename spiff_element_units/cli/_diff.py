"""`diff`: shows what differs between two versions of a workflow."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Any, Optional

import click

from ..cache.store import is_store
from ..diff import ElementDiff, FieldDiff, ProcessDiff, WorkflowDiff, told
from ..units import ElementUnits
from ._app import PROGRAM, Failure, command
from ._output import Column, Output, escaped, shown
from ._place import VERSION, opened, opened_place, parser, place_of, require_root
from ._tree import found

_COLUMNS = (
    Column("process, element", style="bold", whole=True),
    Column("change", style="cyan", whole=True),
    Column("what", rank=1),
)


@command(
    "spiff-element-units diff unit-cache claim-1 claim-2\n"
    "spiff-element-units diff old/claim.bpmn new/claim.bpmn --process Claim"
)
@click.argument("versions", metavar="[CACHE_DIR] OLD NEW", nargs=-1, required=True, type=VERSION)
@click.option("--process", "process_id", help="The root process of BPMN files.")
@parser
def diff(
    out: Output, versions: tuple[str, ...], process_id: Optional[str], parser: str
) -> Optional[int]:
    """Show what differs between two versions of a workflow.

    OLD and NEW are keys of the cache in CACHE_DIR. Without CACHE_DIR, they are spec JSON files,
    BPMN files, or folders: the BPMN and DMN files of a folder are one model.

    You see the processes that were added, removed and changed, the elements of the changed ones,
    and what of each element has changed. --json also gives the old and the new values.

    The exit code is 0 if the versions are the same, 1 if they differ, and 2 if the command failed
    or the command line is wrong.
    """
    if len(versions) not in (2, 3):
        raise click.UsageError(
            "name a cache and two of its keys, or two files or folders",
            click.get_current_context(),
        )
    old, new = opened_versions(versions, parser, process_id)
    with old, new:
        found = old.diff(new)
        if out.as_json:
            out.json(_described(found, old, new))
        else:
            out.table(_COLUMNS, list(_rows(found)))
            if found.fields:
                out.line(f"the workflow: {escaped(told(found.fields))}")
            out.line(found.summary, "dim")
    return 1 if found else 0


def opened_versions(
    versions: tuple[Any, ...], parser: str, root: Optional[str]
) -> tuple[ElementUnits, ElementUnits]:
    """Both versions: of a cache and two keys, or of two files or folders."""
    *cache_dir, old, new = versions
    if cache_dir:
        place = place_of(cache_dir[0])
        return _opened(place, old, root), _opened(place, new, root)
    for version in map(place_of, (old, new)):
        if is_store(version):
            raise click.UsageError(
                f"{str(version)!r} is a store; name a key of that cache",
                click.get_current_context(),
            )
    # SpiffWorkflow writes the name of a file into its specs. It must not make two files differ.
    name = os.path.basename(new if os.path.isdir(old) else old)
    return _version(old, name, parser, root), _version(new, name, parser, root)


def _opened(place: Any, key: str, root: Optional[str]) -> ElementUnits:
    units = opened(place, key)
    require_root(units, root)
    return units


def _version(path: str, name: str, parser: str, root: Optional[str]) -> ElementUnits:
    """The workflow of a file or folder. `name` is what specs call the file."""
    if os.path.isdir(path):
        files = {file.path: file.within for file in found((path,)) if file.of_model}
        if not files:
            raise Failure(
                f"there is no BPMN file in the folder {path!r}; to compare keys of a cache, use "
                f"{PROGRAM} diff CACHE_DIR OLD NEW"
            )
    elif path.lower().endswith(".bpmn"):
        files = {path: name}
    else:
        units = opened_place(path, None, parser, root)
        require_root(units, root)
        return units
    from ._documents import Document  # these need SpiffWorkflow
    from ._models import Model, beside, chosen_root

    model = Model(parser)
    for file in sorted(files, key=lambda file: not file.lower().endswith(".dmn")):
        model.add(Document(file, files[file]))
    if not os.path.isdir(path):
        model.complete(other for other in beside(path) if other.is_dmn)
    root = chosen_root(model, root, model.roots(), "use --process to choose")
    return ElementUnits.from_json(model.spec_json(root).text)


def _rows(found: WorkflowDiff) -> Iterator[tuple[str, str, str]]:
    for process in found.changed:
        yield shown(process.process_id), "changed", _of_process(process)
        for element in process.elements:
            yield f"  {shown(element.element_id)}", element.change, _of_element(element)
    for name in found.added:
        yield shown(name), "added", ""
    for name in found.removed:
        yield shown(name), "removed", ""


def _of_process(process: ProcessDiff) -> str:
    parts = []
    if process.fields or not (process.elements or process.within):
        parts.append(escaped(told(process.fields)))
    if process.within:
        parts.append(f"within it: {', '.join(map(shown, process.within))}")
    return "; ".join(parts)


def _of_element(element: ElementDiff) -> str:
    if element.change == "changed":
        return escaped(told(element.fields))
    name = "" if element.name is None else f" {element.name!r}"
    return escaped(f"{element.typename}{name}")


def _described(found: WorkflowDiff, old: ElementUnits, new: ElementUnits) -> dict[str, Any]:
    return {
        "same": not found,
        "old": {"key": old.cache_key, "root": old.root, "digest": old.digest},
        "new": {"key": new.cache_key, "root": new.root, "digest": new.digest},
        "added": list(found.added),
        "removed": list(found.removed),
        "changed": [
            {
                "id": one.process_id,
                "elements": [
                    {
                        "id": element.element_id,
                        "change": element.change,
                        "type": element.typename,
                        "name": element.name,
                        "fields": _listed(element.fields),
                    }
                    for element in one.elements
                ],
                "fields": _listed(one.fields),
                "within": list(one.within),
            }
            for one in found.changed
        ],
        "unchanged": list(found.same),
        "fields": _listed(found.fields),
    }


def _listed(fields: tuple[FieldDiff, ...]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(one) for one in fields]
