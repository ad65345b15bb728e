"""A saved instance continues in another operating system process, where nothing is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import driving
import lockstep
import models
import pytest
import spiff_bpmn
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

COUNTED = ("script", "path = path + [1]")
PROCESSES = {
    "start": [("script", "path = []"), ("human",), ("call", "one"), ("human",)],
    "one": [COUNTED, ("human",), ("call", "two"), ("calls", "three", 3)],
    "two": [COUNTED, ("embed", [("human",), ("call", "three")]), ("human",)],
    "three": [COUNTED, ("human",), ("call", "four"), ("script", "found = len(path)")],
    "four": [("human",), COUNTED],
}

GO_ON = """
import sys
import driving, models
from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

cache_dir, steps = sys.argv[1], int(sys.argv[2])
with ElementUnits.open(cache_dir, "key") as units:
    loader = SpecLoader(units, models.serializer())
    workflow = loader.resume(sys.stdin.read(), script_engine=models.script_engine())
    print(*loader.kept)
    for _ in range(steps):
        manual = [task for task in driving.ready_tasks(workflow) if task.task_spec.manual]
        if manual:
            manual[-1].run()
            workflow.do_engine_steps()
    print(loader.save(workflow))
"""


def in_another_process(cache_dir, state, steps):
    """The state after some more human tasks, and the ids of the processes that were restored."""
    ran = subprocess.run(
        [sys.executable, "-c", GO_ON, str(cache_dir), str(steps)],
        input=state,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]),
            "PYTHONIOENCODING": "utf-8",
        },
    )
    assert ran.returncode == 0, ran.stderr
    kept, state = ran.stdout.splitlines()
    return kept.split(), state


def complete(workflow, steps):
    """Completes the last of the human tasks that are ready, again and again."""
    for _ in range(steps):
        manual = [task for task in driving.ready_tasks(workflow) if task.task_spec.manual]
        if manual:
            manual[-1].run()
            workflow.do_engine_steps()


def plain():
    specs = json.loads(spiff_bpmn.spec_json(PROCESSES, "start"))
    registry = models.serializer().registry
    workflow = BpmnWorkflow(
        registry.restore(specs["spec"]),
        {name: registry.restore(spec) for name, spec in specs["subprocess_specs"].items()},
        script_engine=models.script_engine(),
    )
    workflow.do_engine_steps()
    return workflow


PLACES = {
    "before a call of a process that was never loaded": (0, {"start"}),
    "one level down": (1, {"start", "one"}),
    "three levels down": (3, {"start", "one", "two", "three"}),
    "four levels down": (4, {"start", "one", "two", "three", "four"}),
    "in a parallel multi-instance call": (6, {"start", "one", "three"}),
    "in a call of one of the instances": (7, {"start", "one", "three", "four"}),
}


@pytest.mark.parametrize(("steps", "needed"), PLACES.values(), ids=PLACES)
def test_an_instance_goes_on_in_another_process(tmp_path, steps, needed):
    ElementUnits.from_json(spiff_bpmn.spec_json(PROCESSES, "start")).save(tmp_path, "key")
    expected = plain()
    complete(expected, steps)
    with ElementUnits.open(tmp_path, "key") as units:
        loader = SpecLoader(units, models.serializer())
        workflow = loader.start(script_engine=models.script_engine())
        workflow.do_engine_steps()
        complete(workflow, steps)
        lockstep.same_point(expected, workflow)
        state = loader.save(workflow)
    kept, state = in_another_process(tmp_path, state, 1)
    assert {name for name in kept if "embed" not in name} == needed
    complete(expected, 1)
    kept, state = in_another_process(tmp_path, state, 40)
    complete(expected, 40)
    assert expected.is_completed()
    with ElementUnits.open(tmp_path, "key") as units:
        workflow = SpecLoader(units, models.serializer()).resume(state)
        lockstep.same_point(expected, workflow)
        assert workflow.data == expected.data
        assert len(workflow.data["path"]) > 3
