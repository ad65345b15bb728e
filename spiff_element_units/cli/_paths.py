"""Why a unit contains its processes: for each process, a path of references that leads to it.

These references bring a process into a unit: an embedded subprocess or a trigger of any process in
the unit, the reference of an element that was asked for, and every reference on the way to an
element further down. In workflows of SpiffWorkflow before 3.2, any reference may lead to a process
that events start.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable, NamedTuple, Optional

import orjson

from ..asking import Defer
from ..units import ElementUnits, Reference

_FOLLOWED = {
    "calls": ("embedded", "trigger"),
    "all": (),
    "nothing": ("call", "embedded", "trigger"),
}

_Brings = Callable[[str, Reference], bool]


class Step(NamedTuple):
    """A reference on a path: an element of a process refers to the next process."""

    process_id: str
    element_id: str
    kind: str
    to: str


def paths(
    units: ElementUnits, process_id: str, element_ids: tuple[str, ...], defer: Defer
) -> dict[str, tuple[Step, ...]]:
    """The processes of a unit in its order, each with a shortest path to it.

    Raises the errors of `ElementUnits.needs`.
    """
    held = units.needs(process_id, *element_ids, defer=defer)
    brings = _rules(units, process_id, element_ids, defer)
    found = _walk(units, {process_id: ()}, brings)
    started = [one for one in held if one not in found]
    if started:
        ways = _walk(units, {process_id: ()}, lambda one, reference: reference.kind != "trigger")
        found = _walk(units, {**found, **{one: ways[one] for one in started}}, brings)
    return {one: found[one] for one in (*held, *(one for one in found if one not in held))}


def _walk(
    units: ElementUnits, starts: dict[str, tuple[Step, ...]], brings: _Brings
) -> dict[str, tuple[Step, ...]]:
    """The starts and what they bring in turn, each with a shortest path."""
    found = dict(starts)
    waiting = list(found)
    for one in waiting:  # grows
        for reference in units.references(one):
            to = reference.process_id
            if to in found or reference.external or not brings(one, reference):
                continue
            found[to] = (*found[one], Step(one, reference.element_id, reference.kind, to))
            waiting.append(to)
    return found


def _rules(
    units: ElementUnits, process_id: str, element_ids: Iterable[str], defer: Defer
) -> _Brings:
    followed = _FOLLOWED[defer]
    own_ids = set(units.element_ids(process_id))
    own: set[str] = set()
    ways: list[set[str]] = []
    for element_id in element_ids:
        if element_id == process_id:
            continue
        if element_id in own_ids:
            task_specs = orjson.loads(units.spec_json(process_id))["task_specs"]
            own |= referring(task_specs, element_id)
        else:
            ways.append(_on_the_way(units, process_id, element_id))

    def brings(one: str, reference: Reference) -> bool:
        if reference.kind in followed:
            return True
        if one == process_id and reference.element_id in own and reference.kind != "trigger":
            return True
        return any(one in way and reference.process_id in way for way in ways)

    return brings


def referring(task_specs: dict[str, Any], element_id: str) -> set[str]:
    """The names of the task specs with which an element refers to processes."""
    found = (
        refers_by(task_specs, name)
        for name, task in task_specs.items()
        if element_id in ids_of(name, task)
    )
    return {name for name in found if name is not None}


def ids_of(name: str, task: dict[str, Any]) -> tuple[Any, ...]:
    """The ids of a task spec; some may be None."""
    return (name, task.get("name"), task.get("bpmn_id"))


def refers_by(task_specs: dict[str, Any], name: str) -> Optional[str]:
    """The task spec with which another one refers to a process: itself, or the one it repeats."""
    passed: set[str] = set()
    inner: Any = name
    while isinstance(inner, str) and inner in task_specs and inner not in passed:
        if isinstance(task_specs[inner].get("spec"), str):
            return inner
        passed.add(inner)
        inner = task_specs[inner].get("task_spec")
    return None


def _on_the_way(units: ElementUnits, process_id: str, element_id: str) -> set[str]:
    """The processes on any path to a process that has the id or an element with the id."""
    leading: dict[str, set[str]] = {}
    waiting = [process_id]
    seen = {process_id}
    for one in waiting:  # grows
        for reference in units.references(one):
            if reference.external:
                continue
            leading.setdefault(reference.process_id, set()).add(one)
            if reference.process_id not in seen:
                seen.add(reference.process_id)
                waiting.append(reference.process_id)
    way = {one for one in seen if one == element_id or element_id in units.element_ids(one)}
    back = list(way)
    for one in back:  # grows
        new = leading.get(one, set()) - way
        way |= new
        back.extend(new)
    return way
