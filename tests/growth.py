"""Hostile shapes of workflows in any size, and what caching them and asking about them costs.

    python tests/growth.py count FOLDER    the texts in a folder, one after the other, with a mark
                                           between the steps that callgrind dumps its counts at
    python tests/growth.py peaks FOLDER    the bytes of memory that each step with each text takes

The tests try each of `SHAPES`. A shape is a function of a size. It returns a text that grows in
proportion to the size.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

from spiff_element_units import ElementUnits, UnitNotFound, cache_keys, verify_cache

PLAIN = {"typename": "T"}
STEPS = ("cache", "get", "not found")


def process(name: str, tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "typename": "P", "task_specs": tasks, **more}


def refer(target: str, typename: str = "CallActivity", **more: Any) -> dict[str, Any]:
    return {"typename": typename, "spec": target, **more}


def workflow(
    tasks: dict[str, Any], specs: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    return {"spec": process("A", tasks), "subprocess_specs": specs or {}, **more}


SPEC = json.dumps(process("A", {"last": PLAIN}))
NULLS = '"subprocess_specs":{"last":null}'
SPECS = ',"spec":' + SPEC + "," + NULLS


def spelled(value: str) -> str:
    """A workflow with a text in place of a value, JSON or not."""
    return json.dumps(workflow({"last": {**PLAIN, "x": "@"}})).replace('"@"', value)


def quoted(letters: str) -> str:
    return spelled('"' + letters + '"')


def array(item: str, count: int, comma: str = ",") -> str:
    return spelled("[" + comma.join([item] * count) + "]")


def top(members: str) -> str:
    return "{" + members + "}"


def subprocesses(members: str) -> str:
    return top('"spec":' + SPEC + ',"subprocess_specs":{' + members + "}")


def tasks_of_a(members: str) -> str:
    return top('"spec":{"name":"A","typename":"P","task_specs":{' + members + "}}," + NULLS)


def again(member: str, count: int) -> str:
    return ",".join([member] * count)


def chain(count: int, typename: str) -> dict[str, Any]:
    specs = {f"{n}": process(f"{n}", {f"T{n}": refer(f"{n + 1}", typename)}) for n in range(count)}
    specs[f"{count}"] = process(f"{count}", {"last": PLAIN})
    return workflow({"T": refer("0", typename)}, specs)


def complete(count: int, typename: str) -> dict[str, Any]:
    """Processes that all refer to all, with so many references in total."""
    names = [f"{n}" for n in range(int(count**0.5))]
    tasks = {name: refer(name, typename) for name in names}
    specs = {name: process(name, tasks) for name in names}
    specs[names[-1]] = process(names[-1], {**tasks, "last": PLAIN})
    return workflow(tasks, specs)


def sharing(count: int, reached: bool) -> dict[str, Any]:
    """Processes that all have the element, and are reached or not."""
    specs = {f"{n}": process(f"{n}", {"last": PLAIN}) for n in range(count)}
    tasks = {f"T{n}": refer(f"{n}") for n in range(count if reached else 0)}
    return workflow(tasks, specs)


def loops(count: int) -> dict[str, Any]:
    """A loop around a loop around a loop.. around a call."""
    tasks = {f"T{n}": {"typename": "Loop", "task_spec": f"T{n + 1}"} for n in range(count)}
    return workflow({**tasks, f"T{count}": refer("B")}, {"B": process("B", {"last": PLAIN})})


def loops_around(count: int) -> dict[str, Any]:
    """The same from the last to the first, and the last around the first."""
    tasks = {f"T{n}": {"typename": "Loop", "task_spec": f"T{n - 1}"} for n in range(1, count)}
    tasks["T0"] = {"typename": "Loop", "task_spec": f"T{count - 1}"}
    return workflow({**tasks, "last": refer("B")}, {"B": process("B", {})})


def same_alias(count: int) -> dict[str, Any]:
    """Tasks that share an id and refer to something else each."""
    tasks = {f"T{n}": refer(f"{n}", bpmn_id="last") for n in range(count)}
    return workflow(tasks, {f"{n}": process(f"{n}", {}) for n in range(count)})


def triggers(count: int) -> dict[str, Any]:
    names = [f"{n}" for n in range(count)]
    specs = {name: process(name, {}) for name in names[::2]}
    return workflow({"last": {**PLAIN, "trigger_specs": names + names}}, specs)


def same_trigger(count: int) -> dict[str, Any]:
    return workflow(
        {"last": {**PLAIN, "trigger_specs": ["B"] * count}, "T": refer("B")},
        {"B": process("B", {"S": {**PLAIN, "trigger_specs": ["B"] * count}})},
    )


def back_and_forth(count: int) -> dict[str, Any]:
    """Two processes that refer to each other over and over."""
    tasks = {f"T{n}": refer("B") for n in range(count)}
    back = {f"U{n}": refer("C", "SubWorkflowTask") for n in range(count)}
    return workflow(tasks, {"B": process("B", {**back, "last": PLAIN}), "C": process("C", tasks)})


def numbered(count: int, width: int = 12) -> list[str]:
    return [f"{n:0{width}}" for n in range(count)]


def with_tasks(names: Iterable[str]) -> dict[str, Any]:
    return workflow({**dict.fromkeys(names, PLAIN), "last": PLAIN})


def with_aliases(count: int) -> dict[str, Any]:
    names = [*numbered(count), "last"]
    return workflow({name: {**PLAIN, "bpmn_id": f"b{name}"} for name in names})


def called(name: str) -> dict[str, Any]:
    return workflow({"T": refer(name)}, {name: process(name, {"last": PLAIN})})


def long_references(count: int) -> dict[str, Any]:
    tasks = {name: refer("x" * 2_000) for name in numbered(count)}
    return workflow(tasks, {"B": process("B", {"last": PLAIN})})


def external(count: int) -> dict[str, Any]:
    return workflow({name: refer(name) for name in [*numbered(count), "last"]})


# A size, in which the smallest text has some ten thousand bytes, and what makes one of it.
TEXTS: dict[str, tuple[int, Callable[[int], Any]]] = {
    "arrays, a thousand deep": (6, lambda n: array("[" * 999 + "]" * 999, n)),
    "objects, a thousand deep": (3, lambda n: array('{"":' * 990 + "0" + "}" * 990, n)),
    "brackets that are too deep": (5_000, lambda n: spelled("[" * n + "]" * n)),
    "brackets that never close": (10_000, lambda n: spelled("[" * n)),
    "brackets that never opened": (10_000, lambda n: spelled("]" * n)),
    "a text that is cut short": (200, lambda n: json.dumps(chain(n, "CallActivity"))[:-1]),
    "an error in the last value": (2_000, lambda n: array("1", n)[:-1] + ',"y":[1 2]}'),
    "an error in the last of many values": (1_000, lambda n: top(again('"x":[1]', n) + ',"y":01')),
    "spaces": (5_000, lambda n: spelled("[" + " " * n + "1" + " " * n + ",2]")),
    "spaces between tokens": (3_000, lambda n: array("1", n, " , ")),
    "one long string": (10_000, lambda n: quoted("x" * n)),
    "strings": (2_000, lambda n: array('"ab"', n)),
    "escapes": (5_000, lambda n: quoted("\\n" * n)),
    "escapes of surrogates": (1_000, lambda n: quoted("\\ud83e\\udd8a" * n)),
    "backslashes": (5_000, lambda n: quoted("\\\\" * n)),
    "escaped quotes": (5_000, lambda n: quoted('\\"' * n)),
    "backslashes before an escaped quote": (5_000, lambda n: quoted("\\\\" * n + '\\"')),
    "a string that never ends": (5_000, lambda n: spelled('"' + '\\"' * n)),
    "letters of four bytes": (2_500, lambda n: quoted("🦊" * n)),
    "a number of many digits": (5_000, lambda n: spelled("0." + "1" * n)),
    "numbers": (1_000, lambda n: array("-1.5e10", n)),
    "large numbers": (20, lambda n: array("1" * 300 + "." + "1" * 300, n)),
    "one key of a value, again and again": (1_000, lambda n: spelled(top(again('"key":1', n)))),
    "a top-level key, again and again": (1_000, lambda n: top(again('"x":[1]', n) + SPECS)),
    "specs, again and again": (100, lambda n: top(again('"spec":' + SPEC, n) + SPECS)),
    "a process id, again and again": (100, lambda n: subprocesses(again('"last":' + SPEC, n))),
    "a task, again and again": (500, lambda n: tasks_of_a(again('"last":{"typename":"T"}', n))),
}
WORKFLOWS: dict[str, tuple[int, Callable[[int], Any]]] = {
    "keys of a value": (500, lambda n: workflow({"last": {**PLAIN, **dict.fromkeys(numbered(n))}})),
    "top-level keys": (500, lambda n: workflow({"last": PLAIN}, **dict.fromkeys(numbered(n)))),
    "elements": (250, lambda n: with_tasks(numbered(n))),
    "elements with another id": (125, with_aliases),
    "ids that differ at their ends": (100, lambda n: with_tasks("x" * 90 + i for i in numbered(n))),
    "ids that differ at their starts": (
        100,
        lambda n: with_tasks(i + "x" * 90 for i in numbered(n)),
    ),
    "an id of many letters": (10_000, lambda n: with_tasks(["x" * n])),
    "an id of escapes": (1_000, lambda n: with_tasks(["\x01é" * n])),
    "a process id of many letters": (10_000, lambda n: called("x" * n)),
    "references of long ids": (6, long_references),
    "ids of null": (500, lambda n: workflow({"last": PLAIN}, dict.fromkeys(numbered(n)))),
    "processes": (100, lambda n: sharing(n, reached=True)),
    "processes that nothing refers to": (100, lambda n: sharing(n, reached=False)),
    "a chain of calls": (100, lambda n: chain(n, "CallActivity")),
    "a chain of embedded processes": (100, lambda n: chain(n, "SubWorkflowTask")),
    "calls of each by each": (400, lambda n: complete(n, "CallActivity")),
    "embeddings of each in each": (400, lambda n: complete(n, "SubWorkflowTask")),
    "calls to and fro": (100, back_and_forth),
    "external calls": (200, external),
    "loops around loops": (250, loops),
    "loops around themselves": (250, loops_around),
    "one other id of many tasks": (100, same_alias),
    "triggers": (250, triggers),
    "one trigger, again and again": (500, same_trigger),
}
SHAPES = {**TEXTS, **WORKFLOWS}


def text_of(shape: str, times: int) -> bytes:
    """The text of a shape, so many times as large as its smallest."""
    size, make = SHAPES[shape]
    made = make(size * times)
    return (made if isinstance(made, str) else json.dumps(made, ensure_ascii=False)).encode()


def cache(text: bytes) -> ElementUnits | None:
    with suppress(ValueError):
        return ElementUnits.from_json(text)
    return None


def save(text: bytes, directory: str) -> None:
    units = cache(text)
    if units is not None:
        units.save(directory, "key")


def get(directory: str) -> None:
    """Ask for everything that a running workflow needs, and then for everything else."""
    for defer in ("calls", "all", "nothing"):
        units = ElementUnits.open(directory, "key")
        with suppress(UnitNotFound):
            units.workflow("A", "last", defer=defer)
    units = ElementUnits.open(directory, "key")
    for process_id in ("A", "B", units.process_ids[-1]):
        with suppress(UnitNotFound):
            units.workflow(process_id)
            units.needs(process_id, "last", "A", units.process_ids[-1])
            units.element_ids(process_id)
            units.references(process_id)
            units.spec_json(process_id)
    assert verify_cache(directory).ok
    assert len(cache_keys(directory)) == 1


def not_found(directory: str) -> None:
    for asked in (("A", "last", "lost"), ("A", "x" * 300), (".." * 300,)):
        with suppress(UnitNotFound):
            ElementUnits.open(directory, "key").workflow(*asked)
            raise AssertionError(f"{asked} is there")


def run(text: bytes, mark: Callable[[], Any]) -> None:
    """Every step with a text, and a mark before the first and after each."""
    with tempfile.TemporaryDirectory() as directory:
        gc.collect()
        mark()
        units = cache(text)
        mark()
        if units is not None:
            units.save(directory, "key")
            ElementUnits.open(directory, "key").workflow("A")
        mark()
        if units is not None:
            get(directory)
        mark()
        if units is not None:
            not_found(directory)
        mark()


def most() -> int:
    """The largest number of bytes that this process ever had.

    If the system tells it, this is the size of its addresses: how many of its pages are in memory
    depends on what other processes need.
    """
    with suppress(OSError), open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmPeak:"))
    import resource  # noqa: PLC0415

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def peak(work: Callable[[], Any]) -> int:
    """How many more bytes of memory some work takes, in a process of its own."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        before = most()
        work()
        os.write(writing, f"{most() - before}".encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as said:
        os.wait()
        return int(said.read())


def peaks(text: bytes) -> list[int]:
    """What each step with a text takes."""
    with tempfile.TemporaryDirectory() as directory:
        taken = [peak(lambda: cache(text))]
        peak(lambda: save(text, directory))
        if not os.listdir(directory):
            return [*taken, 0, 0]
        return [*taken, peak(lambda: get(directory)), peak(lambda: not_found(directory))]


def small() -> bytes:
    return json.dumps(workflow({"last": PLAIN})).encode()


def in_fresh_memory(work: Callable[[], Any]) -> None:
    """In a process of its own, whose memory is not full of holes yet."""
    if os.fork() == 0:
        work()
        os._exit(0)
    os.wait()


def main(
    run: Callable[[bytes, Callable[[], Any]], None],
    peaks: Callable[[bytes], list[int]],
    small: bytes,
) -> None:
    paths = sorted(Path(sys.argv[2]).iterdir())
    if sys.argv[1] == "peaks":
        peaks(small)  # so that everything is imported
        for path in paths:
            in_fresh_memory(lambda path=path: print(*peaks(path.read_bytes()), flush=True))
        return
    gc.disable()
    run(small, os.getpgrp)
    for path in paths:
        run(path.read_bytes(), os.getpgrp)


if __name__ == "__main__":
    main(run, peaks, small())
