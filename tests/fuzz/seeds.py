"""The fuzzers' first inputs: small workflows and their packs, one for each idea."""

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


def text_of(value: dict) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def pack_of(text: bytes) -> bytes:
    return b"".join(content(ElementUnits.from_json(text)._use(), "key"))


def seeds(fuzzer: str) -> dict[str, bytes]:
    texts = {name: text_of(value) for name, value in WORKFLOWS.items()}
    return texts if fuzzer == "text" else {name: pack_of(text) for name, text in texts.items()}


def kept(fuzzer: str) -> dict[str, bytes]:
    """What was found worth keeping: what reaches code that nothing else does, and what crashed."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / fuzzer).iterdir())}
