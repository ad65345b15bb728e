"""Makes workflows for measurements: trees of processes, which SpiffWorkflow parses from real BPMN.

    python benchmarks/workflows.py 36 > workflow.json

A `Tree` describes a workflow. `bpmn_texts` writes it as BPMN: a text for the root and for each
called process, with its embedded subprocesses. `spec_json` returns what an application stores: the
parsed specs, converted by SpiffWorkflow's own serializer, as `json.dumps` writes them. The same
tree gives the same text at every call and on every machine.

Processes are numbered breadth first: process 0 is the root, and process i leads to processes
i * fan_out + 1 to i * fan_out + fan_out, if they exist. Every process runs

    start, script, human, script .. | one call or embedded subprocess after another | script .., end

So a run waits in the root before anything is called, then in process 1, then in the first process
that process 1 leads to, and so on. Ids have a fixed width. If a process of a small tree and the
process with the same number in a large tree lead to the same number of processes, they are the same
byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

SIZES = (1, 10, 36, 200, 1_500, 10_000)  # numbers of processes
EMBEDDED_DEPTH = 2  # an embedded subprocess in an embedded one, and no deeper
SERIALIZER_VERSION = "1.5"

BPMN = "http://www.omg.org/spec/BPMN/20100524/MODEL"
SPIFF = "http://spiffworkflow.org/bpmn/schema/1.0/core"

SCRIPT = """place = "{place}"
step = "{number:02}"
amounts = [12.5, 80, 240.75]
total = sum(amount for amount in amounts if amount != 80)
if total > 1000:
    remark = "The total is above the limit and a second person has to look at it"
else:
    remark = "Settled in step {number:02}"
"""

HUMAN = """<documentation>Done by one person, the day the request comes in.</documentation>
<extensionElements><spiffworkflow:instructionsForEndUser>### Look at the request

1. Compare the entries with the request: the name, the address and the amounts.
2. Where they differ, write to the person who sent it, and wait for the answer.
3. Go on when everything is right. The next step prepares the letter, which is not sent before a
   second person has seen it.
</spiffworkflow:instructionsForEndUser></extensionElements>"""


class Tree(NamedTuple):
    """Describes a workflow. All members except the share are counts."""

    processes: int  # process specs: the root, called processes and embedded subprocesses
    tasks: int = 10  # script and human tasks of each process; calls come on top
    humans: int = 1  # how many of them are human
    fan_out: int = 6  # processes that a process leads to
    embedded: float = 0.2  # the share of processes, the root aside, that are embedded

    @property
    def name(self) -> str:
        """A file name for it."""
        share = round(100 * self.embedded)
        return f"{self.processes}-{self.tasks}-{self.humans}-{self.fan_out}-{share}"

    def parent(self, i: int) -> int:
        """The process that leads to process `i`, which is not the root."""
        return (i - 1) // self.fan_out

    def children(self, i: int) -> range:
        """The processes that process `i` leads to."""
        first = i * self.fan_out + 1
        return range(min(first, self.processes), min(first + self.fan_out, self.processes))

    def is_embedded(self, i: int) -> bool:
        """Whether process `i` is an embedded subprocess of its parent."""
        chosen = int(i * self.embedded + 1e-9) > int((i - 1) * self.embedded + 1e-9)
        if i == 0 or not chosen:
            return False
        above = i
        for _ in range(EMBEDDED_DEPTH):
            above = self.parent(above)
            if not self.is_embedded(above):
                return True
        return False

    def level(self, i: int) -> int:
        """How many references lead from the root to process `i`."""
        return 0 if i == 0 else 1 + self.level(self.parent(i))


def process_id(i: int) -> str:
    """The id of process `i`."""
    return f"Process_{i:05}"


def human_id(i: int, number: int = 1) -> str:
    """The element id of a human task of process `i`, counted from 1."""
    return f"{process_id(i)}_human_{number}"


ROOT = process_id(0)


# BPMN


def bpmn_texts(tree: Tree) -> Iterator[str]:
    """The BPMN of the root and of each called process, in order of number."""
    for i in range(tree.processes):
        if not tree.is_embedded(i):
            yield (
                f'<definitions xmlns="{BPMN}" xmlns:spiffworkflow="{SPIFF}" targetNamespace="b">'
                f'<process id="{process_id(i)}" name="Process {i:05}" isExecutable="true">'
                f"{_body(tree, i)}</process></definitions>"
            )


def _body(tree: Tree, i: int) -> str:
    """The elements of process `i`, each followed by the next."""
    half = (tree.tasks + 1) // 2
    own = [_task(tree, i, number) for number in range(tree.tasks)]
    elements = [
        element("startEvent", f"{process_id(i)}_start", "Start"),
        *own[:half],
        *(_reference(tree, child) for child in tree.children(i)),
        *own[half:],
        element("endEvent", f"{process_id(i)}_end", "End"),
    ]
    ids = [element.split('"', 2)[1] for element in elements]
    flows = [
        f'<sequenceFlow id="{process_id(i)}_flow_{n:02}" sourceRef="{here}" targetRef="{there}"/>'
        for n, (here, there) in enumerate(zip(ids, ids[1:]))
    ]
    return "".join(elements + flows)


def _task(tree: Tree, i: int, number: int) -> str:
    """Task `number` of process `i`, counted from 0: the humans are spread from the second on."""
    step = max(1, tree.tasks // tree.humans) if tree.humans else 0
    turn, rest = divmod(number - min(1, tree.tasks - 1), step) if step else (0, 1)
    if rest == 0 and 0 <= turn < tree.humans:
        return element("manualTask", human_id(i, turn + 1), "Look at the request", HUMAN)
    name = f"{process_id(i)}_script_{number:02}"
    script = SCRIPT.format(place=process_id(i), number=number)
    return element("scriptTask", name, f"Prepare step {number:02}", f"<script>{script}</script>")


def _reference(tree: Tree, child: int) -> str:
    if tree.is_embedded(child):
        return element("subProcess", process_id(child), f"Part {child:05}", _body(tree, child))
    name = f"call_{process_id(child)}"
    return element("callActivity", name, f"Call {child:05}", calledElement=process_id(child))


def element(tag: str, element_id: str, name: str, inner: str = "", **attributes: str) -> str:
    more = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<{tag} id="{element_id}" name="{name}"{more}>{inner}</{tag}>'


# Specs


def serializer() -> Any:
    """A new serializer for SpiffWorkflow's spiff specs, as an application has it."""
    from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
    from SpiffWorkflow.spiff.serializer.config import SPIFF_CONFIG

    return BpmnWorkflowSerializer(BpmnWorkflowSerializer.configure(SPIFF_CONFIG))


def specs(tree: Tree) -> tuple[Any, dict[str, Any]]:
    """The parsed root spec, and every other by its id, as SpiffWorkflow's parser gives them."""
    from SpiffWorkflow.spiff.parser.process import SpiffBpmnParser

    parser = SpiffBpmnParser()
    for text in bpmn_texts(tree):
        parser.add_bpmn_str(text.encode())
    return parser.get_spec(ROOT), parser.get_subprocess_specs(ROOT)


def spec_json(tree: Tree) -> str:
    """The JSON text of a tree's workflow."""
    return serialized(*specs(tree))


def serialized(root: Any, others: dict[str, Any]) -> str:
    """The JSON text of a workflow with these specs."""
    convert = serializer().to_dict
    return json.dumps(
        {
            "spec": convert(root),
            "subprocess_specs": {name: convert(spec) for name, spec in others.items()},
            "serializer_version": SERIALIZER_VERSION,
        }
    )


# The files of a workflow, which are made once


def folder_name(tree: Tree) -> str:
    """A name for the folder of a tree; another one when this module or SpiffWorkflow changes."""
    made_by = Path(__file__).read_bytes() + version("SpiffWorkflow").encode()
    return f"{tree.name}-{hashlib.sha256(made_by).hexdigest()[:8]}"


def prepare(tree: Tree, folder: Path) -> None:
    """Write a tree's workflow to `folder`, and what SpiffWorkflow alone makes of it.

    `spec.json` is the workflow; `specs.pickle` its specs, restored from that, as a pickle of
    `(root, others)`; `state.json` an instance that waits in the root, as `serialize_json` writes
    it, and `deep.json` one that waits three levels down; `about.json` what to ask for.
    """
    text = spec_json(tree)
    writer = serializer()
    held = json.loads(text)
    root = writer.from_dict(held["spec"])
    others = {name: writer.from_dict(spec) for name, spec in held["subprocess_specs"].items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.json").write_text(text, encoding="utf-8")
    (folder / "specs.pickle").write_bytes(pickle.dumps((root, others), pickle.HIGHEST_PROTOCOL))
    for name, level in (("state", 0), ("deep", 2)):
        instance = waiting(root, others, level)
        (folder / f"{name}.json").write_text(writer.serialize_json(instance), encoding="utf-8")
    leaf = max(i for i in range(tree.processes) if not tree.is_embedded(i))
    deep = max((i for i in (0, 1, 7) if i < tree.processes), default=0)
    about = {"root": ROOT, "deep": process_id(deep), "leaf": process_id(leaf)}
    about.update(deep_element=human_id(deep), level=tree.level(deep), processes=tree.processes)
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def waiting(root: Any, others: dict[str, Any], level: int) -> Any:
    """A `BpmnWorkflow` that waits at a human task so many levels down, or at the last level."""
    from SpiffWorkflow.bpmn.workflow import BpmnWorkflow

    instance = BpmnWorkflow(root, others)
    instance.do_engine_steps()
    for _ in range(level):
        if len(others):
            go_on(instance)
    return instance


def go_on(instance: Any) -> bool:
    """Do the human task of an instance and what follows. Returns False if it has ended."""
    from SpiffWorkflow.util.task import TaskState

    task = instance.get_next_task(state=TaskState.READY, manual=True)
    if task is None:
        return False
    task.run()
    instance.do_engine_steps()
    return True


def prepared(tree: Tree, cache: Path) -> Path:
    """The folder in `cache` with the files of `prepare`. Makes it if it is missing."""
    return made_once(cache / folder_name(tree), partial(prepare, tree))


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """The folder. If it is missing, `make` fills it under another name first."""
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        make(unfinished)
        unfinished.rename(folder)
    return folder


def main() -> None:
    arguments = argparse.ArgumentParser(description="Write the spec JSON of a tree of processes.")
    arguments.add_argument("processes", type=int)
    arguments.add_argument("--tasks", type=int, default=10, help="of each process")
    arguments.add_argument("--humans", type=int, default=1, help="of its tasks")
    arguments.add_argument("--fan-out", type=int, default=6, help="processes that each leads to")
    arguments.add_argument("--embedded", type=float, default=0.2, help="share of the processes")
    sys.stdout.write(spec_json(Tree(**vars(arguments.parse_args()))))


if __name__ == "__main__":
    main()
