"""The blocks of a large pack, as `CachedStore` keeps them: each behind a checksum, in one file."""

from __future__ import annotations

from ..core.verify import xxh64_of
from .reading import BLOCK, PackName

SUM = 8  # bytes of a checksum
ROW = SUM + BLOCK


def sum_of(data: bytes, number: int) -> bytes:
    """The checksum of a block; it also says which block it is of."""
    return xxh64_of(data, number + 1).to_bytes(SUM, "little")


def length_of(pack: PackName, number: int) -> int:
    return min(BLOCK, pack.size - number * BLOCK)


def end_of(pack: PackName) -> int:
    """Where the digests are in the file of a pack."""
    return -(-pack.size // BLOCK) * ROW


def runs_of(numbers: list[int]) -> list[tuple[int, int]]:
    """The first and the last of each row of numbers that follow each other."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def part_of(
    pack: PackName, blocks: dict[int, bytes], digests: bytes, offset: int, length: int
) -> bytes:
    end = min(offset + length, pack.size)
    first, last = offset // BLOCK, -(-end // BLOCK)
    if last - first == 1 and offset + length <= pack.size:
        return blocks[first][offset - first * BLOCK : end - first * BLOCK]
    parts = [blocks[number] for number in range(first, last)]
    start = offset - first * BLOCK
    whole = b"".join(parts)[start : start + max(end - offset, 0)]
    if offset + length > pack.size:
        at = max(offset - pack.size, 0)
        whole += digests[at : offset + length - pack.size]
    return whole
