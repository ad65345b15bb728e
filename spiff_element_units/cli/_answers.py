"""The answers to human tasks: they come from a file, and then from the prompt.

The file is a JSON list of objects, which are used in order, or a JSON object. The keys of the
object are element ids, or names of the operations of services. Each value is an object, which is
used every time, or a list of objects, which are used in order.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Callable, Optional

import click

from ._app import Failure
from ._output import shown

Say = Callable[[str], None]


class Answers:
    """The answers. An answer from a list is used once."""

    def __init__(self, path: Optional[str], say: Say) -> None:
        self._say = say
        self._in_turn: list[Any] = []
        self._by_id: dict[str, Any] = {}
        if path is None:
            return
        with open(path, encoding="utf-8") as stream:
            found = parsed(stream.read(), f"--answers {path!r}")
        if isinstance(found, list):
            self._in_turn = found
        elif isinstance(found, dict):
            self._by_id = found
        else:
            raise Failure(f"--answers {path!r} must be a JSON object or list")

    def given(self, *ids: Optional[str]) -> Any:
        """The answer in the file for one of these ids; None if there is none."""
        if self._in_turn:
            return self._in_turn.pop(0)
        for id in ids:
            found = self._by_id.get(id) if id is not None else None
            if isinstance(found, list):
                if found:
                    return found.pop(0)
            elif found is not None:
                return found
        return None

    def fields(self, *ids: Optional[str]) -> Optional[dict[str, Any]]:
        """The answer in the file for a human task; None if there is none. Raises Failure."""
        answer = self.given(*ids)
        if answer is not None and not isinstance(answer, dict):
            raise Failure(f"the answer for {shown(str(ids[0]))} in --answers must be a JSON object")
        return answer

    def ask(self) -> Optional[dict[str, Any]]:
        """The answer from the prompt; None at the end of the input.

        If the answer is not a JSON object, this asks again in a terminal, and otherwise raises
        Failure.
        """
        while True:
            line = _ask("fields as a JSON object (Enter: none, Ctrl-D: stop) > ")
            if line is None:
                return None
            try:
                fields = parsed(line.strip() or "{}", "the answer")
                if not isinstance(fields, dict):
                    raise Failure('the answer must be a JSON object, such as {"approved": true}')
            except Failure as error:
                if not sys.stdin.isatty():
                    raise
                self._say(str(error))
                continue
            return fields


def parsed(text: str, what: str) -> Any:
    """The value of a JSON text. Raises Failure."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise Failure(f"{what} is not JSON: {error}") from error


def option_object(text: str, what: str) -> dict[str, Any]:
    """The JSON object that is the value of an option. Raises click.UsageError."""
    try:
        fields = parsed(text, what)
    except Failure as error:
        raise click.UsageError(str(error), click.get_current_context()) from error
    if not isinstance(fields, dict):
        example = '{"amount": 800}'
        raise click.UsageError(
            f"{what} must be a JSON object, such as {example}", click.get_current_context()
        )
    return fields


def _ask(prompt: str) -> Optional[str]:
    """A line of standard input; None at the end of the input."""
    if sys.stdin.isatty():
        print(prompt, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line and sys.stdin.isatty():
        print(file=sys.stderr)
    return line or None
