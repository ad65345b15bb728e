"""The example runs as it is written, and an import without SpiffWorkflow says what is missing."""

from __future__ import annotations

import os
import runpy
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from models import serializer

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

EXAMPLE = Path(__file__).parents[2] / "examples" / "sqlite_instances.py"


def python(*arguments, expected=0):
    """The output of a new interpreter, with its errors."""
    ran = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PYTHONIOENCODING": "utf-8",
        },
    )
    assert ran.returncode == expected, ran.stderr
    return ran.stdout + ran.stderr


def test_the_example_shows_itself():
    shown = python(EXAMPLE)
    assert "order 1 of Ada waits for Receive the money\n" in shown
    assert "'price': 36, 'label': 'to Ada'" in shown
    assert "order 3 of Edsger waits for Hand it over\n" in shown
    assert "restored order, payment, of 5 processes" in shown


def test_its_commands_go_on_where_another_process_stopped(tmp_path):
    assert "deployed 5 processes" in python(EXAMPLE, tmp_path, "deploy")
    assert "order 1 started" in python(EXAMPLE, tmp_path, "start", "\u00c5sa", 2)
    assert python(EXAMPLE, tmp_path, "work") == "order 1: Check the order; pieces written: 1\n"
    assert python(EXAMPLE, tmp_path, "work") == "order 1: Receive the money; pieces written: 2\n"
    assert "waits for Put it in a box" in python(EXAMPLE, tmp_path, "list")
    for _ in range(3):
        python(EXAMPLE, tmp_path, "work")
    assert "waits for nothing: {'customer': '\u00c5sa'" in python(EXAMPLE, tmp_path, "list")


def pieces(folder):
    """The pieces of all instances by id."""
    with closing(sqlite3.connect(folder / "instances.db")) as database:
        return dict(database.execute("SELECT piece, text FROM pieces"))


def test_a_finished_subprocess_is_a_row_that_no_later_step_writes_or_reads(tmp_path):
    python(EXAMPLE, tmp_path, "deploy")
    python(EXAMPLE, tmp_path, "start", "Ada", 2)
    python(EXAMPLE, tmp_path, "work")
    assert list(pieces(tmp_path)) == ["live"]
    python(EXAMPLE, tmp_path, "work")
    (payment,) = pieces(tmp_path).keys() - {"live"}
    with closing(sqlite3.connect(tmp_path / "instances.db")) as database, database:
        database.execute("UPDATE pieces SET text = 'unread' WHERE piece = ?", (payment,))
    for _ in range(2):
        python(EXAMPLE, tmp_path, "work")
    assert "waits for nothing" in python(EXAMPLE, tmp_path, "list")
    assert pieces(tmp_path)[payment] == "unread"


def test_what_a_reset_takes_away_is_deleted_from_the_table(tmp_path):
    example = runpy.run_path(str(EXAMPLE))
    python(EXAMPLE, tmp_path, "deploy")
    python(EXAMPLE, tmp_path, "start", "Ada", 2)
    for _ in range(2):
        python(EXAMPLE, tmp_path, "work")
    assert len(pieces(tmp_path)) == 2
    loader = SpecLoader(ElementUnits.open(tmp_path / "cache", example["KEY"]), serializer())
    with closing(sqlite3.connect(tmp_path / "instances.db")) as database:
        workflow = example["resume"](loader, database, 1)
        workflow.reset_from_task_id(workflow.get_tasks(spec_name="order_check")[0].id)
        example["store"](loader, database, 1, workflow)
    assert list(pieces(tmp_path)) == ["live"]
    assert python(EXAMPLE, tmp_path, "work") == "order 1: Check the order; pieces written: 1\n"


def test_it_tells_how_it_is_used(tmp_path):
    assert "deploy" in python(EXAMPLE, tmp_path, "wrong", expected=1)
    assert "deploy" in python(EXAMPLE, tmp_path, expected=1)


def test_without_spiffworkflow_the_import_says_what_to_install():
    told = python(
        "-c",
        "import sys; sys.modules['SpiffWorkflow'] = None; import spiff_element_units;"
        "import spiff_element_units.spiff",
        expected=1,
    )
    assert "ImportError" in told
    assert "pip install 'SpiffWorkflow>=3.0,<4'" in told


def test_the_core_does_not_import_spiffworkflow():
    python(
        "-c",
        "import sys, spiff_element_units;"
        "assert not any(name.startswith('SpiffWorkflow') for name in sys.modules)",
    )
