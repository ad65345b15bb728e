"""Writes and reads workflows without their specs, with the application's serializer.

What this module promises:

- The serializer's own `serialize_json`, `to_dict`, `deserialize_json`, `migrate` and `from_dict`
  run as SpiffWorkflow runs them, and so do its registry and its converters. They get the workflow
  itself, with its specs.
- A save converts no spec, and a resume restores no spec from the state, unless the application's
  own code reads it.
- The application's serializer, registry and converters do not change.

How it works: while a workflow is written or read, `aliases` replace the serializer, its registry
and the workflow's converter. Only what they do with specs and with the workflow as a whole is
different.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from inspect import signature
from threading import get_ident
from typing import Any, Callable, Optional, Union

from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.serializer.migration.version_migration import MIGRATIONS
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow

from ..core.cut import cut_state
from ..errors import ElementUnitsError
from .aliases import Aliases, Call
from .forks import Lock, in_child
from .lazy import LazyDict
from .piece_texts import LIVE, Read, checked, content, is_piece, read_list
from .pieces import CutPieces, StoredPieces
from .restoring import PieceRestorer, can_leave_out, standing
from .splitting import WRITES_COMPLETED, join_pieces
from .state import (
    HEADER,
    State,
    StateError,
    decoded,
    is_zipped,
    parse,
    require_run,
    text_of,
    unzipped,
)
from .task_order import put_parents_first

SPECS = ("spec", "subprocess_specs")
_NOTHING = object()
Begin = Callable[[dict[str, Any]], Any]
Specs = Callable[[dict[str, Any], Any], tuple[Any, Any, dict[str, Any]]]
SpecThen = Callable[[Any, Optional[int]], Any]
Shown = Callable[[], Iterable[tuple[Any, Any]]]  # subprocesses, with the ids of their tasks


# Since 3.2 SpiffWorkflow's serializer marks its registry while it writes, and serializers may share
# a registry. So only one thread writes at a time.
_WRITING = Lock()
_MODE = "_encoder_mode"


class _Writer:
    """Which thread writes now, and with which registry."""

    thread: Optional[int] = None
    registry: Any = None

    def forked(self) -> None:
        """Clear the mark on the registry in a forked child, where the other thread is gone."""
        if self.thread is not None and self.thread != get_ident():
            if hasattr(self.registry, _MODE):
                setattr(self.registry, _MODE, False)
            self.thread = None


_WRITER = _Writer()
in_child(_WRITER.forked)


class Serializing:
    """Writes and reads workflows with one serializer. Several threads may use it at once."""

    def __init__(self, serializer: Any, resolves: bool) -> None:
        if not isinstance(serializer, BpmnWorkflowSerializer):
            raise TypeError(
                f"serializer must be a BpmnWorkflowSerializer, not {type(serializer).__name__}"
            )
        self._serializer = serializer
        self._resolves = resolves
        self._aliases = Aliases(serializer)
        self._reads = _overrides(serializer, "deserialize_json")
        # Overrides of these methods may lose what a resume needs.
        methods = ("serialize_json", "to_dict", "deserialize_json", "migrate", "from_dict")
        encoder = serializer.json_encoder_cls or json.JSONEncoder
        self._checks = _overrides(serializer, *methods) or _differs(
            encoder, json.JSONEncoder, ("encode", "iterencode")
        )
        self._leaves_out: Optional[bool] = None

    @property
    def leaves_out(self) -> bool:
        """Whether settled subprocesses are left out of what the serializer reads and writes."""
        if self._leaves_out is None:
            self._leaves_out = not self._checks and can_leave_out(self._serializer.registry)
        return self._leaves_out

    def write(
        self,
        workflow: Any,
        header: dict[str, Any],
        shown: Optional[Shown] = None,
        to_dict: bool = False,
    ) -> Any:
        """Return what `serialize_json` writes for a workflow, with a header in place of the specs.

        If `leaves_out` is true, the state contains only the subprocesses that `shown` returns. With
        `to_dict`, it is the JSON of what `to_dict` returns: an override of `serialize_json` is not
        called.

        Raises ElementUnitsError if `read` could not read the state.
        """
        saving = Saving(
            self._aliases, header, shown if self.leaves_out else None, faster=not self._checks
        )
        with _WRITING.now, saving as serializer:
            outer = _WRITER.thread, _WRITER.registry
            _WRITER.thread, _WRITER.registry = get_ident(), saving.original
            try:
                if to_dict:
                    state = BpmnWorkflowSerializer.serialize_json(serializer, workflow)
                else:
                    state = serializer.serialize_json(workflow)
            finally:
                _WRITER.thread, _WRITER.registry = outer
        if self._checks or saving.run is None:
            again = text_of(decoded(state, None), self._serializer) if to_dict else state
            self._require_readable(again, saving, to_dict)
        return state

    def read(
        self,
        state: Union[str, bytes],
        begin: Begin,
        specs: Specs,
        spec_then: SpecThen,
        from_dict: bool = False,
    ) -> Any:
        """Return the workflow of a state, as the serializer's `deserialize_json` restores it.

        With `from_dict`, an override of `deserialize_json` is not called.

        `begin` gets the run as it was written, before it is migrated, and `specs` gets it
        afterwards, with the settled subprocesses that are left as text or apart, or None. It gives
        the spec and the mapping of specs that the workflow goes on with, and the specs of settled
        subprocesses in the run that ran on others, by their ids. `spec_then` gives the spec
        of a settled subprocess if it ran on another one; it gets the task of the caller, and the
        number of the version if the piece says it.
        """
        resuming = Resuming(self._aliases, begin, specs, spec_then)
        if self._reads and not from_dict:
            workflow = self._deserialized(state, resuming)
        else:
            workflow = self._restored(self._cut(state, resuming), resuming)
        if resuming.mapping is None:
            raise StateError(
                f"{self._named('deserialize_json')} does not restore a workflow with the "
                "serializer's registry; let it call from_dict, or registry.restore, with the saved "
                "dict"
            )
        return workflow

    def read_pieces(self, read: Read, begin: Begin, specs: Specs, spec_then: SpecThen) -> Any:
        """The workflow of a state that is in pieces; arguments are those of `read`."""
        live = checked(read, LIVE)
        listed, head = content(live)
        decoder = self._serializer.json_decoder_cls
        run = parse(head, decoder)
        if not self.leaves_out or run.get(self._serializer.VERSION_KEY) in MIGRATIONS:
            return self.read(join_pieces(read), begin, specs, spec_then)
        resuming = Resuming(self._aliases, begin, specs, spec_then)
        pieces = resuming.pieces = StoredPieces(read, partial(decoded, decoder=decoder), live)
        for piece_id, facts in read_list(listed, LIVE):
            pieces.made(piece_id, facts, None)
        return self._restored(run, resuming)

    def run_of(self, state: State) -> dict[str, Any]:
        """The run of a state, or of a live piece, without its settled subprocesses if it has them
        as text."""
        written = text_of(state, self._serializer)
        text = whole = unzipped(written)
        if is_piece(whole):
            text = content(checked(lambda _: whole, LIVE))[1]
        if self._checks:
            try:
                self._deserialized(text, Looking(self._aliases), written is not state)
            except _Found as found:
                return found.run
        cut = cut_state(text, WRITES_COMPLETED) if self.leaves_out else None
        run: dict[str, Any] = parse(
            text if cut is None else cut.head(), self._serializer.json_decoder_cls
        )
        require_run(run)
        return run

    def native(self, state: State) -> Any:
        """The workflow of a state with its specs, as SpiffWorkflow restores it."""
        text = unzipped(text_of(state, self._serializer))
        if self._reads and isinstance(state, (str, bytes)):
            return self._serializer.deserialize_json(text)
        run = parse(text, self._serializer.json_decoder_cls)
        require_run(run)
        self._serializer.migrate(run)
        put_parents_first(run)
        return self._serializer.from_dict(run)

    def is_of_earlier_engine(self, run: dict[str, Any]) -> bool:
        """Whether an earlier version of SpiffWorkflow wrote a run, so that it must be migrated."""
        return run.get(self._serializer.VERSION_KEY) in MIGRATIONS

    def _deserialized(self, state: Union[str, bytes], call: Call, from_dict: bool = False) -> Any:
        """Do what `deserialize_json` does; with `from_dict`, an override of it is not called."""
        if from_dict or not self._reads:
            return self._restored(parse(state, self._serializer.json_decoder_cls), call)
        with call as serializer:
            method = serializer.deserialize_json
            zipped = is_zipped(state) and "use_gzip" in signature(method).parameters
            return method(state, use_gzip=True) if zipped else method(state)

    def _restored(self, run: Any, call: Call) -> Any:
        """Do what `deserialize_json` does after it has parsed a run."""
        if not (self._checks or _is_run(run)):
            require_run(run)
        with call as serializer:
            serializer.migrate(run)
            return serializer.from_dict(run)

    def _cut(self, state: Union[str, bytes], resuming: Resuming) -> Any:
        """The run of a state without the settled subprocesses, which `resuming` keeps as text."""
        decoder = self._serializer.json_decoder_cls
        state = unzipped(state)
        cut = cut_state(state, WRITES_COMPLETED) if self.leaves_out else None
        if cut is not None and any(map(cut.is_settled, range(len(cut)))):
            run = parse(cut.head(), decoder)
            # Some states do not say which processes come from other workflows. Then everything has
            # to be restored to find that out.
            header = run.get(HEADER)
            told = isinstance(header, dict) and "externals_unknown" not in header
            whole = self._resolves and not told
            if not whole and run.get(self._serializer.VERSION_KEY) not in MIGRATIONS:
                resuming.pieces = CutPieces(cut, partial(decoded, decoder=decoder))
                return run
        return parse(state, decoder)

    def _require_readable(self, state: Any, saving: Saving, to_dict: bool) -> None:
        wrong: Optional[Exception] = None
        if saving.run is not None and isinstance(state, (str, bytes)):
            try:
                self._deserialized(state, Looking(self._aliases), to_dict)
            except _Found as found:
                if found.run.get(HEADER) == saving.header:
                    return
            except Exception as error:
                wrong = error
        raise ElementUnitsError(
            f"{self._named('serialize_json')} wrote a state that cannot be resumed: "
            f"{self._named('deserialize_json')} does not find the dict that the serializer's "
            f'registry made of the workflow, with all of its keys and "{HEADER}"; let both methods '
            "keep this dict unchanged"
        ) from wrong

    def _named(self, method: str) -> str:
        return f"{type(self._serializer).__name__}.{method}"


class Saving(Call):
    """Writes a workflow. Its specs are converted only if somebody looks at the result.

    Nothing that it makes refers back to it. So it is freed together with the run, as soon as the
    run is written. A cycle would stay until the garbage collector finds it.
    """

    def __init__(
        self, aliases: Aliases, header: dict[str, Any], shown: Optional[Shown], *, faster: bool
    ) -> None:
        super().__init__(aliases)
        self._faster = faster
        self.header = header
        self._shown = shown
        self._living: dict[str, Any] = {}
        self._all: Optional[LazyDict] = None
        self.run: Optional[dict[str, Any]] = None
        self._workflow: Any = None
        self._hidden: dict[str, Any] = {}
        self._within = False

    def to_dict(self, native: Callable[..., Any], obj: Any, kwargs: dict[str, Any]) -> Any:
        outer, self._within = self._within, True
        try:
            made = native(obj, **kwargs)
        finally:
            self._within = outer
        return made if outer else self._stripped(made)

    def encoder(self, given: Any) -> Any:
        return self.aliases.encoder(given) if self._faster else given

    def convert(self, native: Callable[..., Any], obj: Any, kwargs: dict[str, Any]) -> Any:
        if isinstance(obj, BpmnWorkflow):
            self._workflow = obj
            self.typename = self.original.typenames.get(obj.__class__)
            made = native(obj, **kwargs)
            unseen = self._all is not None and not self._all.filled
            if unseen and made.get("subprocesses") is self._all:
                made["subprocesses"] = self._living
            self._hidden = {key: made[key] for key in SPECS if key in made}
            self.run = {HEADER: self.header, **made}
            return self.run if self._within else self._stripped(self.run)
        if self._workflow is not None and obj is self._workflow.spec:
            return LazyDict(partial(self.original.convert, obj, **kwargs))
        return self.original.convert(obj, **kwargs)

    def mapping_to_dict(self, mapping: Any) -> Any:
        if mapping is self._workflow.subprocess_specs:
            return LazyDict(partial(_converted, self.original, mapping))
        if self._shown is not None and mapping is self._workflow.subprocesses:
            convert = self.original.convert
            self._living = {str(key): convert(one) for key, one in self._shown()}
            self._all = LazyDict(partial(_converted, self.original, mapping))
            return self._all
        return None

    def _stripped(self, made: Any) -> Any:
        """The converted workflow without the specs."""
        _strip(self.run, self._hidden)
        if made is not self.run:
            _strip(made, self._hidden)
        return made


def _strip(dct: Any, hidden: dict[str, Any]) -> None:
    if isinstance(dct, dict):
        for key, value in hidden.items():
            if dct.get(key) is value:
                del dct[key]


def _converted(registry: Any, mapping: Any) -> dict[str, Any]:
    return {str(key): registry.convert(one) for key, one in mapping.items()}


class Resuming(Call):
    """Reads a workflow, and gives it a spec and a mapping instead of the specs in the run."""

    def __init__(self, aliases: Aliases, begin: Begin, specs: Specs, spec_then: SpecThen) -> None:
        super().__init__(aliases)
        self._spec_then = spec_then
        self.pieces: Union[CutPieces, StoredPieces, None] = None
        self._begin: Optional[Begin] = begin
        self._specs = specs
        self._spec: Any = None
        self.mapping: Any = None
        self._standing: dict[str, Any] = {}  # specs of settled subprocesses, by their ids
        self._written_spec: Any = _NOTHING  # what is in the run for the spec
        self._written_specs: Any = _NOTHING  # and for the mapping

    def migrate(self, native: Callable[..., Any], run: Any) -> Any:
        if _is_run(run):
            self._prepare(run)
        return native(run)

    def restore(self, native: Callable[..., Any], value: Any, kwargs: dict[str, Any]) -> Any:
        if self.mapping is None and _is_run(value):
            self._prepare(value)
            return self._restored(native, value, kwargs)
        if value is self._written_spec:
            return self._spec
        task = kwargs.get("task") if self._standing else None
        if task is not None:
            then = self._standing.get(str(task.id))
            with standing(task.workflow.top_workflow, task, then):
                return self.original.restore(value, **kwargs)
        return self.original.restore(value, **kwargs)

    def subprocesses_from_dict(
        self, native: Callable[..., Any], dct: dict[str, Any], workflow: Any, rest: Any
    ) -> Any:
        if self.pieces is None:
            return native(dct, workflow, *rest)
        return PieceRestorer(self.original, self.pieces, self._spec_then).put_into(workflow, dct)

    def specs_from_dict(self, mapping: Any) -> Any:
        return self.mapping if mapping is self._written_specs else None

    def _prepare(self, run: Any) -> None:
        begin, self._begin = self._begin, None
        if begin is not None:
            begin(run)

    def _restored(
        self, native: Callable[..., Any], run: dict[str, Any], kwargs: dict[str, Any]
    ) -> Any:
        self._spec, self.mapping, self._standing = self._specs(run, self.pieces)
        self.typename = run.get("typename")
        if not self.aliases.has_converter(self.typename):  # a plain function, which has no alias
            run["spec"], run["subprocess_specs"] = self._spec, self.mapping
        self._written_spec = run.setdefault("spec", {})
        self._written_specs = run.setdefault("subprocess_specs", {})
        put_parents_first(run)
        workflow = native(run, **kwargs)
        workflow.subprocess_specs = self.mapping  # SpiffWorkflow replaces an empty one with a dict
        return workflow


class Looking(Call):
    """Reads a state until the run in it is found."""

    def migrate(self, native: Callable[..., Any], run: Any) -> Any:
        _look(run)
        return native(run)

    def restore(self, native: Callable[..., Any], value: Any, kwargs: dict[str, Any]) -> Any:
        _look(value)
        return self.original.restore(value, **kwargs)


def _look(value: Any) -> None:
    if _is_run(value):
        require_run(value)
        raise _Found(value)


def _is_run(value: Any) -> bool:
    """Whether this is a run, damaged or not, and not something that contains a run."""
    return isinstance(value, dict) and "subprocesses" in value


class _Found(BaseException):
    """Leaves the application's method when the run is found."""

    def __init__(self, run: dict[str, Any]) -> None:
        super().__init__()
        self.run = run


def _overrides(serializer: Any, *methods: str) -> bool:
    """Whether a serializer overrides one of these methods."""
    return not vars(serializer).keys().isdisjoint(methods) or _differs(
        type(serializer), BpmnWorkflowSerializer, methods
    )


def _differs(cls: type, base: type, methods: Iterable[str]) -> bool:
    """Whether a class overrides one of these methods of its base."""
    return cls is not base and any(
        getattr(cls, name) is not getattr(base, name) for name in methods
    )
