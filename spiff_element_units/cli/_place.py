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

from ..cache import upkeep
from ..cache.store import Place, is_store
from ..errors import UnitNotFound
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


def _elements(given: dict[str, Any]) -> Iterable[str]:
    units = _opened(given)
    reached = units.needs(given["process_id"], defer="nothing")
    return dict.fromkeys(id for process in reached for id in units.element_ids(process))


KEY = _Known("key", _keys)
VERSION = _Version("version", _keys)
PROCESS = _Known("process", lambda given: _opened(given).process_ids)
ELEMENT = _Known("element", _elements)

cache_dir = click.argument("cache_dir", type=_CacheDir(file_okay=False))
key = click.argument("key", type=KEY)
process = click.argument("process_id", metavar="PROCESS", type=PROCESS)


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
    """Raises Failure if the cache folder does not exist."""
    if not is_store(cache_dir) and not os.path.isdir(str(cache_dir)):
        raise Failure(f"there is no folder {cache_dir!r}; {PROGRAM} cache creates one")


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
    place: Place, key: Optional[str], parser: str, root: Optional[str]
) -> ElementUnits:
    """The workflow of a key in a cache, or of a file: BPMN, or spec JSON (`-`: standard input)."""
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
    if place == "-":
        return ElementUnits.from_json(sys.stdin.buffer.read())
    if place.lower().endswith(".bpmn"):
        from ._models import Model  # needs SpiffWorkflow

        model = Model(parser)
        model.add(place, os.path.basename(place))
        return ElementUnits.from_json(model.spec_json(model.require_root(root)).text)
    with open(place, "rb") as stream:
        return ElementUnits.from_json(stream.read())
