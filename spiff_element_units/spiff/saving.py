"""Writes a workflow as one text or as pieces. Settled subprocesses are not written again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Optional
from uuid import UUID

from ..core.cut import Cut, cut_state, splice
from .piece_texts import LIVE, Facts, Member, Written, checksum_of, piece_text
from .pieces import CutPieces, StatePieces, StoredPiece, StoredPieces
from .serializing import Serializing
from .splitting import ROOT, WRITES_COMPLETED, Split, split_cut, split_text
from .standin import FINISHED, is_unopened
from .state import StateError
from .subprocesses import Subprocesses
from .versions import Telling


def whole_text(
    serializing: Serializing,
    workflow: Any,
    header: dict[str, Any],
    telling: Telling,
    to_dict: bool = False,
) -> Any:
    """The state of a workflow as one text; unopened pieces are put in as they were.

    With `to_dict`, it is JSON whatever the serializer's `serialize_json` does.
    """
    subprocesses = workflow.subprocesses
    held = isinstance(subprocesses, Subprocesses)
    if held and isinstance(subprocesses.restorer.pieces, StoredPieces) and telling.has_earlier:
        _members(subprocesses)  # which meets all of them
        telling.add(subprocesses.restorer.pieces.versions)
    header = {**header, **telling.header(in_text=True)}
    if held and serializing.leaves_out:
        head = serializing.write(workflow, header, subprocesses.living, to_dict)
        pieces = subprocesses.restorer.pieces
        cut = pieces.cut if isinstance(pieces, CutPieces) else None
        text = splice(head, _members(subprocesses), cut)
        if text is not None:
            return text
    return serializing.write(workflow, header, None, to_dict)


def _members(subprocesses: Subprocesses) -> list[Member]:
    """Where the text of each subprocess is, in the order of the subprocesses."""
    members: list[Member] = []
    for key, piece, alone in subprocesses.in_order():
        if piece is None:
            members.append(str(key))
        elif alone:
            members.extend(piece.members())
        else:
            members.append(piece.member)
    return members


def workflow_pieces(
    serializing: Serializing,
    workflow: Any,
    header: dict[str, Any],
    telling: Telling,
    since: Optional[StatePieces],
) -> StatePieces:
    """What changed in the pieces of a workflow since it was resumed, or since `since`.

    Raises StateError if what the serializer writes cannot be split into pieces.
    """
    if not serializing.leaves_out:
        raise StateError(
            "the state cannot be split into pieces, because the application's serializer, its "
            "converter for workflows or its subworkflow class overrides a method that pieces need; "
            "use save, which returns one text"
        )
    kept = _Kept(workflow, {} if since is None else since.settled, telling)
    before = kept.baseline
    gone: frozenset[str] = frozenset()
    if since is not None:
        # What is below a piece that was unopened then is not in `since`, but in the baseline.
        gone = since.gone
        before = {one: known for one, known in before.items() if one not in gone}
        for one, written in since.settled.items():
            before[one] = written.checksum or before.get(one, "")
    head = serializing.write(workflow, {**header, **telling.header(in_text=False)}, kept.others)
    cut = cut_state(head, WRITES_COMPLETED)
    if cut is None:  # only `json` reads some of the data, such as a number of a thousand digits
        new = split_text(whole_text(serializing, workflow, header, telling))
        return _since(before, new.changed, new.settled, gone)

    def number(caller: Optional[UUID]) -> Any:
        return ROOT if caller is None else cut.find(str(caller))

    below = {number(caller): listed for caller, listed in kept.listed.items()}
    split = split_cut(cut, telling.number, below, {number(caller) for caller in kept.drifting})
    after = {**kept.written, **kept.seen(split.written)}
    live = {LIVE: piece_text(LIVE, split.listed, cut.head())}
    return _since(before, {**live, **kept.texts, **split.texts}, after, gone)


def _since(
    before: Mapping[str, str],
    texts: Mapping[str, str],
    after: Mapping[str, Written],
    gone: frozenset[str],
) -> StatePieces:
    """The difference between the pieces that were there, by their checksums, and those now."""
    changed = {
        one: text
        for one, text in texts.items()
        if one == LIVE or before.get(one) != checksum_of(text)
    }
    removed = tuple(one for one in before if one not in after)
    return StatePieces(changed, removed, after, gone.union(removed))


class _Kept:
    """The settled subprocesses of a workflow that need not be converted again.

    These are the unopened ones. The opened ones are among them if they were written before
    (`since`) and have the same subprocesses, no further tasks and no newer changes now.
    """

    def __init__(self, workflow: Any, since: Mapping[str, Written], telling: Telling) -> None:
        self._telling = telling
        self.written: dict[str, Written] = {}
        self.texts: dict[str, str] = {}  # of those that are not stored as pieces yet
        self.listed: dict[Optional[UUID], dict[str, Facts]] = {}  # by the task of the caller
        self.drifting: set[Optional[UUID]] = set()
        self._since = since
        self._subprocesses: dict[UUID, Any] = workflow.subprocesses
        self._callers: dict[UUID, Any] = {}  # the process that has a task
        self._kept: set[UUID] = set()
        self._text: Optional[Split] = None
        self._find_callers(workflow)
        for key in reversed(list(self._callers)):
            self._keep(key)
        for key in self._callers:
            if key in self._kept:
                self._list(key, self._callers[key])

    def others(self) -> Iterator[tuple[UUID, Any]]:
        """The subprocesses that must be converted, in their order."""
        subprocesses: Any = self._subprocesses
        listed = (
            subprocesses.living()
            if isinstance(subprocesses, Subprocesses)
            else subprocesses.items()
        )
        return (pair for pair in listed if pair[0] not in self._kept)

    def seen(self, written: Mapping[str, Written]) -> dict[str, Written]:
        """What is known about converted subprocesses, and whether each was cancelled."""
        return {
            one: known._replace(success=dict.__getitem__(self._subprocesses, UUID(one)).success)
            for one, known in written.items()
        }

    @property
    def baseline(self) -> dict[str, str]:
        """The checksums of the pieces that the workflow was resumed from; "" if not read yet."""
        pieces = getattr(getattr(self._subprocesses, "restorer", None), "pieces", None)
        if not isinstance(pieces, StoredPieces):
            return {}
        return {one: piece.checksum for one, piece in pieces.known.items()}

    def _find_callers(self, workflow: Any) -> None:
        waiting = [workflow]
        while waiting:
            process = waiting.pop()
            for task_id in process.tasks:
                subprocess = dict.get(self._subprocesses, task_id)
                if subprocess is not None:
                    self._callers[task_id] = process
                    if not is_unopened(subprocess):
                        waiting.append(subprocess)

    def _keep(self, key: UUID) -> None:
        subprocess = dict.__getitem__(self._subprocesses, key)
        if is_unopened(subprocess):
            self._kept.add(key)
            self._keep_piece(subprocess._piece)
        elif str(key) in self._since and self._is_as_then(subprocess, str(key)):
            self._kept.add(key)
            self.written[str(key)] = self._since[str(key)]

    def _is_as_then(self, subprocess: Any, piece_id: str) -> bool:
        tasks, then = subprocess.tasks, self._since[piece_id]
        below = [one for one in tasks if one in self._callers]
        return (
            len(tasks) == then.size[0]
            and subprocess.success is then.success
            and getattr(subprocess, "completed", True)
            and all(task._state & FINISHED for task in tasks.values())
            and max(task.last_state_change for task in tasks.values()) == then.size[1]
            and all(one in self._kept for one in below)
            and set(map(str, below)) == set(self._callees.get(piece_id, ()))
        )

    def _keep_piece(self, piece: Any) -> None:
        below = [str(piece.task_id)]
        for one in below:
            if one in self._since:
                self.written[one] = self._since[one]
                below.extend(self._callees.get(one, ()))
        if isinstance(piece, StoredPiece):  # further pieces may be known since then
            self.written = {**piece.written(), **self.written}
            return
        if below[0] in self.written:
            return
        split = self._split(piece.source.cut)
        for one in piece.ids():
            self.written[one] = split.written[one]
            self.texts[one] = split.texts[one]

    def _split(self, cut: Cut) -> Split:
        if self._text is None:  # all unopened pieces of a workflow are of one text
            self._text = split_cut(cut, self._telling.number, {})
        return self._text

    @cached_property
    def _callees(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for one, written in self._since.items():
            if written.caller is not None:
                found.setdefault(written.caller, []).append(one)
        return found

    def _list(self, key: UUID, caller: Any) -> None:
        caller_key = caller.parent_task_id
        written = self.written[str(key)]
        self.written[str(key)] = written._replace(caller=caller_key and str(caller_key))
        if caller_key not in self._kept:
            self.listed.setdefault(caller_key, {})[str(key)] = written.facts
            if not caller.tasks[key]._children:
                self.drifting.add(caller_key)
