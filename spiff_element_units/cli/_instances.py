"""Saved instances on a page: which elements have run, and where the instances wait and for what.

A state is read as JSON. Nothing in it is restored or executed. Of an instance in pieces, the live
piece is enough: finished subprocesses that are not in it are not counted.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Optional

import orjson

from ..units import ElementUnits
from ._app import Failure
from ._output import one_line
from ._paths import ids_of

# SpiffWorkflow's TaskState
_PREDICTED = (1, 2, 4)  # MAYBE, LIKELY, FUTURE
_WAITING, _READY, _STARTED, _COMPLETED, _ERROR = 8, 16, 32, 64, 128
_FINISHED = (_COMPLETED, _ERROR, 256)  # 256: CANCELLED


class Instances:
    """What the states of a workflow's instances say of its elements. Add the states one by one."""

    def __init__(self, units: ElementUnits) -> None:
        self._units = units
        self._numbers = {one: number for number, one in enumerate(units.process_ids)}
        self._specs: dict[str, dict[str, Any]] = {}
        self._total = 0
        self._done: Counter[tuple[str, str]] = Counter()
        self._waits: Counter[tuple[str, str]] = Counter()
        self._predicted: Counter[tuple[str, str]] = Counter()
        self._at: Counter[tuple[str, str]] = Counter()
        self._why: Counter[tuple[str, str, str]] = Counter()
        self._runs: dict[str, list[int]] = {}

    def add(self, name: str, text: str) -> None:
        """Add a state. Raises Failure, which names it, if it is none of this workflow."""
        try:
            state = orjson.loads(text)
            runs = [(_root_of(state), state), *((one["spec"], one) for one in _below(state))]
            seen = [(process_id, _tasks(run), run) for process_id, run in runs]
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            said = one_line(_said(error))
            raise Failure(f"{name!r} is not the state of an instance: {said}") from error
        for process_id, _, _ in seen:
            if process_id not in self._numbers:
                raise Failure(
                    f"the instance in {name!r} runs process {process_id!r}, which the workflow "
                    "does not contain"
                )
        self._total += 1
        here: set[tuple[str, str]] = set()
        for process_id, tasks, run in seen:
            completed = run.get("completed", True)  # SpiffWorkflow 3.0 does not write it
            settled = bool(completed) and all(one in _FINISHED for one, _ in tasks)
            self._runs.setdefault(process_id, [0, 0])[0 if settled else 1] += 1
            for task_state, task_spec in tasks:
                self._add_task(process_id, task_state, task_spec, here)
        self._at.update(here)

    def _add_task(
        self, process_id: str, state: int, task_spec: str, here: set[tuple[str, str]]
    ) -> None:
        spec = self._task_specs(process_id).get(task_spec)
        element = _element_of(task_spec, spec)
        if spec is None or element is None:
            return
        place = process_id, element
        if state == _COMPLETED:
            self._done[place] += 1
        elif state in _PREDICTED:
            self._predicted[place] += 1
        elif state in (_WAITING, _READY, _STARTED, _ERROR):
            self._waits[place] += 1
            here.add(place)
            # If a call or a loop has started something, that says what it waits for.
            if state != _STARTED or not ("spec" in spec or "task_spec" in spec):
                self._why[(process_id, element, _why(state, spec))] += 1

    def _task_specs(self, process_id: str) -> dict[str, Any]:
        if process_id not in self._specs:
            spec = orjson.loads(self._units.spec_json(process_id))
            self._specs[process_id] = spec["task_specs"]
        return self._specs[process_id]

    def told(self) -> Optional[dict[str, Any]]:
        """What the page says of the instances; None without instances. Processes are numbers."""
        if not self._total:
            return None
        elements: dict[int, dict[str, dict[str, int]]] = {}
        for kind, counts in (
            ("done", self._done),
            ("waits", self._waits),
            ("predicted", self._predicted),
            ("at", self._at),
        ):
            for (process_id, element), number in counts.items():
                of_process = elements.setdefault(self._numbers[process_id], {})
                of_process.setdefault(element, dict.fromkeys(_KINDS, 0))[kind] = number
        return {
            "total": self._total,
            "most": max(self._at.values(), default=0),
            "elements": elements,
            "runs": {self._numbers[one]: runs for one, runs in self._runs.items()},
            "waits": [
                [self._numbers[process_id], element, why, number]
                for (process_id, element, why), number in self._why.most_common()
            ],
        }


_KINDS = ("done", "waits", "predicted", "at")


def _root_of(state: dict[str, Any]) -> str:
    """The process that an instance runs: what our header says, or the spec of `serialize_json`."""
    header = state.get("spiff_element_units") or {}
    found = header["process_id"] if header else state["spec"]["name"]
    return str(found)


def _below(state: dict[str, Any]) -> list[dict[str, Any]]:
    return list(state["subprocesses"].values())


def _tasks(run: dict[str, Any]) -> list[tuple[int, str]]:
    return [(one["state"], one["task_spec"]) for one in run["tasks"].values()]


def _element_of(task_spec: str, spec: Optional[dict[str, Any]]) -> Optional[str]:
    """The BPMN element of a task; None if SpiffWorkflow added its spec."""
    if spec is None:
        return None
    if "bpmn_id" in spec:
        return None if spec["bpmn_id"] is None else str(spec["bpmn_id"])
    return next((str(one) for one in ids_of(task_spec, spec)), None)


def _why(state: int, spec: dict[str, Any]) -> str:
    """What a task waits for, in words."""
    if state == _ERROR:
        return "it failed"
    if state == _STARTED:
        return "its result"
    event = spec.get("event_definition")
    if isinstance(event, dict):
        kind = str(event.get("typename", "")).replace("EventDefinition", "")
        if "Timer" in kind:
            return f"timer {event.get('expression') or ''}".strip()
        name = event.get("name")
        return f"{kind.lower()} {name!r}" if name else kind.lower() or "an event"
    if spec.get("manual"):
        return "a person"
    return "its turn" if state == _READY else "what is before it"


def _said(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]!r}"
    return str(error) or type(error).__name__
