"""`SpecLoaders`: the loaders of a worker that runs instances of many workflows.

It promises:

- A loader that is kept is returned without a lock and without the file system, except for one look
  at its pack each second. While a thread looks, the others go on with what is kept. If a store is
  slow or cannot be reached, looks at it take at most a tenth of the time.
- If several threads ask for a key that is not open, one opens it, and those that ask for the same
  key wait. Nobody else waits.
- If a key was cached again, it gives a new loader. Code that has the old loader goes on with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic, perf_counter
from typing import Any, Callable, NamedTuple, Optional, Union

from ..cache import places
from ..cache.directory import Published, key_text
from ..cache.places import Mark
from ..cache.store import Place, Store, is_store
from ..errors import CacheError, CorruptPack, ElementUnitsError, UnitNotFound
from ..units import ElementUnits
from .events import Event, Events, OnEvent
from .forks import Lock, Locks
from .kept import KeptSpecs
from .loader import SpecLoader
from .serializing import Serializing
from .specs import Resolve, Serializer
from .state import named_workflow

MakeJson = Callable[[str], Union[str, bytes]]

_LOOKS_EVERY = 1.0  # seconds between two looks at whether another process has cached a key anew
_PAUSE = 9  # times what a look took, until the next one


class _Entry:
    """A loader, and what its pack was like when somebody last looked."""

    __slots__ = ("loader", "look_at", "mark", "published")

    def __init__(self, loader: SpecLoader, mark: Optional[Mark], published: int) -> None:
        self.loader = loader
        self.looked(mark, published)

    def looked(self, mark: Optional[Mark], published: int, took: float = 0.0) -> None:
        """`took` is how long the look took, in seconds."""
        self.mark = mark
        self.published = published
        self.look_at = monotonic() + max(_LOOKS_EVERY, _PAUSE * took)

    @property
    def digest(self) -> str:
        return self.loader.units.digest


class _Older(NamedTuple):
    """Names a loader that is kept for a key, but not as the current one."""

    cache_key: str
    digest: str


class SpecLoaders:
    """The loaders of a worker, by cache key. It opens each when it is first asked for.

        loaders = SpecLoaders("unit-cache", serializer, make_json=json_of)
        workflow = loaders["claim-1"].start()
        workflow = loaders.for_state(state).resume(state)

    `cache` is the cache: a directory or a store. `serializer`, `resolve` and `on_event` are those
    of SpecLoader.

    `make_json` takes a cache key and returns the JSON text of its workflow, as `str` or UTF-8
    `bytes`. It is called if the key is not cached or its pack is damaged, and the result is cached.
    If it cannot be cached, it is used from memory, as `ElementUnits.get_or_cache` does.

    At most `keep` loaders are kept. They keep at most `keep_specs` specs together; None means no
    limit. The one that was used longest ago is dropped first. Code that has a dropped loader or
    spec can go on using it. As long as a workflow runs on a dropped spec, other workflows get the
    same object.

    If another workflow is cached under a key, the registry notices it: at once if the same
    operating system process has cached it, and otherwise within a second, or when `for_state` gets
    a state of it. A store that is slow is asked less often. A loader that was returned before does
    not change.

    Several threads can use a registry at the same time, and you can use it after a fork.
    """

    def __init__(  # noqa: PLR0913 - what an application says once
        self,
        cache: Place,
        serializer: Serializer,
        make_json: Optional[MakeJson] = None,
        resolve: Optional[Resolve] = None,
        keep: int = 100,
        *,
        keep_specs: Optional[int] = 1_000,
        on_event: Optional[OnEvent] = None,
    ) -> None:
        if make_json is not None and not callable(make_json):
            raise TypeError(f"make_json must be callable, not {type(make_json).__name__}")
        Serializing(serializer, resolve is not None)  # raises a TypeError if it is no serializer
        self._cache = places.checked(cache)
        self.serializer = serializer
        self._make_json = make_json
        self._resolve = resolve
        self._on_event = on_event
        self._events = Events(on_event)
        self._keep = _positive("keep", keep)
        self._specs = None if keep_specs is None else KeptSpecs(_positive("keep_specs", keep_specs))
        self._entries: OrderedDict[Union[str, _Older], _Entry] = OrderedDict()
        self._opening = Locks()
        self._lock = Lock()  # for changes of `_entries` that are more than one step

    def __repr__(self) -> str:
        return f"<SpecLoaders of {str(self._cache)!r}, {len(self._entries)} loaders kept>"

    @property
    def cache(self) -> Union[str, Store]:
        """The path of the cache directory, or the store."""
        return self._cache

    @property
    def kept(self) -> tuple[str, ...]:
        """The cache keys whose loaders are kept, in the order of their last use."""
        return tuple(key for key in tuple(self._entries) if isinstance(key, str))

    def __getitem__(self, cache_key: str) -> SpecLoader:
        """Return the loader of a cache key.

        Raises UnitNotFound if the key is not cached and there is no `make_json`, CorruptPack if its
        pack is damaged and there is no `make_json`, CacheError if the cache cannot be read,
        InvalidWorkflowSpec if `make_json` returns something else than a workflow, and the errors of
        `make_json`.
        """
        return self._get(cache_key, self._make_json)

    def _get(self, cache_key: str, make_json: Optional[MakeJson]) -> SpecLoader:
        entry = self._entries.get(cache_key)
        if entry is not None and entry.published == Published.latest:
            if entry.look_at <= monotonic():
                return self._loader(cache_key, make_json, entry.loader)
            try:  # noqa: SIM105 - `suppress` takes as long as all the rest
                self._entries.move_to_end(cache_key)
            except KeyError:  # it has just been dropped
                pass
            return entry.loader
        return self._loader(cache_key, make_json)

    def for_state(self, state: Union[str, bytes, Mapping[str, Any]]) -> SpecLoader:
        """Return the loader that resumes a state, by the cache key in the state.

        `state` is what `SpecLoader.save` wrote, as `str`, `bytes` or decoded, or the live piece of
        `save_pieces`. If the key was cached anew and the registry still has the loader that the
        state was saved with, it returns that one. Otherwise it returns the current one.

        Raises StateError if this is not a state, or if the state does not say under which key its
        workflow is cached, and the errors of `loaders[cache_key]`.
        """
        key, digest = named_workflow(state)
        loader = self[key]
        if loader.units.digest == digest:
            return loader
        older = self._entries.get(_Older(key, digest))
        if older is not None:
            self._used(_Older(key, digest))
            return older.loader
        return self._loader(key, self._make_json)  # another process may just have cached it

    def _used(self, key: Union[str, _Older]) -> None:
        with suppress(KeyError):  # it may just have been dropped
            self._entries.move_to_end(key)

    def _loader(
        self, cache_key: str, make_json: Optional[MakeJson], kept: Optional[SpecLoader] = None
    ) -> SpecLoader:
        """The loader of a key, after a look at its pack; `kept` while another thread looks."""
        key = key_text(cache_key)
        told: list[Event] = []
        lock = self._opening.of(key)
        now = lock.now
        if not now.acquire(blocking=kept is None):
            assert kept is not None
            return kept
        try:
            return self._current(key, make_json, told)
        finally:
            now.release()
            for event in told:
                self._events.tell(event)

    def _current(self, key: str, make_json: Optional[MakeJson], told: list[Event]) -> SpecLoader:
        # Before the pack is opened: if it is replaced meanwhile, the next look sees the difference.
        published, started = Published.latest, monotonic()
        mark = places.mark_of(self._cache, key)
        entry = self._entries.get(key)
        if entry is None:
            units = self._opened(key, mark, make_json, told)
            return self._put(key, units, mark, published, told)
        if mark is not None and mark != entry.mark:
            try:
                units = self._opened(key, mark, make_json, told, whole=False)
            except (CacheError, UnitNotFound):  # an event tells of damage; what is kept is good
                units = entry.loader.units
            if units.digest != entry.digest:
                return self._put(key, units, mark, published, told)
            if is_store(self._cache) and entry.mark is not None:  # it was not made in memory
                entry.loader.units._go_on_with(units)
        entry.looked(mark, published, monotonic() - started)
        self._used(key)
        return entry.loader

    def _opened(
        self,
        key: str,
        mark: Optional[Mark],
        make_json: Optional[MakeJson],
        told: list[Event],
        whole: bool = True,
    ) -> ElementUnits:
        """Open a key. If it is missing or damaged and can be made, make it, and cache it."""
        started = perf_counter()
        whole = whole and make_json is not None
        try:
            open_units = ElementUnits._open_whole if whole else ElementUnits.open
            units = open_units(self._cache, key)
        except UnitNotFound:
            if make_json is None:
                raise
        except CorruptPack as error:
            told.append(Event("damaged", key, detail=str(error)))
            if make_json is None:
                raise
        else:
            if self._events.wanted("opened"):
                size = None if mark is None else mark[-1]
                told.append(Event("opened", key, units.root, perf_counter() - started, size))
            return units
        text = make_json(key)
        units = ElementUnits._cached(self._cache, key, text, durable=False)
        if self._events.wanted("cached"):
            size = len(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
            told.append(Event("cached", key, units.root, perf_counter() - started, size))
        return units

    def _put(
        self,
        key: str,
        units: ElementUnits,
        mark: Optional[Mark],
        published: int,
        told: list[Event],
    ) -> SpecLoader:
        """Make a loader the current one of its key, and drop those that there is no room for."""
        before = self._entries.get(_Older(key, units.digest))
        loader = self._made(units) if before is None else before.loader
        dropped = []
        with self._lock.now:
            self._entries.pop(_Older(key, units.digest), None)
            replaced = self._entries.pop(key, None)
            if replaced is not None and replaced.digest != units.digest:
                self._entries[_Older(key, replaced.digest)] = replaced
            self._entries[key] = _Entry(loader, mark, published)
            while len(self._entries) > self._keep:
                dropped.append(self._entries.popitem(last=False)[1].loader)
        for one in dropped:
            one._sources.forget()
            told.append(Event("evicted", one.units.cache_key))
        return loader

    def _made(self, units: ElementUnits) -> SpecLoader:
        loader = SpecLoader(units, self.serializer, resolve=self._resolve, on_event=self._on_event)
        if self._specs is not None:
            loader._sources.bind(self._specs)
        return loader


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < 1:
        raise ElementUnitsError(f"{name} must be at least 1, but is {value!r}")
    return value
