"""The `subprocesses` of a workflow, with stand-ins for the settled ones."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Callable, Optional, Protocol
from uuid import UUID

from .standin import Piece, is_unopened, opening, raw_dict, set_class, stand_in_class

_MISSING: Any = object()
# The modules whose code looks for subprocesses while an instance runs.
_WALKS = frozenset(
    "SpiffWorkflow.bpmn." + name
    for name in ("workflow", "util.task", "util.event", "specs.mixins.subworkflow_task")
)


class Restorer(Protocol):
    """Opens pieces. The loader provides it."""

    pieces: Any  # the source of the pieces: `CutPieces` or `StoredPieces`

    def native_class(self, piece: Piece) -> type[Any]:
        """The class of the subprocess."""
        ...

    def spec(self, piece: Piece, task: Any, top_workflow: Any) -> Any:
        """The spec of the subprocess of a task."""
        ...

    def restore(self, piece: Piece, task: Any, top_workflow: Any) -> Any:
        """Restore the subprocess of `task` as the serializer does it."""
        ...

    def find(self, pieces: Sequence[Piece], task_id: UUID) -> Optional[Piece]:
        """The piece that has a task: one of these, or one below them."""
        ...

    def may_have(self, task_id: Any) -> bool:
        """Whether a task may have a piece."""
        ...


class Subprocesses(dict[UUID, Any]):
    """The `subprocesses` of a workflow, with stand-ins for the settled ones.

    To everybody it is the dict of a workflow that was restored as a whole, with the same order of
    keys. The pieces below an unopened piece are added when somebody looks for them: iterates over
    the dict, or asks for a key that may belong to one of them.
    """

    def __init__(
        self, workflow: Any, restorer: Restorer, adopt: Callable[[Any, Subprocesses], None]
    ) -> None:
        super().__init__()
        self.restorer = restorer
        self.unlogged = False  # whether no logger wants what is collected for it
        self.listing_for_nobody = False
        self.drifting = False  # whether a piece was ever in here that drifts
        self._workflow = workflow
        self._adopt = adopt
        self._living: dict[UUID, Any] = {}  # those that are not stand-ins
        self._pieces: dict[UUID, Piece] = {}  # of each key that is or was a piece
        self._unlisted: dict[UUID, Piece] = {}  # those whose children are not in this dict yet
        self._known_only = 0
        self._ordered = True

    # Content

    @property
    def unopened(self) -> Iterator[Piece]:
        """The unopened pieces in this dict. The pieces below them may not be in it yet."""
        return (sp._piece for sp in dict.values(self) if is_unopened(sp))

    def add_piece(self, piece: Piece, parent: Any) -> None:
        """Add a stand-in for a piece. `parent` is the workflow that has its task."""
        native: Any = self.restorer.native_class(piece)
        stand_in = object.__new__(stand_in_class(native))
        raw_dict(stand_in).update(
            completed=True,
            parent_task_id=piece.task_id,
            top_workflow=self._workflow,
            _piece=piece,
            _parent=parent,
            _subprocesses=self,
        )
        dict.__setitem__(self, piece.task_id, stand_in)
        self._pieces[piece.task_id] = piece
        self.drifting = self.drifting or piece.drifts
        if piece.has_children:
            self._unlisted[piece.task_id] = piece

    def spec(self, stand_in: Any) -> Any:
        """The spec of the subprocess that it stands for. This opens the stand-ins above it."""
        task = stand_in._parent.tasks[stand_in.parent_task_id]
        return self.restorer.spec(stand_in._piece, task, self._workflow)

    def open(self, stand_in: Any) -> Any:
        """Turn a stand-in into the subprocess that it stands for, and return this same object."""
        if not is_unopened(stand_in):
            return stand_in
        piece: Piece = stand_in._piece
        self._list_children(piece)
        task = stand_in._parent.tasks[piece.task_id]
        with opening(stand_in):
            restored = self.restorer.restore(piece, task, self._workflow)
        if not is_unopened(stand_in):  # restoring it has opened it already
            return stand_in
        attributes = raw_dict(stand_in)
        attributes.clear()
        attributes.update(vars(restored))
        set_class(stand_in, type(restored))
        self._living[piece.task_id] = stand_in
        for own in stand_in.tasks.values():
            own.workflow = stand_in
        stand_in.completed_event.connect(task.task_spec._on_subworkflow_completed, task)
        self._adopt(stand_in, self)
        return stand_in

    def open_with_all_below(self, key: Any) -> None:
        """Open the subprocess of a task and all below it, before they lose their place."""
        waiting = [key]
        while waiting:
            subprocess = dict.get(self, waiting.pop())
            if subprocess is not None:
                self.open(subprocess)
                waiting.extend(getattr(subprocess, "tasks", ()))

    def list_all(self) -> None:
        """Add all pieces below unopened ones, and put all keys in order."""
        while self._unlisted:
            self._list_children(next(iter(self._unlisted.values())))
        self._put_in_order()

    def _list_children(self, piece: Piece) -> None:
        if self._unlisted.pop(piece.task_id, None) is None:
            return
        parent = dict.get(self, piece.task_id)
        for child in piece.children:
            self.add_piece(child, parent)
        self._ordered = False

    def _order(self) -> None:
        """Put each piece after the one that has its task, in the order of restoring."""
        content = dict(dict.items(self))
        dict.clear(self)
        for key in content:
            if not dict.__contains__(self, key):
                self._put_with_children(key, content)

    def _put_with_children(self, first: UUID, content: dict[UUID, Any]) -> None:
        waiting = [first]
        while waiting:
            key = waiting.pop()
            dict.__setitem__(self, key, content[key])
            piece = self._pieces.get(key)
            if piece is not None and piece.has_children and key not in self._unlisted:
                below = [child.task_id for child in piece.children]
                waiting.extend(
                    one for one in reversed(below) if one in content and one in self._pieces
                )

    def opened(self) -> Iterable[Any]:
        """The subprocesses that are not stand-ins."""
        return self._living.values()

    def living(self) -> Iterator[tuple[UUID, Any]]:
        """Each subprocess that is not a stand-in, with its key, in order."""
        self._put_in_order()
        return ((key, one) for key, one in dict.items(self) if key in self._living)

    def in_order(self) -> Iterator[tuple[UUID, Optional[Piece], bool]]:
        """Each key, its unopened piece or None, and whether the pieces below are not added yet."""
        self._put_in_order()
        for key, one in dict.items(self):
            piece = one._piece if is_unopened(one) else None
            yield key, piece, key in self._unlisted

    def _put_in_order(self) -> None:
        if not self._ordered:
            self._ordered = True
            self._order()

    # For the engine's own walks

    @contextmanager
    def known_only(self) -> Iterator[None]:
        """While this lasts, the engine looks only at the subprocesses that are listed.

        What it needs is never below an unopened one. Code of the application that the engine calls
        still sees all subprocesses.
        """
        self._known_only += 1
        try:
            yield
        finally:
            self._known_only -= 1

    def find(self, task_id: UUID) -> Any:
        """The task with this id in a subprocess, which is opened for it; None if there is none."""
        for subprocess in self._living.values():
            task = subprocess.get_task_from_id(task_id)
            if task is not None:
                return task
        piece = self.restorer.find(list(self.unopened), task_id)
        if piece is None:
            return None
        return self._in_sight(piece).get_task_from_id(task_id)

    def _in_sight(self, piece: Piece) -> Any:
        """The stand-in of a piece. It is added if necessary."""
        above = [piece]
        while above[-1].task_id not in self._pieces and above[-1].parent is not None:
            above.append(above[-1].parent)
        for one in reversed(above):
            self._list_children(one)
        return dict.__getitem__(self, piece.task_id)

    def _look_below(self) -> None:
        if not (self._known_only and _asked_by_engine()):
            self.list_all()

    def _may_be_below(self, key: Any) -> bool:
        """Whether a key that is not in this dict may belong to a piece below an unopened one."""
        if not self._unlisted or not self.restorer.may_have(key):
            return False
        if self._known_only and _asked_by_engine():
            return False
        living = (self._workflow, *self._living.values())
        return not any(key in subprocess.tasks for subprocess in living)

    # The methods of a dict

    def __contains__(self, key: object) -> bool:
        if dict.__contains__(self, key):
            return True
        if self._may_be_below(key):
            self.list_all()
        return dict.__contains__(self, key)

    def __getitem__(self, key: UUID) -> Any:
        if key not in self:
            raise KeyError(key)
        return dict.__getitem__(self, key)

    def get(self, key: Any, default: Any = None) -> Any:
        found = dict.get(self, key, _MISSING)
        if found is not _MISSING:
            return found
        return dict.get(self, key, default) if key in self else default

    def __setitem__(self, key: UUID, subprocess: Any) -> None:
        if key not in self:
            self._pieces.pop(key, None)
        dict.__setitem__(self, key, subprocess)
        if not is_unopened(subprocess):
            self._living[key] = subprocess
            self._adopt(subprocess, self)

    def __delitem__(self, key: UUID) -> None:
        self.pop(key)

    def pop(self, key: UUID, *default: Any) -> Any:
        if key not in self:
            return dict.pop(self, key, *default)
        self.open_with_all_below(key)
        self._living.pop(key, None)
        return dict.pop(self, key)

    def popitem(self) -> tuple[UUID, Any]:
        self.list_all()
        if not len(self):
            raise KeyError("popitem(): dictionary is empty")
        key = next(reversed(self))
        return key, self.pop(key)

    def clear(self) -> None:
        for key in list(self):
            self.pop(key)

    def setdefault(self, key: UUID, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return dict.__getitem__(self, key)

    def update(self, *args: Any, **kwargs: Any) -> None:
        given: dict[Any, Any] = dict(*args, **kwargs)
        for key, subprocess in given.items():
            self[key] = subprocess

    def __ior__(self, other: Any) -> Subprocesses:  # type: ignore[override]
        self.update(other)
        return self

    def __iter__(self) -> Iterator[UUID]:
        self._look_below()
        return dict.__iter__(self)

    def __reversed__(self) -> Iterator[UUID]:
        self._look_below()
        return dict.__reversed__(self)

    def __len__(self) -> int:
        self._look_below()
        return dict.__len__(self)

    def __bool__(self) -> bool:
        return dict.__len__(self) > 0

    def keys(self) -> Any:
        self._look_below()
        return dict.keys(self)

    def values(self) -> Any:
        self._look_below()
        return dict.values(self)

    def items(self) -> Any:
        self._look_below()
        return dict.items(self)

    def copy(self) -> dict[UUID, Any]:
        self._look_below()
        return dict(dict.items(self))

    __copy__ = copy

    def __or__(self, other: Any) -> Any:
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.copy()

    def __eq__(self, other: object) -> bool:
        self._look_below()
        return dict.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __repr__(self) -> str:
        self._look_below()
        return dict.__repr__(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        self.list_all()
        return dict, (), None, None, iter(dict.items(self))


def _asked_by_engine() -> bool:
    """Whether a walk of the engine has called the method of `Subprocesses` that asks this.

    A listener may use other code of SpiffWorkflow, such as the serializer, or look for any task.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals is globals():
        frame = frame.f_back
    walks = frame.f_globals.get("__name__") in _WALKS
    return walks and frame.f_code.co_name != "get_task_from_id"
