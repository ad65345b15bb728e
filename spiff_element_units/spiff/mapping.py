"""The mapping of process specs that a workflow runs with, restored as the engine asks for them."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, MutableMapping, ValuesView
from copy import deepcopy
from typing import Any, Optional

from SpiffWorkflow.bpmn.exceptions import WorkflowTaskException
from SpiffWorkflow.exceptions import WorkflowException

from ..errors import UnitNotFound
from .changes import Change, apply
from .origins import Origins
from .specs import (
    ExternalName,
    Spec,
    SpecSources,
    SpecStore,
    changes_while_running,
    label,
    plain,
)


class _Marker:
    """What stands in the mapping for a spec that is not there yet."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


UNTOUCHED = _Marker("untouched")  # of the workflow, not asked for yet
NULL = _Marker("null")  # null in the workflow's JSON: external
_ABSENT = _Marker("absent")


def untouched(roster: dict[str, bool], root: str) -> dict[str, Any]:
    """What a mapping starts from; `roster` tells of each key whether the workflow has its spec."""
    return {name: UNTOUCHED if held or name == root else NULL for name, held in roster.items()}


class MissingProcess(UnitNotFound, WorkflowTaskException, KeyError):  # type: ignore[misc]
    """The engine has come to an element whose process nobody has.

    It is what SpiffWorkflow itself raises there: a `WorkflowTaskException` from 3.2 on, when the
    task is put into the state `ERROR`, and a `KeyError` before. `task` is the task, and None before
    3.2 and while a state is resumed; `task_spec` is the element's.

    To go on, bring the process and resume the last saved state.
    """

    def __init__(self, message: str, task_spec: Any = None, task: Any = None) -> None:
        if task is not None:
            WorkflowTaskException.__init__(self, message, task)
            return
        WorkflowException.__init__(self, message, task_spec)
        self.task = self.line_number = self.offset = self.error_line = None
        self.error_type = "unknown"
        self.task_trace: list[str] = []

    def __str__(self) -> str:
        return ". ".join(map(str, [*self.args, *self.notes]))


class SpecMapping(MutableMapping[str, Spec]):
    """The `subprocess_specs` of a workflow. Made by `SpecLoader.subprocess_specs`.

    It is the dict of the workflow's restored subprocess specs in all that a dict does, and
    restores a spec when it is first looked at; going through the keys, `len` and `in` restore
    none. Assigning and deleting change this mapping only.

    Processes that the workflow lacks come from the loader's `resolve`, as SpecLoader tells. They
    are found by `in`, `get` and `[]`, and are among the keys once they were. With a `resolve` the
    mapping is true even if it is empty, because SpiffWorkflow puts a dict in the place of one that
    is not.

    Where the engine asks for a process that nobody has, MissingProcess names the element that
    refers to it. To all others such a process is as in a dict: None if its spec is null, and
    else not there.

    Belongs to one workflow, and like that is for one thread at a time.
    """

    __slots__ = (
        *("_held", "_origins", "_overridden", "_process_id", "_sources", "_template"),
        "changes_to_make",
    )

    def __init__(
        self, sources: SpecSources, template: Optional[dict[str, Any]], process_id: Optional[str]
    ) -> None:
        self._sources = sources
        # The workflow's own, none of them looked at; never changed. None: all of the workflow's,
        # which are not listed before somebody goes through them. Those looked at are held then.
        self._template = template
        self._process_id = process_id
        self._held = {} if template is None else dict(template)
        self._origins = Origins(sources, self._is_own)
        self._overridden: set[str] = set()  # what the application has assigned or deleted
        self.changes_to_make: dict[str, Change] = {}  # to specs that are not restored yet

    @property
    def sources(self) -> SpecSources:
        """Where the specs come from."""
        return self._sources

    @property
    def process_id(self) -> Optional[str]:
        """The id of the process that the mapping was made for; None if for any."""
        return self._process_id

    @property
    def _specs(self) -> dict[str, Any]:
        """A spec or a marker for each key."""
        self._list()
        return self._held

    def _list(self) -> dict[str, Any]:
        """The template, made now if need be."""
        if self._template is None:
            own = self._sources.own
            template = untouched(own.units._roster(), own.root)
            # In this order: who sees a template takes the keys from what is held.
            self._held = {**template, **self._held}
            self._template = template
        return self._template

    def _is_own(self, key: str) -> bool:
        """Whether the workflow has a spec for a key; lists its keys only where it must."""
        own = self._sources.own
        if self._template is None and key != own.root and own.has(key):
            return True
        return self._list().get(key) is UNTOUCHED

    def _state(self, key: Any) -> Any:
        """What is there for a key: a spec or a marker."""
        if self._template is None and key not in self._held:
            if isinstance(key, str) and self._is_own(key):
                return UNTOUCHED
            self._list()
        return self._held.get(key, _ABSENT)

    @property
    def touched(self) -> tuple[str, ...]:
        """The ids of the processes whose specs were looked at, in the order of the keys."""
        return tuple(key for key, spec in self._specs.items() if not isinstance(spec, _Marker))

    @property
    def origins(self) -> Origins:
        """Which other workflows the processes come from that this workflow lacks."""
        return self._origins

    def from_elsewhere(self) -> dict[str, dict[str, Any]]:
        """What a state says of the processes here that came from other workflows."""
        return self._origins.told(set(self._brought()))

    def changeable(self) -> Iterator[tuple[str, SpecStore, Spec]]:
        """The specs here that the engine changes, each with its process id and origin."""
        for key in self._brought():
            spec, origin = self._held[key], self.owner(key)
            if origin is not None and changes_while_running(spec):
                yield key, origin, spec

    def _brought(self) -> Iterator[str]:
        """What was looked at and is not the application's own."""
        return (
            key
            for key, spec in tuple(self._held.items())
            if key not in self._overridden and not isinstance(spec, _Marker)
        )

    def owner(self, process_id: str) -> Optional[SpecStore]:
        """Whose spec a process's is, of the workflow and the others that were resolved."""
        name = plain(process_id)
        return self._sources.own if self._is_own(name) else self._origins.store(name)

    # What a mapping is made of

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
        """The spec of a process; `default` if the mapping lacks it."""
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
        # Of a copy, because looking at a process of another workflow adds it.
        return iter(tuple(self._specs))

    def __reversed__(self) -> Iterator[str]:
        return reversed(tuple(self._specs))

    def items(self) -> ItemsView[str, Spec]:
        """A view of the process ids and specs, which are restored as it is gone through."""
        return _Items(self)

    def values(self) -> ValuesView[Spec]:
        """A view of the specs, which are restored as it is gone through."""
        return _Values(self)

    def popitem(self) -> tuple[str, Spec]:
        """Takes out the last process, as a dict does."""
        if not self._specs:
            raise KeyError("popitem(): the mapping is empty")
        key = next(reversed(self._specs))
        return key, self.pop(key)

    def clear(self) -> None:
        """Takes out all processes, restoring none."""
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
        """A mapping of its own with the same specs; restores none."""
        return self._with(dict(self._specs))

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> SpecMapping:
        copied = {
            key: spec if isinstance(spec, _Marker) else deepcopy(spec, memo)
            for key, spec in self._specs.items()
        }
        return self._with(copied)

    def __reduce__(self) -> tuple[Any, ...]:
        # In a pickle it is the full dict: neither the loader nor its file can go along.
        return dict, (dict(self.items()),)

    def _with(self, specs: dict[str, Any]) -> SpecMapping:
        made = SpecMapping(self._sources, self._template, self._process_id)
        made._held = specs
        made._origins.of_same(self._origins)
        made.changes_to_make = dict(self.changes_to_make)
        made._overridden = set(self._overridden)
        return made

    # Finding specs

    def _find(self, key: Any) -> Any:
        """The spec of `key`, restored now if need be, or the marker for why there is none."""
        spec = self._state(key)
        if spec is UNTOUCHED:
            return self._hold(plain(key), self._sources.own)
        unknown = isinstance(spec, _Marker)
        if not unknown and not isinstance(key, ExternalName):
            return spec
        if isinstance(key, str) and key not in self._overridden and not self._is_own(plain(key)):
            origin = self._origins.decide(key)  # which checks that all mean the same by it
            if unknown and origin is not None:
                return self._hold(plain(key), origin)
        return spec

    def _hold(self, name: str, store: SpecStore) -> Spec:
        spec = self._held[name] = store.spec(name)
        change = self.changes_to_make.pop(name, None)
        if change is not None and not store.keeps(name, spec):
            apply(change, spec, store.registry.restore)
        return spec

    def missing(self, key: str, task: Any = None) -> MissingProcess:
        """The error for a process that nobody has, and that an element refers to."""
        if not isinstance(key, ExternalName):
            return MissingProcess(f"process {key!r} is not there", task=task)
        told = (
            "resolve returned None for it"
            if self._sources.resolves
            else "give the loader a resolve= that brings it, or cache a workflow that has it"
        )
        return MissingProcess(
            f"{type(key.task_spec).__name__} {key.task_spec.name!r} of process "
            f"{key.process_id!r} refers to process {str(key)!r}, which is not in "
            f"{label(self._sources.own)}: {told}",
            key.task_spec,
            task,
        )


class _Items(ItemsView[str, Spec]):
    """The items of a SpecMapping, with None for a process that nobody has."""

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
    """The values of a SpecMapping, with None for a process that nobody has."""

    _mapping: SpecMapping

    def __iter__(self) -> Iterator[Spec]:
        mapping = self._mapping
        for key in mapping:
            yield mapping.get(key)

    def __reversed__(self) -> Iterator[Spec]:
        mapping = self._mapping
        for key in reversed(mapping):
            yield mapping.get(key)
