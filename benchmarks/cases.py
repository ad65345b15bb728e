"""What is measured: one case, one subject, in a process of its own, under pyperf.

    python benchmarks/cases.py CASE SUBJECT FOLDER --worker --loops=N --warmups=1 --values=5

`FOLDER` is what `workflows.prepare` has written. A subject is this library (`ours`, `cold` and
`warm`), the peer (`0.3.1`, run by an interpreter that has it installed), what an application does
without either (`json`, `orjson`, `pickle`), or a limit: work that is part of ours, so that nothing
can be faster (`loads`, `write`, `read`, `copy`, `engine`).

A case is a function that sets everything up and returns an `Operation`. Only the operation is
timed. `run.py` runs all cases.
"""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from given import (
    KEY,
    Given,
    asked_for,
    cache_workflow,
    cached_file,
    new_engine,
    new_serializer,
    remove_files,
    resumed_instance,
    saved_instance,
    specs_of,
    state_name,
    unit_text,
    without_specs,
)
from timing import Operation, case, run_case

# Caching and getting


@case("cache", "ours", "0.3.1")
def cache(name: str, subject: str, given: Given) -> Operation:
    """Cache a workflow under a key that is new."""
    from spiff_element_units import cache_element_units_for_workflow

    text, numbers = given.text(), count()

    def run() -> None:
        cache_element_units_for_workflow(str(given.scratch), f"{KEY} {next(numbers)}", text)

    return Operation(run, lambda: remove_files(given.scratch))


@case("cache", "loads")
def parse(name: str, subject: str, given: Given) -> Operation:
    """The limit: `orjson.loads` of the same text."""
    import orjson

    text = given.text()
    return Operation(lambda: orjson.loads(text))


@case("cache", "write")
def write(name: str, subject: str, given: Given) -> Operation:
    """The limit: write the bytes that end up in the cache to a new file."""
    data = cached_file(given).read_bytes()
    numbers = count()

    def run() -> None:
        with open(given.scratch / f"{next(numbers)}", "wb") as file:
            file.write(data)

    return Operation(run, lambda: remove_files(given.scratch))


@case("cache again", "ours", "0.3.1")
def cache_again(name: str, subject: str, given: Given) -> Operation:
    """Cache a text that is cached under the same key already."""
    from spiff_element_units import cache_element_units_for_workflow

    text = given.text()
    return Operation(lambda: cache_element_units_for_workflow(str(given.scratch), KEY, text))


@case("get start", "ours", "0.3.1")
@case("get deep", "ours", "0.3.1")
@case("get leaf", "ours")
def get(name: str, subject: str, given: Given) -> Operation:
    """Get a unit; the name of the case says which."""
    from spiff_element_units import workflow_from_cached_element_unit

    cache_workflow(given)
    where, asked = str(given.scratch), asked_for(given, name)
    return Operation(lambda: workflow_from_cached_element_unit(where, KEY, *asked))


@case("get start", "read")
@case("get deep", "read")
@case("get leaf", "read")
def read(name: str, subject: str, given: Given) -> Operation:
    """The limit: read a file that holds just the unit."""
    path = str(given.scratch / "unit.json")
    with open(path, "wb") as file:
        file.write(unit_text(given, name).encode())

    def run() -> str:
        with open(path, "rb") as file:
            return file.read().decode()

    return Operation(run)


@case("workflow()", "ours")
@case("workflow() leaf", "ours")
def unit_of_open(name: str, subject: str, given: Given) -> Operation:
    """Ask an `ElementUnits` that is open."""
    from spiff_element_units import ElementUnits

    cache_workflow(given)
    units = ElementUnits.open(str(given.scratch), KEY)
    process_id = asked_for(given, name)[0]
    return Operation(lambda: units.workflow(process_id))


@case("workflow()", "copy")
@case("workflow() leaf", "copy")
def copy_of_unit(name: str, subject: str, given: Given) -> Operation:
    """The limit: copy the unit's bytes."""
    unit = memoryview(unit_text(given, name).encode())
    return Operation(lambda: bytes(unit))


# Starting, resuming, saving


@case("start", "cold", "warm")
@case("resume", "cold", "warm")
@case("resume deep", "cold", "warm")
def run_ours(name: str, subject: str, given: Given) -> Operation:
    """Start or resume with a `SpecLoader`: kept (warm), or made from the cache file (cold)."""
    from spiff_element_units import ElementUnits
    from spiff_element_units.spiff import SpecLoader

    cache_workflow(given)
    serializer, engine, where = new_serializer(), new_engine(), str(given.scratch)

    def loader() -> Any:
        return SpecLoader(ElementUnits.open(where, KEY), serializer)

    kept = loader()
    state = kept.save(saved_instance(given, name))

    def start() -> Any:
        loaded = kept if subject == "warm" else loader()
        workflow = loaded.start(script_engine=engine)
        workflow.do_engine_steps()
        return workflow

    def resume() -> Any:
        loaded = kept if subject == "warm" else loader()
        return loaded.resume(state, script_engine=engine)

    return Operation(start if name == "start" else resume)


@case("start", "engine", "json", "orjson", "pickle")
def start(name: str, subject: str, given: Given) -> Operation:
    """Start on the full workflow. Its specs are in memory (engine), in a text or in a pickle."""
    from SpiffWorkflow.bpmn.workflow import BpmnWorkflow

    specs, engine = specs_of(given, subject), new_engine()

    def run() -> Any:
        root, others = specs()
        workflow = BpmnWorkflow(root, others, script_engine=engine)
        workflow.do_engine_steps()
        return workflow

    return Operation(run)


@case("start", "root")
def start_root(name: str, subject: str, given: Given) -> Operation:
    """The limit: restore the root's spec, whose text is in memory, and start that by itself."""
    import orjson
    from SpiffWorkflow.bpmn.workflow import BpmnWorkflow

    serializer, engine = new_serializer(), new_engine()
    text = orjson.dumps(json.loads(given.text())["spec"])

    def run() -> Any:
        workflow = BpmnWorkflow(serializer.from_dict(orjson.loads(text)), script_engine=engine)
        workflow.do_engine_steps()
        return workflow

    return Operation(run)


@case("resume", "engine", "json", "orjson", "pickle")
@case("resume deep", "engine", "json", "orjson", "pickle")
def resume(name: str, subject: str, given: Given) -> Operation:
    """Resume on the full workflow.

    With a full text as SpiffWorkflow saves it (json, orjson), or with a state whose specs the
    application has taken out and keeps in memory (engine) or as a pickle.
    """
    import orjson

    serializer, engine, full = new_serializer(), new_engine(), given.text(state_name(name))
    specs = None if subject in ("json", "orjson") else specs_of(given, subject)
    state = full if specs is None else without_specs(full)

    def run() -> Any:
        if subject == "json":
            workflow = serializer.deserialize_json(state)
        else:
            run = orjson.loads(state) if subject == "orjson" else json.loads(state)
            serializer.migrate(run)
            if specs is not None:
                run["spec"], run["subprocess_specs"] = specs()
            workflow = serializer.from_dict(run)
        workflow.script_engine = engine
        return workflow

    return Operation(run)


@case("save", "ours")
@case("save deep", "ours")
def save_ours(name: str, subject: str, given: Given) -> Operation:
    """Save with a `SpecLoader`."""
    loader, workflow = resumed_instance(given, name)
    return Operation(lambda: loader.save(workflow))


@case("save", "json", "orjson", "pickle")
@case("save deep", "json", "orjson", "pickle")
def save(name: str, subject: str, given: Given) -> Operation:
    """Save with SpiffWorkflow's serializer; `pickle` saves no spec except that of the root."""
    import copy

    import orjson

    serializer, workflow = new_serializer(), saved_instance(given, name)

    def run() -> object:
        if subject == "json":
            return serializer.serialize_json(workflow)
        if subject == "orjson":
            run = serializer.to_dict(workflow)
            run[serializer.VERSION_KEY] = serializer.VERSION
            return orjson.dumps(run)
        run = copy.copy(workflow)
        run.subprocess_specs = {}
        return serializer.serialize_json(run)

    return Operation(run)


if __name__ == "__main__":
    run_case()
