"""The demo, which newcomers run first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parent.parent


def run(*arguments: str, folder: Path) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_demo_loads_what_the_claim_reaches_and_nothing_else(tmp_path: Path) -> None:
    printed = run(str(TOP / "examples" / "demo.py"), folder=tmp_path)
    loaded = [line.split()[0] for line in printed.splitlines()[1:6]]
    assert loaded == ["Claim", "Register", "Settle", "Pay", "Archive"]
    assert "The claim is settled" in printed
