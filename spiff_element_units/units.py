"""One decomposed workflow, in memory or opened from a cache."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import Any, Callable, Literal, NamedTuple, NoReturn, Optional, Union, get_args

import orjson

from ._version import __version__
from .cache import directory
from .core.fault import Fault
from .core.pack import Pack
from .core.text import Text
from .core.unit import needs as _needs
from .core.unit import unit as _unit
from .core.writer import build_pack
from .errors import CacheError, CorruptPack, ElementUnitsError, UnitNotFound
from .wording import in_words

Defer = Literal["calls", "all", "nothing"]
DEFERS: tuple[Defer, ...] = get_args(Defer)

_VERSION = orjson.dumps(f"spiff-element-units-{__version__}")  # what each unit says to be made by


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
    def open(cls, cache_dir: directory.CacheDir, cache_key: str) -> ElementUnits:
        """Open a workflow from a cache; reads a few kilobytes, whatever its size.

        Raises UnitNotFound where the key is not cached, CorruptPack where what is stored is
        damaged, CacheError where it cannot be read.
        """
        pack = directory.open_pack(cache_dir, cache_key)
        return cls._of(pack, pack.key)

    @classmethod
    def get_or_cache(
        cls,
        cache_dir: directory.CacheDir,
        cache_key: str,
        make_json: Callable[[], Union[str, bytes]],
        *,
        durable: bool = False,
    ) -> ElementUnits:
        """Open a workflow from a cache; where there is none or it is damaged, make and cache it.

        `make_json()` gives the JSON text, and is called only then. When several processes ask at
        once it may be called in each of them, and each gets a whole workflow. A stored one is read
        and checked from end to end, which `open` does not do.

        Where the made one cannot be stored (a full disk, a directory that may not be written) it
        is served from memory. A RuntimeWarning and the log of `spiff_element_units` say so, once a
        process and directory.

        Raises what `make_json` and `from_json` raise, and CacheError where the cache cannot be
        read.
        """
        if not callable(make_json):
            raise TypeError(f"make_json must be callable, not {type(make_json).__name__}")
        key = directory.key_text(cache_key)
        with suppress(UnitNotFound, CorruptPack):
            return cls._of(directory.open_whole_pack(cache_dir, key), key)
        text = read_text(make_json())
        pack = decompose(text, digest_of(text))
        directory.publish_or_warn(cache_dir, key, pack, durable=durable)
        return cls._of(pack, key)

    def save(self, cache_dir: directory.CacheDir, cache_key: str, *, durable: bool = False) -> None:
        """Store the workflow in a cache under a key, in place of what is there.

        A reader in any process sees what was there or the whole new workflow. Where the same
        workflow is stored undamaged already, nothing is written, and it counts as just cached.

        With `durable`, what is cached outlives a power failure: file and directories are synced
        before this returns. Without, the key may be missing or damaged then (and is reported so).

        Raises CacheError where the directory cannot be made or written; what was there stays.
        """
        pack = self._use()
        try:
            says = pack.says_events()
        except Fault as fault:
            raise in_words(fault) from fault.__cause__
        if not directory.holds(
            cache_dir, cache_key, pack.digest, says_events=says, durable=durable
        ):
            directory.publish(cache_dir, cache_key, pack, durable=durable)

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
        try:
            return self._use().root_id()
        except Fault as fault:
            raise in_words(fault) from fault.__cause__

    @property
    def process_ids(self) -> tuple[str, ...]:
        """The root, then the keys of `subprocess_specs` that hold a spec, in the caller's order."""
        held = [key for key, has_spec in self._roster().items() if has_spec]
        return tuple(dict.fromkeys([self.root, *held]))

    @property
    def subprocess_ids(self) -> tuple[str, ...]:
        """Every key of `subprocess_specs`, those that are null included, in the caller's order."""
        return tuple(self._roster())

    def element_ids(self, process_id: str) -> tuple[str, ...]:
        """The element ids of a process: each task spec's name and, where it differs, `bpmn_id`.

        Raises UnitNotFound.
        """
        process_id = _string("process_id", process_id)
        try:
            return self._use().element_ids(process_id)
        except Fault as fault:
            self._fail(fault, process_id)

    def references(self, process_id: str) -> tuple[Reference, ...]:
        """What a process calls, embeds and triggers, in the order of its task specs.

        Raises UnitNotFound.
        """
        process_id = _string("process_id", process_id)
        try:
            return tuple(Reference(*item) for item in self._use().references(process_id))
        except Fault as fault:
            self._fail(fault, process_id)

    def needs(self, process_id: str, *element_ids: str, defer: Defer = "calls") -> tuple[str, ...]:
        """The ids of the processes that a unit holds: its own, then the caller's order.

        Arguments and errors are those of `workflow`.
        """
        process_id = _string("process_id", process_id)
        try:
            return _needs(self._use(), process_id, _strings(element_ids), _defer(defer))
        except Fault as fault:
            self._fail(fault, process_id)

    def workflow(self, process_id: str, *element_ids: str, defer: Defer = "calls") -> str:
        """A unit: what starts or resumes `process_id` at the given elements, a workflow by itself.

        Without elements it is the start unit. `defer` says what the application loads when the
        engine reaches it, and the unit leaves out: "calls" (called processes), "all" (embedded
        subprocesses and triggers too) or "nothing" (the unit holds everything reachable).

        Returns the JSON text `{"spec": .., "subprocess_specs": {..}, ..}`.

        Raises UnitNotFound where the workflow lacks the process or the process cannot reach an
        element, CorruptPack where a stored workflow is damaged, ElementUnitsError for another
        `defer`.
        """
        process_id = _string("process_id", process_id)
        try:
            return _unit(self._use(), process_id, _strings(element_ids), _defer(defer), _VERSION)
        except Fault as fault:
            self._fail(fault, process_id)

    def spec_json(self, process_id: str) -> bytes:
        """One process spec: the caller's own bytes, less the whitespace between tokens.

        Raises UnitNotFound.
        """
        process_id = _string("process_id", process_id)
        try:
            return self._use().spec_json(process_id)
        except Fault as fault:
            self._fail(fault, process_id)

    def _has(self, process_id: str) -> bool:
        """Whether the workflow has a process; costs what one process does."""
        try:
            return self._use().has_process(_string("process_id", process_id))
        except Fault as fault:
            raise in_words(fault) from fault.__cause__

    def _has_subprocesses(self) -> bool:
        return self._use().has_subprocesses()

    def _roster(self) -> dict[str, bool]:
        """Each of `subprocess_ids`, and whether it holds a spec."""
        try:
            return self._use().subprocess_ids()
        except Fault as fault:
            raise in_words(fault) from fault.__cause__

    def _decoded(self, process_id: str) -> Any:
        """One process spec as `json.loads` reads it. Raises UnitNotFound."""
        process_id = _string("process_id", process_id)
        pack = self._use()
        try:
            text = pack.spec_json(process_id)
            # What orjson reads otherwise: as a float.
            long_numbers = pack.has_long_numbers(process_id)
        except Fault as fault:
            self._fail(fault, process_id)
        try:
            return json.loads(text) if long_numbers else orjson.loads(text)
        except ValueError as error:
            raise in_words(Fault("spec JSON", pack=pack.where, process=process_id)) from error

    def _use(self) -> Pack:
        pack = self._pack
        if pack is None:
            raise CacheError("this ElementUnits is closed; open it again")
        return pack

    def _fail(self, fault: Fault, process_id: str) -> NoReturn:
        """Raise the error for what the core found wrong, or did not find."""
        try:
            error = self._not_found(fault, process_id) or in_words(fault)
        except Fault as damage:
            fault, error = damage, in_words(damage)
        raise error from fault.__cause__

    def _not_found(self, fault: Fault, process_id: str) -> Optional[UnitNotFound]:
        """Why a process, or an element of it, is not to be found; None where it should be."""
        pack = self._use()
        if fault.kind == "no process":
            roster = pack.subprocess_ids()
            known = [pack.root_id(), *(key for key, has_spec in roster.items() if has_spec)]
            if process_id in known:
                return None
            return UnitNotFound(f"no process {process_id!r}{_whereabouts(pack, process_id, known)}")
        if fault.kind != "no element":
            return None
        element_id = fault.values["element"]
        if pack.has_element(element_id):
            return UnitNotFound(
                f"element {element_id!r} exists in the workflow, but process {process_id!r} does "
                "not lead to it; ask with the process that has it, or one that calls that"
            )
        reached = _needs(pack, process_id, (), "nothing")
        elements = (id for name in reached for id in (name, *pack.element_ids(name)))
        return UnitNotFound(
            f"no element {element_id!r} in process {process_id!r} or the processes that it leads "
            f"to{_near(element_id, elements)}"
        )


def read_text(workflow_spec_json: Union[str, bytes]) -> Text:
    """The JSON text as UTF-8."""
    if not isinstance(workflow_spec_json, (str, bytes)):
        raise TypeError(
            f"workflow_spec_json must be str or bytes, not {type(workflow_spec_json).__name__}"
        )
    try:
        return Text(workflow_spec_json)
    except Fault as fault:
        raise in_words(fault) from fault.__cause__


def digest_of(text: Text) -> bytes:
    """What `ElementUnits.digest` is of, as bytes."""
    return hashlib.sha256(text).digest()


def decompose(text: Text, digest: bytes) -> Pack:
    """The pack of a workflow; `digest` is that of `digest_of`."""
    try:
        return Pack.in_memory(build_pack(text, digest))
    except Fault as fault:
        raise in_words(fault) from fault.__cause__


def _whereabouts(pack: Pack, process_id: str, known: list[str]) -> str:
    """What there is to say of a process that the workflow has not."""
    if process_id in pack.subprocess_ids():
        missing = f'subprocess_specs["{process_id}"] is null'
    elif any(to == process_id for name in known for _, to, *_ in pack.references(name)):
        missing = "it is referred to but absent from subprocess_specs"
    else:
        return f" in the workflow of {known[0]!r}{_near(process_id, known)}"
    return f": {missing}, so the process is external; load it from where it is defined"


def _string(name: str, value: object) -> str:
    """A string argument, as plain `str` where it is a kind of that."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    return str.__str__(value)


def _strings(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_string("element_id", value) for value in values)


def _defer(value: object) -> str:
    defer = _string("defer", value)
    if defer not in DEFERS:
        raise ElementUnitsError(
            f"defer must be one of {', '.join(map(repr, DEFERS))}, not {defer!r}"
        )
    return defer


def _near(wanted: str, known: Iterable[str]) -> str:
    """A hint at the ids most like the one that was not found."""
    likely = (name for name in known if abs(len(name) - len(wanted)) <= _FARTHEST)
    some = list(islice(likely, _COMPARED // (len(wanted) + _FARTHEST) ** 2))
    near = difflib.get_close_matches(wanted, some, n=3) if some else []
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


_FARTHEST = 8  # characters that a near id may be longer or shorter
_COMPARED = 2_000_000  # pairs of characters, so that a wrong id costs milliseconds
