"""`cache`: fills a cache from spec JSON, BPMN and DMN files.

A bad file concerns only the workflows that need it. It is named once, at the end.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Callable, Optional

import click

from ..cache import kept_source, places
from ..cache.store import Place
from ..errors import ElementUnitsError
from ..units import ElementUnits, digest_of, read_text
from ._app import Failure, command
from ._failures import NOT_EXECUTABLE, Failures
from ._links import externals
from ._output import Output, count, shown
from ._place import cache_dir as cache_dir_argument
from ._place import parser as parser_option
from ._sources import NoWorkflow, Source, Sources, key_of, require_template
from ._tree import EACH, File, found


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
    "suffix, {folder} (of the path), {process} (root process) and {hash} (SHA-256 of the content). "
    "[default: {name}; for BPMN: {process} and what --each needs before it]",
)
@click.option(
    "--each",
    type=click.Choice(EACH),
    help="Which BPMN and DMN files are one model: all of the call (tree), those of each folder, "
    "each file, or those below each process_model.json. [default: by what is there]",
)
@click.option("--process", "process_id", help="The root process of the BPMN files.")
@parser_option
@click.option(
    "--check",
    is_flag=True,
    help="Refuse BPMN models that lose something when they are serialized and restored.",
)
@click.option(
    "--keep-source",
    is_flag=True,
    help="Keep the BPMN in the cache too, for the diagrams of `graph --format html`.",
)
@click.option("--durable", is_flag=True, help="Sync the cached files to disk.")
@click.option("--watch", is_flag=True, help="Cache again whenever a file changes, until Ctrl-C.")
def cache(
    out: Output,
    cache_dir: Place,
    files: tuple[str, ...],
    key: Optional[str],
    key_template: Optional[str],
    each: Optional[str],
    process_id: Optional[str],
    parser: str,
    check: bool,
    keep_source: bool,
    durable: bool,
    watch: bool,
) -> int:
    """Cache workflows: spec JSON files, or BPMN and DMN files parsed with SpiffWorkflow.

    Folders are searched for .json, .bpmn and .dmn files. Each JSON file is a workflow. BPMN and DMN
    files are one model, or several: see --each. Each process that no other process of its model
    calls becomes the root of a workflow; with --process, only that process does. Without FILE, spec
    JSON is read from standard input.

    A workflow that is already cached does not change. Bad files are reported at the end, the others
    are cached, and the exit code is 1.
    """
    ctx = click.get_current_context()
    if key is not None and key_template is not None:
        raise click.UsageError("use either --key or --key-template, not both", ctx)
    require_template(key_template)

    def once(quiet: bool = False) -> int:
        run = _Run(out, cache_dir, durable, quiet, check, keep_source)
        sources = run.sources(found(files), parser, process_id, each)
        if key is not None and len(sources) > 1:
            raise click.UsageError(
                f"--key is for one workflow, and there are {len(sources)}; use --key-template", ctx
            )
        with run.progress("caching", len(sources)) as advance:
            for source in sources:
                run.cache(source, key, key_template)
                advance()
        return run.report()

    if not watch:
        return once()
    from ._watch import watched

    return watched(out, files, cache_dir, once)


class _Run:
    """One run of the command, and its results so far.

    If it is `quiet`, it prints nothing about workflows that did not change.
    """

    def __init__(
        self,
        out: Output,
        cache_dir: Place,
        durable: bool,
        quiet: bool,
        check: bool,
        keep_source: bool,
    ) -> None:
        self.out = out
        self.cache_dir = cache_dir
        self.durable = durable
        self.quiet = quiet
        self.done: list[dict[str, Any]] = []
        self.failures = Failures()
        self.others: list[str] = []
        self.keys: dict[str, str] = {}
        self.bar: Any = None
        self.check = check
        self.keep_source = keep_source
        self.models = Sources(self.failures, check)

    def sources(
        self, files: list[File], parser: str, process_id: Optional[str], each: Optional[str]
    ) -> list[Source]:
        """The workflows in the files."""
        sources = [
            Source(file, partial(_content, file.path)) for file in files if not file.of_model
        ]
        if not any(file.of_model for file in files):
            for option, used in (
                ("--process", process_id is not None),
                ("--check", self.check),
                ("--keep-source", self.keep_source),
            ):
                if used:
                    told = f"{option} is for BPMN files"
                    raise click.UsageError(told, click.get_current_context())
            return sources
        with self.progress("reading", sum(file.of_model for file in files)) as advance:
            documents = self.models.read(files, advance)
        models = self.models.of_models(files, documents, parser, process_id, each)
        if self.models.why and not self.out.as_json and not self.quiet:
            self.out.line(self.models.why, "dim")
        return sources + models

    def cache(self, source: Source, key: Optional[str], template: Optional[str]) -> None:
        """Cache a workflow, or remember why that failed."""
        try:
            self._cache(source, key, template)
        except NoWorkflow:
            self.others.append(source.file.path)
        except (ElementUnitsError, OSError) as error:
            self.failures.add(source.file.path, error, source.process_id)

    def _cache(self, source: Source, key: Optional[str], template: Optional[str]) -> None:
        content = source.read()
        external: Optional[tuple[str, ...]] = None
        bpmn: Optional[bytes] = None
        if source.process_id is not None:
            if self.keep_source:
                bpmn = json.dumps([one.text() for one in content.documents]).encode()
                kept_source.require_fitting(bpmn)
            external, content = content.external, content.text
        elif source.file.walked and b'"spec"' not in content:
            raise NoWorkflow
        text = read_text(content)
        digest = digest_of(text)
        if key is None:
            key = key_of(source, template, digest.hex())
        if key in self.keys:
            raise Failure(
                f"its key {key!r} is already the key of {self.keys[key]!r}; use --key-template"
            )
        self.keys[key] = source.file.path
        if bpmn is not None:
            kept_source.keep_source(self.cache_dir, key, digest, bpmn, durable=self.durable)
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
                "external": list(externals(units) if external is None else external),
            }
        )

    def _tell(self, done: dict[str, Any]) -> None:
        self.done.append(done)
        unwanted = self.quiet and done["state"] == "unchanged"
        if self.out.as_json or self.bar is not None or unwanted:
            return
        lacks = ", ".join(map(shown, done["external"]))
        self.out.line(
            f"{done['state']} {shown(done['key'])}: {count(done['processes'], 'process')}"
            f", {self.out.bytes(done['bytes'])}" + (f"; external: {lacks}" if lacks else "")
        )

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        """Show a progress bar in a terminal; returns a function that moves it."""
        if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb" or total < 2:
            yield lambda: None
            return
        from ._progress import bar

        with bar() as self.bar:
            task = self.bar.add_task(what, total=total)
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
                    "each": self.models.each,
                    "cached": cached,
                    "unchanged": unchanged,
                    "workflows": self.done,
                    "failed": self.failures.described(),
                    "others": self.others,
                    "not_executable": self.models.not_executable,
                }
            )
        self.failures.tell()
        if not self.out.as_json and not (self.quiet and not cached and not self.failures.files):
            self.out.line(", ".join(self._counted(cached, unchanged)), self._style)
        if not self.done and not self.failures.files:
            print(f"spiff-element-units: {self._nothing()}", file=sys.stderr)
            return 1
        return 1 if self.failures.files else 0

    @property
    def _style(self) -> str:
        return "bold red" if self.failures.files else "bold"

    def _counted(self, cached: int, unchanged: int) -> Iterator[str]:
        yield f"{cached:,} cached"
        yield f"{unchanged:,} unchanged"
        failed = f"{self.failures.files:,} failed"
        if self.failures.workflows:
            needing = count(self.failures.workflows, "workflow")
            failed += f" ({needing} not cached)"
        yield failed
        if self.others:
            yield f"{count(len(self.others), 'JSON file')} skipped: no workflows"
        if self.models.not_executable:
            files = count(len(self.models.not_executable), "BPMN file")
            yield f"{files} skipped: no executable process"

    def _nothing(self) -> str:
        if self.models.not_executable:
            return NOT_EXECUTABLE
        return "the files contain no workflow"


def _content(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    with open(path, "rb") as stream:
        return stream.read()
