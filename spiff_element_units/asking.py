"""What callers ask for: checks of the arguments, and the errors for what is not found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice
from typing import Literal, Optional, get_args

from .core.fault import Fault
from .core.pack import Pack
from .core.unit import needs
from .diff import process_ids
from .errors import ElementUnitsError, UnitNotFound

Defer = Literal["calls", "all", "nothing"]
DEFERS: tuple[Defer, ...] = get_args(Defer)

_FARTHEST = 8  # a similar id is at most so many characters longer or shorter
_COMPARED = 2_000_000  # compares at most so many pairs of characters, which takes milliseconds


def string(name: str, value: object) -> str:
    """A string argument as a plain `str`, also if it is a subclass of `str`."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    # Calling str.__str__ costs a hundredth of a get.
    return value if type(value) is str else str.__str__(value)


def strings(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(string("element_id", value) for value in values)


def defer_text(value: object) -> str:
    defer = string("defer", value)
    if defer not in DEFERS:
        raise ElementUnitsError(
            f"defer must be one of {', '.join(map(repr, DEFERS))}, not {defer!r}"
        )
    return defer


def not_found(pack: Pack, fault: Fault, process_id: str) -> Optional[UnitNotFound]:
    """The error for a process or element that is not found; None for any other fault.

    Raises Fault if the pack is damaged.
    """
    if fault.kind == "no process":
        known = process_ids(pack)
        if process_id in known:
            return None
        return UnitNotFound(f"no process {process_id!r}{_whereabouts(pack, process_id, known)}")
    if fault.kind != "no element":
        return None
    element_id = fault.values["element"]
    if pack.has_element(element_id):
        return UnitNotFound(
            f"element {element_id!r} exists in the workflow, but process {process_id!r} does "
            "not lead to it; ask with the process that contains it, or one that leads there"
        )
    reached = needs(pack, process_id, (), "nothing")
    elements = (id for name in reached for id in (name, *pack.element_ids(name)))
    return UnitNotFound(
        f"no element {element_id!r} in process {process_id!r} or the processes that it leads "
        f"to{near(element_id, elements)}"
    )


def _whereabouts(pack: Pack, process_id: str, known: tuple[str, ...]) -> str:
    """The part of the message that says why the workflow does not contain a process."""
    if process_id in pack.subprocess_ids():
        missing = f'subprocess_specs["{process_id}"] is null'
    elif any(to == process_id for name in known for _, to, *_ in pack.references(name)):
        missing = "a task spec refers to it, but it is not in subprocess_specs"
    else:
        return f" in the workflow of {known[0]!r}{near(process_id, known)}"
    return f": {missing}, so the process is external; load it from the workflow that contains it"


def near(wanted: str, known: Iterable[str]) -> str:
    """A suggestion of ids that are similar to the one that was not found."""
    likely = (name for name in known if abs(len(name) - len(wanted)) <= _FARTHEST)
    some = list(islice(likely, _COMPARED // (len(wanted) + _FARTHEST) ** 2))
    similar = difflib.get_close_matches(wanted, some, n=3) if some else []
    return f"; did you mean {' or '.join(map(repr, similar))}?" if similar else ""
