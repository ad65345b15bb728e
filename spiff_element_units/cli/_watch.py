"""`cache --watch`: caches again whenever a file changes."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, Callable

import click

from ..cache.store import Place, is_store
from ..errors import ElementUnitsError
from ._app import PROGRAM, Failure
from ._output import Output, one_line
from ._tree import is_wanted


def watched(
    out: Output, files: tuple[str, ...], cache_dir: Place, once: Callable[[bool], int]
) -> int:
    """Cache once, and then again after each change, until an interrupt. Returns the exit code.

    After the first time, only what has changed is told. A failure does not end it.
    """
    ctx = click.get_current_context()
    if out.as_json:
        raise click.UsageError("--watch cannot be used with --json", ctx)
    if not files or "-" in files:
        raise click.UsageError("--watch needs files or folders, not standard input", ctx)
    try:
        from watchfiles import watch
    except ImportError as missing:
        raise Failure(f"--watch needs {missing.name}: pip install 'watchfiles>=1'") from missing
    # The files of a cache folder are not models, and a store has no files.
    inside = None if is_store(cache_dir) else os.path.realpath(str(cache_dir)) + os.sep

    def concerns(change: Any, path: str) -> bool:
        if inside is not None and os.path.realpath(path).startswith(inside):
            return False
        return is_wanted(os.path.basename(path))

    # Watching begins before the files are read, so no change is missed in between.
    changes = watch(*files, watch_filter=concerns, yield_on_timeout=True, rust_timeout=100)
    with contextlib.suppress(KeyboardInterrupt):  # which is how it is meant to end
        next(changes)
        _try(once, False)
        out.line("watching; press Ctrl-C to stop", "dim")
        sys.stdout.flush()
        for some in changes:
            if some:
                _try(once, True)
                sys.stdout.flush()
    return 0


def _try(once: Callable[[bool], int], quiet: bool) -> None:
    try:
        once(quiet)
    except (ElementUnitsError, OSError, click.UsageError) as error:
        if isinstance(error, click.UsageError) and not quiet:
            raise  # the command line is wrong from the start
        print(f"{PROGRAM}: {one_line(str(error))}", file=sys.stderr, flush=True)
