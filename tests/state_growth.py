"""Hostile shapes of states in any size, and what cutting them and asking about them costs.

python tests/state_growth.py count FOLDER    as `growth` does for workflows
python tests/state_growth.py peaks FOLDER
"""

from __future__ import annotations

import gc
import json
from typing import Any, Callable

import growth
from growth import peak
from states import state, subprocess, task

from spiff_element_units.core.cut import Cut, cut_state, splice

STEPS = ("cut", "ask", "splice")
ESCAPED = "größe 🦊"


def side_by_side(count: int, *odd: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Subprocesses at the tasks of the root. The tasks in every second one are `odd`."""
    inner = {}
    for number in range(count):
        own = task(count + number, **(odd[0] if odd and number % 2 else {}))
        inner[number] = subprocess(number, own, **more)
    return state([task(number, 16) for number in range(count)], inner)


def chain(count: int, last: int = 64) -> dict[str, Any]:
    """Each subprocess is at a task of the one before."""
    inner = {n: subprocess(n, task(n + 1)) for n in range(count)}
    return state([task(0, 16)], {**inner, count: subprocess(count, task(count + 1, last))})


def turned(value: dict[str, Any]) -> dict[str, Any]:
    """The last subprocess first, and the root's tasks at the end."""
    inner = dict(reversed(value["subprocesses"].items()))
    return {"subprocesses": inner, "tasks": value["tasks"]}


def cycle(count: int) -> dict[str, Any]:
    inner = {n: subprocess(n, task((n + 1) % count)) for n in range(count)}
    return state([task(count, 16)], inner)


def one_large(count: int, **more: Any) -> dict[str, Any]:
    inner = subprocess(0, *(task(n, **more) for n in range(1, count)))
    return state([task(0, 16)], {0: inner})


def with_data(text: str) -> str:
    """A state with a text in the place of the data of a settled task. It may not be JSON."""
    return json.dumps(one_large(2, data="@")).replace('"@"', text)


# A size, in which the smallest text has some ten thousand bytes or more, and what makes one of it.
SHAPES: dict[str, tuple[int, Callable[[int], Any]]] = {
    "settled subprocesses": (120, side_by_side),
    "subprocesses without tasks": (
        60,
        lambda n: state([task(0)], {m: subprocess(m) for m in range(n)}),
    ),
    "living subprocesses": (30, lambda n: side_by_side(n, completed=False)),
    "living ones between settled ones": (30, lambda n: side_by_side(n, {"state": 16})),
    "subprocesses in subprocesses": (120, chain),
    "subprocesses around a living one": (30, lambda n: chain(n, 8)),
    "subprocesses from the last to the first": (30, lambda n: turned(chain(n))),
    "subprocesses in a cycle": (30, cycle),
    "subprocesses that nothing leads to": (
        30,
        lambda n: state([task(n)], {m: subprocess(m, task(n + m + 1)) for m in range(n)}),
    ),
    "all subprocesses at the tasks of one": (
        60,
        lambda n: state(
            [task(n, 16)],
            {n: subprocess(n, *map(task, range(n))), **{m: subprocess(m) for m in range(n)}},
        ),
    ),
    "tasks of the root": (300, lambda n: state([task(m, 16) for m in range(n)])),
    "tasks of a subprocess": (300, one_large),
    "a task twice, at the end": (
        80,
        lambda n: state([*map(task, range(n))], {n: subprocess(n, task(n - 1))}),
    ),
    "names that are escaped": (60, lambda n: one_large(n, task_spec=ESCAPED)),
    "names that are escaped in other ways": (
        60,
        lambda n: json.dumps(one_large(n, task_spec="@")).replace("@", "\\u0041\\/"),
    ),
    "one long name": (5_000, lambda n: one_large(2, task_spec=ESCAPED * n)),
    "long numbers": (80, lambda n: one_large(n, last_state_change=int("9" * 300))),
    "data": (100, lambda n: one_large(2, data=[{"a": [1.5, "b", None]}] * n)),
    "brackets": (6, lambda n: with_data("[" + ",".join(["[" * 900 + "]" * 900] * n) + "]")),
    "brackets that are too deep": (5_000, lambda n: with_data("[" * n + "]" * n)),
    "brackets that never close": (10_000, lambda n: with_data("[" * n)),
    "escapes": (5_000, lambda n: with_data('"' + "\\n" * n + '"')),
    "backslashes": (5_000, lambda n: with_data('"' + "\\\\" * n + '"')),
    "a string that never ends": (5_000, lambda n: with_data('"' + '\\"' * n)),
    "spaces": (5_000, lambda n: with_data("[" + " " * n + "1" + " " * n + "]")),
    "a number of many digits": (10_000, lambda n: with_data("1" * n)),
    "an error at the end": (80, lambda n: json.dumps(one_large(n))[:-1]),
}


def text_of(shape: str, times: int) -> bytes:
    """The text of a shape, so many times as large as its smallest."""
    size, make = SHAPES[shape]
    made = make(size * times)
    return (made if isinstance(made, str) else json.dumps(made)).encode()


def ask(cut: Cut | None) -> None:
    """All that can be asked."""
    if cut is None:
        return
    cut.head()
    cut.children(-1)
    for number in cut.order():
        assert cut.find(cut.id(number)) == number
        cut.is_settled(number)
        cut.parent(number)
        cut.drifts(number)
        cut.children(number)
        cut.typename(number)
        cut.names(number)
        cut.newest(number)
        cut.states(number)
        cut.text(number)
        for id in cut.task_ids(number):
            assert cut.holder(id) == number
    for name in ("element 1", ESCAPED, "lost"):
        cut.matching(448, name, 0.0)


def put_together(cut: Cut | None) -> None:
    if cut is not None:
        members = [n if cut.is_settled(n) else cut.id(n) for n in range(len(cut))]
        assert splice(cut.head(), members, cut) is not None


def run(text: bytes, mark: Callable[[], Any]) -> None:
    """Every step with a text, and a mark before the first and after each."""
    gc.collect()
    mark()
    cut = cut_state(text)
    mark()
    mark()  # where a workflow is saved
    ask(cut)
    mark()
    put_together(cut)
    mark()


def peaks(text: bytes) -> list[int]:
    """What each step with a text takes."""
    cut = cut_state(text)
    return [
        peak(lambda: cut_state(text)),
        peak(lambda: ask(cut)),
        peak(lambda: put_together(cut)),
    ]


def small() -> bytes:
    return json.dumps(one_large(2)).encode()


if __name__ == "__main__":
    growth.main(run, peaks, small())
