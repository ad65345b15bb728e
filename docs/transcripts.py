"""Runs the commands of a page and puts what they print below them.

    python docs/transcripts.py docs/cli.md

In each block of the language `console`, bash runs the lines that begin with `$ `. The commands of a
page run in one folder, which contains only a copy of `examples/`. Below each command is its output,
of both streams. All times of day are replaced by the same one. A test checks that the page is up to
date.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).parent.parent
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)


def rewritten(page: str) -> str:
    """The text of a page, with the output of its commands."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        home.mkdir()
        shutil.copytree(TOP / "examples", home / "examples")
        program = Path(folder, "bin", "spiff-element-units")
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m spiff_element_units "$@"\n')
        program.chmod(0o755)
        environment = {
            name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "TERM")
        }
        environment["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        environment["PYTHONPATH"] = str(TOP)  # what is not there, is installed

        def printed(line: str) -> str:
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                check=False,
            )
            return f"$ {line}\n{TIME.sub('2026-01-31T12:00:00Z', done.stdout)}"

        def block(found: re.Match[str]) -> str:
            lines = [line[2:] for line in found[0].splitlines() if line.startswith("$ ")]
            return "".join(map(printed, lines))

        return BLOCK.sub(block, page)


def main() -> None:
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
