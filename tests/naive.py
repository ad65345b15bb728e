"""The unit rules in plain Python. The tests compare the library with them.

Nothing here comes from the package. A workflow is what `json.loads` returns. The name of a process
is its key in `subprocess_specs`. The name of the root is `ROOT`, because another process may have
its id.

`needs` and `unit` are the rules, and `is_workflow` says what must be accepted. `exact` parses a
text so that the texts of numbers, the order of keys and duplicate keys are compared too.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

CALL, EMBEDDED, TRIGGER = "call", "embedded", "trigger"
EMBEDDING_TYPES = {
    "SubWorkflowTask",
    "TransactionSubprocess",
    "EventSubprocess",
    "AdHocSubprocess",
}
FOLLOWED = {"calls": {EMBEDDED, TRIGGER}, "all": set(), "nothing": {CALL, EMBEDDED, TRIGGER}}

ROOT = object()


class NotFound(Exception):
    """The process or the element is not there, or cannot be reached."""


class Edge(NamedTuple):
    source: Any
    kind: str
    target: str


class Selection(NamedTuple):
    start: Any  # the process of the unit, and the others that are in it
    others: set
    again: bool  # whether something in the unit leads back to its own process


# What a workflow says


def load(text: str | bytes) -> dict:
    return json.loads(text if isinstance(text, str) else text.decode())


def process_ids(workflow: dict) -> tuple[str, ...]:
    held = [key for key, spec in workflow["subprocess_specs"].items() if spec is not None]
    return tuple(dict.fromkeys([workflow["spec"]["name"], *held]))


def spec_of(workflow: dict, process: Any) -> dict:
    return workflow["spec"] if process is ROOT else workflow["subprocess_specs"][process]


def find(workflow: dict, process_id: str) -> Any:
    if process_id == workflow["spec"]["name"]:
        return ROOT
    if workflow["subprocess_specs"].get(process_id) is None:
        raise NotFound(process_id)
    return process_id


def id_of(workflow: dict, process: Any) -> str:
    return workflow["spec"]["name"] if process is ROOT else process


def ids_of_task(name: str, task: dict) -> list[str]:
    ids = [name, task.get("name"), task.get("bpmn_id")]
    return list(dict.fromkeys(id for id in ids if id is not None))


def element_ids(workflow: dict, process: Any) -> tuple[str, ...]:
    tasks = spec_of(workflow, process)["task_specs"]
    return tuple(dict.fromkeys(id for name in tasks for id in ids_of_task(name, tasks[name])))


def waits(task: dict) -> bool:
    """Whether a task spec is a start event that waits for something."""
    definition = task.get("event_definition")
    kind = definition.get("typename") if isinstance(definition, dict) else None
    return (
        task["typename"].endswith("StartEvent")
        and isinstance(kind, str)
        and kind != "NoneEventDefinition"
    )


def started_by_events(workflow: dict) -> list[str]:
    """The processes that the engine finds at an event, in all specs, before SpiffWorkflow 3.2."""
    held = {key: spec for key, spec in workflow["subprocess_specs"].items() if spec is not None}
    specs = [workflow["spec"], *held.values()]
    if any("trigger_specs" in task for spec in specs for task in spec["task_specs"].values()):
        return []
    return [key for key, spec in held.items() if any(map(waits, spec["task_specs"].values()))]


def start_task(tasks: dict) -> str:
    named = [name for name, task in tasks.items() if task["typename"].endswith("StartTask")]
    return [*named, *tasks][0]


def references(workflow: dict, process: Any) -> list[tuple[str, str, str, bool]]:
    """(kind, process id, task spec, whether it is external), in the order of the task specs."""
    found = []
    tasks = spec_of(workflow, process)["task_specs"]
    for name, task in tasks.items():
        if isinstance(task.get("spec"), str):
            kind = CALL if task["typename"] == "CallActivity" else EMBEDDED
            found.append((kind, task["spec"], name))
        found += [(TRIGGER, trigger, name) for trigger in task.get("trigger_specs") or []]
        if process is ROOT and name == start_task(tasks):
            found += [(TRIGGER, trigger, name) for trigger in started_by_events(workflow)]
    specs = workflow["subprocess_specs"]
    return [(kind, target, name, specs.get(target) is None) for kind, target, name in found]


def edges(workflow: dict, process: Any) -> set[Edge]:
    return {
        Edge(process, kind, target)
        for kind, target, _, external in references(workflow, process)
        if not external
    }


def referred_by(workflow: dict, process: Any, task_name: str) -> str | None:
    """What a task refers to, by itself or through the tasks that it loops over."""
    tasks = spec_of(workflow, process)["task_specs"]
    passed: set[str] = set()
    while task_name in tasks and task_name not in passed:
        passed.add(task_name)
        task = tasks[task_name]
        if isinstance(task.get("spec"), str):
            return task["spec"]
        task_name = task.get("task_spec")
        if not isinstance(task_name, str):
            return None
    return None


def targets_of(workflow: dict, process: Any, element_id: str) -> set[str]:
    """The processes of the workflow that the process's own element refers to."""
    tasks = spec_of(workflow, process)["task_specs"]
    named = {
        referred_by(workflow, process, name)
        for name, task in tasks.items()
        if element_id in ids_of_task(name, task)
    }
    return {name for name in named if workflow["subprocess_specs"].get(name) is not None}


# The rules


def closure(workflow: dict, processes: set, kinds: set[str]) -> tuple[set, set[Edge]]:
    """The processes, and what they lead to by references of these kinds; and these references."""
    reached, taken, waiting = set(processes), set(), list(processes)
    while waiting:
        for edge in edges(workflow, waiting.pop()):
            if edge.kind in kinds:
                taken.add(edge)
                if edge.target not in reached:
                    reached.add(edge.target)
                    waiting.append(edge.target)
    return reached, taken


def on_paths(workflow: dict, start: Any, element_id: str) -> tuple[set, set[Edge]]:
    """The processes on any path from `start` to one that is, or has, the element."""
    everything = FOLLOWED["nothing"]

    def owns(process: Any) -> bool:
        return id_of(workflow, process) == element_id or element_id in element_ids(
            workflow, process
        )

    reachable, _ = closure(workflow, {start}, everything)
    found = {
        process
        for process in reachable
        if any(owns(end) for end in closure(workflow, {process}, everything)[0])
    }
    if not found:
        raise NotFound(element_id)
    return found, {edge for p in found for edge in edges(workflow, p) if edge.target in found}


def select(workflow: dict, process_id: str, elements: tuple[str, ...], defer: str) -> Selection:
    start = find(workflow, process_id)
    chosen, taken = {start}, set()
    for element_id in elements:
        if element_id == process_id:
            continue
        if element_id in element_ids(workflow, start):
            targets = targets_of(workflow, start, element_id)
            chosen |= targets
            taken |= {Edge(start, "own", target) for target in targets}
        else:
            found, between = on_paths(workflow, start, element_id)
            chosen |= found
            taken |= between
    if defer == "calls" and start is not ROOT:
        _, passed = closure(workflow, {start}, {CALL, EMBEDDED})
        started = {edge for edge in passed if edge.target in started_by_events(workflow)}
        chosen |= {edge.target for edge in started}
        taken |= started
    held, followed = closure(workflow, chosen, FOLLOWED[defer])
    return Selection(start, held - {start}, any(e.target == start for e in taken | followed))


def needs(workflow: dict, process_id: str, *elements: str, defer: str = "calls") -> tuple:
    chosen = select(workflow, process_id, elements, defer)
    others = [key for key in workflow["subprocess_specs"] if key in chosen.others]
    return tuple(dict.fromkeys([process_id, *others]))


def unit(workflow: dict, process_id: str, *elements: str, defer: str = "calls") -> dict:
    """The unit, except that the value of its "serializer_version" is None here."""
    chosen = select(workflow, process_id, elements, defer)
    held = chosen.others | ({chosen.start} if chosen.again else set())
    result = {
        "spec": spec_of(workflow, chosen.start),
        "subprocess_specs": {
            key: spec for key, spec in workflow["subprocess_specs"].items() if key in held
        },
        "serializer_version": None,
    }
    for key, value in workflow.items():
        if key == "serializer_version":
            if "source_serializer_version" not in workflow:
                result["source_serializer_version"] = value
        elif key not in ("spec", "subprocess_specs"):
            result[key] = value
    return result


def belonging(workflow: dict, process_id: str) -> dict[str, dict]:
    """The specs in `subprocess_specs` that belong to a process, by their keys.

    They are those of its start unit. If another spec has the root's id, that spec and the specs
    that belong to it also belong to the root.
    """
    chosen = select(workflow, process_id, (), "calls")
    found = set(chosen.others)
    specs = workflow["subprocess_specs"]
    if chosen.start is ROOT and specs.get(process_id) is not None:
        found |= closure(workflow, {process_id}, FOLLOWED["calls"])[0]
        if json.dumps(specs[process_id]) == json.dumps(workflow["spec"]):
            found.discard(process_id)
    return {key: specs[key] for key in found}


# What is accepted


def is_task(task: Any) -> bool:
    if not isinstance(task, dict) or not isinstance(task.get("typename"), str):
        return False
    refers = task["typename"] == "CallActivity" or task["typename"] in EMBEDDING_TYPES
    triggers = task.get("trigger_specs")
    return (
        (isinstance(task.get("spec"), str) or not refers)
        and (triggers is None or isinstance(triggers, list))
        and all(isinstance(trigger, str) for trigger in triggers or [])
        and all(isinstance(task.get(id), (str, type(None))) for id in ("name", "bpmn_id"))
    )


def is_process(spec: Any) -> bool:
    return (
        isinstance(spec, dict)
        and isinstance(spec.get("name"), str)
        and isinstance(spec.get("typename"), str)
        and isinstance(spec.get("task_specs"), dict)
        and all(map(is_task, spec["task_specs"].values()))
    )


def is_workflow(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and is_process(value.get("spec"))
        and isinstance(value.get("subprocess_specs"), dict)
        and all(spec is None or is_process(spec) for spec in value["subprocess_specs"].values())
    )


# Texts


class Members(list):
    """The members of an object as (key, value), every one, in the order of the text."""

    def last(self, key: str) -> Any:
        return [value for name, value in self if name == key][-1]


def exact(text: str | bytes) -> Any:
    """The value of a text. A number is its text, and an object is a list of its members."""
    number = "number {}".format
    return json.loads(
        text if isinstance(text, str) else text.decode(),
        object_pairs_hook=Members,
        parse_int=number,
        parse_float=number,
    )


def without_whitespace(text: str) -> str:
    """The text of a JSON value without the whitespace between its tokens."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|[ \t\r\n]+', r"\1", text, flags=re.DOTALL)
