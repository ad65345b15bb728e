"""1,000 instances of a workflow of 200 processes, and a version in which one process has changed.

    python benchmarks/versions.py [--processes 200] [--instances 1000]

Prints how many instances continue, can be migrated, and cannot, and how long the answer takes for
each instance. Each answer is compared with SpiffWorkflow, which restores every instance with all
specs. If an instance is not in a process with a changed spec, it must continue. Otherwise it must
be migrated if the rule in the documentation of `bpmn.util.diff` allows it, with the result of
`migrate_workflow`. Exits with 1 if an answer differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from statistics import median
from time import perf_counter
from typing import Any

from SpiffWorkflow.bpmn.util.diff import SpecDiff, WorkflowDiff, migrate_workflow
from SpiffWorkflow.util.task import TaskState
from workflows import Tree, go_on, human_id, process_id, serializer, spec_json

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader, compare_all

HEADER = "spiff_element_units"
PASSED = TaskState.COMPLETED | TaskState.STARTED
FINISHED = TaskState.FINISHED_MASK


def instances(loader: SpecLoader, tree: Tree, count: int) -> list[str]:
    """States spread over the workflow: each process is started, and goes on for some tasks."""
    states = []
    for number in range(count):
        instance: Any = loader.start(process_id(number % tree.processes))
        instance.do_engine_steps()
        for _ in range(number // tree.processes):
            go_on(instance)
        states.append(loader.save(instance))
    return states


def changed(text: str, process: str) -> str:
    """The workflow with another documentation at the second human task of a process."""
    workflow = json.loads(text)
    spec = workflow["subprocess_specs"][process]
    element = human_id(int(process[-5:]), 2)
    spec["task_specs"][element]["documentation"] = "Done by two people."
    return json.dumps(workflow)


class Native:
    """What SpiffWorkflow does with full specs."""

    def __init__(self, old: str, new: str) -> None:
        self._serializer = serializer()
        self._texts = {"old": json.loads(old), "new": json.loads(new)}
        restore = self._serializer.registry.restore
        parsed = json.loads(new)
        self._specs = {name: restore(one) for name, one in parsed["subprocess_specs"].items()}
        root = parsed["spec"]["name"]
        self._root = restore(parsed["spec"])
        self._specs.setdefault(root, self._root)

    def restored(self, state: str) -> Any:
        """An instance with the specs that it was saved with."""
        run = json.loads(state)
        process = run.pop(HEADER)["process_id"]
        old = self._texts["old"]
        specs = {old["spec"]["name"]: old["spec"], **old["subprocess_specs"]}
        run["spec"] = specs[process]
        run["subprocess_specs"] = old["subprocess_specs"]
        return self._serializer.deserialize_json(json.dumps(run))

    def moved(self, state: str, process: str) -> tuple[bool, Any]:
        """Whether an instance is in a process, and the migrated instance; None if not allowed."""
        workflow = self.restored(state)
        living = [workflow, *(one for one in workflow.subprocesses.values() if _lives(one))]
        concerned = [one for one in living if one.spec.name == process]
        for one in concerned:
            new = self._specs[process]
            diff = WorkflowDiff(one, SpecDiff(self._serializer.registry, one.spec, new))
            if any(task.state & PASSED for task in [*diff.changed, *diff.removed]):
                return True, None
            migrate_workflow(diff, one, new)
        return bool(concerned), workflow


def _lives(subprocess: Any) -> bool:
    return any(not task.state & FINISHED for task in subprocess.tasks.values())


def snapshot(workflow: Any) -> list[Any]:
    """An instance without ids and times."""

    def of(task: Any) -> Any:
        below = workflow.subprocesses.get(task.id)
        inner = None if below is None else of(below.task_tree)
        return [task.task_spec.name, task.state, task.data, inner, [of(c) for c in task.children]]

    return [workflow.spec.name, of(workflow.task_tree)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare instances with a new version.")
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--instances", type=int, default=1000)
    asked = parser.parse_args()
    tree = Tree(asked.processes, humans=3)
    process = process_id(next(i for i in range(2, tree.processes) if not tree.is_embedded(i)))
    old_text = spec_json(tree)
    new_text = changed(old_text, process)
    with tempfile.TemporaryDirectory() as cache:
        ElementUnits.from_json(old_text).save(cache, "old")
        ElementUnits.from_json(new_text).save(cache, "new")
        old, new = (
            SpecLoader(ElementUnits.open(cache, key), serializer()) for key in ("old", "new")
        )
        states = instances(old, tree, asked.instances)
        times = []
        for _ in range(5):
            fresh = SpecLoader(ElementUnits.open(cache, "new"), serializer())
            start = perf_counter()
            summary = compare_all(states, fresh)
            times.append((perf_counter() - start) / len(states))
        wrong = _check(states, summary, new, Native(old_text, new_text), process)
    print(f"{tree.processes} processes; changed: {process}")
    print(summary)
    print(f"{median(times) * 1000:.3f} ms an instance (median of 5 runs over all)")
    print(f"{len(states) - len(wrong)} of {len(states)} as SpiffWorkflow says and moves it")
    return 1 if wrong else 0


def _check(states: list[str], summary: Any, new: Any, native: Native, process: str) -> list[int]:
    resumable, migratable = set(summary.resumable), set(summary.migratable)
    wrong = []
    for number, state in enumerate(states):
        concerned, moved = native.moved(state, process)
        if not concerned:
            right = number in resumable and snapshot(new.resume(state)) == snapshot(moved)
        elif moved is None:
            right = number not in resumable | migratable
        else:
            right = number in migratable and snapshot(new.migrate(state)) == snapshot(moved)
        if not right:
            wrong.append(number)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
