"""The script engine of `run`: what executes the scripts of a model, and with which functions."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Optional

import click

from ..units import ElementUnits
from ._answers import Answers
from ._app import Failure, place_of


def engine(spec: Optional[str], answers: Answers) -> Any:
    """The engine for `--script-engine`, or one that executes Python and knows no functions.

    If `spec` names functions, services get their results from the answers. If it names an engine,
    services are called by that engine. Raises Failure.
    """
    if spec is None:
        return _python({}, answers)
    found = _imported(spec)
    if isinstance(found, Mapping):
        return _python(dict(found), answers)
    if not _is_engine(found) and callable(found):
        found = found()
    if isinstance(found, type) or not _is_engine(found):
        raise Failure(
            f"--script-engine {spec!r} must be a dict of functions, a script engine of "
            f"SpiffWorkflow, or a callable that returns one, not {type(found).__name__}"
        )
    return found


def _is_engine(found: Any) -> bool:
    return not isinstance(found, type) and hasattr(found, "execute") and hasattr(found, "evaluate")


def _imported(spec: str) -> Any:
    """What `module:name` names. The current folder is searched first."""
    module, _, name = spec.partition(":")
    if not module or not name:
        raise click.UsageError(
            f"--script-engine {spec!r} does not have the form module:name",
            click.get_current_context(),
        )
    sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise Failure(f"--script-engine {spec!r} cannot be imported: {error}") from error
    return found


def _python(functions: dict[str, Any], answers: Answers) -> Any:
    from SpiffWorkflow.bpmn.script_engine import PythonScriptEngine, TaskDataEnvironment

    class Engine(PythonScriptEngine):  # type: ignore[misc]
        def call_service(self, *args: Any, **kwargs: Any) -> str:
            name = kwargs["operation_name"] if "operation_name" in kwargs else args[0]
            answer = answers.given(str(name))
            if answer is None:
                raise Failure(
                    f"a service task calls operation {name!r}, but run does not call services; put "
                    f"its result into --answers, with the key {name!r}"
                )
            return json.dumps(answer)

    return Engine(TaskDataEnvironment(functions))


def lacking(error: Exception, workflows: Iterable[ElementUnits]) -> Optional[Failure]:
    """The failure for a function that a script calls and does not get; None for another error.

    `workflows` are those that the script may be in.
    """
    name = _missing(error)
    if name is None:
        return None
    call = re.compile(rf"\b{re.escape(name)}\s*\(".encode())
    texts = (units.spec_json(one) for units in workflows for one in units.process_ids)
    if not any(map(call.search, texts)):
        return None
    return Failure(
        f"a script calls the function {name!r}, which it does not get{place_of(error)}; give it "
        f"with --script-engine module:functions, where functions = {{{name!r}: ..}} in module.py"
    )


def _missing(error: Exception) -> Optional[str]:
    """The name that is not defined, if that is what the error comes from."""
    inner: Optional[BaseException] = error
    while inner is not None and not isinstance(inner, NameError):
        inner = inner.__cause__ or inner.__context__
    found = re.search(r"name '(\w+)' is not defined", str(inner))
    return found[1] if found else None
