"""Hypothesis strategies: workflows with every kind of reference, and their JSON in varied spelling.

`workflows()` gives workflows as Python values, and `texts()` gives them as JSON text. The texts
have whitespace between the tokens, escapes in strings and keys, and repeated keys, of which the
last counts.
"""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import strategies as st

CALLS = ["CallActivity"]
EMBEDDING = ["SubWorkflowTask", "TransactionSubprocess", "EventSubprocess", "AdHocSubprocess"]
LOOPS = ["StandardLoopTask", "ParallelMultiInstanceTask", "SequentialMultiInstanceTask"]
UNKNOWN = ["OurOwnActivity", "", "Ünbekannt"]
PLAIN = ["UserTask", "ScriptTask", "EndEvent", "BpmnStartTask"]

ODD_IDS = [
    "",
    "\0",
    "../../etc/passwd",
    'say "hello"',
    "back\\slash",
    "line\nbreak\ttab",
    "größe",
    "e\u0301",
    "\u00e9",
    "日本語",
    "🦊",
    "\u007f\u2028\uffff",
    "null",
    "spec",
    "task_specs",
    " ",
    "{[,:]}",
]
FEW_IDS = ["A", "B", "C", "D", "a", "Start", "StartEvent_1"]

ids = st.sampled_from(FEW_IDS) | st.sampled_from(ODD_IDS)
free_ids = ids | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


class Raw(str):
    """A JSON text to be written as it is."""


NUMBERS = ["12345678901234567890123", "1e2", "-0", "0.10", "1E+2", "-1.5e-7", "0", "7"]

values = st.recursive(
    st.none() | st.booleans() | st.sampled_from(NUMBERS).map(Raw) | free_ids,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(free_ids, inner, max_size=3),
    max_leaves=4,
)

top_keys = {
    "serializer_version": st.sampled_from(["1.5", "1.1", "spiff-element-units-0.3.1", None]),
    "source_serializer_version": st.just("1.4"),
    "typename": st.just("BpmnWorkflow"),
    "": values,
    "größe": values,
    "more": values,
}


definitions = st.sampled_from(
    [
        *(
            3
            * [
                {"typename": f"{kind}EventDefinition", "name": "e"}
                for kind in ("Message", "Signal")
            ]
        ),
        *({"typename": "NoneEventDefinition"}, {"typename": 7}, {}, [], "Message", None),
    ]
)


@st.composite
def start_events(draw: Any) -> dict:
    typename = draw(st.sampled_from(["StartEvent", "StartEvent", "OurStartEvent", "EndEvent"]))
    task: dict[str, Any] = {"typename": typename}
    if draw(st.sampled_from([True, True, True, False])):
        task["event_definition"] = draw(definitions)
    return task


@st.composite
def tasks(
    draw: Any, name: str, task_names: list[str], process_names: list[str], triggers: bool
) -> dict:
    """With `triggers`, start tasks name what events start, as since SpiffWorkflow 3.2."""
    kinds = ["plain", "refer", "refer", "call", "loop", "start", "event", "event"]
    kind = draw(st.sampled_from(kinds))
    targets = st.sampled_from([*process_names, "nowhere"])
    task: dict[str, Any] = {"typename": draw(st.sampled_from(PLAIN))}
    if kind == "refer":
        task = {"typename": draw(st.sampled_from(EMBEDDING + UNKNOWN)), "spec": draw(targets)}
    elif kind == "call":
        task = {"typename": "CallActivity", "spec": draw(targets)}
    elif kind == "loop":
        inner = st.sampled_from([*task_names, "no such task"])
        task = {"typename": draw(st.sampled_from(LOOPS)), "task_spec": draw(inner)}
    elif kind == "start":
        task = {"typename": draw(st.sampled_from(["BpmnStartTask", "StartTask"]))}
        if triggers:
            task["trigger_specs"] = draw(st.none() | st.lists(targets, max_size=2))
    elif kind == "event":
        task = draw(start_events())
    named = draw(st.sampled_from(["same", "same", "same", "none", "other"]))
    if named != "none":
        task["name"] = name if named == "same" else draw(free_ids)
    alias = draw(st.sampled_from(["none", "null", "same", "id", "id"]))
    if alias != "none":
        task["bpmn_id"] = {"null": None, "same": name}[alias] if alias != "id" else draw(ids)
    if draw(st.booleans()):
        task["data"] = draw(values)
    return task


@st.composite
def processes(draw: Any, name: str, process_names: list[str], triggers: bool = True) -> dict:
    task_names = draw(st.lists(ids, max_size=4, unique=True))
    spec = {
        "name": name,
        "typename": "BpmnProcessSpec",
        "task_specs": {
            task: draw(tasks(task, task_names, process_names, triggers)) for task in task_names
        },
    }
    if draw(st.booleans()):
        spec["data_objects"] = draw(values)
    return spec


@st.composite
def workflows(draw: Any, max_size: int = 6) -> dict:
    """A workflow with up to so many subprocess specs. Some of them are null."""
    names = draw(st.lists(free_ids, min_size=1, max_size=max_size, unique=True))
    root, *keys = names
    if draw(st.sampled_from([False, False, True])):
        keys.append(root)  # another process with the root's name
    triggers = draw(st.booleans())
    workflow = {
        "spec": draw(processes(root, names, triggers)),
        "subprocess_specs": {
            key: draw(st.sampled_from([False] * 7 + [True]))
            or draw(processes(key, names, triggers))
            for key in draw(st.permutations(keys))
        },
    }
    for key, spec in workflow["subprocess_specs"].items():
        if spec is True:
            workflow["subprocess_specs"][key] = None
    extra = draw(st.lists(st.sampled_from(list(top_keys)), max_size=3, unique=True))
    workflow.update({key: draw(top_keys[key]) for key in extra})
    return {key: workflow[key] for key in draw(st.permutations(list(workflow)))}


class Spelling:
    """Writes JSON in unusual ways that are allowed."""

    def __init__(self, chance: random.Random, spaces: float, escapes: float, twice: float) -> None:
        self.chance = chance
        self.spaces = spaces
        self.escapes = escapes
        self.twice = twice

    def gap(self) -> str:
        if self.chance.random() >= self.spaces:
            return ""
        return "".join(self.chance.choices(" \t\r\n", k=self.chance.randint(1, 3)))

    def character(self, character: str) -> str:
        if self.chance.random() < self.escapes:
            if character == "/":
                return "\\/"
            halves = character.encode("utf-16-be").hex()
            halves = halves.upper() if self.chance.random() < 0.5 else halves
            return "".join("\\u" + halves[at : at + 4] for at in range(0, len(halves), 4))
        return json.dumps(character, ensure_ascii=False)[1:-1]

    def string(self, string: str) -> str:
        return '"' + "".join(map(self.character, string)) + '"'

    def members(self, members: dict) -> list[str]:
        written = []
        for key, value in members.items():
            if self.chance.random() < self.twice:
                decoy = self.chance.choice([None, 7, "", [], {}, {"name": [1]}, Raw("1e2"), value])
                written.append((key, decoy))
            written.append((key, value))
        return [
            f"{self.gap()}{self.string(key)}{self.gap()}:{self.gap()}{self.value(value)}"
            f"{self.gap()}"
            for key, value in written
        ]

    def value(self, value: Any) -> str:
        if isinstance(value, Raw):
            return value
        if isinstance(value, str):
            return self.string(value)
        if isinstance(value, list):
            items = [f"{self.gap()}{self.value(item)}{self.gap()}" for item in value]
            return f"[{','.join(items) or self.gap()}]"
        if isinstance(value, dict):
            return f"{{{','.join(self.members(value)) or self.gap()}}}"
        return json.dumps(value)

    def text(self, value: Any) -> str:
        return f"{self.gap()}{self.value(value)}{self.gap()}"


@st.composite
def spelled(draw: Any, source: st.SearchStrategy) -> str:
    """The JSON text of a value, in some spelling."""
    spelling = Spelling(
        random.Random(draw(st.integers(0, 2**32))),
        spaces=draw(st.sampled_from([0, 0.1, 0.7])),
        escapes=draw(st.sampled_from([0, 0.05, 0.7])),
        twice=draw(st.sampled_from([0, 0, 0.1, 0.4])),
    )
    return spelling.text(draw(source))


def texts(max_size: int = 6) -> st.SearchStrategy:
    """JSON texts of workflows."""
    return spelled(workflows(max_size))


defers = st.sampled_from(["calls", "all", "nothing"])
