"""`run`: runs a process on units, step by step. It executes the scripts of the model."""

from __future__ import annotations

import os
from typing import Optional

import click

from ..cache.store import Place
from ._answers import option_object
from ._app import Failure, command
from ._links import Links, externals
from ._output import Output
from ._place import names, opened_place, parser, require_process, split


@command(
    "spiff-element-units run unit-cache Claim --data '{\"amount\": 800}'\n"
    "spiff-element-units run models/orders.bpmn order --answers answers.json --state order.state\n"
    "spiff-element-units run unit-cache Claim --script-engine claims:functions --timers skip"
)
@names("[KEY] [PROCESS]")
@click.option("--data", help="The data that the process starts with: a JSON object.")
@click.option(
    "--answers",
    type=click.Path(),
    help="A JSON file with answers to human tasks: a list, or an object by element id.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False),
    help="Resume the instance in this file, if there is one, and save it here.",
)
@click.option(
    "--migrate", is_flag=True, help="Migrate the instance if the workflow has changed since."
)
@click.option(
    "--script-engine",
    metavar="MODULE:NAME",
    help="Functions for the scripts: a dict of them in a Python module, or a script engine.",
)
@click.option(
    "--message",
    "messages",
    multiple=True,
    metavar="NAME=JSON",
    help="A message with its payload, a JSON object, for when the process waits for it.",
)
@click.option(
    "--signal", "signals", multiple=True, metavar="NAME", help="A signal, in the same way."
)
@click.option(
    "--timers",
    type=click.Choice(["skip", "wait"]),
    help="At a timer, act as if its time had come, or wait for it. [default: stop there]",
)
@click.option("--max-steps", type=click.IntRange(1), help="Stop after so many elements.")
@parser
def run(
    out: Output,
    place: Place,
    names: tuple[str, ...],
    data: Optional[str],
    answers: Optional[str],
    state: Optional[str],
    migrate: bool,
    script_engine: Optional[str],
    messages: tuple[str, ...],
    signals: tuple[str, ...],
    timers: Optional[str],
    max_steps: Optional[int],
    parser: str,
) -> int:
    """Run a process on units: start PROCESS, execute its steps, ask you to do human tasks.

    A cache needs a KEY, and a file has none. PROCESS is the root if you omit it. A process that the
    workflow does not contain is taken from another workflow of the cache.

    To do a human task, give a JSON object with the fields of its form, in --answers or at the
    prompt. The run stops when the process ends, when it waits for an event that you do not give, or
    when there is no answer. With --state you can resume it later. At the end, the command says
    which part of the workflow was loaded.

    The scripts of the model are executed as Python, with all your permissions. Run only models that
    you trust. Services are not called: put their results into --answers, by the name of the
    operation.
    """
    fields = option_object(data, "--data") if data is not None else {}
    folder = os.path.dirname(state or "")
    if folder and not os.path.isdir(folder):
        raise Failure(f"there is no folder {folder!r} for --state; create it")
    if place == "-":
        raise click.UsageError(
            "run reads answers from standard input, so the workflow must be in a file or a cache",
            click.get_current_context(),
        )
    key, asked = split(place, names)
    if len(asked) > 1:
        raise click.UsageError(
            f"run takes one process, not {' '.join(map(repr, asked))}", click.get_current_context()
        )
    with opened_place(place, key, parser, asked[0] if asked else None, "name") as units:
        for process_id in asked:
            require_process(units, process_id)
        from ._runner import Runner  # needs SpiffWorkflow

        links = None if key is None or not any(externals(units)) else Links(place, key)
        runner = Runner(out, units, asked[0] if asked else None, parser, answers, links)
        runner.equip(script_engine, messages, signals, timers, max_steps)
        if state is not None and os.path.exists(state):
            if data is not None:
                raise click.UsageError(
                    f"--data is only for a new instance, and {state!r} contains an instance",
                    click.get_current_context(),
                )
            runner.resume(state, migrate)
        else:
            runner.start(fields, state)
        runner.run()
        return runner.report()
