"""Runs workflows on the runner of `spiff-arena-common`, on full specs and on units from a cache.

    python spiff_arena_run.py CACHE_DIR < workflows.json

Takes a list of `[name, [[file name, BPMN text], ..], root, {task spec: answer}]`, and writes
`{name: [what full specs gave, what units gave, [processes that were fetched]]}`.
"""

from __future__ import annotations

import json
import sys

from spiff_arena_common import runner

from spiff_element_units import (
    cache_element_units_for_workflow,
    workflow_from_cached_element_unit,
)


def with_full_specs(specs):
    """The specs of a run, and a function that gets missing ones: only the root, if it is called."""
    root = json.loads(specs)["spec"]

    def fetch(name):
        assert name == root["name"], f"{name} is missing in the full specs"
        return {"spec": root, "subprocess_specs": {}}

    return json.loads(specs), fetch


def with_units(specs, cache_dir, key, fetched):
    """The same from a cache: the start unit of the root, and those of called processes."""
    cache_element_units_for_workflow(cache_dir, key, specs)
    root = json.loads(specs)["spec"]["name"]

    def unit(name):
        return json.loads(workflow_from_cached_element_unit(cache_dir, key, name, name))

    def fetch(name):
        fetched.append(name)
        return unit(name)

    return unit(root), fetch


def drive(specs, fetch, answers):
    """Runs a workflow to its end. Returns what was done, in order, and the result."""
    state, completed_task, done = {}, None, []
    for _ in range(300):
        response = json.loads(
            runner.advance_workflow(
                json.dumps(specs), state, completed_task, "greedy", None, session_id="test"
            )
        )
        assert response["status"] == "ok", response
        # The runner keeps the whole state, so it is given the state that comes from elsewhere.
        state = json.loads(
            json.dumps(runner._step_history_cache["test"][-1], cls=runner.SpiffJsonEncoder)
        )
        runner.clear_workflow_cache("test")
        completed_task = None
        if response["completed"]:
            return {"done": done, "result": response["result"], "completed": True}
        missing = [one for one in response["lazy_loads"] if one not in specs["subprocess_specs"]]
        for name in sorted(missing):
            unit = fetch(name)
            specs["subprocess_specs"].update({**unit["subprocess_specs"], name: unit["spec"]})
        if missing:
            continue
        pending = [
            one for one in response["pending_tasks"] if one["state"] != runner.TaskState.WAITING
        ]
        if not pending:
            return {"done": done, "result": None, "completed": False}
        task = min(pending, key=lambda one: (one["bpmn_process_id"], one["task_spec"]["name"]))
        name = task["task_spec"]["name"]
        done.append([task["bpmn_process_id"], name, task["state"], task["data"]])
        completed_task = {"id": task["id"], "data": answers.get(name, {})}
    raise AssertionError(f"no end after {done[-5:]}")


def main(cache_dir):
    told = {}
    for name, files, root, answers in json.load(sys.stdin):
        specs, error = runner.specs_from_xml(files)
        assert specs, error
        dct = json.loads(specs)
        if dct["spec"]["name"] != root:  # the runner takes the first process of the first file
            every = {dct["spec"]["name"]: dct["spec"], **dct["subprocess_specs"]}
            dct["spec"] = every.pop(root)
            specs = json.dumps({**dct, "subprocess_specs": every})
        full = drive(*with_full_specs(specs), answers)
        fetched = []
        on_units = drive(*with_units(specs, cache_dir, name, fetched), answers)
        told[name] = full, on_units, fetched
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
