"""The start of a pack: what a reader needs to open it, and to return the unit that starts its root.

A store keeps it with the key, so that one request opens the key and returns its start unit:

    2 number of ranges; for each 8 offset in the pack, 4 length; then the bytes of all of them

The first range is the beginning of the pack. Nothing here needs a checksum: a pack checks each of
its parts, together with where it lies, and so also finds a range that is damaged or misplaced.
"""

from __future__ import annotations

import struct
from contextlib import suppress

from ..core.fault import Fault
from ..core.pack import Pack
from ..core.unit import unit

Windows = tuple[tuple[int, bytes], ...]
"""Offsets in a pack, and the bytes there."""

_COUNT = struct.Struct("<H")
_RANGE = struct.Struct("<QI")
_RANGES = 64
_USUAL = 64 * 1024  # bytes of all ranges, as far as the pack has so many
_MOST = 128 * 1024  # bytes that a start unit may need

LONGEST = _COUNT.size + _RANGES * _RANGE.size + _MOST + _USUAL


def encoded(whole: bytes) -> bytes:
    """The start of a pack with these bytes."""
    ranges = _joined(_needed(whole))
    rest = sum(length for _, length in ranges[1:])
    head = max(ranges[0][1], _USUAL - rest)
    ranges = _joined([(0, min(head, len(whole))), *ranges[1:]])
    table = b"".join(_RANGE.pack(*one) for one in ranges)
    parts = (whole[at : at + length] for at, length in ranges)
    return _COUNT.pack(len(ranges)) + table + b"".join(parts)


def decoded(content: bytes, size: int) -> Windows:
    """What a start says of a pack of this size. If the end is cut off, there is less."""
    if len(content) < _COUNT.size:
        return ()
    (count,) = _COUNT.unpack_from(content)
    at = _COUNT.size + count * _RANGE.size
    if len(content) < at:
        return ()
    windows = []
    for offset, length in _RANGE.iter_unpack(content[_COUNT.size : at]):
        windows.append((offset, content[at : at + min(length, max(size - offset, 0))]))
        at += length
    return tuple(windows)


def _needed(whole: bytes) -> list[tuple[int, int]]:
    """The ranges that a reader asks for, in its order, as far as they are not too much."""
    asked = [(0, min(len(whole), 1))]

    def read(offset: int, length: int) -> bytes:
        asked.append((offset, min(length, len(whole) - offset)))
        return whole[offset : offset + length]

    with suppress(Fault):
        pack = Pack(read, len(whole), "the pack")
        unit(pack, pack.root_id(), (), "calls", b'""')
    while len(asked) > _RANGES or sum(length for _, length in _joined(asked)) > _MOST:
        asked.pop()
    return asked


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same bytes in ranges that neither overlap nor touch."""
    joined: list[tuple[int, int]] = []
    for at, length in sorted(ranges):
        if joined and at <= sum(joined[-1]):
            before = joined[-1][0]
            joined[-1] = (before, max(sum(joined[-1]), at + length) - before)
        else:
            joined.append((at, length))
    return joined
