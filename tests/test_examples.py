"""What a newcomer runs: the code in the README, in its order, and the demo."""

from __future__ import annotations

import os
import re
import shutil
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


def test_the_code_in_the_readme_runs_as_written(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (TOP / "README.md").read_text(), re.DOTALL)
    assert len(blocks) > 3
    shutil.copytree(TOP / "examples", tmp_path / "examples")
    (tmp_path / "readme.py").write_text("\n".join(blocks), encoding="utf-8")
    run("readme.py", folder=tmp_path)
    assert (tmp_path / "unit-cache").is_dir()


def test_the_demo_loads_what_the_claim_reaches_and_nothing_else(tmp_path: Path) -> None:
    printed = run(str(TOP / "examples" / "demo.py"), folder=tmp_path)
    loaded = [line.split()[0] for line in printed.splitlines()[1:6]]
    assert loaded == ["Claim", "Register", "Settle", "Pay", "Archive"]
    assert "The claim is settled" in printed
