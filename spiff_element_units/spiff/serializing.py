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
from typing import Any, Optional, Union

from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.serializer.migration.version_migration import MIGRATIONS

from ..core.cut import cut_state
from ..errors import ElementUnitsError
from .aliases import Aliases, Call
from .calls import Begin, Found, Looking, Resuming, Saving, Shown, Specs, SpecThen, is_run
from .forks import Lock, in_child
from .piece_texts import LIVE, Read, checked, content, is_piece, process_names, read_list
from .pieces import CutPieces, StoredPieces
from .restoring import can_leave_out
from .splitting import WRITES_COMPLETED, join_pieces
from .state import (
    HEADER,
    State,
    StateError,
    decoded,
    is_zipped,
    name_processes,
    parse,
    require_run,
    settled_in,
    text_of,
    unzipped,
)
from .task_order import put_parents_first

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
        if not self.leaves_out or self.is_of_earlier_engine(run):
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
            except Found as found:
                return found.run
        cut = cut_state(text, WRITES_COMPLETED) if self.leaves_out else None
        decoder = self._serializer.json_decoder_cls
        run: dict[str, Any] = parse(text if cut is None else cut.head(), decoder)
        if cut is not None and self.is_of_earlier_engine(run):  # a migration is of all of it
            run = parse(text, decoder)
        require_run(run)
        return run

    def settled_processes(self, state: Optional[State], run: dict[str, Any]) -> list[str]:
        """The names of the processes of settled subprocesses, sorted. `run` is that of `run_of`.

        `state` is None if `run` has all subprocesses. Otherwise this decodes those that are only in
        the state.
        """
        names = set(settled_in(run).values())
        cut = None
        if self.leaves_out and state is not None:
            cut = cut_state(unzipped(text_of(state, self._serializer)), WRITES_COMPLETED)
        if cut is not None:
            names |= process_names(cut, partial(decoded, decoder=self._serializer.json_decoder_cls))
        return sorted(names)

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

    def migrate(self, run: dict[str, Any]) -> bool:
        """Migrate a run if an earlier version of SpiffWorkflow wrote it. Returns whether it was.

        Raises StateError if SpiffWorkflow cannot migrate it.
        """
        if not self.is_of_earlier_engine(run):
            return False
        number = run[self._serializer.VERSION_KEY]
        try:
            self._serializer.migrate(run)
        except NameError as error:  # of 3.2.0, if there are subprocesses
            raise StateError(
                f"this version of SpiffWorkflow cannot migrate the state, whose serializer version "
                f"is {number!r} (NameError: {error}); migrate it with another version of "
                "SpiffWorkflow, and save it"
            ) from error
        name_processes(run)
        return True

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
        if not (self._checks or is_run(run)):
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
            if not whole and not self.is_of_earlier_engine(run):
                resuming.pieces = CutPieces(cut, partial(decoded, decoder=decoder))
                return run
        return parse(state, decoder)

    def _require_readable(self, state: Any, saving: Saving, to_dict: bool) -> None:
        wrong: Optional[Exception] = None
        if saving.run is not None and isinstance(state, (str, bytes)):
            try:
                self._deserialized(state, Looking(self._aliases), to_dict)
            except Found as found:
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
