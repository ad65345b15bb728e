"""The rules of the cutter of states in plain Python. The tests compare it with them.

Nothing here comes from the package. `cut` returns what is in a text, or None if the text must not
be cut. `same` compares a `Cut` with that, question by question.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, Optional
from uuid import UUID

from naive import Members

KNOWN = {
    *("tasks", "subprocesses", "completed", "spec", "typename", "parent_task_id"),
    *("id", "state", "task_spec", "last_state_change", "children"),
}
FINISHED = (64, 128, 256)
FINISHED_MASK = sum(FINISHED)
MOST_LEVELS = 1024
MOST_DIGITS = 640
ESCAPED = "\ue000"  # stands for an escape in a key or an id


class Number(str):
    """The text of a number."""


class Subprocess(NamedTuple):
    id: str
    value: Members
    parent: Optional[int]
    children: list[int]
    settled: bool
    reached: bool
    drifts: bool


class Found(NamedTuple):
    head: Members
    subprocesses: list[Subprocess]
    order: list[int]
    children: list[int]  # of the root
    tasks: dict[str, int]  # which subprocess has it


class NotCut(Exception):
    """The text must be decoded whole."""


def exact(text: str) -> Any:
    """The value of a text. A number is its text, and an object is a list of its members."""
    return json.loads(
        text,
        object_pairs_hook=Members,
        parse_int=Number,
        parse_float=Number,
        parse_constant=Number,
    )


def with_marked_escapes(text: str) -> str:
    """The text with ESCAPED in place of each escape that is in a key or an id."""

    def marked(token: re.Match[str]) -> str:
        string, colon = token.groups()
        if "\\" in string and (colon or is_uuid(json.loads(string))):
            string = re.sub(r"\\.", ESCAPED, string)
        return string + (colon or "")

    return re.sub(r'("(?:[^"\\]|\\.)*")(\s*:)?', marked, text, flags=re.DOTALL)


def levels(value: Any) -> int:
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        one, level = waiting.pop()
        if isinstance(one, list):
            deepest = max(deepest, level)
            inner = [v for _, v in one] if isinstance(one, Members) else one
            waiting += [(v, level + 1) for v in inner]
    return deepest


def longest_number(value: Any) -> int:
    longest, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Number):
            longest = max(longest, len(one))
        elif isinstance(one, Members):
            waiting += [v for _, v in one]
        elif isinstance(one, list):
            waiting += one
    return longest


def need(good: Any) -> None:
    if not good:
        raise NotCut


def is_uuid(id: str) -> bool:
    try:
        return str(UUID(id)) == id
    except ValueError:
        return False


def fields(value: Any) -> dict[str, Any]:
    """The members of an object that is read member by member."""
    need(isinstance(value, Members))
    keys = [key for key, _ in value]
    need(not any(ESCAPED in key for key in keys))
    need(all(keys.count(key) == 1 for key in keys if key in KNOWN))
    return dict(value)


def tasks_of(process: dict[str, Any]) -> dict[str, dict[str, Any]]:
    need(isinstance(process.get("tasks"), Members))
    tasks: dict[str, dict[str, Any]] = {}
    for id, value in process["tasks"]:
        need(is_uuid(id) and id not in tasks)
        tasks[id] = fields(value)
        need(tasks[id].get("id") == id and type(tasks[id]["id"]) is str)
        need(type(tasks[id].get("task_spec")) is str)
    return tasks


def state_of(task: dict[str, Any]) -> int:
    state = task.get("state")
    return int(state) if isinstance(state, Number) and re.fullmatch("[0-9]{1,3}", state) else 0


def time_of(task: dict[str, Any]) -> Optional[float]:
    time = task.get("last_state_change")
    return float(time) if isinstance(time, Number) and time[0] in "-0123456789" else None


def settled_by_itself(id: str, process: dict[str, Any], writes_completed: bool) -> bool:
    completed = process.get("completed") is True if writes_completed else "completed" not in process
    return (
        completed
        and type(process.get("spec")) is str
        and type(process.get("typename")) is str
        and type(process.get("parent_task_id")) is str
        and process["parent_task_id"] == id
        and (process.get("last_task") is None or process["last_task"] in [*tasks_of(process)])
        and all(
            state_of(task) in FINISHED and time_of(task) is not None
            for task in tasks_of(process).values()
        )
    )


def cut(text: str | bytes, *, writes_completed: bool = True) -> Optional[Found]:
    """What is in a text; None if it must be decoded whole."""
    try:
        text = text if isinstance(text, str) else text.decode()
        text.encode()
        value = exact(text)
        need(levels(value) <= MOST_LEVELS and longest_number(value) <= MOST_DIGITS)
        return find(exact(with_marked_escapes(text)), value, writes_completed)
    except (ValueError, RecursionError, NotCut):
        return None


def find(marked: Any, value: Any, writes_completed: bool) -> Found:
    state = fields(marked)
    root = tasks_of(state)
    need(isinstance(state.get("subprocesses"), Members))
    ids = [id for id, _ in state["subprocesses"]]
    need(all(map(is_uuid, ids)))
    processes = [fields(process) for _, process in state["subprocesses"]]
    tasks = [tasks_of(process) for process in processes]
    every = [id for some in (root, *tasks) for id in some]
    need(len(every) == len(set(every)))
    holder = {id: number for number, some in enumerate((root, *tasks), start=-1) for id in some}
    known = [id for id in ids if id in holder]
    need(len(known) == len(set(known)))

    def children(number: int) -> list[int]:
        own = root if number == -1 else tasks[number]
        return [ids.index(id) for id in own if id in ids]

    order: list[int] = []
    waiting = children(-1)[::-1]
    while waiting:
        order.append(waiting.pop())
        waiting += children(order[-1])[::-1]
    settled = {
        number: settled_by_itself(ids[number], processes[number], writes_completed)
        for number in order
    }
    for number in reversed(order):
        settled[number] = settled[number] and all(settled[kid] for kid in children(number))
    drifting = set()
    for number in reversed(order):
        for kid in children(number):
            if kid in drifting or tasks[number][ids[kid]].get("children") == []:
                drifting.add(number)
    subprocesses = []
    values = value.last("subprocesses")
    for number, id in enumerate(ids):
        subprocesses.append(
            Subprocess(
                id, values[number][1], holder.get(id), children(number),
                settled.get(number, False), number in order, number in drifting,
            )
        )  # fmt: skip
    living = [member for member, one in zip(values, subprocesses) if not one.settled]
    head = Members((k, Members(living) if k == "subprocesses" else v) for k, v in value)
    return Found(head, subprocesses, order, children(-1), holder)


def same(found: Found, made: Any) -> None:
    """`made` is a Cut of the same text."""
    assert len(made) == len(found.subprocesses)
    assert exact(made.head()) == found.head
    assert made.order() == found.order
    assert made.children(-1) == found.children
    for number, one in enumerate(found.subprocesses):
        assert made.id(number) == one.id
        assert exact(made.text(number)) == one.value
        assert made.is_settled(number) is one.settled
        assert made.parent(number) == one.parent
        assert made.drifts(number) is one.drifts
        assert made.children(number) == one.children
        assert made.find(one.id) == (number if one.reached else None)
        same_process(dict(one.value), made, number)
    assert all(made.holder(id) == number for id, number in found.tasks.items())
    same_matches(found, made)


def comes_back(text: str, made: Any, splice: Any) -> None:
    """`splice` makes of a Cut's head and settled subprocesses the state that was cut."""
    members = [n if made.is_settled(n) else made.id(n) for n in range(len(made))]
    whole = splice(made.head(), members, made)
    ids = [made.id(number) for number in range(len(made))]
    if len(set(ids)) < len(ids):  # an id does not say which one is meant
        assert whole is None
    else:
        assert exact(whole) == exact(text)


def same_process(process: dict[str, Any], made: Any, number: int) -> None:
    tasks = {id: dict(task) for id, task in process["tasks"]}
    states = 0
    for task in tasks.values():
        states |= state_of(task)
    times = [time for time in map(time_of, tasks.values()) if time is not None]
    assert made.task_ids(number) == list(tasks)
    assert made.names(number) == list(dict.fromkeys(t["task_spec"] for t in tasks.values()))
    assert made.states(number) == states
    assert made.newest(number) == max(times, default=float("-inf"))
    typename = process.get("typename")
    assert made.typename(number) == (typename if type(typename) is str else None)


def same_matches(found: Found, made: Any) -> None:
    settled = [number for number, one in enumerate(found.subprocesses) if one.settled]
    assert made.matching(FINISHED_MASK) == [number for number in settled if made.states(number)]
    names = {name for number in settled for name in made.names(number)}
    for name in [*names, "no such element"]:
        expected = [number for number in settled if name in made.names(number)]
        assert made.matching(511, name) == expected
    for number in settled[:3]:
        since = made.newest(number)
        assert made.matching(511, None, since) == [
            n for n in settled if made.states(n) and made.newest(n) >= since
        ]
        assert made.matching(made.states(number)) == [
            n for n in settled if made.states(n) & made.states(number)
        ]
