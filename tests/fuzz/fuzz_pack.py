"""Fuzzes reading: any bytes as a pack, with checksums that are right.

A fuzzer cannot guess checksums, but an attacker can compute them, so this puts them right. Every
question must get an answer or an error of ours. No byte outside the file may be read. Time and
memory are limited by the size of the file. Run it with `make fuzz`.
"""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Iterator
from struct import pack_into, unpack_from
from typing import Any, Callable

import xxhash

from spiff_element_units import CorruptPack, ElementUnits, ElementUnitsError
from spiff_element_units.cache.directory import check, content, read_pack
from spiff_element_units.core.pack import Pack

IDS = ["A", "B", "C", "x", "Start", "call", "embed", "in B", "none", "", "größe"]
ASKED = list(itertools.product(IDS[:6], IDS, ("calls", "all", "nothing")))

HEADER, CHECKSUM, SLOTS, SLOT, ENTRIES, ENTRY = 96, 8, 16, 24, 16, 32

TASKS = ",".join(f'"{name}":{{"typename":"T","script":"x"}}' for name in IDS)
SPECS = [f'{{"name":"{name}","typename":"P","task_specs":{{{TASKS}}}}}' for name in "ABC"]
OTHER = ElementUnits.from_json(
    '{"spec":%s,"subprocess_specs":{"B":%s,"C":%s},"x":[]}' % tuple(SPECS)  # noqa: UP031
)


def parts(data: bytearray, body: int) -> Iterator[tuple[int, int]]:
    """The offset and length of each part that the numbers in a pack name, as far as they fit."""
    count, _, process_buckets, element_buckets, tail, roster = unpack_from("<IIIIQQ", data, 56)
    lists, entries = [], []

    def row(at: int, number: int, length: int) -> Iterator[tuple[int, int]]:
        for _ in range(number):
            if body + at + length > len(data):
                return
            yield at, length
            at += length + CHECKSUM

    def slots(bucket: int) -> list[tuple[int, int]]:
        found = [unpack_from("<QI", data, body + bucket + SLOT * n + 8) for n in range(SLOTS)]
        return [(offset, 4 * number) for offset, number in found if number > 1]

    yield 0, tail
    at = tail + CHECKSUM
    for buckets, chunks in ((process_buckets, -(-count // ENTRIES)), (element_buckets, 0)):
        for bucket, length in row(at, buckets, SLOTS * SLOT):
            yield bucket, length
            lists += slots(bucket)
        at += buckets * (SLOTS * SLOT + CHECKSUM)
        for chunk, length in row(at, chunks, ENTRIES * ENTRY):
            yield chunk, length
            places = range(body + chunk, body + chunk + length, ENTRY)
            entries += [unpack_from("<QQI", data, place) for place in places]
        at += chunks * (ENTRIES * ENTRY + CHECKSUM)
    yield at, roster
    yield from lists
    for offset, spec, record in entries[:count]:
        yield offset, record
        yield offset + record + CHECKSUM, spec


def forged(content: bytes) -> bytes:
    """The same bytes as a pack of their length, with right checksums where a part can be found."""
    data = bytearray(content)
    if len(data) < HEADER + CHECKSUM:
        return content
    body = HEADER + unpack_from("<I", data, 12)[0] + CHECKSUM
    if body > len(data):
        return content
    pack_into("<Q", data, 16, len(data) - body)
    pack_into("<Q", data, body - CHECKSUM, xxhash.xxh64_intdigest(bytes(data[: body - CHECKSUM])))
    key = unpack_from("<Q", data, 24)[0]
    for offset, length in parts(data, body):
        end = body + offset + length
        if end + CHECKSUM <= len(data):
            part = bytes(data[body + offset : end])
            pack_into("<Q", data, end, xxhash.xxh64_intdigest(part, key ^ offset))
    return bytes(data)


def opened(data: bytes) -> ElementUnits:
    def read(offset: int, length: int) -> bytes:
        assert 0 <= offset <= offset + length <= len(data)
        return data[offset : offset + length]

    return ElementUnits._of(read_pack(read, len(data), "the pack"), None)


def asked(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except ElementUnitsError:
        return None


def ask_about_units(data: bytes, units: ElementUnits, asking: tuple[str, str, str]) -> None:
    process_id, element_id, defer = asking
    unit = asked(lambda: units.workflow(process_id, element_id, defer=defer))
    assert unit is None or len(unit) <= 2 * len(data) + 2_000
    asked(lambda: units.needs(process_id, element_id, defer=defer))


def ask(data: bytes, units: ElementUnits) -> None:
    """Ask everything about the workflow, and about some units that the bytes choose."""
    for question in (
        lambda: units.root,
        lambda: units.process_ids,
        lambda: units.subprocess_ids,
        lambda: check(units._use()),
        lambda: content(units._use(), ""),
    ):
        asked(question)
    chance = random.Random(zlib.crc32(data))
    for process_id in chance.sample(IDS, 3):
        for question in (
            units.element_ids,
            units.references,
            units.spec_json,
            units.process_digest,
        ):
            asked(lambda question=question, process_id=process_id: question(process_id))
    for asking in chance.sample(ASKED, 8):
        ask_about_units(data, units, asking)
    for old, new in ((units, OTHER), (OTHER, units)):
        asked(lambda old=old, new=new: str(old.diff(new)))


def one_input(content: bytes) -> bool:
    """Whether it could be opened."""
    data = forged(content)
    try:
        units = opened(data)
    except CorruptPack:
        return False
    ask(data, units)
    Pack.in_memory(data)  # good in a file, good in memory
    return True
