"""Hypothesis strategies: states as SpiffWorkflow writes them, and states as it never writes them.

`texts()` gives the JSON of states in varied spelling, as `strategies` does for workflows. Half of
them are odd: something may be missing, have a wrong type or another place, be repeated or escaped.
"""

from __future__ import annotations

import random
from typing import Any, Callable

from hypothesis import strategies as st
from naive_state import KNOWN
from strategies import FEW_IDS, ODD_IDS, Raw, Spelling

IDS = [f"{n:08x}-89ab-4cde-8f01-23456789abcd" for n in range(24)]
NO_IDS = [IDS[0].upper(), "", "root", IDS[0][:-1], IDS[0] + "0", "é" * 36, IDS[1].replace("-", "")]
PLAIN_KEYS = {
    *KNOWN,
    *IDS,
    *("spiff_element_units", "root", "größe", "data", "last_task", "parent", "children"),
}
NUMBERS = ["0", "-0.0", "1e2", "1e999", "9" * 400, "NaN", "-Infinity", "Infinity"]
VALUES = [
    *(None, True, "", "größe 🦊", '"}],{"', "\\", {}, []),
    *map(Raw, NUMBERS),
    *(Raw('"\\ud800"'), Raw('{"\\udc00": [NaN]}')),
    {"tasks": {IDS[0]: {"state": 16}}, "completed": False, "a": [[{}], {"": ""}]},
    [{"id": 1}, "subprocesses", ["x", ["y"]], -1.5e-7],
]
values = st.sampled_from(VALUES)
names = st.sampled_from(FEW_IDS + ODD_IDS)

Pick = Callable[..., Any]
"""Gives the first of its arguments. If a state is odd, it sometimes gives another one."""


def picker(draw: Any) -> Pick:
    odd = draw(st.booleans())

    def pick(usual: Any, *others: Any) -> Any:
        return draw(st.sampled_from([usual] * 30 + list(others))) if odd else usual

    return pick


def task(draw: Any, pick: Pick, id: str, finished: bool) -> dict:
    states = [64, 64, 128, 256] if finished else [4, 16, 64]
    time = (Raw("1795614037.5"), 7, -1.5, Raw("-Infinity"), Raw("NaN"), Raw("1e999"), "7")
    value = {
        "id": pick(id, id.upper(), None, 7, IDS[-1]),
        "parent": None,
        "children": draw(st.sampled_from([[], [IDS[0]]])),
        "last_state_change": pick(*time),
        "state": pick(draw(st.sampled_from(states)), Raw("64.0"), -64, True, "64", 65, 1000, None),
        "task_spec": pick(draw(names), None, ["x"]),
        "data": draw(values),
    }
    return mangled(draw, pick, value)


def mangled(draw: Any, pick: Pick, value: dict) -> dict:
    """The same, sometimes with another order of keys, or without one."""
    gone = pick(None, *value)
    keys = list(value)
    if draw(st.integers(0, 5)) == 5:
        keys = draw(st.permutations(keys))
    return {key: value[key] for key in keys if key != gone}


def tasks(draw: Any, pick: Pick, ids: list[str], finished: bool) -> Any:
    written = [pick(id, *NO_IDS) for id in ids]
    some = {key: task(draw, pick, id, finished) for key, id in zip(written, ids)}
    return pick(some, *VALUES)


def process(draw: Any, pick: Pick, id: str, own: list[str]) -> dict:
    finished = draw(st.integers(0, 4)) > 0
    value = {
        "data": draw(values),
        "last_task": None,
        "completed": pick(finished, False, None, 1, "true"),
        "tasks": tasks(draw, pick, own, finished),
        "parent_task_id": pick(id, id.upper(), IDS[3], None),
        "spec": pick("called", "größe", None, 7, {}),
        "typename": pick("BpmnSubWorkflow", None),
    }
    return mangled(draw, pick, value)


def state(draw: Any, pick: Pick) -> dict:
    """Processes one below the other, in any order. Nothing leads to some of them."""
    free = iter(IDS)
    count = draw(st.integers(0, 7))
    root = [next(free) for _ in range(draw(st.integers(0, 3)))]
    at = list(root)  # tasks that a subprocess can be at
    processes: dict[str, Any] = {}
    for _ in range(count):
        id = at.pop(draw(st.integers(0, len(at) - 1))) if at else IDS[-1 - len(processes)]
        own = [next(free) for _ in range(draw(st.integers(0, 2)))]
        own = [*own, *pick([], [id])]  # a cycle, or a task in two processes
        at += own
        processes[id] = process(draw, pick, id, own)
    if pick(False, True):
        processes[draw(st.sampled_from(NO_IDS))] = draw(values)
    value = {
        "spiff_element_units": draw(values),
        "completed": False,
        "tasks": tasks(draw, pick, root, False),
        "root": "",
        "subprocesses": {key: processes[key] for key in draw(st.permutations([*processes]))},
        "typename": "BpmnWorkflow",
        "größe": draw(values),
    }
    return mangled(draw, pick, value)


class StateSpelling(Spelling):
    """In this spelling, few of the important keys are escaped or repeated."""

    odd_keys = 0.0

    def string(self, string: str) -> str:
        if string in PLAIN_KEYS and self.chance.random() >= self.odd_keys:
            return f'"{string}"'
        return super().string(string)

    def members(self, members: dict) -> list[str]:
        twice = self.twice
        if not PLAIN_KEYS.isdisjoint(members):
            self.twice = twice * self.odd_keys
        written = super().members(members)
        self.twice = twice
        return written


@st.composite
def texts(draw: Any) -> str:
    """JSON texts of states."""
    pick = picker(draw)
    spelling = StateSpelling(
        random.Random(draw(st.integers(0, 2**32))),
        spaces=draw(st.sampled_from([0, 0.1, 0.7])),
        escapes=draw(st.sampled_from([0, 0.05, 0.7])),
        twice=draw(st.sampled_from([0, 0.1, 0.4])),
    )
    spelling.odd_keys = pick(0, 0.01, 0.02)
    return spelling.text(state(draw, pick))
