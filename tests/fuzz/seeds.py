"""The fuzzers' first inputs: small workflows, their packs, and states, one for each idea."""

from __future__ import annotations

import json
from pathlib import Path

from spiff_element_units import ElementUnits
from spiff_element_units.cache.directory import content

CORPUS = Path(__file__).resolve().parent / "corpus"


def process(name: str, **tasks: dict) -> dict:
    return {"name": name, "typename": "P", "task_specs": tasks}


def workflow(*specs: dict, **more: object) -> dict:
    return {"spec": specs[0], "subprocess_specs": {s["name"]: s for s in specs[1:]}, **more}


PLAIN = {"typename": "T", "bpmn_id": "x"}
CALL = {"typename": "CallActivity", "spec": "B"}
EMBED = {"typename": "SubWorkflowTask", "spec": "C"}

WORKFLOWS = {
    "least": workflow(process("A")),
    "calls": workflow(process("A", call=CALL, Start=PLAIN), process("B", Start=PLAIN)),
    "embeds": workflow(process("A", embed=EMBED), process("C", Start=PLAIN), process("B")),
    "cycle": workflow(process("A", call=CALL), process("B", a={**CALL, "spec": "B"})),
    "triggers": workflow(
        process("A", Start={"typename": "S", "trigger_specs": ["B", "C", "none"]}), process("B")
    ),
    "loop": workflow(
        process("A", loop={"typename": "L", "task_spec": "call"}, call=CALL), process("B")
    ),
    "version": workflow(process("A"), serializer_version="1.5", größe=[1e2, None, {}]),
    "deep": workflow(process("A", call=CALL), process("B", embed=EMBED), process("C", x=PLAIN)),
    "null": {"spec": process("A", call=CALL), "subprocess_specs": {"B": None}},
    # Many elements, whose buckets are full, and many processes, whose table has two chunks.
    "elements": workflow(process("A", **{f"element {n}": PLAIN for n in range(20)})),
    "processes": workflow(process("A", call=CALL), *(process(f"{n}") for n in range(17))),
}


IDS = [f"0000000{n}-89ab-4cde-8f01-23456789abcd" for n in range(6)]


def task(n: int, state: int = 64, **more: object) -> dict:
    return {
        "id": IDS[n],
        "last_state_change": 1.5,
        "state": state,
        "task_spec": f"T{n}",
        "children": [],
        **more,
    }


def subprocess(n: int, *tasks: dict, **more: object) -> dict:
    done = {"completed": True, "parent_task_id": IDS[n], "spec": "A", "typename": "S"}
    return {**done, "tasks": {one["id"]: one for one in tasks}, **more}


def state(root: list[dict], subprocesses: dict[int, dict], **more: object) -> dict:
    inner = {IDS[n]: one for n, one in subprocesses.items()}
    return {"tasks": {one["id"]: one for one in root}, "subprocesses": inner, **more}


DONE = {1: subprocess(1, task(2)), 2: subprocess(2, task(3, 128))}
STATES = {
    "nothing": state([], {}),
    "settled": state([task(1)], DONE, data={"größe": [float("nan"), "\ud800", -1e9]}),
    "living": state([task(1)], {1: subprocess(1, task(2, 16)), 2: subprocess(2)}),
    "unfinished": state([task(1)], {**DONE, 2: subprocess(2, task(3), completed=False)}),
    "no completed": state([task(1)], {1: {k: v for k, v in DONE[1].items() if k != "completed"}}),
    "cycle": state([task(0)], {1: subprocess(1, task(2)), 2: subprocess(2, task(1))}),
    "odd": state([task(0), task(1)], {1: subprocess(1, task(2, last_state_change="x"), spec=None)}),
}


def text_of(value: dict) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def pack_of(text: bytes) -> bytes:
    return b"".join(content(ElementUnits.from_json(text)._use(), "key"))


def seeds(fuzzer: str) -> dict[str, bytes]:
    if fuzzer == "state":
        return {name: json.dumps(value).encode() for name, value in STATES.items()}
    texts = {name: text_of(value) for name, value in WORKFLOWS.items()}
    return texts if fuzzer == "text" else {name: pack_of(text) for name, text in texts.items()}


def kept(fuzzer: str) -> dict[str, bytes]:
    """The kept inputs: they reach code that no other input reaches, or once crashed."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / fuzzer).iterdir())}
