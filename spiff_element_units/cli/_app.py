"""The frame of the command: its subcommands, their common options, and their errors.

An error is one line on stderr that says what to do. The exit code is 1, or 2 if the command line is
wrong, or 130 after an interrupt. For a command whose result can be 1, a failure is 2 as well.
`--debug` adds the traceback.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Callable, Optional

import click

from .._version import __version__
from ..errors import ElementUnitsError
from ._output import Output, one_line

PROGRAM = "spiff-element-units"

# In the order of --help. Each module is imported when its command is used.
_COMMANDS = {
    "cache": ("_cache", "Cache workflows: spec JSON, or BPMN and DMN files."),
    "ls": ("_upkeep", "List what a cache holds."),
    "show": ("_show", "Show the tree of a workflow's processes, and the sizes of units."),
    "unit": ("_unit", "Write a unit, or explain what it contains."),
    "diff": ("_diff", "Show what differs between two versions of a workflow."),
    "graph": ("_graph", "Draw the processes and their references: mermaid, dot, svg or html."),
    "run": ("_run", "Run a process on units, step by step."),
    "check": ("_states", "Tell which saved instances continue on another version."),
    "migrate": ("_states", "Move saved instances to another version."),
    "verify": ("_upkeep", "Check every byte of a cache."),
    "prune": ("_upkeep", "Remove old workflows and abandoned temporary files."),
    "rm": ("_upkeep", "Remove workflows from a cache."),
    "completion": ("_completion", "Write the completion script for a shell."),
}

_FAILED = {"diff": 2}  # the exit code of a failure, if it is not 1


class Failure(ElementUnitsError):
    """A command cannot do what the user asked for. The message is for the user."""


def command(example: str, *, prints: bool = True) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a subcommand of a function. Its first argument is an `Output`.

    `example` is at the end of the help. With `prints`, the subcommand has the option `--json`.
    """

    def made(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def called(debug: bool, as_json: bool = False, **arguments: Any) -> Any:
            return function(Output(as_json), **arguments)

        option = click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
        called = option(called)
        if prints:
            called = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(called)
        name = (function.__name__).strip("_")
        epilog = "\b\nExample:\n" + "\n".join(f"  {line}" for line in example.splitlines())
        return click.command(name, epilog=epilog)(called)

    return made


class _Commands(click.Group):
    """The subcommands, imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f".{_COMMANDS[cmd_name][0]}", __package__)
        found: click.Command = getattr(module, cmd_name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExit codes: 0 done, 1 something failed, 2 the command line is wrong.\n"
    "diff: 0 the same, 1 different, 2 something failed or the command line is wrong.\n"
    "check: 0 all continue, 3 some must be migrated and can be, 1 otherwise.\n"
    f"\b\nExample:\n  {PROGRAM} cache unit-cache models/\n  {PROGRAM} show unit-cache Claim",
)
@click.version_option(__version__, prog_name=PROGRAM)
@click.pass_context
def program(ctx: click.Context) -> None:
    """Look at SpiffWorkflow workflows and their element units, fill caches, run a process.

    A cache is a folder, or the URL of a store. Each workflow in it has a key.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = program.main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # the reader has closed the pipe; click exits then
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (click.Abort, KeyboardInterrupt):
        return _failed("interrupted", 130)
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
        return _told(error, arguments[0] if arguments else "")
    return code if isinstance(code, int) else 0


def _open_streams() -> None:
    """Replace the standard streams that are closed, for which Python has None."""
    # In this order, because the system gives the lowest number that is free.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _told(error: Exception, name: str) -> int:
    """Print one line that says what went wrong with a subcommand, and return the exit code."""
    code = _FAILED.get(name, 1)
    if isinstance(error, click.UsageError):
        # click does not say which command it was if an option lacks its value.
        called = f"{PROGRAM} {name}" if name in _COMMANDS else PROGRAM
        path = error.ctx.command_path if error.ctx else called
        return _failed(f"{error.format_message().rstrip('.')}; see {path} --help", 2)
    if isinstance(error, click.ClickException):
        return _failed(error.format_message(), code)
    if isinstance(error, OSError):
        place = f"{error.filename!r}: " if error.filename is not None else ""
        return _failed(f"{place}{error.strerror or error}", code)
    if isinstance(error, ElementUnitsError) or type(error).__module__.startswith("SpiffWorkflow"):
        return _failed(f"{error}{place_of(error)}", code)
    return _failed(f"{type(error).__name__}: {error}; use --debug to see the traceback", code)


def place_of(error: Exception) -> str:
    """Where in the model SpiffWorkflow failed, if the error says so."""
    spec = getattr(error, "task_spec", None)
    element = getattr(spec, "bpmn_id", None) or getattr(spec, "name", None)
    if element is None or repr(element) in str(error):
        return ""
    process = getattr(getattr(spec, "_wf_spec", None), "name", None)
    return f" (element {element!r}" + (f" of process {process!r})" if process else ")")


def _failed(message: str, code: int) -> int:
    print(f"{PROGRAM}: {one_line(message)}", file=sys.stderr)
    return code
