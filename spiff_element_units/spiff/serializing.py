"""The application's serializer, writing and reading workflows without their specs.

What this module promises:

- The serializer's own `serialize_json`, `to_dict`, `deserialize_json`, `migrate` and `from_dict`
  run as SpiffWorkflow runs them, and so do its registry and its converters. They get the workflow
  itself, with its specs.
- No spec is converted by a save, and none is restored by a resume, unless the application's own
  code looks into it.
- Nothing of the application's is changed: not the serializer, the registry or a converter.

How: while a workflow is written or read, `aliases` of the serializer, of its registry and of the
workflow's converter take their places. They differ in what they do with specs, and with the
workflow as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from inspect import signature
from threading import get_ident
from typing import Any, Callable, ClassVar, Optional, Union

from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.serializer.migration.version_migration import MIGRATIONS
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow

from ..core.cut import cut_state
from ..errors import ElementUnitsError
from .aliases import Aliases, Call
from .forks import Lock, in_child
from .lazy import LazyDict
from .pieces import LIVE, CutPieces, Read, StoredPieces, checked, content, read_list
from .restoring import PieceRestorer, can_leave_out
from .splitting import WRITES_COMPLETED, join_pieces
from .state import HEADER, StateError, decoded, is_zipped, parse, require_run, unzipped

SPECS = ("spec", "subprocess_specs")
Begin = Callable[[dict[str, Any]], None]
Specs = Callable[[dict[str, Any]], tuple[Any, Any]]
Shown = Callable[[], Iterable[tuple[Any, Any]]]  # subprocesses, with the ids of their tasks


# Since 3.2 SpiffWorkflow's serializer keeps on its registry that it is writing, and registries are
# shared between serializers.
_WRITING = Lock()
_MODE = "_encoder_mode"


class _Writer:
    """Which thread writes now, and by which registry."""

    thread: ClassVar[Optional[int]] = None
    registry: ClassVar[Any] = None

    @classmethod
    def forked(cls) -> None:
        """In a child, in which no other thread goes on: the registry is not writing there."""
        if cls.thread is not None and cls.thread != get_ident():
            if hasattr(cls.registry, _MODE):
                setattr(cls.registry, _MODE, False)
            cls.thread = None


in_child(_Writer.forked)


class Serializing:
    """Writes and reads workflows by one serializer. Safe to use from several threads at once."""

    def __init__(self, serializer: Any, resolves: bool) -> None:
        if not isinstance(serializer, BpmnWorkflowSerializer):
            raise TypeError(
                f"serializer must be a BpmnWorkflowSerializer, not {type(serializer).__name__}"
            )
        self._serializer = serializer
        self._resolves = resolves
        self._aliases = Aliases(serializer)
        self._reads = _overrides(serializer, "deserialize_json")
        # Methods that may lose what a resume needs. SpiffWorkflow's own do not.
        methods = ("serialize_json", "to_dict", "deserialize_json", "migrate", "from_dict")
        encoder = serializer.json_encoder_cls or json.JSONEncoder
        self._checks = any(_overrides(serializer, name) for name in methods) or any(
            getattr(encoder, name) is not getattr(json.JSONEncoder, name)
            for name in ("encode", "iterencode")
        )
        self._leaves_out: Optional[bool] = None

    @property
    def leaves_out(self) -> bool:
        """Whether settled subprocesses are left out of what the serializer reads and writes."""
        if self._leaves_out is None:
            self._leaves_out = not self._checks and can_leave_out(self._serializer.registry)
        return self._leaves_out

    def write(self, workflow: Any, header: dict[str, Any], shown: Optional[Shown] = None) -> Any:
        """What the serializer's `serialize_json` gives for a workflow, with a header for specs.

        Of the subprocesses, those that `shown` gives are in it, where `leaves_out` is true.

        Raises ElementUnitsError where `read` could not read it.
        """
        saving = Saving(self._aliases, header, shown if self.leaves_out else None)
        with _WRITING.now, saving as serializer:
            outer = _Writer.thread, _Writer.registry
            _Writer.thread, _Writer.registry = get_ident(), saving.original
            try:
                state = serializer.serialize_json(workflow)
            finally:
                _Writer.thread, _Writer.registry = outer
        if self._checks or saving.run is None:
            self._require_readable(state, saving)
        saving.forget()
        return state

    def read(
        self, state: Union[str, bytes], begin: Begin, specs: Specs, prepare: Callable[[str], None]
    ) -> Any:
        """The workflow of a state: what the serializer's `deserialize_json` gives.

        `begin` gets the run as it was written, before it is migrated, and `specs` gets it
        afterwards: it gives the spec and the mapping of specs that the workflow goes on with.
        Settled subprocesses are left as text; `prepare` is called with the name of a process
        before the first of that process is restored.
        """
        resuming = Resuming(self._aliases, begin, specs, prepare)
        if self._reads:
            workflow = self._deserialized(state, resuming)
        else:
            workflow = self._restored(self._cut(state, resuming), resuming)
        if resuming.mapping is None:
            raise StateError(
                f"{self._named('deserialize_json')} restores no workflow by the serializer's "
                "registry; let it call from_dict, or registry.restore, with the saved dict"
            )
        return workflow

    def read_pieces(
        self, read: Read, begin: Begin, specs: Specs, prepare: Callable[[str], None]
    ) -> Any:
        """The workflow of a state that is in pieces; arguments are those of `read`."""
        listed, head = content(checked(read, LIVE))
        decoder = self._serializer.json_decoder_cls
        run = parse(head, decoder)
        if not self.leaves_out or run.get(self._serializer.VERSION_KEY) in MIGRATIONS:
            return self.read(join_pieces(read), begin, specs, prepare)
        resuming = Resuming(self._aliases, begin, specs, prepare)
        pieces = resuming.pieces = StoredPieces(read, partial(decoded, decoder=decoder))
        for piece_id, facts in read_list(listed, LIVE):
            pieces.made(piece_id, facts, None)
        return self._restored(run, resuming)

    def _deserialized(self, state: Union[str, bytes], call: Call) -> Any:
        if not self._reads:
            return self._restored(parse(state, self._serializer.json_decoder_cls), call)
        with call as serializer:
            method = serializer.deserialize_json
            zipped = is_zipped(state) and "use_gzip" in signature(method).parameters
            return method(state, use_gzip=True) if zipped else method(state)

    def _restored(self, run: Any, call: Call) -> Any:
        """What `deserialize_json` does with a run that is parsed."""
        if not (self._checks or _is_run(run)):
            require_run(run)
        with call as serializer:
            serializer.migrate(run)
            return serializer.from_dict(run)

    def _cut(self, state: Union[str, bytes], resuming: Resuming) -> Any:
        """The run of a state, less the settled subprocesses, which `resuming` keeps as text."""
        decoder = self._serializer.json_decoder_cls
        state = unzipped(state)
        cut = cut_state(state, WRITES_COMPLETED) if self.leaves_out else None
        if cut is not None and any(map(cut.is_settled, range(len(cut)))):
            run = parse(cut.head(), decoder)
            # Some states do not tell which processes come from elsewhere; restoring them does.
            header = run.get(HEADER)
            told = isinstance(header, dict) and "externals_unknown" not in header
            whole = self._resolves and not told
            if not whole and run.get(self._serializer.VERSION_KEY) not in MIGRATIONS:
                resuming.pieces = CutPieces(cut, partial(decoded, decoder=decoder))
                return run
        return parse(state, decoder)

    def _require_readable(self, state: Any, saving: Saving) -> None:
        wrong: Optional[Exception] = None
        if saving.run is not None and isinstance(state, (str, bytes)):
            try:
                self._deserialized(state, Looking(self._aliases))
            except _Found as found:
                if found.run.get(HEADER) == saving.header:
                    return
            except Exception as error:
                wrong = error
        raise ElementUnitsError(
            f"{self._named('serialize_json')} has written a state that cannot be resumed: "
            f"{self._named('deserialize_json')} does not find what the serializer's registry has "
            f'converted, with all of its keys and "{HEADER}" among them; let both keep it whole'
        ) from wrong

    def _named(self, method: str) -> str:
        return f"{type(self._serializer).__name__}.{method}"


class Saving(Call):
    """Writes a workflow. Its specs are converted when somebody looks at what they give."""

    def __init__(
        self, aliases: Aliases, header: dict[str, Any], shown: Optional[Shown] = None
    ) -> None:
        super().__init__(aliases)
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
            return LazyDict(lambda: self.original.convert(obj, **kwargs))
        return self.original.convert(obj, **kwargs)

    def mapping_to_dict(self, mapping: Any) -> Any:
        if mapping is self._workflow.subprocess_specs:
            return LazyDict(lambda: {k: self.original.convert(v) for k, v in mapping.items()})
        if self._shown is not None and mapping is self._workflow.subprocesses:
            self._living = self._converted(self._shown())
            self._all = LazyDict(lambda: self._converted(mapping.items()))
            return self._all
        return None

    def forget(self) -> None:
        """Let go of what was converted, which refers back to this call, before a collection."""
        self.run = self._all = self._workflow = None
        self._hidden = {}

    def _converted(self, subprocesses: Any) -> dict[str, Any]:
        return {str(key): self.original.convert(one) for key, one in subprocesses}

    def _stripped(self, made: Any) -> Any:
        """What was made, less the specs."""
        for key, hidden in self._hidden.items():
            for dct in (self.run,) if made is self.run else (self.run, made):
                if isinstance(dct, dict) and dct.get(key) is hidden:
                    del dct[key]
        return made


class Resuming(Call):
    """Reads a workflow: it gets its spec and mapping in the place of those in the run."""

    def __init__(
        self, aliases: Aliases, begin: Begin, specs: Specs, prepare: Callable[[str], None]
    ) -> None:
        super().__init__(aliases)
        self._prepare_spec = prepare
        self.pieces: Union[CutPieces, StoredPieces, None] = None
        self._begin: Optional[Begin] = begin
        self._specs = specs
        self._spec: Any = None
        self.mapping: Any = None
        self._written: dict[str, Any] = {}  # what stands in the run for specs

    def migrate(self, native: Callable[..., Any], run: Any) -> Any:
        if _is_run(run):
            self._prepare(run)
        return native(run)

    def restore(self, native: Callable[..., Any], value: Any, kwargs: dict[str, Any]) -> Any:
        if self.mapping is None and _is_run(value):
            self._prepare(value)
            return self._restored(native, value, kwargs)
        if self._written and value is self._written["spec"]:
            return self._spec
        return self.original.restore(value, **kwargs)

    def subprocesses_from_dict(
        self, native: Callable[..., Any], dct: dict[str, Any], workflow: Any, rest: Any
    ) -> Any:
        if self.pieces is None:
            return native(dct, workflow, *rest)
        return PieceRestorer(self.original, self.pieces, self._prepare_spec).put_into(workflow, dct)

    def specs_from_dict(self, mapping: Any) -> Any:
        return self.mapping if mapping is self._written["subprocess_specs"] else None

    def _prepare(self, run: Any) -> None:
        begin, self._begin = self._begin, None
        if begin is not None:
            begin(run)

    def _restored(
        self, native: Callable[..., Any], run: dict[str, Any], kwargs: dict[str, Any]
    ) -> Any:
        self._spec, self.mapping = self._specs(run)
        self.typename = run.get("typename")
        if not self.aliases.has_converter(self.typename):  # what then restores it, has no alias
            run["spec"], run["subprocess_specs"] = self._spec, self.mapping
        self._written = {key: run.setdefault(key, {}) for key in SPECS}
        workflow = native(run, **kwargs)
        workflow.subprocess_specs = self.mapping  # where it was empty, there is now a dict
        return workflow


class Looking(Call):
    """Reads a state as far as to the run in it."""

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
    """Whether this is a run, damaged or not, and not what an application has put one into."""
    return isinstance(value, dict) and "subprocesses" in value


class _Found(BaseException):
    """Ends what the application does with a run that was looked for."""

    def __init__(self, run: dict[str, Any]) -> None:
        super().__init__()
        self.run = run


def _overrides(serializer: Any, method: str) -> bool:
    """Whether a serializer has a method of its own."""
    own = method in vars(serializer)
    return own or getattr(type(serializer), method) is not getattr(BpmnWorkflowSerializer, method)
