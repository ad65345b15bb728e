"""The settled subprocesses of an instance, as long as nobody looks into them.

They are in the text of its state, or in pieces that are stored separately (see `piece_texts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, Optional
from uuid import UUID

from ..core.cut import Cut
from .piece_texts import (
    LISTED_TWICE,
    Facts,
    Member,
    Read,
    Written,
    about,
    checked,
    checksum_of,
    content,
    damage,
    process_names,
    read_list,
    settled_ids,
)


@dataclass(frozen=True)
class StatePieces:
    """The result of `SpecLoader.save_pieces` and `SpecLoader.split`: what to write and delete.

    `changed` contains the text of each piece that you write, by its id. The id is "live", which is
    always there, or the id of the task that the settled subprocess belongs to. `removed` contains
    the ids of the pieces that you delete. Write and delete in one transaction.
    """

    changed: Mapping[str, str]
    removed: tuple[str, ...] = ()
    settled: Mapping[str, Written] = field(default_factory=dict, repr=False)
    gone: frozenset[str] = field(default=frozenset(), repr=False)  # by this and earlier saves


class CutPiece:
    """A settled subprocess in the text of a state."""

    __slots__ = ("_children", "number", "parent", "source", "task_id")

    def __init__(self, source: CutPieces, number: int, parent: Any, task_id: UUID) -> None:
        self.source = source
        self.number = number
        self.parent: Optional[CutPiece] = parent
        self.task_id = task_id
        self._children: Optional[list[CutPiece]] = None

    @property
    def children(self) -> Sequence[CutPiece]:
        if self._children is None:
            cut = self.source.cut
            self._children = [
                CutPiece(self.source, number, self, UUID(cut.id(number)))
                for number in cut.children(self.number)
            ]
        return self._children

    @property
    def has_children(self) -> bool:
        return bool(self.source.cut.children(self.number))

    @property
    def drifts(self) -> bool:
        return self.source.cut.drifts(self.number)

    @property
    def version(self) -> Optional[int]:
        return None  # the header of the state says it

    @property
    def typename(self) -> Optional[str]:
        return self.source.cut.typename(self.number)

    @property
    def text(self) -> str:
        """The subprocess as JSON text."""
        return self.source.cut.text(self.number)

    @property
    def member(self) -> Member:
        """Where its text is, for `core.cut.splice`."""
        return self.number

    def members(self) -> Iterator[Member]:
        """The same for this piece and all below it, in their order."""
        return self._numbers()

    def _numbers(self) -> Iterator[int]:
        children = self.source.cut.children
        waiting = [self.number]
        while waiting:
            number = waiting.pop()
            yield number
            waiting.extend(reversed(children(number)))

    def ids(self) -> list[str]:
        """The ids of this piece and all below it."""
        return [self.source.cut.id(number) for number in self._numbers()]

    def may_match(self, state: int, updated_ts: float, spec_name: Optional[str]) -> bool:
        return self.number in self.source.matching(state, updated_ts, spec_name)

    def has_task(self, task_id: UUID) -> bool:
        return self.source.cut.holder(str(task_id)) == self.number

    def decoded(self) -> dict[str, Any]:
        return self.source.decode(self.text)


class CutPieces:
    """The settled subprocesses in the text of one state."""

    def __init__(self, cut: Cut, decode: Callable[[str], dict[str, Any]]) -> None:
        self.cut = cut
        self.decode = decode
        self._matching: dict[Any, set[int]] = {}

    def of_task(self, task_id: UUID) -> Optional[CutPiece]:
        """The settled subprocess of a task of a living process."""
        number = self.cut.find(str(task_id))
        if number is None or not self.cut.is_settled(number):
            return None
        return CutPiece(self, number, None, task_id)

    def matching(self, state: int, updated_ts: float, spec_name: Optional[str]) -> set[int]:
        """The numbers of the pieces in which, or below which, a task may match."""
        key = state, updated_ts, spec_name
        found = self._matching.get(key)
        if found is None:
            found = self._matching[key] = set()
            for number in self.cut.matching(state, spec_name, updated_ts):
                above: Optional[int] = number
                while above is not None and above >= 0 and above not in found:
                    found.add(above)
                    above = self.cut.parent(above)
        return found

    def find(self, pieces: Sequence[CutPiece], task_id: UUID) -> Optional[CutPiece]:
        """The piece that has a task: one of these, or one below them."""
        path: list[int] = []
        number = self.cut.holder(str(task_id))
        while number is not None and number >= 0:
            path.append(number)
            number = self.cut.parent(number)
        found: Optional[CutPiece] = None
        for one in reversed(path):
            below = pieces if found is None else found.children
            found = next((piece for piece in below if piece.number == one), found)
        return found if found is not None and found.number == path[0] else None

    def may_have(self, task_id: Any) -> bool:
        return self.cut.find(str(task_id)) is not None

    def head(self) -> Any:
        """The state without them."""
        return self.decode(self.cut.head())

    def ids(self) -> list[str]:
        """The ids of all."""
        return settled_ids(self.cut)

    def process_names(self) -> set[str]:
        """The names of their processes. This decodes each of them."""
        return process_names(self.cut, self.decode)


class StoredPiece:
    """A settled subprocess that is stored separately and read when somebody looks into it."""

    __slots__ = ("_children", "_source", "_text", "facts", "id", "parent", "task_id")

    def __init__(
        self, source: StoredPieces, piece_id: str, facts: Facts, parent: Optional[StoredPiece]
    ) -> None:
        self._source = source
        self.id = piece_id
        self.facts = facts
        self.parent = parent
        self.task_id = UUID(piece_id)
        self._text: Optional[str] = None
        self._children: Optional[list[StoredPiece]] = None

    @property
    def children(self) -> Sequence[StoredPiece]:
        if not self.facts.has_children:
            return ()
        if self._children is None:
            listed = read_list(content(self.text)[0], self.id)
            self._children = [self._source.made(one, facts, self) for one, facts in listed]
        return self._children

    @property
    def has_children(self) -> bool:
        return self.facts.has_children

    @property
    def drifts(self) -> bool:
        return self.facts.drifts

    @property
    def version(self) -> Optional[int]:
        return self.facts.version

    @property
    def typename(self) -> Optional[str]:
        return self.decoded().get("typename")

    @property
    def text(self) -> str:
        """The whole piece as it is stored. It is read and checked on first use."""
        if self._text is None:
            self._text = checked(self._source.read, self.id)
        return self._text

    @property
    def member(self) -> Member:
        """Its id and text, for `core.cut.splice`."""
        return self.id, content(self.text)[1]

    def members(self) -> Iterator[Member]:
        """The same for this piece and all below it, in their order."""
        waiting: list[StoredPiece] = [self]
        while waiting:
            piece = waiting.pop()
            yield piece.member
            waiting.extend(reversed(piece.children))

    @property
    def checksum(self) -> str:
        """Its checksum; "" if it was not read."""
        return "" if self._text is None else checksum_of(self._text)

    def written(self) -> dict[str, Written]:
        """What is known about this piece and about the pieces below it that were read from it."""
        met: list[StoredPiece] = [self]
        for piece in met:
            met.extend(piece._children or ())
        return {
            piece.id: Written(
                piece.facts, piece.checksum, piece.parent.id if piece.parent else None, (0, 0.0)
            )
            for piece in met
        }

    def may_match(self, state: int, updated_ts: float, spec_name: Optional[str]) -> bool:
        facts = self.facts
        return bool(
            facts.states & state
            and facts.newest >= updated_ts
            and (spec_name is None or spec_name in facts.names)
        )

    def has_task(self, task_id: UUID) -> bool:
        return str(task_id) in self.decoded()["tasks"]

    def decoded(self) -> dict[str, Any]:
        text = content(self.text)[1]
        try:
            decoded: Any = self._source.decode(text)
        except (ValueError, RecursionError) as error:
            raise damage(self.id, "it does not contain a subprocess") from error
        if not isinstance(decoded, dict) or not isinstance(decoded.get("tasks"), dict):
            raise damage(self.id, "it does not contain a subprocess")
        return decoded


class StoredPieces:
    """The settled subprocesses of one instance that are stored separately."""

    def __init__(self, read: Read, decode: Callable[[str], dict[str, Any]], live: str) -> None:
        self.read = read
        self.decode = decode
        self.live = live  # the text of the live piece
        self.known: dict[str, StoredPiece] = {}  # those that are listed in a piece that was read

    def of_task(self, task_id: UUID) -> Optional[StoredPiece]:
        """The settled subprocess of a task of a living process."""
        piece = self.known.get(str(task_id))
        return piece if piece is not None and piece.parent is None else None

    def find(self, pieces: Sequence[StoredPiece], task_id: UUID) -> Optional[StoredPiece]:
        """The piece that has a task: one of these, or one below them. This reads the pieces."""
        waiting = list(reversed(pieces))
        while waiting:
            piece = waiting.pop()
            if piece.has_task(task_id):
                return piece
            waiting.extend(reversed(piece.children))
        return None

    def may_have(self, task_id: Any) -> bool:
        """Whether a task may have a piece."""
        return True

    def head(self) -> Any:
        """The state without them."""
        return self.decode(content(self.live)[1])

    def ids(self) -> list[str]:
        """The ids of the known pieces."""
        return list(self.known)

    def versions(self, now: int) -> dict[str, int]:
        """The versions that the known pieces settled on, by number; without those of `now`."""
        facts = {one: piece.facts.version for one, piece in self.known.items()}
        return {one: number for one, number in facts.items() if number < now}

    def process_names(self) -> Optional[list[str]]:
        """The names of their processes; None if the live piece does not tell them."""
        found: Optional[list[str]] = about(self.live).get("processes")
        return found

    def made(self, piece_id: str, facts: Facts, parent: Optional[StoredPiece]) -> StoredPiece:
        if piece_id in self.known:
            raise damage(piece_id, LISTED_TWICE)
        try:
            piece = self.known[piece_id] = StoredPiece(self, piece_id, facts, parent)
        except ValueError as error:
            raise damage(piece_id, "its id is not that of a task") from error
        return piece
