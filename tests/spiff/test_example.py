"""The example with SpiffWorkflow runs as written, and the import without SpiffWorkflow tells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "sqlite_instances.py"


def python(*arguments, expected=0):
    """What a new interpreter prints, errors included."""
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
    assert "order 1 waits for Receive the money\n" in shown
    assert "'price': 36, 'label': 'to Ada'" in shown
    assert "order 3 waits for Hand it over\n" in shown
    assert "restored order, payment, of 5 processes" in shown


def test_its_commands_go_on_where_another_process_stopped(tmp_path):
    assert "deployed 5 processes" in python(EXAMPLE, tmp_path, "deploy")
    assert "order 1 started" in python(EXAMPLE, tmp_path, "start", "\u00c5sa", 2)
    assert python(EXAMPLE, tmp_path, "work") == "order 1: Check the order\n"
    assert python(EXAMPLE, tmp_path, "work") == "order 1: Receive the money\n"
    assert "waits for Put it in a box" in python(EXAMPLE, tmp_path, "list")
    for _ in range(3):
        python(EXAMPLE, tmp_path, "work")
    assert "waits for nothing: {'customer': '\u00c5sa'" in python(EXAMPLE, tmp_path, "list")


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
