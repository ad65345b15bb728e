"""One save, resume or look: what replaces the specs while the application's serializer runs.

`Saving` writes a workflow without its specs, `Resuming` reads one and gives it the specs of the
loader, and `Looking` stops at the run of a state. Each is used once, and only by `serializing`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Callable, Optional, Union

from SpiffWorkflow.bpmn.serializer.migration.version_migration import MIGRATIONS
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow

from .aliases import Aliases, Call
from .lazy import LazyDict
from .pieces import CutPieces, StoredPieces
from .restoring import PieceRestorer, standing
from .state import HEADER, name_processes, require_run
from .task_order import put_parents_first

SPECS = ("spec", "subprocess_specs")
_NOTHING = object()
Begin = Callable[[dict[str, Any]], Any]
Specs = Callable[[dict[str, Any], Any], tuple[Any, Any, dict[str, Any]]]
SpecThen = Callable[[Any, Optional[int]], Any]
Shown = Callable[[], Iterable[tuple[Any, Any]]]  # subprocesses, with the ids of their tasks


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
        if not is_run(run):
            return native(run)
        self._prepare(run)
        earlier = run.get(self.aliases.given.VERSION_KEY) in MIGRATIONS
        result = native(run)
        if earlier:
            name_processes(run)
        return result

    def restore(self, native: Callable[..., Any], value: Any, kwargs: dict[str, Any]) -> Any:
        if self.mapping is None and is_run(value):
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
    if is_run(value):
        require_run(value)
        raise Found(value)


def is_run(value: Any) -> bool:
    """Whether this is a run, damaged or not, and not something that contains a run."""
    return isinstance(value, dict) and "subprocesses" in value


class Found(BaseException):
    """Leaves the application's method when the run is found."""

    def __init__(self, run: dict[str, Any]) -> None:
        super().__init__()
        self.run = run
