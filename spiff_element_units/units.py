"""One decomposed workflow, in memory or opened from a cache."""

from __future__ import annotations

import difflib
import hashlib
from types import TracebackType
from typing import NamedTuple, Optional, Union

from . import cache
from ._pack import Pack
from ._slicer import Text
from ._unit import needs as _needs
from ._unit import unit as _unit
from ._writer import build_pack
from .errors import CacheError, ElementUnitsError, InvalidWorkflowSpec, UnitNotFound

DEFERS = ("calls", "all", "nothing")


class Reference(NamedTuple):
    """A task spec that names another process.

    `kind` is "call", "embedded" or "trigger"; `process_id` the process it names; `element_id` the
    task spec that names it; `external` whether the workflow lacks that process.
    """

    kind: str
    process_id: str
    element_id: str
    external: bool


class ElementUnits:
    """A workflow decomposed into its processes, which hands out element units.

    Make one with `from_json` or `open`. It never changes and may be used from several threads at
    once. One that was opened may be used after a fork, and goes on serving what it opened when
    the key is cached anew or removed.

    >>> units = ElementUnits.from_json(
    ...     '{"spec": {"name": "Hello", "typename": "BpmnProcessSpec", "task_specs": {}},'
    ...     ' "subprocess_specs": {}}')
    >>> units.root
    'Hello'
    >>> units.needs("Hello")
    ('Hello',)
    """

    __slots__ = ("_key", "_pack")
    _key: Optional[str]
    _pack: Optional[Pack]

    def __init__(self) -> None:
        raise TypeError("use ElementUnits.from_json(..) or ElementUnits.open(..)")

    @classmethod
    def _of(cls, pack: Pack, key: Optional[str]) -> ElementUnits:
        units = object.__new__(cls)
        units._pack = pack
        units._key = key
        return units

    @classmethod
    def from_json(cls, workflow_spec_json: Union[str, bytes]) -> ElementUnits:
        """Decompose a workflow in memory.

        `workflow_spec_json` is the JSON text of a serialized workflow,
        `{"spec": {..}, "subprocess_specs": {..}, ..}`, as `str` or as UTF-8 `bytes`.

        Raises InvalidWorkflowSpec where it is not that, TypeError where it is neither type.
        """
        text = read_text(workflow_spec_json)
        return cls._of(decompose(text, digest_of(text)), None)

    @classmethod
    def open(cls, cache_dir: cache.CacheDir, cache_key: str) -> ElementUnits:
        """Open a workflow from a cache; reads a few kilobytes, whatever its size.

        Raises UnitNotFound where the key is not cached, CorruptPack where what is stored is
        damaged, CacheError where it cannot be read.
        """
        return cls._of(cache.open_pack(cache_dir, cache_key), cache_key)

    def save(self, cache_dir: cache.CacheDir, cache_key: str) -> None:
        """Store the workflow in a cache under a key, in place of what is there.

        A reader in any process sees what was there or the whole new workflow. Where the same
        workflow is stored undamaged already, nothing is written. The data is not synced to the
        disk: after a power failure the key may be missing or damaged (and is then reported so).

        Raises CacheError where the directory cannot be made or written; what was there stays.
        """
        pack = self._use()
        if not cache.holds(cache_dir, cache_key, pack.digest):
            cache.publish(cache_dir, cache_key, pack)

    def close(self) -> None:
        """Let go of the file. Every later question is a CacheError."""
        self._pack = None

    def __enter__(self) -> ElementUnits:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._pack is None:
            return "<ElementUnits, closed>"
        key = "" if self._key is None else f" cached as {self._key!r}"
        return f"<ElementUnits of {self.root!r}{key}>"

    @property
    def cache_key(self) -> Optional[str]:
        """The key it was opened by; None where it was made in memory."""
        return self._key

    @property
    def digest(self) -> str:
        """SHA-256 of the workflow's JSON text (UTF-8), as 64 hex digits."""
        return self._use().digest.hex()

    @property
    def root(self) -> str:
        """The id of the root process: its `spec.name`."""
        return self._use().root_id()

    @property
    def process_ids(self) -> tuple[str, ...]:
        """The root, then the keys of `subprocess_specs` that hold a spec, in the caller's order."""
        held = [key for key, has_spec in self._use().subprocess_ids() if has_spec]
        return tuple(dict.fromkeys([self.root, *held]))

    @property
    def subprocess_ids(self) -> tuple[str, ...]:
        """Every key of `subprocess_specs`, those that are null included, in the caller's order."""
        return tuple(key for key, _ in self._use().subprocess_ids())

    def element_ids(self, process_id: str) -> tuple[str, ...]:
        """The element ids of a process: each task spec's name and, where it differs, `bpmn_id`.

        Raises UnitNotFound.
        """
        _require_str("process_id", process_id)
        try:
            return self._use().element_ids(process_id)
        except KeyError:
            raise self._not_found(process_id) from None

    def references(self, process_id: str) -> tuple[Reference, ...]:
        """What a process calls, embeds and triggers, in the order of its task specs.

        Raises UnitNotFound.
        """
        _require_str("process_id", process_id)
        try:
            return tuple(Reference(*item) for item in self._use().references(process_id))
        except KeyError:
            raise self._not_found(process_id) from None

    def needs(self, process_id: str, *element_ids: str, defer: str = "calls") -> tuple[str, ...]:
        """The ids of the processes that a unit holds: its own, then the caller's order.

        Arguments and errors are those of `workflow`.
        """
        _require_unit(process_id, element_ids, defer)
        try:
            return _needs(self._use(), process_id, element_ids, defer)
        except KeyError as missing:
            raise self._not_found(process_id, missing.args[0]) from None

    def workflow(self, process_id: str, *element_ids: str, defer: str = "calls") -> str:
        """A unit: what starts or resumes `process_id` at the given elements, a workflow by itself.

        Without elements it is the start unit. `defer` says what the application loads when the
        engine reaches it, and the unit leaves out: "calls" (called processes), "all" (embedded
        subprocesses and triggers too) or "nothing" (the unit holds everything reachable).

        Returns the JSON text `{"spec": .., "subprocess_specs": {..}, ..}`.

        Raises UnitNotFound where the workflow lacks the process or the process cannot reach an
        element, CorruptPack where a stored workflow is damaged, ValueError for another `defer`.
        """
        _require_unit(process_id, element_ids, defer)
        try:
            return _unit(self._use(), process_id, element_ids, defer)
        except KeyError as missing:
            raise self._not_found(process_id, missing.args[0]) from None

    def spec_json(self, process_id: str) -> bytes:
        """One process spec: the caller's own bytes, less the whitespace between tokens.

        Raises UnitNotFound.
        """
        _require_str("process_id", process_id)
        try:
            return self._use().spec_json(process_id)
        except KeyError:
            raise self._not_found(process_id) from None

    def _use(self) -> Pack:
        pack = self._pack
        if pack is None:
            raise CacheError("this ElementUnits is closed; open it again")
        return pack

    def _not_found(self, process_id: str, element_id: Optional[str] = None) -> ElementUnitsError:
        """Why a process, or an element of it, is not to be found."""
        pack = self._use()
        known = self.process_ids
        if process_id not in known:
            return UnitNotFound(f"no process {process_id!r}{self._whereabouts(process_id)}")
        if element_id is None or element_id == process_id:
            return pack.corrupt(f"its directory lacks process {process_id!r}")
        if pack.has_element(element_id):
            return UnitNotFound(
                f"element {element_id!r} exists in the workflow, but process {process_id!r} does "
                "not lead to it; ask with the process that has it, or one that calls that"
            )
        near = _near(element_id, [*pack.element_ids(process_id), *known])
        return UnitNotFound(
            f"no element {element_id!r} in process {process_id!r} or the processes that it leads "
            f"to{near}"
        )

    def _whereabouts(self, process_id: str) -> str:
        if process_id in self.subprocess_ids:
            return (
                f': subprocess_specs["{process_id}"] is null in the workflow, so the process is '
                "external; load it from where it is defined"
            )
        return f" in the workflow of {self.root!r}{_near(process_id, self.process_ids)}"


def read_text(workflow_spec_json: Union[str, bytes]) -> Text:
    """The JSON text as UTF-8."""
    try:
        return Text(workflow_spec_json)
    except UnicodeEncodeError as error:
        raise InvalidWorkflowSpec(
            f"the workflow is not JSON: a lone surrogate at character {error.start}"
        ) from error


def digest_of(text: Text) -> bytes:
    """What `ElementUnits.digest` is of, as bytes."""
    return hashlib.sha256(text).digest()


def decompose(text: Text, digest: bytes) -> Pack:
    """The pack of a workflow; `digest` is that of `digest_of`."""
    return Pack.in_memory(build_pack(text, digest))


def _require_str(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")


def _require_unit(process_id: object, element_ids: tuple[object, ...], defer: object) -> None:
    _require_str("process_id", process_id)
    for element_id in element_ids:
        _require_str("element_id", element_id)
    if defer not in DEFERS:
        raise ValueError(f"defer must be one of {', '.join(map(repr, DEFERS))}, not {defer!r}")


def _near(wanted: str, known: list[str] | tuple[str, ...]) -> str:
    """A hint at the ids most like the one that was not found."""
    if len(wanted) > _LONGEST:
        return ""
    likely = [name for name in known if abs(len(name) - len(wanted)) <= _FARTHEST]
    near = difflib.get_close_matches(wanted, likely[:_MOST], n=3)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


_LONGEST = 200  # characters of an id that a hint is looked for
_FARTHEST = 8  # characters that a near one may be longer or shorter
_MOST = 2_000  # ids looked at, so that a wrong id in a large workflow costs milliseconds
