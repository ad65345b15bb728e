"""Check every unit of every workflow JSON file in a folder: `python tests/corpus.py FOLDER`.

Caches each file, and gets the unit of every process and of every element from the cache. A unit
must be valid JSON, contain exactly the specs that the rules name, and contain each spec unchanged.
The rules are those of `tests/naive.py`, which shares no code with the library. Prints a table of
sizes. Exits with 1 if a check fails, and with 2 if there is nothing to check.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import naive

import spiff_element_units
from spiff_element_units import ElementUnits


def wrong_units(text: str, cache_dir: str, key: str) -> Iterator[str]:
    """What is wrong with the units of a cached workflow: a sentence for each fault."""
    whole = json.loads(text)
    specs = {**whole["subprocess_specs"], whole["spec"]["name"]: whole["spec"]}
    specs = {name: spec for name, spec in specs.items() if spec is not None}
    for process_id, spec in specs.items():
        elements = {process_id: None}
        for name, task in spec["task_specs"].items():
            elements |= {name: None, task.get("bpmn_id") or name: None}
        for element_id in elements:
            place = f"unit of {process_id!r} at {element_id!r}"
            try:
                unit = json.loads(
                    spiff_element_units.workflow_from_cached_element_unit(
                        cache_dir, key, process_id, element_id
                    )
                )
            except ValueError as error:
                yield f"{place}: {error}"
                continue
            held = {process_id: unit["spec"], **unit["subprocess_specs"]}
            needed = set(naive.needs(whole, process_id, element_id))
            if missing := needed - held.keys():
                yield f"{place} lacks {sorted(missing)}"
            if beyond := held.keys() - needed:
                yield f"{place} holds {sorted(beyond)}, which it does not need"
            yield from (
                f"{place} changes {name!r}"
                for name in needed & held.keys()
                if held[name] != specs[name]
            )


def sizes(units: ElementUnits, text: str) -> tuple[int, int, int, int, int]:
    """Processes, bytes of the whole without whitespace, of start units, and of the median unit."""
    whole = len(json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False).encode())
    calls, everything = (
        len(units.workflow(units.root, defer=defer).encode()) for defer in ("calls", "all")
    )
    each = [
        len(units.workflow(process_id, element_id).encode())
        for process_id in units.process_ids
        for element_id in units.element_ids(process_id) or [process_id]
    ]
    return len(units.process_ids), whole, calls, everything, round(statistics.median(each))


def main(folder: str) -> int:
    """Check all files of a folder. Returns the exit code."""
    files = sorted(Path(folder).rglob("*.json"))
    if not files:
        print(f"no .json files in {folder!r}; name a folder of workflow spec JSON", file=sys.stderr)
        return 2
    failed = 0
    heads = ("processes", "full", "start, calls", "start, all", "median unit")
    print(f"{'bytes of':<56}" + "".join(f"{head:>14}" for head in heads))
    with tempfile.TemporaryDirectory() as cache_dir:
        for file in files:
            name = str(file.relative_to(folder))
            text = file.read_text(encoding="utf-8")
            spiff_element_units.cache_element_units_for_workflow(cache_dir, name, text)
            with ElementUnits.open(cache_dir, name) as units:
                count, whole, calls, everything, median = sizes(units, text)
            print(
                f"{name:<56}{count:>14}{whole:>14}{calls:>8} {calls / whole:>4.0%} "
                f"{everything:>7} {everything / whole:>4.0%} {median:>7} {median / whole:>4.0%} "
            )
            for wrong in wrong_units(text, cache_dir, name):
                failed += 1
                print(f"  WRONG: {wrong}")
    print(f"{len(files)} files, {failed} wrong units")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tests/corpus.py FOLDER")
    sys.exit(main(sys.argv[1]))
