"""How long an event loop stands still while an `async` application uses the library.

    python benchmarks/async_starts.py [--processes 36] [--rounds 20]

Each call runs once in the event loop itself, and once in a thread by `asyncio.to_thread`. Meanwhile
another coroutine of the loop, like one that serves another request, wants to run each millisecond.
Prints the time of each call, and by how much that coroutine was late at most: medians over rounds.
The last rows are the steps of `examples/fastapi_application.py`, with its database.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from itertools import chain, count
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Callable, NamedTuple
from unittest.mock import patch

from workflows import Tree, go_on, serializer, spec_json

from spiff_element_units.spiff import SpecLoaders

WANTED_EVERY = 0.001  # seconds
EXAMPLE = Path(__file__).parent.parent / "examples" / "fastapi_application.py"
SETTLE = 5  # turns of the other coroutine before and after a call


class Lateness:
    """The longest delay of a coroutine, in seconds."""

    def __init__(self) -> None:
        self.most = 0.0
        self._turns = 0

    async def measure(self) -> None:
        while True:
            asked = perf_counter()
            await asyncio.sleep(WANTED_EVERY)
            self.most = max(self.most, perf_counter() - asked - WANTED_EVERY)
            self._turns += 1

    async def turns(self, number: int) -> None:
        until = self._turns + number
        while self._turns < until:
            await asyncio.sleep(WANTED_EVERY)


class Measured(NamedTuple):
    """The time of a call, and the longest delay of another coroutine, both in seconds."""

    call: float
    late: float


Call = Callable[[], Any]


def calls(text: str, folder: Path) -> Iterator[tuple[str, Call]]:
    """The calls of one round, in their order."""
    registry = SpecLoaders(folder, serializer(), lambda key: text)
    loader: Any = None
    workflow: Any = None
    state = ""

    def first_start() -> None:
        nonlocal workflow
        workflow = registry["key"].start()
        workflow.do_engine_steps()

    def step() -> None:
        one = loader.resume(state)
        go_on(one)
        loader.save(one)

    yield "`loaders[key]`, not cached: caches it", lambda: registry["key"]
    registry = SpecLoaders(folder, serializer())
    yield "`loaders[key]`, cached: opens it", lambda: registry["key"]
    loader = registry["key"]
    yield "first `start` and run: restores the spec", first_start
    yield "another `start` and run", lambda: loader.start().do_engine_steps()
    yield "`save`", lambda: loader.save(workflow)
    state = loader.save(workflow)
    yield "`resume`", lambda: loader.resume(state)
    yield "a step: `resume`, do a task, run, `save`", step


def example_calls(folder: Path) -> Iterator[tuple[str, Call]]:
    """The steps of the FastAPI example in a new worker, which has an empty cache and database."""
    spec = spec_from_file_location("example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = module_from_spec(spec)
    with patch.dict(os.environ, WORKFLOWS=str(folder)):
        spec.loader.exec_module(example)
    order = {"customer": "Ada", "pieces": 3}
    instance: dict[str, Any] = {}

    def do() -> None:
        (task,) = instance["tasks"]
        example.do(instance["instance"], task, {})

    yield "the example starts its first instance", lambda: example.start("order", order)
    yield "the example starts another one", lambda: example.start("order", order)
    instance = example.start("order", order)
    yield "the example does a task", do


async def late_during(call: Call, in_thread: bool) -> Measured:
    """Measure one call."""
    lateness = Lateness()
    other = asyncio.create_task(lateness.measure())
    await lateness.turns(SETTLE)
    lateness.most = 0.0
    started = perf_counter()
    if in_thread:
        await asyncio.to_thread(call)
    else:
        call()
    seconds = perf_counter() - started
    await lateness.turns(SETTLE)
    other.cancel()
    return Measured(seconds, lateness.most)


async def nothing_to_do(rounds: int) -> float:
    """The delay of the coroutine if nothing else runs."""
    return median([(await late_during(lambda: None, False)).late for _ in range(rounds)])


async def measure(
    processes: int, rounds: int, folder: Path
) -> dict[str, dict[bool, list[Measured]]]:
    """Measure each call in each round, in the loop and in a thread."""
    text = spec_json(Tree(processes))
    found: dict[str, dict[bool, list[Measured]]] = {}
    numbers = count()
    for _ in range(rounds):
        for in_thread in (False, True):
            of_library = calls(text, folder / str(next(numbers)))
            of_example = example_calls(folder / str(next(numbers)))
            for name, call in chain(of_library, of_example):
                by_way = found.setdefault(name, {False: [], True: []})
                by_way[in_thread].append(await late_during(call, in_thread))
    return found


def ms(values: Iterator[float]) -> str:
    return f"{median(values) * 1000:.1f} ms"


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how late an event loop is.")
    parser.add_argument("--processes", type=int, default=36)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        idle = asyncio.run(nothing_to_do(asked.rounds))
        found = asyncio.run(measure(asked.processes, asked.rounds, Path(folder)))
    print(f"{asked.processes} processes, medians of {asked.rounds} rounds")
    print(f"The loop is {idle * 1000:.1f} ms late if nothing else runs.\n")
    print("| call | time | loop late, called in it | loop late, `to_thread` |")
    print("| --- | --- | --- | --- |")
    for name, by_way in found.items():
        here, thread = by_way[False], by_way[True]
        times, late, threaded = (
            ms(one.call for one in here),
            ms(one.late for one in here),
            ms(one.late for one in thread),
        )
        print(f"| {name} | {times} | {late} | {threaded} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
