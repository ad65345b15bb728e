"""Instances to measure on: with a long history of called processes behind them.

    python benchmarks/histories.py tree 10 --levels 3 > state.json

A `History` says what has happened. `spec_json` is the workflow; `prepared` gives a folder with it
and with the state of an instance that waits at a human task, as SpiffWorkflow's `serialize_json`
writes it: `spec.json` and `state.json`.

Every called process runs so many script tasks. By shape, the root runs

    tree            human, `rounds` calls one after another, human, human. What is called calls as
                    many, `levels` deep. The instance waits behind the calls.
    multi-instance  a sequential multi-instance call with a human task in each round. So many
                    rounds are done.
    loop            human, call, and back again. So many rounds are done.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from workflows import BPMN, SCRIPT, SERIALIZER_VERSION, element, go_on, serializer

AHEAD = 50  # rounds that are yet to come
ROOT = "Root"


class History(NamedTuple):
    """What has happened in an instance."""

    shape: str  # "tree", "multi-instance" or "loop"
    rounds: int
    levels: int = 1
    scripts: int = 8  # of each called process

    @property
    def name(self) -> str:
        """A file name for it."""
        return f"{self.shape}-{self.rounds}-{self.levels}-{self.scripts}"

    @property
    def finished(self) -> int:
        """How many called processes are finished."""
        return sum(self.rounds**level for level in range(1, self.levels + 1))


TREE = History("tree", 10, levels=3)
FIRST_LEVEL = History("tree", 10)
MULTI_INSTANCE = History("multi-instance", 200)
LOOP = History("loop", 200)


def called(level: int) -> str:
    """The id of the process that is called so many levels below the root, or in each round."""
    return f"Work_{level}"


def bpmn_texts(history: History) -> Iterator[str]:
    """The BPMN of the root and of each called process."""
    yield _process(ROOT, _root(history))
    for level in range(1, history.levels + 1):
        scripts = [_script(called(level), number) for number in range(history.scripts)]
        half = len(scripts) // 2
        calls = [] if level == history.levels else _calls(called(level), level + 1, history.rounds)
        humans = [_human(called(level))] if history.shape == "multi-instance" else []
        yield _process(called(level), [*humans, *scripts[:half], *calls, *scripts[half:]])


def _root(history: History) -> list[str]:
    if history.shape == "tree":
        calls = _calls(ROOT, 1, history.rounds)
        return [_human(ROOT, 1), *calls, _human(ROOT, 2), _human(ROOT, 3)]
    if history.shape == "multi-instance":
        cardinality = f"<loopCardinality>{history.rounds + AHEAD}</loopCardinality>"
        inner = (
            '<multiInstanceLoopCharacteristics isSequential="true">'
            f"{cardinality}</multiInstanceLoopCharacteristics>"
        )
        return [element("callActivity", "call", "Each", inner, calledElement=called(1))]
    again = element("exclusiveGateway", "again", "Again?", default="Root_flow_05")
    return [
        element("exclusiveGateway", "next", "Next"), _human(ROOT),
        element("callActivity", "call", "Work", calledElement=called(1)), again,
    ]  # fmt: skip


def _process(process_id: str, elements: list[str]) -> str:
    """Elements that follow one another between a start and an end; a gateway leads back."""
    elements = [
        element("startEvent", f"{process_id}_start", "Start"),
        *elements,
        element("endEvent", f"{process_id}_end", "End"),
    ]
    ids = [one.split('"', 2)[1] for one in elements]
    flows = [_flow(process_id, n, *ends) for n, ends in enumerate(zip(ids, ids[1:]), start=1)]
    if "again" in ids:
        condition = "<conditionExpression>True</conditionExpression>"
        flows.append(_flow(process_id, len(ids), "again", "next", condition))
    return (
        f'<definitions xmlns="{BPMN}" targetNamespace="b"><process id="{process_id}" '
        f'name="{process_id}" isExecutable="true">{"".join(elements + flows)}'
        "</process></definitions>"
    )


def _flow(process_id: str, number: int, here: str, there: str, inner: str = "") -> str:
    return (
        f'<sequenceFlow id="{process_id}_flow_{number:02}" sourceRef="{here}" '
        f'targetRef="{there}">{inner}</sequenceFlow>'
    )


def _human(process_id: str, number: int = 1) -> str:
    return element("manualTask", f"{process_id}_human_{number}", "Look at the request")


def _script(process_id: str, number: int) -> str:
    script = SCRIPT.format(place=process_id, number=number)
    name = f"{process_id}_script_{number:02}"
    return element("scriptTask", name, f"Prepare step {number:02}", f"<script>{script}</script>")


def _calls(process_id: str, level: int, count: int) -> list[str]:
    return [
        element("callActivity", f"{process_id}_call_{n:02}", "Work", calledElement=called(level))
        for n in range(count)
    ]


def instance(history: History) -> tuple[str, str]:
    """The workflow's spec JSON, and the state of the instance."""
    from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
    from SpiffWorkflow.spiff.parser.process import SpiffBpmnParser

    parser = SpiffBpmnParser()
    for text in bpmn_texts(history):
        parser.add_bpmn_str(text.encode())
    root, others = parser.get_spec(ROOT), parser.get_subprocess_specs(ROOT)
    writer = serializer()
    specs = {
        "spec": writer.to_dict(root),
        "subprocess_specs": {name: writer.to_dict(spec) for name, spec in others.items()},
        "serializer_version": SERIALIZER_VERSION,
    }
    workflow: Any = BpmnWorkflow(root, others)
    workflow.do_engine_steps()
    for _ in range(1 if history.shape == "tree" else history.rounds):
        go_on(workflow)
    return json.dumps(specs), writer.serialize_json(workflow)


def prepared(history: History, cache: Path) -> Path:
    """The folder in `cache` with a history's workflow and state, made where it is missing.

    Its name is another one when this module, what it imports or SpiffWorkflow changes.
    """
    made_by = Path(__file__).read_bytes() + Path(__file__).with_name("workflows.py").read_bytes()
    made_by += version("SpiffWorkflow").encode()
    folder = cache / f"{history.name}-{hashlib.sha256(made_by).hexdigest()[:8]}"
    if not folder.exists():
        unfinished = cache / f"{folder.name}.{os.getpid()}"
        unfinished.mkdir(parents=True)
        for name, text in zip(("spec", "state"), instance(history)):
            (unfinished / f"{name}.json").write_text(text, encoding="utf-8")
        unfinished.rename(folder)
    return folder


def main() -> None:
    arguments = argparse.ArgumentParser(description="Write the state of an instance.")
    arguments.add_argument("shape", choices=("tree", "multi-instance", "loop"))
    arguments.add_argument("rounds", type=int)
    arguments.add_argument("--levels", type=int, default=1, help="of calls in a tree")
    arguments.add_argument("--scripts", type=int, default=8, help="of each called process")
    sys.stdout.write(instance(History(**vars(arguments.parse_args())))[1])


if __name__ == "__main__":
    main()
