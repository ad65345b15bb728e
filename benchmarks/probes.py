"""Measures once in a fresh process: memory, bytes read, sizes, the time of an import.

    python benchmarks/probes.py PROBE SUBJECT FOLDER

prints one JSON object. `FOLDER` is what `workflows.prepare` has written; for an import it does not
matter. Memory is in bytes, times in seconds.
"""

from __future__ import annotations

import gc
import importlib
import json
import resource
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from given import KEY, Given, asked_for, cache_workflow, new_engine, new_serializer, saved_instance

STARTS = 1_000
OPENED = 100


# Memory of this process


def _status(name: str) -> int:
    """A line of /proc/self/status, in bytes; 0 if the system has none."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))
    except OSError:
        return 0


def _forget_peak() -> None:
    """Reset the peak (Linux). A process inherits it from the one that starts it."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return _status("VmHWM:") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory_now() -> int:
    return _status("VmRSS:") or _peak()


# Probes


def caching(given: Given, subject: str) -> dict[str, Any]:
    """The peak of caching a workflow, above the memory before, which includes the input."""
    from spiff_element_units import cache_element_units_for_workflow

    text = given.text()
    gc.collect()
    _forget_peak()
    before = _peak()
    cache_element_units_for_workflow(str(given.scratch), KEY, text)
    return {"above input": _peak() - before, "text": len(text)}


def opened(given: Given, subject: str) -> dict[str, Any]:
    """The memory of an open `ElementUnits` after it returned units: the mean of many."""
    from spiff_element_units import ElementUnits

    _cache_elsewhere(given)
    asked = [given.about[name] for name in ("root", "leaf")]

    def one() -> ElementUnits:
        units = ElementUnits.open(str(given.scratch), KEY)
        for process_id in asked:
            units.workflow(process_id)
        return units

    one()
    gc.collect()
    before = memory_now()
    kept = [one() for _ in range(OPENED)]
    file = next(given.scratch.glob("v2/*/*.pack"))
    return {"each": (memory_now() - before) // len(kept), "file": file.stat().st_size}


def loader(given: Given, subject: str) -> dict[str, Any]:
    """The growth of memory while a loader starts instances that nobody keeps."""
    from spiff_element_units import ElementUnits
    from spiff_element_units.spiff import SpecLoader

    _cache_elsewhere(given)
    loader = SpecLoader(ElementUnits.open(str(given.scratch), KEY), new_serializer())
    engine = new_engine()

    def start(times: int) -> tuple[int, int]:
        for _ in range(times):
            loader.start(script_engine=engine).do_engine_steps()
        gc.collect()
        return memory_now(), sys.getallocatedblocks()

    before, blocks = start(STARTS // 10)
    after, more = start(STARTS)
    return {
        "starts": STARTS,
        "resident": before,
        "grown": after - before,
        "blocks": more - blocks,  # of memory that Python objects hold
    }


def reading(given: Given, subject: str) -> dict[str, Any]:
    """How often, and how many bytes, a get reads from the file."""
    from spiff_element_units import workflow_from_cached_element_unit
    from spiff_element_units.cache.directory import PackFile

    cache_workflow(given)
    read: list[int] = []
    plain = PackFile.read

    def counted(self: Any, offset: int, length: int) -> bytes:
        data = plain(self, offset, length)
        read.append(len(data))
        return data

    PackFile.read = counted  # type: ignore[method-assign]
    found: dict[str, Any] = {"file": next(given.scratch.glob("v2/*/*.pack")).stat().st_size}
    for name in ("start", "deep", "leaf"):
        read.clear()
        unit = workflow_from_cached_element_unit(str(given.scratch), KEY, *asked_for(given, name))
        found[name] = {"reads": len(read), "bytes": sum(read), "unit": len(unit.encode())}
    return found


def sizes(given: Given, subject: str) -> dict[str, Any]:
    """Bytes of the workflow's text, and of an instance saved with its specs and without."""
    from spiff_element_units import ElementUnits
    from spiff_element_units.spiff import SpecLoader

    loader = SpecLoader(ElementUnits.from_json(given.text()), new_serializer())
    return {
        "text": len(given.text()),
        "full": len(given.text("state")),
        "state": len(loader.save(saved_instance(given, "save"))),
        "full deep": len(given.text("deep")),
        "state deep": len(loader.save(saved_instance(given, "save deep"))),
    }


def importing(given: Given, subject: str) -> dict[str, Any]:
    """Seconds that the import of a module takes, and whether SpiffWorkflow came with it."""
    before = perf_counter()
    importlib.import_module(subject)
    return {"seconds": perf_counter() - before, "SpiffWorkflow": "SpiffWorkflow" in sys.modules}


def _cache_elsewhere(given: Given) -> None:
    """Cache the workflow in another process, so that this one has never held it."""
    import multiprocessing

    child = multiprocessing.get_context("spawn").Process(target=cache_workflow, args=(given,))
    child.start()
    child.join()


PROBES = {f.__name__: f for f in (caching, opened, loader, reading, sizes, importing)}


def run_probe(probes: dict[str, Any]) -> None:
    """Run the probe that the command line names, and print what it finds."""
    probe, subject, folder = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(probes[probe](Given(Path(folder), Path(scratch)), subject)))


if __name__ == "__main__":
    run_probe(PROBES)
