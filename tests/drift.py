"""No public operation loses a reference: `python3-dbg tests/drift.py [TIMES]`.

A debug build of Python counts all references. Each operation, whether it succeeds or fails, runs
1,000 times (or TIMES), in three rounds. The number of references must be the same before and after
a round. If a reference is lost or released twice, there is a difference in every round. A cache
that grows once makes a difference only in the first round, so the smallest of the three differences
counts.

Exits with 1 if there is a difference, and with 2 if Python does not count references. Python 3.11
and older also count the references to None. Newer versions do not, because they never free None.

The wheel of orjson is not built for a debug Python, and counts only a part of its references. So
this uses the json module instead.
"""

from __future__ import annotations

import gc
import itertools
import json
import sys
import tempfile
import types
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable, Union


def orjson_that_counts() -> types.ModuleType:
    """A module `orjson` that counts the references it takes."""
    module: Any = types.ModuleType("orjson")
    module.JSONDecodeError = json.JSONDecodeError
    module.loads = lambda text: json.loads(text if isinstance(text, str) else bytes(text))
    module.dumps = lambda value: json.dumps(value, separators=(",", ":")).encode()
    return module


sys.modules["orjson"] = orjson_that_counts()

import driving  # noqa: E402
import growth  # noqa: E402
import models  # noqa: E402
import spiff_bpmn  # noqa: E402
from SpiffWorkflow.exceptions import SpiffWorkflowException  # noqa: E402

from spiff_element_units import (  # noqa: E402
    ElementUnits,
    ElementUnitsError,
    cache_element_units_for_workflow,
    cache_keys,
    prune_cache,
    remove_cached_workflow,
    verify_cache,
    workflow_from_cached_element_unit,
)
from spiff_element_units.spiff import SpecLoader  # noqa: E402

Operations = Iterator[tuple[str, Callable[[], Any]]]
Kinds = Union[type[Exception], tuple[type[Exception], ...]]

MODEL = models.MODELS["nested_calls"]
TEXT = models.spec_json(MODEL)
OTHER = models.spec_json(models.MODELS["human_tasks"])


def drift(operation: Callable[[], Any], times: int) -> int:
    """The number of references that are lost when an operation is done so many times."""
    least = before = after = -(10**6)
    for _ in itertools.repeat(None, 20):  # so that everything that is made once exists
        operation()
    differences = []
    for _ in itertools.repeat(None, 3):
        gc.collect()
        before = sys.gettotalrefcount()  # type: ignore[attr-defined]
        for _ in itertools.repeat(None, times):
            operation()
        gc.collect()
        after = sys.gettotalrefcount()  # type: ignore[attr-defined]
        differences.append(after - before)
    least = min(differences, key=abs)
    return least


def refused(operation: Callable[[], Any], kinds: Kinds = ElementUnitsError) -> Callable[[], None]:
    """An operation that must fail."""

    def fails() -> None:
        try:
            operation()
        except kinds:
            return
        raise AssertionError(f"{operation} was not refused")

    return fails


# The operations


def texts() -> Operations:
    """Decomposing: real texts, and each hostile shape, most of which are refused."""
    yield "from_json: str", lambda: ElementUnits.from_json(TEXT)
    yield "from_json: bytes", lambda: ElementUnits.from_json(TEXT.encode())
    yield "from_json: not ASCII", lambda: ElementUnits.from_json(TEXT.replace("order", "ördér"))
    for name, wrong in {
        "a lone surrogate": '"\udc80"',
        "no object": "[]",
        "no text": None,
        "no spec": "{}",
        "a task spec that is no object": json.dumps(growth.workflow({"last": 1})),
        "a trigger that is no string": growth.spelled('1,"trigger_specs":[1]'),
        "a spec without tasks": json.dumps(growth.workflow({}, {"B": {"name": "B"}})),
    }.items():
        call: Any = ElementUnits.from_json
        yield (
            f"from_json: {name}",
            refused(lambda call=call, wrong=wrong: call(wrong), (ValueError, TypeError)),
        )
    for shape, (_, make) in growth.SHAPES.items():
        made = make(3)
        text = (made if isinstance(made, str) else json.dumps(made)).encode()
        yield f"from_json: {shape}", lambda text=text: growth.cache(text)


def questions(units: ElementUnits) -> Operations:
    """Questions about a workflow, with and without an answer."""
    process = units.root
    called = units.process_ids[-1]
    element = units.element_ids(called)[0]
    for defer in ("calls", "all", "nothing"):
        yield f"workflow, defer={defer}", lambda d=defer: units.workflow(process, defer=d)
        yield f"needs, defer={defer}", lambda d=defer: units.needs(process, defer=d)
    yield "workflow of elements", lambda: units.workflow(called, called, element)
    yield "spec_json", lambda: [units.spec_json(name) for name in units.process_ids]
    yield "references", lambda: [units.references(name) for name in units.process_ids]
    yield "element_ids", lambda: [units.element_ids(name) for name in units.process_ids]
    yield "properties", lambda: (repr(units), units.digest, units.subprocess_ids, units.cache_key)
    wrong: Any = units
    yield "workflow of no process", refused(lambda: units.workflow("lost"))
    yield "workflow of no element", refused(lambda: units.workflow(process, "lost"))
    yield "needs of no string", refused(lambda: wrong.needs(process, 1), TypeError)
    yield "needs, defer wrong", refused(lambda: wrong.needs(process, defer="no"), ValueError)
    yield "spec_json of no process", refused(lambda: units.spec_json("lost"))


def caches(folder: Path) -> Operations:
    """Storing, opening and looking after a cache, damaged packs included."""
    units, others = ElementUnits.from_json(TEXT), ElementUnits.from_json(OTHER)
    good, bad = folder / "good", folder / "bad"

    def open_and_ask() -> None:
        with ElementUnits.open(good, "key") as opened:
            opened.workflow(opened.root)

    def replace() -> None:
        units.save(good, "replaced")
        others.save(good, "replaced")

    def remove() -> None:
        units.save(good, "removed")
        assert remove_cached_workflow(good, "removed")

    def prune() -> None:
        units.save(folder / "pruned", "key")
        prune_cache(folder / "pruned", max_age=timedelta(days=1))
        assert prune_cache(folder / "pruned", max_bytes=0).removed

    def classic() -> None:
        cache_element_units_for_workflow(str(good), "classic", TEXT)
        workflow_from_cached_element_unit(str(good), "classic", units.root, units.root)

    units.save(good, "key")
    for at in range(0, 1_000, 50):  # a flipped byte in each part of a pack
        units.save(bad, f"{at}")
    for at, path in enumerate(sorted(bad.rglob("*.pack"))):
        data = bytearray(path.read_bytes())
        data[min(at * 50, len(data) - 1)] ^= 1
        path.write_bytes(data)

    def read_damaged() -> None:
        for at in range(0, 1_000, 50):
            with suppress(ElementUnitsError):
                opened = ElementUnits.open(bad, f"{at}")
                opened.workflow(opened.root, defer="nothing")

    yield "save", lambda: units.save(good, "key")
    yield "save, and save another in its place", replace
    not_a_key: Any = 1
    yield "save under no key", refused(lambda: units.save(good, not_a_key), TypeError)
    yield "open", open_and_ask
    yield "open what is not cached", refused(lambda: ElementUnits.open(good, "lost"))
    yield "open what is damaged", read_damaged
    yield "get_or_cache", lambda: ElementUnits.get_or_cache(good, "key", lambda: TEXT)
    yield "the two classic functions", classic
    yield "cache_keys", lambda: cache_keys(good)
    yield "verify_cache", lambda: verify_cache(good)
    yield "verify_cache of damaged packs", lambda: verify_cache(bad)
    yield "remove_cached_workflow", remove
    yield "prune_cache", prune
    opened = ElementUnits.open(good, "key")
    for name, question in questions(opened):
        yield f"from a cache: {name}", question


def instances() -> Operations:
    """Running SpiffWorkflow on units."""
    units = ElementUnits.from_json(TEXT)
    loader = SpecLoader(units, models.serializer())
    engine = models.script_engine()
    changed = json.loads(TEXT)
    changed["spec"]["description"] = "changed"
    newer = SpecLoader(ElementUnits.from_json(json.dumps(changed)), models.serializer())
    workflow = loader.start(script_engine=engine)
    workflow.do_engine_steps()
    state = loader.save(workflow)
    assert workflow.subprocesses
    foreign = newer._serializer.serialize_json(workflow)

    def step() -> None:
        resumed = loader.resume(state, script_engine=engine)
        for task in driving.ready_tasks(resumed):
            task.run()
        resumed.do_engine_steps()
        loader.save(resumed)

    def look_around() -> None:
        mapping = loader.subprocess_specs()
        repr(mapping)
        assert len(mapping) == len(list(mapping)) == len(mapping.copy())
        assert all(mapping.get(name) is spec for name, spec in mapping.items())
        assert mapping == mapping | {}
        mapping.pop(next(iter(mapping)))
        mapping.clear()

    yield "SpecLoader", lambda: SpecLoader(units, models.serializer())
    yield "start", lambda: loader.start(script_engine=engine)
    yield "start of another process", lambda: loader.start(units.process_ids[-1])
    yield "start of no process", refused(lambda: loader.start("lost"))
    yield "spec", lambda: [loader.spec(name) for name in units.process_ids]
    yield "subprocess_specs", look_around
    yield "save a state", lambda: loader.save(workflow)
    yield "resume", lambda: loader.resume(state, script_engine=engine)
    yield "resume a state of serialize_json", lambda: loader.resume(foreign)
    yield "resume on a changed workflow", lambda: newer.migrate(state, loader)
    yield "resume, run and save", step
    yield "resume what was changed", refused(lambda: newer.resume(state))
    yield "resume no state", refused(lambda: loader.resume("{}"))
    yield "resume a damaged state", refused(lambda: loader.resume(state[:-1]))


def calls_elsewhere() -> Operations:
    """A process that is in another workflow, or in none."""
    engine = models.script_engine()
    processes = {"outer": [("human",), ("call", "inner")], "inner": [("human",)]}
    outer = ElementUnits.from_json(
        spiff_bpmn.spec_json(processes, "outer", null=["inner"], absent=["inner"])
    )
    inner = ElementUnits.from_json(
        spiff_bpmn.spec_json(processes, "inner", null=["outer"], absent=["outer"])
    )
    loaders = [
        SpecLoader(outer, models.serializer(), resolve=lambda name: inner),
        SpecLoader(outer, models.serializer()),
    ]

    def run_to_the_call(loader: SpecLoader) -> None:
        run = loader.start(script_engine=engine)
        while tasks := driving.ready_tasks(run):
            for task in tasks:
                task.run()
            run.do_engine_steps()
        loader.save(run)

    yield "run a process that another workflow has", lambda: run_to_the_call(loaders[0])
    yield (
        "run a process that nobody has",
        refused(lambda: run_to_the_call(loaders[1]), SpiffWorkflowException),
    )


def main() -> int:
    if not hasattr(sys, "gettotalrefcount"):
        print(f"{sys.executable} counts no references. Use a debug build, as python3-dbg.")
        return 2
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        in_memory = questions(ElementUnits.from_json(TEXT))
        for name, operation in itertools.chain(
            texts(), in_memory, caches(Path(folder)), instances(), calls_elsewhere()
        ):
            found = drift(operation, times)
            faults += found != 0
            print(f"{found:+8}  {name}" if found else f"       0  {name}", flush=True)
    print(f"{faults} operations gain or lose references in {times} calls")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
