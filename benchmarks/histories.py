"""Instances to measure on that have a history: finished calls, through real BPMN text.

    python benchmarks/histories.py tree 1110 > state.json

A `History` says what an instance has finished. Each instance waits at a human task. What follows
that task is the same for any length of the history:

    tree     the root calls k processes, each of them k, and each of those k; 8 script tasks run in
             each; all of it is finished, and the root waits at the first of three human tasks
    walk     the same before any of it, with a human task in each process on the third level
    first    the same as a tree with nothing below the first level
    loop     a loop in the root calls a process with a human and 3 script tasks, round after round
    multi    the same as a sequential multi-instance call
    resting  a parallel multi-instance call of it; nothing is finished, every call waits

`calls` is how many calls are finished, wait, or will be made: k + k * k + k * k * k in a tree.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from workflows import BPMN, element, go_on, made_once, serialized, serializer

SCRIPTS = 8  # script tasks of each process of a tree
ROUND_SCRIPTS = 3  # script tasks of the process that a loop calls
HUMANS = 3  # human tasks at the end of a tree's root
ROUNDS = 1_000_000  # no loop that is measured comes to its end
ROOT = "Root"
LOOPS = {"loop": "", "multi": "true", "resting": "false"}  # kind: isSequential
KINDS = ("tree", "walk", "first", *LOOPS)


class History(NamedTuple):
    """What an instance has finished."""

    kind: str
    calls: int

    @property
    def width(self) -> int:
        """How many calls each process of a tree makes: k of `calls`."""
        if self.kind == "first":
            return self.calls
        return next(k for k in range(self.calls) if k + k**2 + k**3 == self.calls)


# BPMN


def bpmn_text(history: History) -> str:
    """The processes of a history, all in one text."""
    if history.kind in LOOPS:
        processes = [_process("Round", ["human"] + ["script"] * ROUND_SCRIPTS), _looping(history)]
    else:
        below = [("Level_1", [])]
        if history.kind != "first":
            below = [("Level_1", ["Level_2"]), ("Level_2", ["Level_3"]), ("Level_3", [])]
        calls = history.width
        processes = [_process(ROOT, ["Level_1"] * calls + ["human"] * HUMANS)]
        for name, called in below:
            human = ["human"] if history.kind == "walk" and not called else []
            processes.append(_process(name, called * calls + human + ["script"] * SCRIPTS))
    return f'<definitions xmlns="{BPMN}" targetNamespace="b">{"".join(processes)}</definitions>'


def _process(name: str, steps: list[str]) -> str:
    """A process whose steps follow one another: a human or a script task, or a process to call."""
    elements = [element("startEvent", f"{name}_start", "Start")]
    for number, step in enumerate(steps):
        element_id = f"{name}_{number:03}"
        if step == "human":
            elements.append(element("manualTask", element_id, "Look at it"))
        elif step == "script":
            inner = f"<script>x = {number}</script>"
            elements.append(element("scriptTask", element_id, "Prepare it", inner))
        else:
            elements.append(element("callActivity", element_id, step, calledElement=step))
    elements.append(element("endEvent", f"{name}_end", "End"))
    ids = [element.split('"', 2)[1] for element in elements]
    return _closed(name, elements, list(zip(ids, ids[1:])))


def _looping(history: History) -> str:
    """The root that calls `Round` again and again, or as often at once as there are calls."""
    inner, sequential = "", LOOPS[history.kind]
    if sequential:
        times = ROUNDS if sequential == "true" else history.calls
        inner = (
            f'<multiInstanceLoopCharacteristics isSequential="{sequential}">'
            f"<loopCardinality>{times}</loopCardinality></multiInstanceLoopCharacteristics>"
        )
    elements = [
        element("startEvent", "start", "Start"),
        element("callActivity", "call", "Round", inner, calledElement="Round"),
        element("exclusiveGateway", "choose", "Go on?", default="enough"),
        element("endEvent", "end", "End"),
    ]
    if sequential:
        return _closed(
            ROOT, [elements[0], elements[1], elements[3]], [("start", "call"), ("call", "end")]
        )
    flows = [("start", "call"), ("call", "choose")]
    back = (
        '<sequenceFlow id="back" sourceRef="choose" targetRef="call"><conditionExpression>True'
        '</conditionExpression></sequenceFlow><sequenceFlow id="enough" sourceRef="choose" '
        'targetRef="end"/>'
    )
    return _closed(ROOT, [*elements, back], flows)


def _closed(name: str, elements: list[str], flows: list[tuple[str, str]]) -> str:
    written = [
        f'<sequenceFlow id="{name}_flow_{n}" sourceRef="{here}" targetRef="{there}"/>'
        for n, (here, there) in enumerate(flows)
    ]
    return f'<process id="{name}" isExecutable="true">{"".join(elements + written)}</process>'


# The files of a history, which are made once


def specs(history: History) -> tuple[Any, dict[str, Any]]:
    """The parsed root spec, and every other by its id."""
    from SpiffWorkflow.spiff.parser.process import SpiffBpmnParser

    parser = SpiffBpmnParser()
    parser.add_bpmn_str(bpmn_text(history).encode())
    return parser.get_spec(ROOT), parser.get_subprocess_specs(ROOT)


def instance(history: History, text: str) -> Any:
    """A `BpmnWorkflow` of a spec JSON that has the history behind it.

    SpiffWorkflow alone takes minutes for a large tree, because it goes through all tasks at each
    step. So the instance is saved and resumed from time to time, which leaves finished subprocesses
    as text.
    """
    from spiff_element_units import ElementUnits
    from spiff_element_units.spiff import SpecLoader

    loader = SpecLoader(ElementUnits.from_json(text), serializer())
    made = loader.start()
    waits = False
    while not waits:
        try:
            made.do_engine_steps(did_complete_task=_stopping(after=100))
            waits = True
        except _Enough:
            made = loader.resume(loader.save(made))
    if history.kind in ("loop", "multi"):
        for number in range(history.calls):
            go_on(made)
            if number % 20 == 0:
                made = loader.resume(loader.save(made))
    return loader.resume(loader.save(made))


class _Enough(Exception):
    """The engine has done so many steps that it is faster to save and resume the instance."""


def _stopping(after: int) -> Callable[[Any], None]:
    """A function that ends `do_engine_steps` after so many tasks."""
    done = count(1)

    def stop(task: Any) -> None:
        if next(done) == after:
            raise _Enough

    return stop


def spec_json(history: History) -> str:
    """The JSON text of a history's workflow."""
    return serialized(*specs(history))


def prepare(history: History, folder: Path) -> None:
    """Write the workflow to `spec.json`, and the instance to `state.json` by `serialize_json`."""
    text = spec_json(history)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.json").write_text(text, encoding="utf-8")
    state = serializer().serialize_json(instance(history, text))
    (folder / "state.json").write_text(state, encoding="utf-8")


def prepared(history: History, cache: Path) -> Path:
    """The folder in `cache` with the files of `prepare`. Makes it if it is missing.

    It is another one when the BPMN or SpiffWorkflow changes.
    """
    made_of = bpmn_text(history) + version("SpiffWorkflow")
    digest = hashlib.sha256(made_of.encode()).hexdigest()[:8]
    folder = cache / f"{history.kind}-{history.calls}-{digest}"
    return made_once(folder, partial(prepare, history))


def main() -> None:
    arguments = argparse.ArgumentParser(description="Write the state of an instance.")
    arguments.add_argument("kind", choices=KINDS)
    arguments.add_argument("calls", type=int)
    history = History(**vars(arguments.parse_args()))
    sys.stdout.write(serializer().serialize_json(instance(history, spec_json(history))))


if __name__ == "__main__":
    main()
