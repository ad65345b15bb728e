"""Packs taken apart in plain Python, by the table in the docstring of `core.pack`.

`Dissected` reads that table, checksums included. It can change numbers and write right checksums
for them. So it makes packs that our writer would never write.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from struct import pack_into, unpack_from
from typing import Any, Callable, NamedTuple

from spiff_element_units import CorruptPack, ElementUnits, ElementUnitsError
from spiff_element_units.cache.directory import check, content, read_pack

MASK = 2**64 - 1


def siphash13(k0: int, k1: int, data: bytes) -> int:
    """SipHash with one round for each word and three at the end (Aumasson, Bernstein, 2012)."""
    a, b = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D
    c, d = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573

    def rotated(x: int, bits: int) -> int:
        return (x << bits | x >> (64 - bits)) & MASK

    def mixed(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
        a = (a + b) & MASK
        b = rotated(b, 13) ^ a
        a = rotated(a, 32)
        c = (c + d) & MASK
        d = rotated(d, 16) ^ c
        a = (a + d) & MASK
        d = rotated(d, 21) ^ a
        c = (c + b) & MASK
        b = rotated(b, 17) ^ c
        return a, b, rotated(c, 32), d

    padded = data + bytes(-(len(data) + 1) % 8) + bytes([len(data) & 0xFF])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        a, b, c, d = mixed(a, b, c, d ^ word)
        a ^= word
    c ^= 0xFF
    for _ in range(3):
        a, b, c, d = mixed(a, b, c, d)
    return a ^ b ^ c ^ d


PRIMES = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)


def xxh64(seed: int, data: bytes) -> int:
    """XXH64 (Collet, "xxHash fast digest algorithm")."""
    one, two, three, four, five = PRIMES

    def rotated(x: int, bits: int) -> int:
        x &= MASK
        return (x << bits | x >> (64 - bits)) & MASK

    def mixed(lane: int, word: int) -> int:
        return rotated(lane + word * two, 31) * one & MASK

    def word(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "little")

    at, end, hashed = 0, len(data), seed + five
    if end >= 32:
        lanes = [seed + one + two, seed + two, seed, seed - one]
        for at in range(0, end - 31, 32):
            lanes = [mixed(lane, word(at + 8 * n, 8)) for n, lane in enumerate(lanes)]
        at += 32
        hashed = sum(rotated(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18)))
        for lane in lanes:
            hashed = (hashed ^ mixed(0, lane)) * one + four & MASK
    hashed = (hashed + end) & MASK
    for rest in range(at, end - 7, 8):
        hashed = rotated(hashed ^ mixed(0, word(rest, 8)), 27) * one + four & MASK
    at = end - end % 8
    if end % 8 >= 4:
        hashed = rotated(hashed ^ word(at, 4) * one & MASK, 23) * two + three & MASK
        at += 4
    for byte in data[at:]:
        hashed = rotated(hashed ^ byte * five & MASK, 11) * one & MASK
    hashed = (hashed ^ hashed >> 33) * two & MASK
    hashed = (hashed ^ hashed >> 29) * three & MASK
    return hashed ^ hashed >> 32


# The layout


class Part(NamedTuple):
    name: str
    offset: int  # in the body
    length: int


HEADER, CHECKSUM, SLOTS, SLOT, ENTRIES, ENTRY = 96, 8, 16, 24, 16, 32
HEADER_NUMBERS = {
    "format": (8, "<I"),
    "key length": (12, "<I"),
    "body": (16, "<Q"),
    "processes": (56, "<I"),
    "root": (60, "<I"),
    "process buckets": (64, "<I"),
    "element buckets": (68, "<I"),
    "tail": (72, "<Q"),
    "roster": (80, "<Q"),
    "lists": (88, "<Q"),
}


class Dissected:
    """The bytes of a pack, and the places of its parts."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.body = HEADER + self.header("key length") + CHECKSUM
        self.keys = unpack_from("<QQ", data, 24)
        self.parts = list(self.find_parts())

    def header(self, name: str) -> int:
        at, width = HEADER_NUMBERS[name]
        return unpack_from(width, self.data, at)[0]

    def part(self, name: str) -> Part:
        return next(part for part in self.parts if part.name == name)

    def numbers(self, part: Part) -> list[int]:
        return list(unpack_from(f"<{part.length // 4}I", self.data, self.body + part.offset))

    def payload(self, part: Part) -> bytes:
        return bytes(self.data[self.body + part.offset :][: part.length])

    def find_parts(self) -> Iterator[Part]:
        yield Part("tail", 0, self.header("tail"))
        at = self.header("tail") + CHECKSUM
        lists = []
        for directory in ("process", "element"):
            for bucket in range(self.header(f"{directory} buckets")):
                yield Part(f"{directory} bucket {bucket}", at, SLOTS * SLOT)
                lists += self.lists_of(self.body + at)
                at += SLOTS * SLOT + CHECKSUM
            if directory == "process":
                table = self.body + at
                for chunk in range(-(-self.header("processes") // ENTRIES)):
                    yield Part(f"table {chunk}", at, ENTRIES * ENTRY)
                    at += ENTRIES * ENTRY + CHECKSUM
        yield Part("roster", at, self.header("roster"))
        for number, (offset, length) in enumerate(lists):
            yield Part(f"list {number}", offset, length)
        for index in range(self.header("processes")):
            entry = table + index // ENTRIES * (ENTRIES * ENTRY + CHECKSUM)
            entry += index % ENTRIES * ENTRY
            offset, spec, record = unpack_from("<QQI", self.data, entry)
            yield Part(f"record {index}", offset, record)
            yield Part(f"spec {index}", offset + record + CHECKSUM, spec)

    def lists_of(self, bucket: int) -> list[tuple[int, int]]:
        slots = [unpack_from("<QQII", self.data, bucket + SLOT * n) for n in range(SLOTS)]
        return [(offset, 4 * count) for _, offset, count, _ in slots if count > 1]

    def order(self) -> list[tuple[int, int]]:
        """(rank, run) of each process."""
        chunks = [part for part in self.parts if part.name.startswith("table")]
        table = b"".join(self.payload(chunk) for chunk in chunks)
        return [
            unpack_from("<II", table, index * ENTRY + 20)[::-1]
            for index in range(self.header("processes"))
        ]

    def checksum(self, part: Part) -> int:
        return xxh64(self.keys[0] ^ part.offset, self.payload(part))

    def seal(self, part: Part) -> None:
        at = self.body + part.offset + part.length
        if at + CHECKSUM <= len(self.data):
            pack_into("<Q", self.data, at, self.checksum(part))

    def seal_header(self) -> None:
        at = self.body - CHECKSUM
        pack_into("<Q", self.data, at, xxh64(0, bytes(self.data[:at])))

    def set(self, part: Part, at: int, value: int, width: str = "<I") -> None:
        """Write a number into a part and seal it."""
        pack_into(width, self.data, self.body + part.offset + at, value)
        self.seal(part)

    def set_header(self, name: str, value: int) -> None:
        at, width = HEADER_NUMBERS[name]
        pack_into(width, self.data, at, value)
        self.seal_header()


# Workflows to make packs of


def process(name: str, *tasks: dict) -> dict:
    specs = {task["name"]: task for task in tasks}
    return {"name": name, "typename": "P", "task_specs": specs}


def small() -> dict:
    """A calls B and embeds C, C calls A; each has a Start."""

    def refer(typename: str, target: str) -> dict:
        return {"name": f"to {target}", "typename": typename, "spec": target}

    plain = {"name": "Start", "typename": "T", "bpmn_id": "x"}
    return {
        "spec": process("A", plain, refer("CallActivity", "B"), refer("SubWorkflowTask", "C")),
        "subprocess_specs": {
            "B": process("B", plain, {**refer("CallActivity", "C"), "bpmn_id": "größe"}),
            "C": process("C", plain, refer("CallActivity", "B")),
            "X": None,
        },
        "serializer_version": "1.5",
    }


def pack_of(workflow: dict | str, key: str = "") -> bytes:
    text = workflow if isinstance(workflow, str) else json.dumps(workflow, ensure_ascii=False)
    return b"".join(content(ElementUnits.from_json(text)._use(), key))


def opened(data: bytes) -> ElementUnits:
    """A pack that is opened as from a file. It must not ask for bytes that are not there."""
    data = bytes(data)

    def read(offset: int, length: int) -> bytes:
        assert 0 <= offset <= offset + length <= len(data)
        return data[offset : offset + length]

    return ElementUnits._of(read_pack(read, len(data), "the pack"), None)


ASKED_PROCESSES = ["A", "B", "C", "X", "none"]
ASKED_ELEMENTS = ["A", "B", "C", "X", "Start", "x", "to B", "to C", "größe", "none"]


def questions() -> Iterator[Callable[[ElementUnits], Any]]:
    """All that can be asked of the small workflow."""
    yield lambda units: units.root
    yield lambda units: units.process_ids
    yield lambda units: units.subprocess_ids
    yield repr
    yield lambda units: units._inner_root()
    yield lambda units: check(units._use())
    yield lambda units: content(units._use(), "")
    for name in ASKED_PROCESSES:
        yield lambda units, name=name: units.element_ids(name)
        yield lambda units, name=name: units.references(name)
        yield lambda units, name=name: units.spec_json(name)
        yield lambda units, name=name: units._decoded(name)
        yield lambda units, name=name: units._has(name)
    for asked in product(ASKED_PROCESSES, ASKED_ELEMENTS):
        for defer in ("calls", "all", "nothing"):
            yield lambda units, a=asked, d=defer: units.workflow(*a, defer=d)
            yield lambda units, a=asked, d=defer: units.needs(*a, defer=d)


QUESTIONS = list(questions())


def answer(units: ElementUnits, question: Callable[[ElementUnits], Any]) -> Any:
    """The answer, or the kind of error."""
    try:
        return question(units)
    except ElementUnitsError as error:
        return type(error)


def answers(data: bytes, fresh: bool = False) -> list[Any]:
    """The answers of one opened pack, or of one opened for each question."""
    try:
        units = opened(data)
        return [answer(opened(data) if fresh else units, question) for question in QUESTIONS]
    except CorruptPack:
        return [CorruptPack] * len(QUESTIONS)


RIGHT = answers(pack_of(small()))


# The hashes


def ask_about_far_processes() -> None:
    """Ask a pack whose file would have 256 GiB, most of it a hole that references lead to."""
    pack = Dissected(pack_of(small()))
    record = pack.part("record 0")
    links, callers, elements, targets = pack.numbers(record)[3:7]
    targets_at = 28 + 24 * links + 4 * callers + 16 * elements
    for at in [28 + 8 * link + 4 for link in range(links)]:
        pack.set(record, at, 4_000_000_000)
    for at in range(targets_at, targets_at + 4 * targets, 4):
        pack.set(record, at, 4_000_000_000)
    size = 2**38
    pack.set_header("processes", 2**32 - 1)
    pack.set_header("body", size - pack.body)
    data = bytes(pack.data)

    def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length].ljust(length, b"\0")

    try:
        units = ElementUnits._of(read_pack(read, size, "the pack"), None)
    except CorruptPack:
        return
    for element_id in ("A", "to B", "to C"):
        for defer in ("calls", "all", "nothing"):
            answer(units, lambda units, e=element_id, d=defer: units.needs("A", e, defer=d))
