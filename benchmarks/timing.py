"""Registers cases, and times one of them under pyperf."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Optional

from given import Given


class Operation(NamedTuple):
    """What is timed, and what is done after each time without being timed."""

    run: Callable[[], object]
    after: Optional[Callable[[], None]] = None


CASES: dict[tuple[str, str], Callable[[Given], Operation]] = {}


def case(name: str, *subjects: str) -> Callable[[Any], Any]:
    """Register a function as a case for some subjects; it is called with both and a `Given`."""

    def register(function: Any) -> Any:
        for subject in subjects:
            CASES[name, subject] = partial(function, name, subject)
        return function

    return register


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
    """How often an operation must run to take about so long. Runs it a few times."""
    loops, spent = 1, timed(operation, 1)
    while spent < seconds / 4 and loops < 1 << 20:
        loops *= 2
        spent = timed(operation, loops)
    return max(1, round(loops * seconds / spent))


def _add_arguments(command: list[str], arguments: Any) -> None:
    """Hand the arguments on to the worker processes that pyperf starts."""
    command += [arguments.name, arguments.subject, arguments.folder]


def run_case() -> None:
    """Time the case that the command line names."""
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
        gc.freeze()  # so that collections do not go through what was set up
        if arguments.seconds:
            arguments.loops = loops_for(operation, arguments.seconds)
        runner.bench_time_func(
            f"{arguments.name} {arguments.subject}", lambda loops: timed(operation, loops)
        )
