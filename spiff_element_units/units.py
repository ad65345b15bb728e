"""`ElementUnits`: one decomposed workflow, in memory or opened from a cache."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from types import TracebackType
from typing import Any, Callable, NamedTuple, NoReturn, Optional, Union

import orjson

from ._version import __version__
from .asking import Defer, defer_text, not_found, string, strings
from .cache import places
from .cache.directory import LOG, key_text
from .cache.store import Place
from .core.digest import process_digest as _process_digest
from .core.fault import Fault
from .core.pack import Pack
from .core.text import Text
from .core.unit import needs as _needs
from .core.unit import unit as _unit
from .core.writer import build_pack
from .diff import WorkflowDiff, compare
from .diff import process_ids as _process_ids
from .errors import CacheError, CorruptPack, UnitNotFound
from .wording import in_words

_VERSION = orjson.dumps(
    f"spiff-element-units-{__version__}"
)  # the `serializer_version` of each unit


class Reference(NamedTuple):
    """A task spec that names another process.

    `kind` is "call", "embedded" or "trigger". `process_id` is the process that it names, and
    `element_id` is the name of the task spec. `external` is True if the workflow does not contain
    that process.
    """

    kind: str
    process_id: str
    element_id: str
    external: bool


class ElementUnits:
    """A workflow that is split into its processes. It returns element units.

    Create one with `from_json`, `open` or `get_or_cache`. It never changes, and several threads may
    use it at the same time. You can use it after a fork. If the key is cached again or removed, an
    open `ElementUnits` continues with the workflow that it opened.

    If a method or attribute reads a damaged part of the pack, it raises CorruptPack. If the pack
    cannot be read any more, it raises CacheError.

    >>> units = ElementUnits.from_json(
    ...     '{"spec": {"name": "Hello", "typename": "BpmnProcessSpec", "task_specs": {}},'
    ...     ' "subprocess_specs": {}}')
    >>> units.root
    'Hello'
    >>> units.needs("Hello")
    ('Hello',)
    """

    __slots__ = ("_cache", "_key", "_pack")
    _cache: Optional[Place]  # where it was opened or cached
    _key: Optional[str]
    _pack: Optional[Pack]

    def __init__(self) -> None:
        raise TypeError("use ElementUnits.from_json(..) or ElementUnits.open(..)")

    @classmethod
    def _of(cls, pack: Pack, key: Optional[str], cache_dir: Optional[Place] = None) -> ElementUnits:
        units = object.__new__(cls)
        units._cache = cache_dir
        units._pack = pack
        units._key = key
        return units

    @classmethod
    def from_json(cls, workflow_spec_json: Union[str, bytes]) -> ElementUnits:
        """Split a workflow into its processes, in memory.

        `workflow_spec_json` is the JSON text of a serialized workflow,
        `{"spec": {..}, "subprocess_specs": {..}, ..}`, as `str` or as UTF-8 `bytes`.

        Raises InvalidWorkflowSpec if the text is not a serialized workflow, and TypeError if it has
        another type.
        """
        text = read_text(workflow_spec_json)
        return cls._of(decompose(text, digest_of(text)), None)

    @classmethod
    def open(cls, cache_dir: Place, cache_key: str) -> ElementUnits:
        """Open a cached workflow. This reads a few kilobytes, whatever the size of the workflow.

        Raises UnitNotFound if the key is not cached, CorruptPack if its pack is damaged, and
        CacheError if the pack cannot be read.
        """
        pack = places.open_pack(cache_dir, cache_key)
        return cls._of(pack, pack.key, cache_dir)

    @classmethod
    def get_or_cache(
        cls,
        cache_dir: Place,
        cache_key: str,
        make_json: Callable[[], Union[str, bytes]],
        *,
        durable: bool = False,
    ) -> ElementUnits:
        """Open a cached workflow. If it is missing or damaged, make it and cache it.

        `make_json()` returns the JSON text. It is called only if the workflow is missing or
        damaged. If several processes ask at the same time, it may be called in each of them, and
        each gets the complete workflow. This reads and checks the whole pack; `open` does not.

        If the workflow cannot be cached, for example because the disk is full, it is used from
        memory. A RuntimeWarning and the log of `spiff_element_units` say so, once for each process
        and directory. The log also says if the pack was damaged.

        Raises the errors of `make_json` and `from_json`, and CacheError if the cache cannot be
        read.
        """
        if not callable(make_json):
            raise TypeError(f"make_json must be callable, not {type(make_json).__name__}")
        key = key_text(cache_key)
        try:
            return cls._open_whole(cache_dir, key)
        except UnitNotFound:
            pass
        except CorruptPack as error:
            LOG.warning("%s", error)
        return cls._cached(cache_dir, key, make_json(), durable=durable)

    @classmethod
    def _open_whole(cls, cache_dir: Place, key: str) -> ElementUnits:
        """Like `open`, and check the whole pack."""
        return cls._of(places.open_whole_pack(cache_dir, key), key, cache_dir)

    @classmethod
    def _cached(
        cls, cache_dir: Place, key: str, text: Union[str, bytes], *, durable: bool
    ) -> ElementUnits:
        """Cache a workflow, with a warning if that is not possible."""
        read = read_text(text)
        pack = decompose(read, digest_of(read))
        places.publish_or_warn(cache_dir, key, pack, durable=durable)
        return cls._of(pack, key, cache_dir)

    def save(self, cache_dir: Place, cache_key: str, *, durable: bool = False) -> None:
        """Store the workflow in a cache under a key, and replace the workflow that was there.

        Readers in other processes see either the old workflow or the new one, always complete. If
        the same workflow is already cached and not damaged, nothing is written, and its pack
        becomes as new as one that was just cached.

        With `durable`, the file and its directories are synced to disk before this returns. Without
        it, the cached workflow may be missing or damaged after a power failure. The library then
        reports this as an error.

        Raises CacheError if the directory cannot be created or written. A workflow that was cached
        before is then still there.
        """
        pack = self._use()
        try:
            says = pack.says_events()
        except Fault as fault:
            raise in_words(fault) from fault.__cause__
        if not places.holds(cache_dir, cache_key, pack.digest, says_events=says, durable=durable):
            places.publish(cache_dir, cache_key, pack, durable=durable)

    def close(self) -> None:
        """Close the file. Every later call that reads the workflow raises CacheError."""
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
        """The key of the workflow in the cache; None if it was made with `from_json`."""
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
        """The root, and then the keys of `subprocess_specs` that have a spec, in your order."""
        try:
            return _process_ids(self._use())
        except Fault as fault:
            raise in_words(fault) from fault.__cause__

    @property
    def subprocess_ids(self) -> tuple[str, ...]:
        """All keys of `subprocess_specs`, including those that are null, in your order."""
        return tuple(self._roster())

    def element_ids(self, process_id: str) -> tuple[str, ...]:
        """The element ids of a process: the `name` of each task spec and, if different, `bpmn_id`.

        Raises UnitNotFound if the workflow does not contain the process.
        """
        process_id = string("process_id", process_id)
        try:
            return self._use().element_ids(process_id)
        except Fault as fault:
            self._fail(fault, process_id)

    def references(self, process_id: str) -> tuple[Reference, ...]:
        """The processes that a process calls, embeds and triggers, in the order of its task specs.

        Raises UnitNotFound if the workflow does not contain the process.
        """
        process_id = string("process_id", process_id)
        try:
            return tuple(Reference(*item) for item in self._use().references(process_id))
        except Fault as fault:
            self._fail(fault, process_id)

    def needs(self, process_id: str, *element_ids: str, defer: Defer = "calls") -> tuple[str, ...]:
        """The ids of the processes in a unit: `process_id`, and then the others in your order.

        The arguments and errors are those of `workflow`.
        """
        process_id = string("process_id", process_id)
        try:
            return _needs(self._use(), process_id, strings(element_ids), defer_text(defer))
        except Fault as fault:
            self._fail(fault, process_id)

    def workflow(self, process_id: str, *element_ids: str, defer: Defer = "calls") -> str:
        """Return the unit that starts or resumes `process_id` at the given elements.

        Without elements, it is the unit that starts the process. `defer` says which processes your
        application loads when the engine reaches them, so that the unit omits them: "calls" (called
        processes), "all" (also embedded subprocesses and triggers) or "nothing" (the unit contains
        every process that can be reached).

        The unit is the JSON text `{"spec": .., "subprocess_specs": {..}, ..}`.

        Raises UnitNotFound if the workflow does not contain the process, or if the process does not
        lead to an element. Raises CorruptPack if the pack is damaged, and ElementUnitsError for
        another `defer`.
        """
        process_id = string("process_id", process_id)
        try:
            return _unit(self._use(), process_id, strings(element_ids), defer_text(defer), _VERSION)
        except Fault as fault:
            self._fail(fault, process_id)

    def spec_json(self, process_id: str) -> bytes:
        """One process spec: your own bytes, without the whitespace between tokens.

        Raises UnitNotFound if the workflow does not contain the process.
        """
        process_id = string("process_id", process_id)
        try:
            return self._use().spec_json(process_id)
        except Fault as fault:
            self._fail(fault, process_id)

    def process_digest(self, process_id: str) -> str:
        """A SHA-256 of the process, as 64 hex digits. Compare it between versions of the process.

        It covers the specs of the process's start unit, byte for byte: the process, its embedded
        subprocesses and the processes that events start, as `needs(process_id)` names them. For the
        root, it also covers the spec under its id in `subprocess_specs`, if that is another one. It
        does not cover called processes or anything else of the workflow.

        The same specs have the same digest, in whichever workflow they are and wherever it is
        cached. Whitespace between tokens does not count. Everything else in the text does, also the
        order of keys and the name of the BPMN file, which SpiffWorkflow writes into each spec. One
        version of SpiffWorkflow always writes the same text for a model, and another version may
        write another text. If nothing else belongs to the process, the digest is the SHA-256 of
        `spec_json(process_id)`.

        If version 0.4.0 cached a workflow of SpiffWorkflow before 3.2, `needs` omits some processes
        that events start, and the digest does not cover them. Cache it again before you compare.

        A digest is computed when you first ask for it, which reads the specs that it covers, and is
        kept in memory. Raises UnitNotFound if the workflow does not contain the process, and
        CorruptPack if the pack is damaged.
        """
        process_id = string("process_id", process_id)
        try:
            return _process_digest(self._use(), process_id).hex()
        except Fault as fault:
            self._fail(fault, process_id)

    def _go_on_with(self, other: ElementUnits) -> None:
        """Read from the pack of another one that has the same digest.

        In a store, its own pack may be gone when its key names another pack of the same workflow.
        """
        if self._pack is not None:
            self._pack = other._pack

    def _beside(self, cache_key: str) -> Optional[ElementUnits]:
        """What is cached under a key in the same cache; None if it cannot be opened."""
        if self._cache is None:
            return None
        with suppress(UnitNotFound, CacheError):
            return ElementUnits.open(self._cache, cache_key)
        return None

    def diff(self, other: ElementUnits) -> WorkflowDiff:
        """What `other`, a later version of the workflow, has changed.

        The result names the processes that were added, removed and changed. For each changed
        process it names the elements, and for each changed element the fields. It is true if there
        are differences, and `print` shows them. This reads every spec of both workflows the first
        time, and decodes only what differs. It does not need SpiffWorkflow.

        Raises CorruptPack if one of the packs is damaged, and CacheError if one of them is closed.
        """
        if not isinstance(other, ElementUnits):
            raise TypeError(f"other must be an ElementUnits, not {type(other).__name__}")
        try:
            return compare(self._use(), other._use())
        except Fault as fault:
            raise in_words(fault) from fault.__cause__

    def _has(self, process_id: str) -> bool:
        """Whether the workflow contains a process. This reads only the entry of that process."""
        try:
            return self._use().has_process(string("process_id", process_id))
        except Fault as fault:
            raise in_words(fault) from fault.__cause__

    def _inner_root(self) -> Optional[bytes]:
        """The spec under the root's id in `subprocess_specs`, if it differs from `spec`."""
        try:
            inner = self._use().inner_root()
        except Fault as fault:
            raise in_words(fault) from fault.__cause__
        return None if inner == self.spec_json(self.root) else inner

    def _has_subprocesses(self) -> bool:
        return self._use().has_subprocesses()

    def _roster(self) -> dict[str, bool]:
        """Each of `subprocess_ids`, and whether it has a spec."""
        try:
            return self._use().subprocess_ids()
        except Fault as fault:
            raise in_words(fault) from fault.__cause__

    def _decoded(self, process_id: str) -> Any:
        """One process spec as `json.loads` reads it. Raises UnitNotFound."""
        process_id = string("process_id", process_id)
        pack = self._use()
        try:
            text = pack.spec_json(process_id)
            # orjson would read such numbers as floats.
            long_numbers = pack.has_long_numbers(process_id)
        except Fault as fault:
            self._fail(fault, process_id)
        return self._parsed(text, process_id, long_numbers)

    def _parsed(self, text: bytes, process_id: str, long_numbers: bool = True) -> Any:
        try:
            return json.loads(text) if long_numbers else orjson.loads(text)
        except ValueError as error:
            damage = Fault("spec JSON", pack=self._use().where, process=process_id)
            raise in_words(damage) from error

    def _use(self) -> Pack:
        pack = self._pack
        if pack is None:
            raise CacheError("this ElementUnits is closed; open it again")
        return pack

    def _fail(self, fault: Fault, process_id: str) -> NoReturn:
        """Raise the error for a fault of the core."""
        try:
            error = not_found(self._use(), fault, process_id) or in_words(fault)
        except Fault as damage:
            fault, error = damage, in_words(damage)
        raise error from fault.__cause__


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
    """The bytes of `ElementUnits.digest`."""
    return hashlib.sha256(text).digest()


def decompose(text: Text, digest: bytes) -> Pack:
    """The pack of a workflow; `digest` is the result of `digest_of`."""
    try:
        return Pack.in_memory(build_pack(text, digest))
    except Fault as fault:
        raise in_words(fault) from fault.__cause__
