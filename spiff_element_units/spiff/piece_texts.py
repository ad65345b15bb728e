"""The pieces of a state: the live piece, and one piece for each settled subprocess.

A state is one text, or several pieces that are stored separately. Each piece is a JSON text with a
checksum:

    {"checksum": "<16 hex>", "piece": {"id": "live", "pieces": <list>}, "state": {..}}
    {"checksum": "<16 hex>", "piece": {"id": "<task id>", "pieces": <list>}, "subprocess": {..}}

The live piece contains the state without its settled subprocesses. Every other piece contains one
settled subprocess, as the serializer writes it. A piece lists the settled subprocesses of its own
tasks, and not those further below:

    <list>  {"names": [[element name ..] ..],
             "settled": {"<task id>": [names, states, newest, flags, version] ..}}

    names    the index of a list in "names": the names of the elements that have tasks
    states   the states of the tasks, one bit each
    newest   when a task last changed its state, in seconds since 1970
    flags    1 if the piece lists others, plus 2 if iterating over its tasks changes the depth that
             SpiffWorkflow's iterator counts
    version  the number of the version that it settled on (see `versions`); left out if it is 0

The first four values describe a piece and everything below it.

If a state does not say which processes it has, the live piece that is split from it lists those of
the settled subprocesses. It then has "processes": [process id, ..] beside "pieces".

The checksum is XXH64 with seed 0 of the text that follows it, as UTF-8. It detects accidental
damage. It is not a signature.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable, NamedTuple, Optional, Union

from ..core.cut import Cut, checksum
from ..core.fault import Fault
from .state import StateError

LIVE = "live"
Read = Callable[[str], Union[str, bytes]]

Member = Union[int, str, tuple[str, str]]

_START = '{"checksum":"'
_DIGITS = 16
_CHECKED = len(_START) + _DIGITS  # where the text that the checksum covers starts
_DECODER = json.JSONDecoder()

LISTED_TWICE = "it is listed twice"


class Facts(NamedTuple):
    """What is known about a settled subprocess and everything below it without reading them."""

    names: frozenset[str]
    states: int
    newest: float
    has_children: bool
    drifts: bool
    version: int = 0  # the number of the version that it settled on


class Written(NamedTuple):
    """What is known about a settled subprocess that was written as a piece."""

    facts: Facts
    checksum: str  # "" for a piece that was not read
    caller: Optional[str]  # the id of the subprocess that has its task; None: the root, or unknown
    size: tuple[int, float]  # the number of its own tasks, and when one last changed its state
    success: Optional[bool] = None  # whether it was not cancelled; None: not known


def piece_text(piece_id: str, settled: Mapping[str, Facts], inner: str, **more: Any) -> str:
    """A piece: what it lists, and the text of the state or subprocess."""
    piece = {"id": piece_id, **({"pieces": write_list(settled)} if settled else {}), **more}
    key = "state" if piece_id == LIVE else "subprocess"
    rest = f'","piece":{json.dumps(piece)},"{key}":{inner}}}'
    return f"{_START}{checksum(rest):0{_DIGITS}x}{rest}"


def checksum_of(piece: str) -> str:
    """The checksum that is written in a piece."""
    return piece[len(_START) : _CHECKED]


def is_piece(text: Union[str, bytes]) -> bool:
    """Whether this is the text of a piece, and not of a whole state."""
    return text[: len(_START)] in (_START, _START.encode())


def content(piece: str) -> tuple[Any, str]:
    """What a good piece lists, and the text of the state or subprocess in it."""
    told, end = _DECODER.raw_decode(piece, _CHECKED + len('","piece":'))
    return told.get("pieces"), piece[piece.index(":", end) + 1 : -1]


def about(piece: str) -> dict[str, Any]:
    """What a good piece says of itself."""
    told: dict[str, Any] = _DECODER.raw_decode(piece, _CHECKED + len('","piece":'))[0]
    return told


def checked(read: Read, piece_id: str) -> str:
    """Read a piece and check it. Raises StateError if it cannot be read or is damaged."""
    try:
        text = read(piece_id)
        if isinstance(text, (bytes, bytearray, memoryview)):
            text = bytes(text).decode()
    except UnicodeDecodeError as error:
        raise damage(piece_id, "it is not UTF-8") from error
    except Exception as error:
        raise StateError(
            f"piece {piece_id!r} of the state cannot be read ({type(error).__name__}: {error}); "
            "check the read function, or restore the piece from a backup"
        ) from error
    if not isinstance(text, str):
        raise StateError(
            f"piece {piece_id!r} of the state is missing: the read function returned "
            f"{type(text).__name__}, not str or bytes; restore the piece from a backup"
        )
    try:
        right = f"{checksum(text, _CHECKED):0{_DIGITS}x}"
    except Fault as error:
        raise damage(piece_id, "it is not UTF-8") from error
    if text[: len(_START)] != _START or checksum_of(text) != right:
        raise damage(piece_id, "its checksum is missing or wrong")
    try:
        found = about(text)["id"]
    except (ValueError, LookupError, TypeError) as error:
        raise damage(piece_id, "it does not have the form of a piece") from error
    if found != piece_id:
        raise StateError(
            f"piece {piece_id!r} of the state is missing: the read function returned piece "
            f"{found!r}; return the piece of this instance that has the id"
        )
    return text


def damage(piece_id: str, reason: str) -> StateError:
    """The error for a damaged piece."""
    return StateError(
        f"piece {piece_id!r} of the state is damaged: {reason}; restore it from a backup, and "
        "store each piece as exactly the text that save_pieces or split returned"
    )


def write_list(settled: Mapping[str, Facts]) -> dict[str, Any]:
    """The list of a piece, from the facts about the settled subprocesses of its tasks."""
    kinds: dict[frozenset[str], int] = {}
    rows = {
        piece_id: [
            kinds.setdefault(facts.names, len(kinds)),
            facts.states,
            facts.newest,
            facts.has_children + 2 * facts.drifts,
            *([facts.version] if facts.version else ()),
        ]
        for piece_id, facts in settled.items()
    }
    return {"names": [sorted(names) for names in kinds], "settled": rows}


def read_list(listed: Any, piece_id: str) -> Iterator[tuple[str, Facts]]:
    """The settled subprocesses that a piece lists."""
    if listed is None:
        return
    try:
        names = [frozenset(some) for some in listed["names"]]
        for one, (kind, states, newest, flags, *rest) in listed["settled"].items():
            version = rest[0] if rest else 0
            if not isinstance(version, int) or version < 0:
                raise ValueError(version)
            yield one, Facts(names[kind], states, newest, bool(flags & 1), bool(flags & 2), version)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise damage(piece_id, "its list of other pieces is wrong") from error


def together(own: Facts, children: Iterable[Facts]) -> Facts:
    """The facts of a subprocess and all below it, given its own and those of its children."""
    names, states, newest, has_children, drifts, version = own
    for child in children:
        names = names | child.names
        states |= child.states
        newest = max(newest, child.newest)
        drifts = drifts or child.drifts
    return Facts(names, states, newest, has_children, drifts, version)


def settled_ids(cut: Cut) -> list[str]:
    """The ids of the settled subprocesses in a text."""
    return [cut.id(number) for number in range(len(cut)) if cut.is_settled(number)]


def process_names(cut: Cut, decode: Callable[[str], dict[str, Any]]) -> set[str]:
    """The names of the processes of the settled subprocesses in a text. This decodes each."""
    numbers = (number for number in range(len(cut)) if cut.is_settled(number))
    return {decode(cut.text(number))["spec"] for number in numbers}
