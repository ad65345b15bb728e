"""Runs `cache --watch` of the command, and reads what it prints meanwhile."""

from __future__ import annotations

import subprocess
import sys

from command import COMMAND, environment

# A shell without job control has what it starts in the background ignore SIGINT.
HEED = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


class Watching:
    """The command, while it watches. Both of its streams are read together."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HEED, *COMMAND, *map(str, arguments), "--watch"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            env=environment(PYTHONUNBUFFERED="1"),
        )

    def until(self, ending: str) -> list[str]:
        """The lines up to one that contains a text."""
        lines: list[str] = []
        while not lines or ending not in lines[-1]:
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
            assert line, lines
            lines.append(line.strip())
        return lines

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
