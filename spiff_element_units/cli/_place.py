"""The arguments that name workflows, processes and elements: how they are read and completed."""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Callable, Optional

import click
from click.shell_completion import CompletionItem

from ..cache import directory, upkeep
from ..cache.store import Place, is_store
from ..errors import ElementUnitsError, UnitNotFound
from ..stores import open_store
from ..stores.opening import is_url
from ..units import ElementUnits
from ._app import PROGRAM, Failure

PARSERS = ("bpmn", "spiff", "camunda")

if TYPE_CHECKING:  # generic since click 8.4
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType


class _Known(ParamType):
    """An id. The shell completes ids that are in the cache, but any id is accepted."""

    def __init__(self, name: str, known: Callable[[dict[str, Any]], Iterable[str]]) -> None:
        self.name = name
        self._known = known

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        with contextlib.suppress(Exception):  # a shell cannot show an error
            found = self._known(ctx.params)
            return [CompletionItem(one) for one in found if one.startswith(incomplete)]
        return []


class _Version(_Known):
    """A key of the cache that stands before it, or a file."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        found = super().shell_complete(ctx, param, incomplete)
        return found or [CompletionItem(incomplete, type="file")]


class _CacheDir(click.Path):
    """A cache: the path of its folder, or the URL of a store, which is opened."""

    def convert(
        self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]
    ) -> Any:
        place = place_of(value)
        return super().convert(place, param, ctx) if isinstance(place, str) else place


def place_of(text: Place) -> Place:
    """The store of a URL; anything else as it is. Raises Failure if its library is missing."""
    if not isinstance(text, str) or not is_url(text):
        return text
    try:
        place = open_store(text)
    except ImportError as error:
        raise Failure(str(error)) from error
    return place if is_store(place) else str(place)


def _keys(given: dict[str, Any]) -> Iterable[str]:
    return [cached.cache_key for cached in upkeep.cache_keys(_place(given))]


def _opened(given: dict[str, Any]) -> ElementUnits:
    return ElementUnits.open(_place(given), given["key"])


def _place(given: dict[str, Any]) -> Place:
    return place_of(given.get("cache_dir") or given.get("place") or given["versions"][0])


def _named(given: dict[str, Any]) -> Iterable[str]:
    """What may follow the names that are given: a key, a process, or an element."""
    place, names = _place(given), given.get("names") or ()
    if is_file(place):
        units, names = opened_file(str(place), "spiff", None), tuple(names)
    elif not names:
        return _keys(given)
    else:
        units, names = ElementUnits.open(place, names[0]), tuple(names[1:])
    if not names:
        return units.process_ids
    reached = units.needs(names[0], defer="nothing")
    return dict.fromkeys(id for process in reached for id in units.element_ids(process))


KEY = _Known("key", _keys)
VERSION = _Version("version", _keys)
PROCESS = _Known("process", lambda given: _opened(given).process_ids)
_NAME = _Known("name", _named)

cache_dir = click.argument("cache_dir", type=_CacheDir(file_okay=False))
key = click.argument("key", type=KEY)


def names(metavar: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The arguments `place` and `names`: a cache and a key, or a file, and what `split` returns."""

    def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
        function = click.argument("names", nargs=-1, type=_NAME, metavar=metavar)(function)
        return click.argument("place", metavar="CACHE_DIR|FILE", type=_CacheDir())(function)

    return decorated


def split(place: Place, names: tuple[str, ...]) -> tuple[Optional[str], tuple[str, ...]]:
    """The key in a cache, or None for a file, and the names that follow it.

    The key is also None if a cache has no names: `opened_place` then asks for one.
    """
    if is_file(place) or not names:
        return None, names
    return names[0], names[1:]


def is_file(place: Place) -> bool:
    """Whether a place is a file, or named like one, and not a cache."""
    if is_store(place):
        return False
    place = str(place)
    if place == "-" or os.path.isfile(place):
        return True
    return place.lower().endswith((".bpmn", ".json")) and not os.path.isdir(place)


def place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments `place` and `key`: a cache and a key, or only a file."""
    function = click.argument("key", required=False, type=KEY, metavar="[KEY]")(function)
    return click.argument("place", metavar="CACHE_DIR|FILE", type=_CacheDir())(function)


def parser(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option `parser`: which of SpiffWorkflow's parsers reads the BPMN."""
    return click.option(
        "--parser",
        type=click.Choice(PARSERS),
        default="spiff",
        show_default=True,
        help="SpiffWorkflow's parser and serializer for the model.",
    )(function)


def require_cache(cache_dir: Place) -> None:
    """Raises Failure if the folder does not exist, or is no cache."""
    if is_store(cache_dir):
        return
    folder = str(cache_dir)
    if not os.path.isdir(folder):
        raise Failure(f"there is no folder {folder!r}; {PROGRAM} cache creates one")
    if not os.path.isdir(os.path.join(folder, directory.LAYOUT)):
        raise Failure(
            f"the folder {folder!r} is not a cache of this version; {PROGRAM} cache fills one"
        )


def opened(cache_dir: Place, key: str) -> ElementUnits:
    """The workflow of a key. Raises Failure if it is not cached, and the errors of `open`."""
    require_cache(cache_dir)
    try:
        return ElementUnits.open(cache_dir, key)
    except UnitNotFound:
        raise Failure(not_cached(cache_dir, key)) from None


def not_cached(cache_dir: Place, key: str) -> str:
    """The message for a key that is not cached."""
    known = [cached.cache_key for cached in upkeep.cache_keys(cache_dir)]
    near = difflib.get_close_matches(key, known, n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else ""
    hint = hint or f"{PROGRAM} ls {cache_dir} lists the keys"
    return f"cache key {key!r} is not cached in {str(cache_dir)!r}; {hint}"


def opened_place(
    place: Place,
    key: Optional[str],
    parser: str,
    root: Optional[str],
    choose: str = "use --process to choose",
) -> ElementUnits:
    """The workflow of a key in a cache, or of a file: BPMN, or spec JSON (`-`: standard input).

    `root` is the root of a BPMN file. `choose` tells how to choose it.
    """
    if key is not None and is_file(place):
        raise click.UsageError(
            f"{str(place)!r} is a file, and only a cache has keys; leave out {key!r}",
            click.get_current_context(),
        )
    if key is not None:
        return opened(place, key)
    if is_store(place):
        raise click.UsageError(
            f"{str(place)!r} is a store; name a key of that cache ({PROGRAM} ls lists them)",
            click.get_current_context(),
        )
    place = str(place)
    if os.path.isdir(place):
        raise click.UsageError(
            f"{place!r} is a folder; name a key of that cache ({PROGRAM} ls {place} lists them) "
            "or a file",
            click.get_current_context(),
        )
    return opened_file(place, parser, root, choose)


def opened_file(
    place: str, parser: str, root: Optional[str], choose: str = "use --process to choose"
) -> ElementUnits:
    """The workflow of a file. Raises Failure, which names the file, and OSError."""
    if place.lower().endswith(".bpmn"):
        from ._models import parsed_file  # needs SpiffWorkflow

        return ElementUnits.from_json(parsed_file(place, parser, root, choose).text)
    if place.lower().endswith(".dmn"):
        raise Failure(f"{place!r} is a DMN file, which contains no process; name a BPMN file")
    if place == "-":
        return ElementUnits.from_json(sys.stdin.buffer.read())
    with open(place, "rb") as stream:
        text = stream.read()
    try:
        return ElementUnits.from_json(text)
    except ElementUnitsError as error:
        raise Failure(f"{place!r}: {error}") from error


def require_process(units: ElementUnits, process_id: str) -> None:
    """Raises Failure if the workflow does not contain a process; it says which there are."""
    try:
        units.element_ids(process_id)
    except UnitNotFound as error:
        if "did you mean" in str(error) or "external" in str(error):
            raise
        known = units.process_ids
        there = ", ".join(map(repr, known[:_LISTED]))
        rest = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
        raise Failure(f"{error}; it has: {there}{rest}") from error


def require_root(units: ElementUnits, process_id: Optional[str]) -> None:
    """Raises Failure if the workflow has another root than the one that was asked for."""
    if process_id is not None and process_id != units.root:
        require_process(units, process_id)
        one = "this workflow" if units.cache_key is None else f"key {units.cache_key!r}"
        raise Failure(
            f"the root of {one} is {units.root!r}, not {process_id!r}; leave out --process"
        )


_LISTED = 12  # processes that a message names
