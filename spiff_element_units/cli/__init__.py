"""The `spiff-element-units` command: look at workflows, fill caches, run a process.

`main` is the entry point. The extra `[cli]` installs what the command needs in addition to the
library. Only this package imports it, so the library does not need it. Do not import this package
from other code. Its interface is the arguments, exit codes and `--json` output of the command,
which `docs/cli.md` describes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Optional


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command line and return the exit code."""
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
