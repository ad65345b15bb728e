"""The runner of `spiff-arena-common`, which others wrote, gets units from the cache as its `specs`.

If a call activity needs a process that is not in its specs, the runner stops and names the process
in `lazy_loads`. The test then gives it the start unit of that process. The result must be the same
as with full specs. The import of the runner changes SpiffWorkflow's parser and serializer for the
whole operating system process, so it runs in another one: `spiff_arena_run.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import models
import pytest
import spiff_bpmn

FOLDER = Path(__file__).parents[1]
PROCESSES = {
    "main": [("script", "seen = []"), ("human",), ("call", "middle"), ("human",)],
    "middle": [
        ("script", "seen = seen + ['middle']"),
        ("embed", [("human",), ("embed", [("call", "inner")])]),
        ("parallel", [("call", "inner")], [("human",), ("call", "last")]),
    ],
    "inner": [("script", "seen = seen + ['inner']"), ("human",), ("calls", "last", 3)],
    "last": [("human",), ("script", "last = len(seen)")],
}
NAMES = (
    "nested_calls",
    "recursive_call",
    "mutual_recursion",
    "embedded_in_called",
    "parallel_calls",
    "transaction_done",
    "multi_instance_call_parallel",
    "multi_instance_call_sequential",
    "loop_call",
    "boundary_error",
    "event_subprocess_in_called",
    "custom_task",
)


def texts():
    """Names, BPMN files and answers of what the runner is to run."""
    yield "generated", [["generated.bpmn", spiff_bpmn.bpmn(PROCESSES)]], "main", {}
    for name in NAMES:
        model = models.MODELS.get(name)
        if model is not None:
            files = [[path.name, path.read_text("utf-8")] for path in model.bpmn_paths]
            answers = {task: dict(data) for task, data in model.answers.items()}
            yield name, files, model.process_id, answers


def test_the_runner_does_on_units_what_it_does_on_full_specs(tmp_path):
    if find_spec("spiff_arena_common") is None:
        pytest.skip("needs spiff-arena-common")
    if models.SPIFF_VERSION < (3, 1):
        pytest.skip("spiff-arena-common needs SpiffWorkflow 3.1")
    asked = list(texts())
    ran = subprocess.run(
        [sys.executable, str(FOLDER / "spiff_arena_run.py"), str(tmp_path)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(FOLDER), *sys.path]),
            "PYTHONIOENCODING": "utf-8",
        },
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert set(told) == {name for name, *_ in asked}
    for name, (full, units, fetched) in told.items():
        assert units == full, name
        assert full["completed"], name
        assert fetched, name
        assert len(fetched) == len(set(fetched)), name
    assert sorted(told["generated"][2]) == ["inner", "last", "middle"]
