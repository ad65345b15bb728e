"""What is measured: one case, one subject, in a process of its own, under pyperf.

    python benchmarks/cases.py CASE SUBJECT FOLDER --worker --loops=N --warmups=1 --values=5

`FOLDER` is what `workflows.prepare` has written. A subject is this library (`ours`, `cold` and
`warm`), the peer (`0.3.1`, run by an interpreter that has it installed), what an application does
without either (`json`, `orjson`, `pickle`), or a limit: work that is part of ours, so that nothing
can be faster (`loads`, `write`, `read`, `copy`, `engine`).

A case is a function that sets up, untimed, and returns an `Operation`. `run.py` runs all of them.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Optional

KEY = "workflow"


class Operation(NamedTuple):
    """What is timed, and what is done, untimed, after each time."""

    run: Callable[[], object]
    after: Optional[Callable[[], None]] = None


class Given(NamedTuple):
    """What a case works on: the folder of the workflow, and an empty one to write to."""

    folder: Path
    scratch: Path

    @property
    def about(self) -> Any:
        """The ids to ask for."""
        return json.loads((self.folder / "about.json").read_text(encoding="utf-8"))

    def text(self, name: str = "spec") -> str:
        """The text of one JSON file of the folder."""
        return (self.folder / f"{name}.json").read_text(encoding="utf-8")


CASES: dict[tuple[str, str], Callable[[Given], Operation]] = {}


def case(name: str, *subjects: str) -> Callable[[Any], Any]:
    """Register a function as a case for some subjects; it is called with both and a `Given`."""

    def register(function: Any) -> Any:
        for subject in subjects:
            CASES[name, subject] = partial(function, name, subject)
        return function

    return register


# Caching and getting


@case("cache", "ours", "0.3.1")
def cache(name: str, subject: str, given: Given) -> Operation:
    """Cache a workflow under a key that is new."""
    from spiff_element_units import cache_element_units_for_workflow

    text, numbers = given.text(), count()

    def run() -> None:
        cache_element_units_for_workflow(str(given.scratch), f"{KEY} {next(numbers)}", text)

    return Operation(run, lambda: _remove_files(given.scratch))


@case("cache", "loads")
def parse(name: str, subject: str, given: Given) -> Operation:
    """The limit: `orjson.loads` of the same text."""
    import orjson

    text = given.text()
    return Operation(lambda: orjson.loads(text))


@case("cache", "write")
def write(name: str, subject: str, given: Given) -> Operation:
    """The limit: write the bytes that end up in the cache to a new file."""
    data = _cached_file(given).read_bytes()
    numbers = count()

    def run() -> None:
        with open(given.scratch / f"{next(numbers)}", "wb") as file:
            file.write(data)

    return Operation(run, lambda: _remove_files(given.scratch))


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

    _cache(given)
    where, asked = str(given.scratch), _asked(given, name)
    return Operation(lambda: workflow_from_cached_element_unit(where, KEY, *asked))


@case("get start", "read")
@case("get deep", "read")
@case("get leaf", "read")
def read(name: str, subject: str, given: Given) -> Operation:
    """The limit: read a file that holds just the unit."""
    path = str(given.scratch / "unit.json")
    with open(path, "wb") as file:
        file.write(_unit(given, name).encode())

    def run() -> str:
        with open(path, "rb") as file:
            return file.read().decode()

    return Operation(run)


@case("workflow()", "ours")
@case("workflow() leaf", "ours")
def unit_of_open(name: str, subject: str, given: Given) -> Operation:
    """Ask an `ElementUnits` that is open."""
    from spiff_element_units import ElementUnits

    _cache(given)
    units = ElementUnits.open(str(given.scratch), KEY)
    process_id = _asked(given, name)[0]
    return Operation(lambda: units.workflow(process_id))


@case("workflow()", "copy")
@case("workflow() leaf", "copy")
def copy_of_unit(name: str, subject: str, given: Given) -> Operation:
    """The limit: copy the unit's bytes."""
    unit = memoryview(_unit(given, name).encode())
    return Operation(lambda: bytes(unit))


# Starting, resuming, saving


@case("start", "cold", "warm")
@case("resume", "cold", "warm")
@case("resume deep", "cold", "warm")
def run_ours(name: str, subject: str, given: Given) -> Operation:
    """Start or resume with a `SpecLoader`: kept (warm), or made from the cache file (cold)."""
    from spiff_element_units import ElementUnits
    from spiff_element_units.spiff import SpecLoader

    _cache(given)
    serializer, engine, where = _serializer(), _engine(), str(given.scratch)

    def loader() -> Any:
        return SpecLoader(ElementUnits.open(where, KEY), serializer)

    kept = loader()
    state = kept.save(_saved(given, name))

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
    """Start on the full workflow: with specs in memory (engine), or kept as a text or pickle."""
    from SpiffWorkflow.bpmn.workflow import BpmnWorkflow

    specs, engine = _specs(given, subject), _engine()

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

    serializer, engine = _serializer(), _engine()
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

    serializer, engine, full = _serializer(), _engine(), given.text(_state(name))
    specs = None if subject in ("json", "orjson") else _specs(given, subject)
    state = full if specs is None else _without_specs(full)

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
    loader, workflow = _resumed(given, name)
    return Operation(lambda: loader.save(workflow))


@case("save", "json", "orjson", "pickle")
@case("save deep", "json", "orjson", "pickle")
def save(name: str, subject: str, given: Given) -> Operation:
    """Save with SpiffWorkflow's serializer; for specs kept as a pickle without all but the root."""
    import copy

    import orjson

    serializer, workflow = _serializer(), _saved(given, name)

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


# What they share


def _remove_files(folder: Path) -> None:
    """Remove the files under a folder; the folders stay."""
    for parent, _, names in os.walk(folder):
        for name in names:
            os.unlink(os.path.join(parent, name))


def _cache(given: Given) -> None:
    from spiff_element_units import cache_element_units_for_workflow

    cache_element_units_for_workflow(str(given.scratch), KEY, given.text())


def _cached_file(given: Given) -> Path:
    _cache(given)
    return next(given.scratch.glob("v2/*/*.pack"))


def _asked(given: Given, name: str) -> tuple[str, str]:
    """The process and the element that a case asks for."""
    about = given.about
    if name.endswith("leaf"):
        return about["leaf"], about["leaf"]
    return about["root"], about["deep" if name.endswith("deep") else "root"]


def _unit(given: Given, name: str) -> str:
    """The unit that a case asks for."""
    from spiff_element_units import ElementUnits

    return ElementUnits.from_json(given.text()).workflow(*_asked(given, name))


def _serializer() -> Any:
    from workflows import serializer

    return serializer()


def _engine() -> Any:
    from SpiffWorkflow.bpmn.script_engine import PythonScriptEngine

    return PythonScriptEngine()


def _state(name: str) -> str:
    return "deep" if name.endswith("deep") else "state"


def _specs(given: Given, subject: str) -> Callable[[], tuple[Any, dict[str, Any]]]:
    """A function that gives the specs of the full workflow, `(root, others)`."""
    import orjson

    if subject in ("engine", "pickle"):
        data = (given.folder / "specs.pickle").read_bytes()
        if subject == "pickle":
            return lambda: pickle.loads(data)
        kept = pickle.loads(data)
        return lambda: (kept[0], dict(kept[1]))
    text, serializer = given.text(), _serializer()
    loads = json.loads if subject == "json" else orjson.loads

    def restored() -> tuple[Any, dict[str, Any]]:
        workflow = loads(text)
        others = workflow["subprocess_specs"]
        return serializer.from_dict(workflow["spec"]), {
            name: serializer.from_dict(spec) for name, spec in others.items()
        }

    return restored


def _saved(given: Given, name: str) -> Any:
    """The instance that a case resumes or saves, on the full workflow in memory."""
    serializer = _serializer()
    run = json.loads(_without_specs(given.text(_state(name))))
    serializer.migrate(run)
    run["spec"], run["subprocess_specs"] = _specs(given, "engine")()
    return serializer.from_dict(run)


def _resumed(given: Given, name: str) -> tuple[Any, Any]:
    """A loader, and the instance that a case saves, resumed by it."""
    from spiff_element_units import ElementUnits
    from spiff_element_units.spiff import SpecLoader

    _cache(given)
    loader = SpecLoader(ElementUnits.open(str(given.scratch), KEY), _serializer())
    return loader, loader.resume(loader.save(_saved(given, name)))


def _without_specs(state: str) -> str:
    run = json.loads(state)
    del run["spec"], run["subprocess_specs"]
    return json.dumps(run)


# Timing


def timed(operation: Operation, loops: int) -> float:
    """Seconds that an operation takes `loops` times."""
    run, after = operation
    if after is None:
        before = perf_counter()
        for _ in range(loops):
            run()
        return perf_counter() - before
    total = 0.0
    for _ in range(loops):
        before = perf_counter()
        run()
        total += perf_counter() - before
        after()
    return total


def loops_for(operation: Operation, seconds: float) -> int:
    """How often an operation has to run to take about so long; runs it a few times."""
    loops, spent = 1, timed(operation, 1)
    while spent < seconds / 4 and loops < 1 << 20:
        loops *= 2
        spent = timed(operation, loops)
    return max(1, round(loops * seconds / spent))


def _add_arguments(command: list[str], arguments: Any) -> None:
    """Hand the arguments on to the worker processes that pyperf starts."""
    command += [arguments.name, arguments.subject, arguments.folder]


def main() -> None:
    import pyperf

    runner = pyperf.Runner(add_cmdline_args=_add_arguments)
    for argument in ("name", "subject", "folder"):
        runner.argparser.add_argument(argument)
    runner.argparser.add_argument(
        "--seconds", type=float, help="find how many loops take so long, and time those"
    )
    arguments = runner.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        given = Given(Path(arguments.folder), Path(scratch))
        operation = CASES[arguments.name, arguments.subject](given)
        gc.collect()
        gc.freeze()  # what was set up does not slow down collections of what is measured
        if arguments.seconds:
            arguments.loops = loops_for(operation, arguments.seconds)
        runner.bench_time_func(
            f"{arguments.name} {arguments.subject}", lambda loops: timed(operation, loops)
        )


if __name__ == "__main__":
    main()
