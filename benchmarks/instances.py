"""Measures instances with a history: cases as in `cases.py`, and probes.

    python benchmarks/instances.py CASE SUBJECT FOLDER --worker --loops=N --warmups=1 --values=5
    python benchmarks/instances.py PROBE SUBJECT FOLDER

`FOLDER` is what `histories.prepare` has written, and `workflows.prepare` where nothing is settled.
A step is: resume the instance, complete one human task, run on, save. It begins with the same saved
instance each time. Subjects are this library with the instance as one text (`text`) and as pieces
in a dict (`pieces`), 0.4.0 (run by an interpreter that has it installed), SpiffWorkflow's own
`serialize_json` and `deserialize_json` (`json`), and a limit (`loads`). The loader and the script
engine are kept, as in a worker. A probe is measured once in a process and prints a JSON object.
"""

from __future__ import annotations

import gc
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from given import KEY, Given, cache_workflow, new_engine, new_serializer
from probes import memory_now, run_probe
from timing import Operation, case, run_case
from workflows import go_on

KEPT = 20  # resumed instances whose memory is measured
WALK = 1_000  # calls that an instance goes through
AT_ONCE = 100  # steps at the start and at the end of that, which are compared


def _loader(given: Given) -> Any:
    from spiff_element_units import ElementUnits
    from spiff_element_units.spiff import SpecLoader

    cache_workflow(given)
    return SpecLoader(ElementUnits.open(str(given.scratch), KEY), new_serializer())


# Steps


@case("step, tree", "text", "0.4.0")
@case("step, first level", "text", "0.4.0")
@case("step, loop", "text", "0.4.0")
@case("step, multi", "text", "0.4.0")
@case("step, resting", "text", "0.4.0")
def step_of_text(name: str, subject: str, given: Given) -> Operation:
    """A step on one text."""
    loader, engine = _loader(given), new_engine()
    state = loader.save(loader.resume(given.text("state")))

    def run() -> str:
        workflow = loader.resume(state, script_engine=engine)
        go_on(workflow)
        return str(loader.save(workflow))

    assert run() != state
    return Operation(run)


@case("step, tree", "pieces")
@case("step, first level", "pieces")
@case("step, loop", "pieces")
@case("step, multi", "pieces")
@case("step, resting", "pieces")
def step_of_pieces(name: str, subject: str, given: Given) -> Operation:
    """A step on pieces."""
    loader, engine, store = _loader(given), new_engine(), _split(given)

    def run() -> Any:
        workflow = loader.resume_pieces(store.__getitem__, script_engine=engine)
        go_on(workflow)
        return loader.save_pieces(workflow)

    assert run().changed["live"] != store["live"]
    return Operation(run)


@case("step, tree", "json")
@case("step, first level", "json")
@case("step, loop", "json")
@case("step, multi", "json")
@case("step, resting", "json")
def step_of_spiffworkflow(name: str, subject: str, given: Given) -> Operation:
    """A step with SpiffWorkflow's own serializer."""
    serializer, engine, state = new_serializer(), new_engine(), given.text("state")

    def run() -> str:
        workflow = serializer.deserialize_json(state)
        workflow.script_engine = engine
        go_on(workflow)
        return str(serializer.serialize_json(workflow))

    return Operation(run)


def _split(given: Given) -> dict[str, str]:
    """The pieces of the instance."""
    loader = _loader(given)
    state = loader.save(loader.resume(given.text("state")))
    return dict(loader.split(state).changed)


# What an instance waits for


@case("waiting", "text", "pieces", "dict")
def waiting(name: str, subject: str, given: Given) -> Operation:
    """Say what an instance waits for, from its state or its live piece."""
    loader = _loader(given)
    state: Any = loader.save(loader.resume(given.text("state")))
    if subject == "pieces":
        state = loader.split(state).changed["live"]
    if subject == "dict":
        state = json.loads(state)
    assert loader.waiting(state).human_tasks
    return Operation(lambda: loader.waiting(state))


@case("waiting", "json")
def waiting_of_spiffworkflow(name: str, subject: str, given: Given) -> Operation:
    """The same with SpiffWorkflow: restore the instance, and ask it for its unfinished tasks."""
    from SpiffWorkflow.util.task import TaskState

    serializer, state = new_serializer(), given.text("state")
    unfinished = TaskState.READY | TaskState.WAITING
    return Operation(lambda: serializer.deserialize_json(state).get_tasks(state=unfinished))


# The parts of a step


@case("cut", "text", "loads")
def cut(name: str, subject: str, given: Given) -> Operation:
    """Cut a state into its pieces; the limit is to decode all of it."""
    import orjson

    loader = _loader(given)
    state = loader.save(loader.resume(given.text("state")))
    if subject == "loads":
        return Operation(lambda: orjson.loads(state))
    from spiff_element_units.core.cut import cut_state

    assert cut_state(state) is not None
    return Operation(lambda: cut_state(state))


@case("start, nothing settled", "text", "0.4.0")
def start(name: str, subject: str, given: Given) -> Operation:
    """Start an instance with a loader that is kept."""
    loader, engine = _loader(given), new_engine()

    def run() -> Any:
        workflow = loader.start(script_engine=engine)
        workflow.do_engine_steps()
        return workflow

    return Operation(run)


@case("resume, nothing settled", "text", "0.4.0")
@case("resume deep, nothing settled", "text", "0.4.0")
def resume(name: str, subject: str, given: Given) -> Operation:
    """Resume an instance that waits in the root, or three levels down."""
    loader, engine = _loader(given), new_engine()
    state = loader.save(loader.resume(given.text(_state(name))))
    return Operation(lambda: loader.resume(state, script_engine=engine))


@case("save, nothing settled", "text", "0.4.0")
@case("save deep, nothing settled", "text", "0.4.0")
def save(name: str, subject: str, given: Given) -> Operation:
    """Save such an instance."""
    loader = _loader(given)
    workflow = loader.resume(loader.save(loader.resume(given.text(_state(name)))))
    return Operation(lambda: loader.save(workflow))


def _state(name: str) -> str:
    return "deep" if "deep" in name else "state"


# Probes


def moved(given: Given, subject: str) -> dict[str, Any]:
    """The number of characters and of pieces that a step reads and writes."""
    if subject != "pieces":
        step = {"text": step_of_text, "0.4.0": step_of_text, "json": step_of_spiffworkflow}
        written = str(step[subject]("step", subject, given).run())
        state = given.text("state")
        if subject != "json":
            loader = _loader(given)
            state = loader.save(loader.resume(state))
        return {"read": len(state), "written": len(written), "reads": 1, "writes": 1}
    loader, store, read = _loader(given), _split(given), []

    def counted(piece_id: str) -> str:
        read.append(len(store[piece_id]))
        return store[piece_id]

    workflow = loader.resume_pieces(counted, script_engine=new_engine())
    go_on(workflow)
    changed = loader.save_pieces(workflow).changed
    return {
        "read": sum(read),
        "written": sum(map(len, changed.values())),
        "reads": len(read),
        "writes": len(changed),
    }


def resumed(given: Given, subject: str) -> dict[str, Any]:
    """The memory of a resumed instance: the mean of some, each with a text of its own."""
    loader, engine = _loader(given), new_engine()
    data = loader.save(loader.resume(given.text("state"))).encode()

    def one() -> Any:
        return loader.resume(str(data, "utf-8"), script_engine=engine)

    kept = [one()]
    gc.collect()
    before = memory_now()
    kept += [one() for _ in range(KEPT)]
    gc.collect()
    return {"each": (memory_now() - before) // KEPT, "text": len(data)}


def walk(given: Given, subject: str) -> dict[str, Any]:
    """An instance goes through many calls, a step each, and `examples/` stores it in SQLite."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
    from sqlite_instances import create_tables, resume, store

    loader, engine, times = _loader(given), new_engine(), []
    with closing(sqlite3.connect(given.scratch / "instances.db")) as database:
        database.execute("PRAGMA synchronous = OFF")  # so that the disk does not count
        create_tables(database)
        workflow = loader.start(script_engine=engine)
        workflow.do_engine_steps()
        store(loader, database, 1, workflow)
        for _ in range(WALK):
            before = perf_counter()
            workflow = resume(loader, database, 1)
            go_on(workflow)
            store(loader, database, 1, workflow)
            times.append(perf_counter() - before)
        finished = sum(sub.completed for sub in workflow.subprocesses.values())
    first, last = times[:AT_ONCE], times[-AT_ONCE:]
    return {"first": median(first), "last": median(last), "finished": finished}


PROBES = {function.__name__: function for function in (moved, resumed, walk)}


if __name__ == "__main__":
    run_probe(PROBES) if sys.argv[1] in PROBES else run_case()
