"""`cache`: fills a cache from spec JSON, BPMN and DMN files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Callable, NamedTuple, Optional

import click

from ..cache import places
from ..cache.store import Place
from ..errors import ElementUnitsError
from ..units import ElementUnits, digest_of, read_text
from ._app import PROGRAM, Failure, command
from ._output import Output, count, escaped, one_line, shown
from ._place import cache_dir as cache_dir_argument
from ._place import parser as parser_option

_SUFFIXES = (".json", ".bpmn", ".dmn")


class _File(NamedTuple):
    """A file to cache: its path, its path in the folder that was searched, and if it was in one."""

    path: str
    within: str
    walked: bool

    @property
    def suffix(self) -> str:
        return os.path.splitext(self.path)[1].lower()

    @property
    def is_model(self) -> bool:
        return self.suffix in (".bpmn", ".dmn")


class _Source(NamedTuple):
    """A workflow to cache, and a function that returns its text."""

    file: _File
    process_id: Optional[str]  # of a BPMN model
    read: Callable[[], Any]


class _NoWorkflow(Exception):
    """A JSON file in a folder that is not a workflow."""


@command(
    "spiff-element-units cache unit-cache models/ --parser spiff\n"
    "spiff-element-units cache unit-cache claim.json --key claim-7"
)
@cache_dir_argument
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(allow_dash=True))
@click.option("--key", help="The cache key; for one workflow.")
@click.option(
    "--key-template",
    help="The cache key, with {name} (file name) and {path} (path in the folder), both without "
    "suffix, {process} (root process) and {hash} (SHA-256 of the content). "
    "[default: {name}; {process} for BPMN]",
)
@click.option("--process", "process_id", help="The root process of the BPMN files.")
@parser_option
@click.option("--durable", is_flag=True, help="Sync the cached files to disk.")
def cache(
    out: Output,
    cache_dir: Place,
    files: tuple[str, ...],
    key: Optional[str],
    key_template: Optional[str],
    process_id: Optional[str],
    parser: str,
    durable: bool,
) -> int:
    """Cache workflows: spec JSON files, or BPMN and DMN files parsed with SpiffWorkflow.

    Folders are searched for .json, .bpmn and .dmn files. Each JSON file is a workflow. All BPMN and
    DMN files together are one model. Each process that no other process calls becomes the root of a
    workflow; with --process, only that process does. Without FILE, spec JSON is read from standard
    input.

    A workflow that is already cached does not change. A bad file is reported, the others are
    cached, and the exit code is 1.
    """
    ctx = click.get_current_context()
    if key is not None and key_template is not None:
        raise click.UsageError("use either --key or --key-template, not both", ctx)
    run = _Run(out, cache_dir, durable)
    sources = run.sources(found(files), parser, process_id)
    if key is not None and len(sources) > 1:
        raise click.UsageError(
            f"--key is for one workflow, and there are {len(sources)}; use --key-template", ctx
        )
    with run.progress(len(sources)) as advance:
        for source in sources:
            run.cache(source, key, key_template)
            advance()
    return run.report()


class _Run:
    """One run of the command, and its results so far."""

    def __init__(self, out: Output, cache_dir: Place, durable: bool) -> None:
        self.out = out
        self.cache_dir = cache_dir
        self.durable = durable
        self.done: list[dict[str, Any]] = []
        self.failed: list[dict[str, str]] = []
        self.others: list[str] = []
        self.keys: dict[str, str] = {}
        self.bar: Any = None

    def sources(self, files: list[_File], parser: str, process_id: Optional[str]) -> list[_Source]:
        """The workflows in the files."""
        of_model = [file for file in files if file.is_model]
        sources = [
            _Source(file, None, partial(_content, file.path))
            for file in files
            if file not in of_model
        ]
        if not of_model:
            if process_id is not None:
                raise click.UsageError("--process is for BPMN files", click.get_current_context())
            return sources
        from ._models import Model  # needs SpiffWorkflow

        model = Model(parser)
        by_path = {file.path: file for file in of_model}
        for file in sorted(of_model, key=lambda file: file.suffix != ".dmn"):
            try:
                model.add(file.path, file.within)
            except (ElementUnitsError, OSError):
                self.fail(file.path, model.failed[file.path])
        roots = model.roots() if process_id is None else (model.require_root(process_id),)
        for root in roots:
            file = by_path[model.path_of(root) or of_model[0].path]
            sources.append(_Source(file, root, partial(model.spec_json, root)))
        return sources

    def cache(self, source: _Source, key: Optional[str], template: Optional[str]) -> None:
        """Cache a workflow, or report why that failed."""
        try:
            self._cache(source, key, template)
        except _NoWorkflow:
            self.others.append(source.file.path)
        except (ElementUnitsError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            self.fail(source.file.path, reason or str(error), source.process_id)

    def _cache(self, source: _Source, key: Optional[str], template: Optional[str]) -> None:
        content = source.read()
        external: Optional[tuple[str, ...]] = None
        if source.process_id is not None:
            external, content = content.external, content.text
        elif source.file.walked and b'"spec"' not in content:
            raise _NoWorkflow
        text = read_text(content)
        digest = digest_of(text)
        if key is None:
            key = _key(source, template, digest.hex())
        if key in self.keys:
            raise Failure(
                f"its key {key!r} is already the key of {self.keys[key]!r}; use --key-template"
            )
        self.keys[key] = source.file.path
        unchanged = places.holds(self.cache_dir, key, digest, durable=self.durable)
        if unchanged:
            units = ElementUnits.open(self.cache_dir, key)
        else:
            units = ElementUnits.from_json(content)
            units.save(self.cache_dir, key, durable=self.durable)
        self._tell(
            {
                "key": key,
                "state": "unchanged" if unchanged else "cached",
                "file": source.file.path,
                "root": units.root,
                "processes": len(units.process_ids),
                "bytes": places.pack_size(self.cache_dir, key),
                "digest": digest.hex(),
                "external": list(_external(units) if external is None else external),
            }
        )

    def _tell(self, done: dict[str, Any]) -> None:
        self.done.append(done)
        if self.out.as_json or self.bar is not None:
            return
        lacks = ", ".join(map(shown, done["external"]))
        self.out.line(
            f"{done['state']} {shown(done['key'])}: {count(done['processes'], 'process')}"
            f", {self.out.bytes(done['bytes'])}" + (f"; external: {lacks}" if lacks else "")
        )

    def fail(self, path: str, reason: str, process_id: Optional[str] = None) -> None:
        """Report a file that cannot be cached."""
        reason = one_line(reason)
        self.failed.append({"file": path, "process": process_id or "", "reason": reason})
        named = "" if repr(path) in reason else f"{escaped(path)}: "
        message = f"{PROGRAM}: {named}{reason}"
        if self.bar is not None:
            self.bar.console.print(message, markup=False, highlight=False, soft_wrap=True)
        else:
            print(message, file=sys.stderr)

    @contextmanager
    def progress(self, total: int) -> Iterator[Callable[[], None]]:
        """Show a progress bar in a terminal; returns a function that moves it."""
        if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb" or total < 2:
            yield lambda: None
            return
        from rich.console import Console  # not for pipes
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Rate(ProgressColumn):
            def render(self, task: Any) -> Text:
                return Text(f"{task.speed or 0:.1f}/s", "dim")

        columns = (
            TextColumn("caching"),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        with Progress(*columns, console=Console(stderr=True)) as self.bar:
            task = self.bar.add_task("caching", total=total)
            yield lambda: self.bar.advance(task)
        self.bar = None

    def report(self) -> int:
        """Print the results and return the exit code."""
        states = [one["state"] for one in self.done]
        cached, unchanged = states.count("cached"), states.count("unchanged")
        if self.out.as_json:
            self.out.json(
                {
                    "cache_dir": str(self.cache_dir),
                    "cached": cached,
                    "unchanged": unchanged,
                    "workflows": self.done,
                    "failed": self.failed,
                    "others": self.others,
                }
            )
        else:
            said = [
                f"{cached:,} cached",
                f"{unchanged:,} unchanged",
                f"{len(self.failed):,} failed",
            ]
            if self.others:
                said.append(f"{len(self.others):,} JSON files skipped: no workflows")
            self.out.line(", ".join(said), "bold" if not self.failed else "bold red")
        if not self.done and not self.failed:
            print(f"{PROGRAM}: the files contain no workflow", file=sys.stderr)
            return 1
        return 1 if self.failed else 0


def found(files: tuple[str, ...]) -> list[_File]:
    """The files and the files in the folders, each once; `-` or no file means standard input."""
    if not files:
        if sys.stdin.isatty():
            raise click.UsageError(
                "name the files or folders to cache", click.get_current_context()
            )
        files = ("-",)
    found: dict[str, _File] = {}
    for path in files:
        if path != "-" and os.path.isdir(path):
            for folder, folders, names in os.walk(path):
                folders[:] = sorted(one for one in folders if not one.startswith("."))
                for name in sorted(names):
                    if name.lower().endswith(_SUFFIXES) and not name.startswith("."):
                        inside = os.path.join(folder, name)
                        within = os.path.relpath(inside, path).replace(os.sep, "/")
                        found.setdefault(os.path.realpath(inside), _File(inside, within, True))
        else:
            found.setdefault(os.path.realpath(path), _File(path, os.path.basename(path), False))
    return list(found.values())


def _content(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    with open(path, "rb") as stream:
        return stream.read()


def _key(source: _Source, template: Optional[str], digest: str) -> str:
    """The key of a workflow, made with the template."""
    if template is None:
        if source.file.path == "-":
            raise Failure("standard input has no name; give --key or --key-template '{hash}'")
        template = "{name}" if source.process_id is None else "{process}"
    path = os.path.splitext(source.file.within)[0]
    fields = {
        "name": os.path.basename(path),
        "path": path,
        "process": source.process_id or "",
        "hash": digest,
    }
    try:
        return template.format_map(fields)
    except (LookupError, ValueError, AttributeError, TypeError) as error:
        raise Failure(
            f"--key-template {template!r} is wrong ({error}); it may contain {{name}}, {{path}}, "
            "{process} and {hash}"
        ) from error


def _external(units: ElementUnits) -> Iterator[str]:
    named = (one for process in units.process_ids for one in units.references(process))
    yield from dict.fromkeys(one.process_id for one in named if one.external)
