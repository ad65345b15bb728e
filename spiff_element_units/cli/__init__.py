"""The `spiff-element-units` command: look at workflows, fill caches, run a process.

`main` is its entry point. What it needs beside the library comes with the extra `[cli]`, and is
imported here so that the library does without. Nothing in this package is for import by others:
the command's arguments, exit codes and `--json` output are its interface, told in `docs/cli.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Optional


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Do what the command line asks for; the exit code."""
    try:
        import click  # noqa: F401 - without the extra, the command says so
        import rich  # noqa: F401
    except ImportError as missing:
        print(
            f"spiff-element-units: the command needs {missing.name}: "
            "pip install 'click>=8.1' 'rich>=13' 'SpiffWorkflow>=3.0,<4'",
            file=sys.stderr,
        )
        return 1
    from ._app import run

    return run(list(sys.argv[1:] if arguments is None else arguments))
