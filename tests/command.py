"""Runs the `spiff-element-units` command as people do: in a subprocess, in a pipe or a terminal.

If the tests run against a wheel, this is the installed script, and otherwise `python -m` with the
package in the source tree.
"""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from spiff_element_units import ElementUnits

try:
    import fcntl
    import termios
except ImportError:  # Windows
    termios = None

TOP = Path(__file__).parent.parent
EXAMPLES = TOP / "examples"
IN_TREE = (TOP / "spiff_element_units").is_dir()
SCRIPT = Path(sys.executable).with_name("spiff-element-units")
COMMAND = [sys.executable, "-m", "spiff_element_units"] if IN_TREE else [str(SCRIPT)]


class Done(NamedTuple):
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def environment(**changes: str) -> dict[str, str]:
    """The environment of a command, without variables that change how it prints."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM")
    }
    if IN_TREE:
        kept["PYTHONPATH"] = str(TOP)
    return {**kept, **changes}


def lacking(module: str) -> list[str]:
    """Run the command as if a module was not installed."""
    script = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from spiff_element_units.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    return [sys.executable, "-c", script]


def command(
    *arguments: object,
    input: str = "",
    cwd: object = None,
    program: Sequence[str] = COMMAND,
    **env: str,
) -> Done:
    """Run the command in pipes."""
    done = subprocess.run(
        [*program, *map(str, arguments)],
        input=input,
        cwd=cwd,
        env=environment(**env),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def failing(*arguments: object, code: int = 1, **options: Any) -> str:
    """The one line that a failing command prints on stderr."""
    done = command(*arguments, **options)
    assert done.code == code, done
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith("spiff-element-units: ")
    return done.err.strip()


def terminal(*arguments: object, input: str = "", columns: int = 120, **env: str) -> Done:
    """Run the command in a pseudo-terminal; `out` has both streams, escapes and all."""
    if termios is None:
        pytest.skip("no pseudo-terminals here")
    main, side = os.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=side,
        stdout=side,
        stderr=side,
        env=environment(TERM="xterm-256color", **env),
        start_new_session=True,
    )
    os.close(side)
    if input:
        os.write(main, input.encode())
    pieces = []
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # how a terminal ends on Linux
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(main)
    out = b"".join(pieces).decode().replace("\r\n", "\n")
    return Done(process.wait(), out, "")


def plain(text: str) -> str:
    """A text without a terminal's escapes."""
    return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07)", "", text)


def fill(folder: Path, *files: object) -> Path:
    """A cache in a folder, filled by the command."""
    cache = folder / "cache"
    done = command("cache", cache, *files)
    assert done.code == 0, done.err
    return cache


def wide(processes: int) -> ElementUnits:
    """A root that calls many processes, each of which calls the last one."""
    task = {"typename": "CallActivity"}

    def process(name: str, to: list) -> dict:
        tasks = {f"call_{one}": {**task, "spec": one} for one in to}
        return {"name": name, "typename": "BpmnProcessSpec", "task_specs": tasks}

    names = [f"P{number}" for number in range(processes)]
    specs = {name: process(name, [names[-1]]) for name in names}
    return ElementUnits.from_json(
        json.dumps({"spec": process("root", names), "subprocess_specs": specs})
    )
