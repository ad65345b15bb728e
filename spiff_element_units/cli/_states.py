"""`check` and `migrate`: saved instances and a new version of their workflow."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Optional

import click

from ..cache.store import Place
from ..errors import ElementUnitsError
from ._app import Failure, command
from ._output import Column, Output, count, escaped, one_line
from ._place import KEY, cache_dir, key, opened, parser
from ._tree import is_endless

_ENDINGS = (".json", ".jsonl")
_NEED_MIGRATION = 3  # the exit code


class _State(NamedTuple):
    """A state, and where it is from: a file, or a line of a file or of standard input.

    `path` is the path of its file from the folder that was given. `unreadable` says why the file
    cannot be read, and is empty if it can.
    """

    name: str
    path: str
    text: str
    unreadable: str = ""


_states = click.argument("states", nargs=-1, required=True, type=click.Path(), metavar="STATE...")


def _options(function: Any) -> Any:
    function = click.option(
        "--rename",
        "renamed",
        multiple=True,
        metavar="OLD=NEW",
        help="The new id of an element that was renamed. May be given several times.",
    )(function)
    return click.option(
        "--old",
        type=KEY,
        help="The key of the version that the states were saved with, if they do not name it.",
    )(function)


@command("spiff-element-units check unit-cache claim-v2 states/\ncat states.jsonl | "
         "spiff-element-units check unit-cache claim-v2 -")  # fmt: skip
@cache_dir
@key
@_states
@_options
@parser
def check(
    out: Output,
    cache_dir: Place,
    key: str,
    states: tuple[str, ...],
    old: Optional[str],
    renamed: tuple[str, ...],
    parser: str,
) -> int:
    """Tell which saved instances continue on the workflow of KEY, and why others do not.

    STATE is a file with a state, a file .jsonl with a state in each line, a folder of such files,
    or - for standard input with a state in each line. Of an instance in pieces, give the live
    piece.

    The exit code is 0 if all continue, 3 if some must be migrated and all can be, and 1 if one
    cannot be migrated or read.
    """
    from ..spiff import compare_all

    unreadable: list[_State] = []

    def readable() -> Iterator[tuple[str, str]]:
        for one in read_states(states):
            if one.unreadable:
                unreadable.append(one)
            else:
                yield one.name, one.text

    with _loader(cache_dir, key, parser) as loader:
        summary = compare_all(
            readable(),
            loader,
            old=None if old is None else opened(cache_dir, old),
            renamed=_renamed(renamed),
        )
    for one in unreadable:
        summary.add_unreadable(one.name, one.unreadable)
    if not summary.total:
        raise Failure("there is no state in what was given")
    if out.as_json:
        out.json(
            {
                "key": key,
                "continue": summary.resumable,
                "can_be_migrated": summary.migratable,
                "cannot": summary.blocked,
                "unreadable": summary.unreadable,
                "reasons": [
                    {"reason": reason, "states": summary.ids_of(reason)}
                    for reason, _ in summary.reasons.most_common()
                ],
            }
        )
    else:
        _print(out, summary)
    if summary.blocked or summary.unreadable:
        return 1
    return _NEED_MIGRATION if summary.migratable else 0


def _print(out: Output, summary: Any) -> None:
    out.line(
        f"{count(summary.total, 'instance')}: {len(summary.resumable)} continue, "
        f"{len(summary.migratable)} can be migrated, {len(summary.blocked)} cannot"
        + (f", {len(summary.unreadable)} cannot be read" if summary.unreadable else "")
    )
    rows = [
        (str(number), escaped(one_line(reason)), escaped(_some(summary.ids_of(reason))))
        for reason, number in summary.reasons.most_common()
    ]
    columns = (Column("instances", number=True), Column("why"), Column("such as", rank=1))
    out.table(columns, rows)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown}, .."


@command("spiff-element-units migrate unit-cache claim-v2 states/ --to moved/")
@cache_dir
@key
@_states
@click.option(
    "--to",
    type=click.Path(file_okay=False),
    help="The folder for the migrated states. Without it, they go to standard output, one a line.",
)
@_options
@parser
def migrate(
    out: Output,
    cache_dir: Place,
    key: str,
    states: tuple[str, ...],
    to: Optional[str],
    old: Optional[str],
    renamed: tuple[str, ...],
    parser: str,
) -> int:
    """Move saved instances to the workflow of KEY.

    STATE is as for check, but it must be a whole state. Of an instance in pieces, give the text
    that SpecLoader.join returns. The states given are never changed. A state that continues as it
    is, or that cannot be migrated, is not written.

    The exit code is 1 if one cannot be migrated or read.
    """
    if to is None and out.as_json:
        raise click.UsageError(
            "--json needs --to, because the states go to standard output without it",
            click.get_current_context(),
        )
    from ..spiff.comparing import Comparing
    from ..spiff.migrating import Migration

    done: dict[str, list[Any]] = {"migrated": [], "continue": [], "failed": []}
    with _loader(cache_dir, key, parser) as loader:
        earlier = None if old is None else opened(cache_dir, old)
        comparing = Comparing(loader, earlier, _renamed(renamed))
        for one in read_states(states):
            if one.unreadable:
                done["failed"].append({"state": one.name, "reason": one.unreadable})
                continue
            try:
                migration = Migration(loader, one.text, comparing)
                if migration.comparison.can_resume:
                    done["continue"].append(one.name)
                    continue
                text = loader.save(migration.run())
            except Exception as error:
                if not _is_of_the_state(error):
                    raise
                done["failed"].append({"state": one.name, "reason": one_line(str(error))})
                continue
            _put(text, one, to)
            done["migrated"].append(one.name)
    if out.as_json:
        out.json({"key": key, "to": to, **done})
    else:
        _tell(done)
    return 1 if done["failed"] else 0


def _tell(done: dict[str, list[Any]]) -> None:
    for one in done["failed"]:
        print(f"not migrated: {escaped(one['state'])}: {escaped(one['reason'])}", file=sys.stderr)
    print(
        f"{count(len(done['migrated']), 'instance')} migrated, {len(done['continue'])} continue "
        f"as they are, {len(done['failed'])} cannot be migrated",
        file=sys.stderr,
    )


def _is_of_the_state(error: Exception) -> bool:
    module = type(error).__module__
    return isinstance(error, ElementUnitsError) or module.startswith("SpiffWorkflow")


def _put(text: str, state: _State, folder: Optional[str]) -> None:
    if folder is None:
        print(text)
        return
    path = os.path.join(folder, state.path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        raise Failure(f"{path!r} is there already; give another folder with --to")
    temporary = f"{path}.tmp"
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(temporary, path)


@contextmanager
def _loader(cache_dir: Place, key: str, parser: str) -> Iterator[Any]:
    from ..spiff import SpecLoader
    from ._models import serializer

    with opened(cache_dir, key) as units:
        yield SpecLoader(units, serializer(parser))


def _renamed(options: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for one in options:
        before, equals, after = one.partition("=")
        if not (before and equals and after):
            raise click.UsageError(
                f"--rename takes OLD=NEW, not {one!r}", click.get_current_context()
            )
        found[before] = after
    return found


def read_states(places: tuple[str, ...]) -> Iterator[_State]:
    """The states in files, folders and standard input, one after the other."""
    for place in places:
        if place == "-":
            yield from _lines("-", "stdin", sys.stdin)
        elif os.path.isdir(place):
            for folder, _, names in sorted(os.walk(place)):
                for name in sorted(names):
                    path = os.path.join(folder, name)
                    if name.lower().endswith(_ENDINGS) and not is_endless(path):
                        yield from _in_folder(path, os.path.relpath(path, place))
        else:
            yield from _of_file(place, os.path.basename(place))


def _in_folder(name: str, path: str) -> Iterator[_State]:
    """The states in a file of a folder. If it cannot be read, the others still count."""
    try:
        yield from _of_file(name, path)
    except OSError as error:
        yield _State(name, path, "", error.strerror or str(error))


def _of_file(name: str, path: str) -> Iterator[_State]:
    with open(name, encoding="utf-8", errors="replace") as stream:
        if path.lower().endswith(".jsonl"):
            yield from _lines(name, os.path.splitext(path)[0], stream)
        else:
            yield _State(name, path, stream.read())


def _lines(name: str, path: str, stream: Any) -> Iterator[_State]:
    for number, line in enumerate(stream, 1):
        if line.strip():
            yield _State(f"{name}:{number}", f"{path}-{number}.json", _text_of(line))


def _text_of(line: str) -> str:
    """A state: the line itself, or the JSON string in it, which a database may have exported."""
    if line.lstrip().startswith('"'):
        try:
            return str(json.loads(line))
        except ValueError:
            return line
    return line
