"""`SpecMapping`: the specs of a running workflow, restored when the engine needs them."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, MutableMapping, ValuesView
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, Optional

from .changes import Change, apply
from .changing import changes_while_running
from .external import ExternalName, MissingProcess
from .origins import Origins
from .sources import SpecSources
from .specs import Spec, SpecStore, label, plain
from .versions import Versions


class _Marker:
    """A placeholder in the mapping for a spec that is not restored."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


UNTOUCHED = _Marker("untouched")  # in the workflow, not restored yet
NULL = _Marker("null")  # null in the workflow's JSON: an external process
_ABSENT = _Marker("absent")


def untouched(roster: dict[str, bool], root: str) -> dict[str, Any]:
    """The initial content of a mapping. `roster` says which keys have a spec in the workflow."""
    return {name: UNTOUCHED if held or name == root else NULL for name, held in roster.items()}


class SpecMapping(MutableMapping[str, Spec]):
    """The `subprocess_specs` of a workflow. `SpecLoader.subprocess_specs` makes it.

    It behaves like the full dict of the restored subprocess specs, and restores a spec when it is
    first read. Iterating over the keys, `len` and `in` restore nothing. Assigning and deleting
    change only this mapping.

    Processes that are not in the workflow come from the loader's `resolve`, as SpecLoader
    describes. `in`, `get` and `[]` find them, and from then on they are among the keys. With a
    `resolve`, an empty mapping is true, because SpiffWorkflow replaces a false one with a dict.

    If the engine asks for a process that no workflow contains, the mapping raises MissingProcess,
    which names the element that refers to it. For all other code, the mapping behaves like a dict:
    the value is None if the spec is null in the JSON, and otherwise the key is missing.

    A mapping belongs to one workflow. Only one thread may use it at a time.
    """

    __slots__ = (
        *("_held", "_origins", "_overridden", "_process_id", "_sources", "_template"),
        *("changes_to_make", "versions"),
    )

    def __init__(
        self,
        sources: SpecSources,
        template: Optional[dict[str, Any]],
        process_id: Optional[str],
        versions: Versions,
    ) -> None:
        self._sources = sources
        # The initial content, which never changes. None: all processes of the workflow. They are
        # listed only when somebody iterates over them; `_held` then has those already read.
        self._template = template
        self._process_id = process_id
        self._held = {} if template is None else dict(template)
        self._origins = Origins(sources, self._is_own)
        self._overridden: set[str] = set()  # what the application has assigned or deleted
        self.changes_to_make: dict[str, Change] = {}  # to specs that are not restored yet
        self.versions = versions

    @property
    def sources(self) -> SpecSources:
        """Where the specs come from."""
        return self._sources

    @property
    def process_id(self) -> Optional[str]:
        """The id of the process that the mapping was made for; None if it is for any process."""
        return self._process_id

    @property
    def _specs(self) -> dict[str, Any]:
        """A spec or a marker for each key."""
        self._list()
        for name in self._origins.recorded:  # they were keys when the state was saved
            if name not in self._overridden:
                self._held.setdefault(name, NULL)
        return self._held

    def _list(self) -> dict[str, Any]:
        """The template. It is made now if it does not exist yet."""
        if self._template is None:
            own = self._sources.own
            template = untouched(own.units._roster(), own.root)
            # In this order: another thread that sees a template takes the keys from `_held`.
            self._held = {**template, **self._held}
            self._template = template
        return self._template

    def _is_own(self, key: str) -> bool:
        """Whether the workflow has a spec for a key; lists its keys only if necessary."""
        own = self._sources.own
        if self._template is None and key != own.root and own.has(key):
            return True
        return self._list().get(key) is UNTOUCHED

    def _state(self, key: Any) -> Any:
        """The spec or the marker for a key."""
        if self._template is None and key not in self._held:
            if isinstance(key, str) and self._is_own(key):
                return UNTOUCHED
            self._list()
        return self._held.get(key, _ABSENT)

    @property
    def touched(self) -> tuple[str, ...]:
        """The ids of the processes whose specs were read, in the order of the keys."""
        return tuple(key for key, spec in self._specs.items() if not isinstance(spec, _Marker))

    @property
    def origins(self) -> Origins:
        """The other workflows that provide processes which this workflow does not contain."""
        return self._origins

    def from_elsewhere(self) -> dict[str, dict[str, Any]]:
        """The entry in a state for the processes that came from other workflows."""
        return self._origins.told(self._brought)

    def changeable(self) -> Iterator[tuple[str, SpecStore, Spec]]:
        """The specs that the engine changes, each with its process id and its workflow."""
        for key in self._brought():
            spec, origin = self._held[key], self.owner(key)
            if origin is not None and changes_while_running(spec):
                yield key, origin, spec

    def _brought(self) -> Iterator[str]:
        """The processes that were read, except those that the application assigned."""
        return (
            key
            for key, spec in tuple(self._held.items())
            if key not in self._overridden and not isinstance(spec, _Marker)
        )

    def owner(self, process_id: str) -> Optional[SpecStore]:
        """The workflow that provides a process."""
        name = plain(process_id)
        if self._is_own(name):
            return self._sources.own.for_calls(name)
        return self._origins.store(name)

    # The methods of a mapping

    def __getitem__(self, key: str) -> Spec:
        spec = self._find(key)
        if isinstance(spec, _Marker):
            if isinstance(key, ExternalName):
                raise self.missing(key)
            if spec is _ABSENT:
                raise KeyError(key)
            return None
        return spec

    def get(self, key: str, default: Any = None) -> Any:
        """The spec of a process; `default` if it is not in the mapping."""
        spec = self._find(key)
        if isinstance(spec, _Marker):
            if isinstance(key, ExternalName):
                raise self.missing(key)
            return default if spec is _ABSENT else None
        return spec

    def __contains__(self, key: object) -> bool:
        if isinstance(key, ExternalName):
            return not isinstance(self._find(key), _Marker)
        return self._state(key) is not _ABSENT or self._find(key) is not _ABSENT

    def __setitem__(self, key: str, spec: Spec) -> None:
        self._held[key] = spec
        self._overridden.add(key)

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self._specs.pop(key, None)
        self._overridden.add(key)

    def __len__(self) -> int:
        return len(self._specs)

    def __bool__(self) -> bool:
        if self._sources.resolves or self._held:
            return True
        return self._template is None and self._sources.own.units._has_subprocesses()

    def __iter__(self) -> Iterator[str]:
        # A copy, because reading a process of another workflow adds a key.
        return iter(tuple(self._specs))

    def __reversed__(self) -> Iterator[str]:
        return reversed(tuple(self._specs))

    def items(self) -> ItemsView[str, Spec]:
        """A view of the process ids and specs. Iterating over it restores the specs."""
        return _Items(self)

    def values(self) -> ValuesView[Spec]:
        """A view of the specs. Iterating over it restores them."""
        return _Values(self)

    def popitem(self) -> tuple[str, Spec]:
        """Remove the last process and return it, as a dict does."""
        if not self._specs:
            raise KeyError("popitem(): the mapping is empty")
        key = next(reversed(self._specs))
        return key, self.pop(key)

    def clear(self) -> None:
        """Remove all processes without restoring any."""
        self._overridden.update(self._specs)
        self._specs.clear()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        if len(self) != len(other) or any(key not in other for key in self):
            return False
        return all(spec == other[key] for key, spec in self.items())

    __hash__ = None  # type: ignore[assignment]

    def __or__(self, other: Mapping[str, Spec]) -> SpecMapping:
        if not isinstance(other, Mapping):
            return NotImplemented
        merged = self.copy()
        merged.update(other)
        return merged

    def __ror__(self, other: Mapping[str, Spec]) -> dict[str, Spec]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return {**other, **self}

    def __ior__(self, other: Mapping[str, Spec]) -> SpecMapping:
        self.update(other)
        return self

    def __repr__(self) -> str:
        return f"<SpecMapping of {len(self)} processes, {len(self.touched)} restored>"

    # Copies

    def copy(self) -> SpecMapping:
        """Return an independent mapping with the same specs, without restoring any."""
        return self._with(dict(self._specs))

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> SpecMapping:
        copied = {
            key: spec if isinstance(spec, _Marker) else deepcopy(spec, memo)
            for key, spec in self._specs.items()
        }
        return self._with(copied)

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle contains the full dict, because it cannot contain the loader and its file.
        return dict, (dict(self.items()),)

    def _with(self, specs: dict[str, Any]) -> SpecMapping:
        made = SpecMapping(self._sources, self._template, self._process_id, self.versions.copy())
        made._held = specs
        made._origins.of_same(self._origins)
        made.changes_to_make = dict(self.changes_to_make)
        made._overridden = set(self._overridden)
        return made

    # Finding specs

    @contextmanager
    def standing(self, name: str, spec: Spec) -> Iterator[None]:
        """Put another spec under a name while a settled subprocess is restored."""
        name = plain(name)
        held, overridden = self._held.get(name, _ABSENT), name in self._overridden
        self[name] = spec
        try:
            yield
        finally:
            self._held[name] = held
            if held is _ABSENT:
                del self._held[name]
            if not overridden:
                self._overridden.discard(name)

    def _find(self, key: Any) -> Any:
        """The spec of `key`, restored now if necessary, or a marker if there is none."""
        spec = self._state(key)
        if spec is UNTOUCHED:
            return self._hold(plain(key), self._sources.own.for_calls(plain(key)))
        unknown = isinstance(spec, _Marker)
        if not unknown and not isinstance(key, ExternalName):
            return spec
        if isinstance(key, str) and key not in self._overridden and not self._is_own(plain(key)):
            origin = self._origins.decide(key)  # raises if this needs a different version
            if unknown and origin is not None:
                return self._hold(plain(key), origin)
        return spec

    def _hold(self, name: str, store: SpecStore) -> Spec:
        spec = self._held[name] = store.spec(name)
        change = self.changes_to_make.pop(name, None)
        if change is not None and not store.keeps(name, spec):
            apply(change, spec, store.registry)
        return spec

    def missing(self, key: str, task: Any = None) -> MissingProcess:
        """The error for a process that an element refers to and no workflow contains."""
        if not isinstance(key, ExternalName):
            return MissingProcess(f"no workflow contains process {key!r}", task=task)
        told = (
            "resolve returned None for it"
            if self._sources.resolves
            else "pass the loader a resolve= that returns it, or cache a workflow that contains it"
        )
        return MissingProcess(
            f"{type(key.task_spec).__name__} {key.task_spec.name!r} of process "
            f"{key.process_id!r} refers to process {str(key)!r}, which is not in "
            f"{label(self._sources.own)}: {told}",
            key.task_spec,
            task,
        )


class _Items(ItemsView[str, Spec]):
    """The items of a SpecMapping, with None for a process that no workflow contains."""

    _mapping: SpecMapping

    def __iter__(self) -> Iterator[tuple[str, Spec]]:
        mapping = self._mapping
        for key in mapping:
            yield key, mapping.get(key)

    def __contains__(self, item: object) -> bool:
        if not isinstance(item, tuple) or len(item) != 2:
            return False
        found = self._mapping.get(item[0], _ABSENT)
        return found is item[1] or bool(found == item[1])

    def __reversed__(self) -> Iterator[tuple[str, Spec]]:
        mapping = self._mapping
        for key in reversed(mapping):
            yield key, mapping.get(key)


class _Values(ValuesView[Spec]):
    """The values of a SpecMapping, with None for a process that no workflow contains."""

    _mapping: SpecMapping

    def __iter__(self) -> Iterator[Spec]:
        mapping = self._mapping
        for key in mapping:
            yield mapping.get(key)

    def __reversed__(self) -> Iterator[Spec]:
        mapping = self._mapping
        for key in reversed(mapping):
            yield mapping.get(key)
