"""Makes the pictures of the command in the README: SVG files of a terminal.

    python docs/recordings.py

Each command runs in a pseudo-terminal, on the models in `examples/`; rich draws what it printed.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

TOP = Path(__file__).parent.parent
FOLDER = Path(__file__).parent / "recordings"
RECORDINGS = {
    "show": (132, ["show", "unit-cache", "Claim"]),
    "run": (96, ["run", "unit-cache", "Claim", "--data", '{"amount": 800}']),
}


def printed(arguments: list[str], columns: int, folder: Path) -> str:
    """What a command prints on a terminal, escapes and all."""
    main, side = os.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 80, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "spiff_element_units", *arguments],
        stdin=side,
        stdout=side,
        stderr=side,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(TOP), "TERM": "xterm-256color"},
    )
    os.close(side)
    pieces = []
    while True:
        try:
            pieces.append(os.read(main, 65536))
        except OSError:  # the end, on Linux
            break
    os.close(main)
    if process.wait():
        sys.exit(b"".join(pieces).decode())
    return b"".join(pieces).decode().replace("\r\n", "\n")


def picture(title: str, text: str, columns: int) -> str:
    """An SVG of a terminal. It names no web font, so that it loads nothing."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=columns, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(text.rstrip("\n")))
    svg = console.export_svg(title=title, theme=SVG_EXPORT_THEME, unique_id="terminal")
    while "@font-face" in svg:
        start = svg.index("@font-face")
        svg = svg[:start].rstrip() + svg[svg.index("}", start) + 1 :]
    svg = svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def pictures(folder: Path) -> dict[str, str]:
    """The SVG texts, by name; the commands run in a folder."""
    shutil.copytree(TOP / "examples", folder / "examples")
    printed(["cache", "unit-cache", "examples"], 100, folder)
    return {
        name: picture(
            f"$ spiff-element-units {shlex.join(arguments)}",
            printed(arguments, columns, folder),
            columns,
        )
        for name, (columns, arguments) in RECORDINGS.items()
    }


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, svg in pictures(Path(folder)).items():
            (FOLDER / f"{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
