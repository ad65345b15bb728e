"""Packs: the meaning of the bytes, the check of each byte, and numbers that are out of bounds."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from struct import unpack_from

import naive
import pytest
import strategies
from dissect import (
    CHECKSUM,
    ENTRIES,
    ENTRY,
    HEADER,
    HEADER_NUMBERS,
    QUESTIONS,
    RIGHT,
    SLOT,
    SLOTS,
    Dissected,
    Part,
    answer,
    answers,
    opened,
    pack_of,
    process,
    siphash13,
    small,
    xxh64,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from spiff_element_units import CorruptPack, ElementUnits
from spiff_element_units.cache.directory import check, read_pack
from spiff_element_units.core.writer import MAGIC


@pytest.mark.skipif(
    sys.hash_info.algorithm != "siphash13" or sys.byteorder != "little",
    reason="this Python hashes bytes with another function",
)
def test_the_hash_of_ids_is_that_of_python() -> None:
    chance = random.Random(1)
    samples = [bytes(chance.randrange(256) for _ in range(size)) for size in range(1, 70)]
    samples.append(bytes(1000))
    code = f"print([hash(sample) % 2**64 for sample in {samples!r}])"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        check=True,
    )
    assert json.loads(run.stdout) == [siphash13(0, 0, sample) for sample in samples]


def test_the_hash_of_ids_is_that_of_the_reference() -> None:
    """The hash of nothing and of one zero byte, with the key 00 01 .. 0f, as in the paper."""
    key = bytes(range(16))
    k0, k1 = (int.from_bytes(key[at : at + 8], "little") for at in (0, 8))
    assert siphash13(k0, k1, b"") == 0xABAC0158050FC4DC
    assert siphash13(k0, k1, bytes(range(1))) == 0xC9F49BF37D57CA93


@pytest.mark.parametrize(
    ("data", "seed", "hashed"),
    [
        (b"", 0, 0xEF46DB3751D8E999),
        (b"a", 0, 0xD24EC4F1A98C6E5B),
        (b"abc", 0, 0x44BC2CF5AD770999),
        (b"xxhash", 20141025, 0xB559B98D844E0635),
        (b"Nobody inspects the spammish repetition", 0, 0xFBCEA83C8A378BF1),
    ],
)
def test_the_checksum_is_that_of_the_reference(data: bytes, seed: int, hashed: int) -> None:
    assert xxh64(seed, data) == hashed


# What the bytes are


def test_a_pack_is_laid_out_as_documented() -> None:
    pack = Dissected(pack_of(small(), "a key"))
    assert pack.data[:8] == MAGIC
    assert pack.header("format") == 1
    assert pack.header("body") == len(pack.data) - pack.body
    assert pack.header("processes") == 3
    assert pack.data[HEADER : HEADER + 5] == b"a key"
    parts = sorted(pack.parts, key=lambda part: part.offset)
    end = 0
    for part in parts:
        assert part.offset == end, part
        end = part.offset + part.length + CHECKSUM
    assert end == pack.header("body")


@settings(max_examples=20)
@given(strategies.texts())
def test_every_part_has_the_documented_checksum(text: str) -> None:
    pack = Dissected(pack_of(text, "größe\0"))
    sealed = bytes(pack.data)
    pack.seal_header()
    for part in pack.parts:
        pack.seal(part)
    assert pack.data == sealed
    assert opened(sealed).process_ids == naive.process_ids(naive.load(text))


@settings(max_examples=20)
@given(strategies.texts())
def test_every_id_is_in_the_directory_under_its_documented_hash(text: str) -> None:
    pack = Dissected(pack_of(text))
    workflow = naive.load(text)
    ids = naive.process_ids(workflow)
    elements = {*ids}.union(*(opened(bytes(pack.data)).element_ids(name) for name in ids))
    for directory, kind, names in (("process", 1, set(ids)), ("element", 2, elements)):
        hashes = [
            unpack_from("<Q", pack.payload(part), SLOT * slot)[0]
            for part in pack.parts
            if part.name.startswith(f"{directory} bucket")
            for slot in range(SLOTS)
            if unpack_from("<I", pack.payload(part), SLOT * slot + 16)[0]
        ]
        k0, k1 = pack.keys
        assert len(hashes) == len(set(hashes))
        assert {siphash13(k0, k1 ^ kind << 62, name.encode()) for name in names} <= set(hashes)


@settings(max_examples=20)
@given(strategies.texts())
def test_a_spec_is_flagged_where_it_is_ascii_and_where_it_has_long_numbers(text: str) -> None:
    pack = Dissected(pack_of(text))
    for index in range(pack.header("processes")):
        chunk = pack.payload(pack.part(f"table {index // ENTRIES}"))
        flags = unpack_from("<I", chunk, index % ENTRIES * ENTRY + 28)[0]
        spec = pack.payload(pack.part(f"spec {index}"))
        assert flags & 3 == spec.isascii() + 2 * bool(re.search(rb"\d{19}", spec))
        assert flags & ~0b1111 == 16


def test_a_spec_that_is_not_the_ascii_it_is_said_to_be_is_refused() -> None:
    pack = Dissected(pack_of(small()))
    spec = pack.part("spec 0")
    at = pack.payload(spec).index(b"task_specs")
    pack.data[pack.body + spec.offset + at] = 0xC3
    pack.seal(spec)
    with pytest.raises(CorruptPack, match="not ASCII"):
        opened(bytes(pack.data)).workflow("A")


@pytest.mark.parametrize("length", [*range(70), 1000])
def test_parts_of_any_length_have_the_documented_checksum(length: int) -> None:
    pack = Dissected(pack_of({**small(), "x": "x" * length}, "k" * length))
    sealed = bytes(pack.data)
    pack.seal_header()
    pack.seal(pack.part("tail"))
    assert pack.data == sealed


def test_ids_are_hashed_as_documented() -> None:
    pack = Dissected(pack_of(small()))
    for kind, directory, ids in [
        (1, "process", "A B C"),
        (2, "element", "A B C Start x größe"),
    ]:
        bucket = pack.part(f"{directory} bucket 0")
        hashes = [unpack_from("<Q", pack.payload(bucket), SLOT * n)[0] for n in range(SLOTS)]
        for id in ids.split():
            hashed = siphash13(pack.keys[0], pack.keys[1] ^ kind << 62, id.encode())
            assert hashed in hashes


def test_an_embedded_process_follows_the_one_that_embeds_it() -> None:
    pack = Dissected(pack_of(small()))
    specs = [json.loads(pack.payload(pack.part(f"spec {index}")))["name"] for index in range(3)]
    assert specs == ["A", "C", "B"]


@pytest.mark.parametrize("key", ["", "key", "größe", "\ud800", "\0", "k" * 10_000])
def test_the_key_is_in_the_header_and_changes_nothing_else(key: str) -> None:
    data = pack_of(small(), key)
    plain = pack_of(small())
    assert opened(data)._use().key == key
    assert data.endswith(plain[HEADER + CHECKSUM :])
    assert answers(data) == RIGHT


def test_a_pack_in_memory_and_one_in_a_file_give_the_same_answers() -> None:
    memory = ElementUnits.from_json(json.dumps(small(), ensure_ascii=False))
    assert [answer(memory, question) for question in QUESTIONS] == RIGHT
    assert answers(pack_of(small()), fresh=True) == RIGHT


def test_the_size_of_a_pack_is_proportional_to_the_text() -> None:
    shared = {"name": "S", "typename": "T", "bpmn_id": "x", "spec": "0"}
    sizes = []
    for count in (100, 1000):
        specs = {f"{n}": process(f"{n}", shared) for n in range(count)}
        text = json.dumps({"spec": process("top"), "subprocess_specs": specs})
        sizes.append(len(pack_of(text)) / len(text))
    assert sizes[1] <= sizes[0] * 1.1


# Damage


def assert_right_or_refused(data: bytes) -> None:
    for question, right, got in zip(QUESTIONS, RIGHT, answers(data)):
        assert got in (right, CorruptPack), question


def assert_noticed(data: bytes) -> None:
    """Require that a check of the whole pack finds the damage, so it does not count as good."""
    with pytest.raises(CorruptPack):
        check(opened(data)._use())


def test_a_flip_of_any_byte_is_noticed() -> None:
    good = pack_of(small(), "k")
    few = slice(None, None, 23)
    for place in range(len(good)):
        for flip in (0x01, 0x80):
            bad = bytearray(good)
            bad[place] ^= flip
            assert_noticed(bad)
            try:
                units = opened(bad)
            except CorruptPack:
                continue
            for question, right in zip(QUESTIONS[few], RIGHT[few]):
                assert answer(units, question) in (right, CorruptPack)


def test_a_flip_of_any_byte_never_gives_another_unit() -> None:
    good = pack_of(small(), "k")
    chance = random.Random(5)
    for place in range(0, len(good), 5):
        bad = bytearray(good)
        bad[place] ^= chance.randrange(1, 256)
        assert_right_or_refused(bad)


def test_a_truncated_pack_is_refused() -> None:
    good = pack_of(small(), "k")
    for end in range(len(good)):
        with pytest.raises(CorruptPack):
            opened(good[:end])


def test_a_pack_with_something_after_it_is_refused() -> None:
    for garbage in (b"\0", b"garbage", pack_of(small())):
        with pytest.raises(CorruptPack):
            opened(pack_of(small(), "k") + garbage)


def test_the_body_of_another_pack_is_refused() -> None:
    other = small()
    other["serializer_version"] = "1.4"
    one, two = Dissected(pack_of(small())), Dissected(pack_of(other))
    mixed = bytes(one.data[: one.body] + two.data[two.body :])
    assert len(mixed) == len(one.data)
    assert set(answers(mixed)) <= {CorruptPack}


def test_a_part_in_the_place_of_another_is_refused() -> None:
    pack = Dissected(pack_of(small()))
    first, last = pack.part("process bucket 0"), pack.part("element bucket 0")
    length = first.length + CHECKSUM
    moved = pack.data[pack.body + first.offset :][:length]
    pack.data[pack.body + last.offset : pack.body + last.offset + length] = moved
    assert_noticed(pack.data)
    assert_right_or_refused(pack.data)


def test_a_file_that_grew_shorter_after_it_was_opened_is_refused() -> None:
    good = pack_of(small(), "k" * 5000)
    length = len(good)
    pack = read_pack(
        lambda offset, size: good[offset : min(offset + size, length)], length, "the pack"
    )
    length = 5200
    units = ElementUnits._of(pack, None)
    assert {answer(units, question) for question in QUESTIONS} == {CorruptPack}


def test_damage_is_told_with_the_way_out() -> None:
    good = pack_of(small(), "k")
    for bad in (b"", b"garbage", good[:50], good[:-1], good[:8] + b"\x07" + good[9:], good + b"."):
        with pytest.raises(CorruptPack, match="cache the workflow again"):
            opened(bad)
    units = opened(good[:-9] + b"\0" + good[-8:])
    with pytest.raises(CorruptPack, match=r"^the pack is damaged .*cache the workflow again"):
        units.workflow("B")


def test_a_newer_format_is_told() -> None:
    pack = Dissected(pack_of(small()))
    pack.set_header("format", 2)
    with pytest.raises(CorruptPack, match="format 2, but this version reads format 1"):
        opened(pack.data)


# Numbers out of bounds, with right checksums

WILD = [0, 1, 2, 3, 7, 8, 15, 16, 255, 4096, 2**16, 2**31 - 1, 2**31, 2**32 - 8, 2**32 - 1]
WILD_WIDE = [*WILD, 2**32, 2**33, 2**62, 2**63 - 1, 2**63, 2**64 - 512, 2**64 - 8, 2**64 - 1]


def assert_harmless(data: bytes | bytearray) -> None:
    """Require an answer or an error of ours for each question, also in a newly opened pack."""
    answers(data)
    answers_of_some = QUESTIONS[:: max(1, len(QUESTIONS) // 12)]
    for question in answers_of_some:
        try:
            units = opened(data)
        except CorruptPack:
            return
        answer(units, question)


@pytest.mark.parametrize("name", HEADER_NUMBERS)
def test_a_wild_number_in_the_header_is_harmless(name: str) -> None:
    good = pack_of(small(), "k")
    for value in WILD_WIDE:
        pack = Dissected(good)
        if value < 2**32 or HEADER_NUMBERS[name][1] == "<Q":
            pack.set_header(name, value)
            assert_harmless(pack.data)


def places(pack: Dissected) -> Iterator[tuple[Part, int]]:
    """Every 32-bit number of every part that has numbers, and some of the empty ones."""
    for part in pack.parts:
        if part.name.startswith(("tail", "spec")):
            continue
        empty = 0
        for at in range(0, part.length - 3, 4):
            zero = not any(pack.payload(part)[at : at + 4])
            empty += zero
            if not zero or empty < 8:
                yield part, at


@pytest.mark.parametrize("value", WILD)
def test_a_wild_number_in_any_part_is_harmless(value: int) -> None:
    good = pack_of(small(), "k")
    for part, at in places(Dissected(good)):
        pack = Dissected(good)
        pack.set(part, at, value)
        answers(pack.data)


@pytest.mark.parametrize("value", WILD_WIDE)
def test_a_wild_wide_number_in_the_table_or_a_bucket_is_harmless(value: int) -> None:
    good = pack_of(small(), "k")
    table, buckets = Dissected(good).part("table 0"), Dissected(good).part("element bucket 0")
    for part, wide in [(table, (0, 8)), (buckets, (0, 8))]:
        for unit in range(0, 4):
            size = ENTRY if part is table else SLOT
            for at in wide:
                pack = Dissected(good)
                pack.set(part, unit * size + at, value, "<Q")
                assert_harmless(pack.data)


@settings(max_examples=400)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**31),
            st.integers(0, 2**31),
            st.sampled_from(WILD) | st.integers(0, 40) | st.integers(0, 2**32 - 1),
        ),
        min_size=2,
        max_size=6,
    )
)
def test_several_wild_numbers_are_harmless(changes: list[tuple[int, int, int]]) -> None:
    pack = Dissected(pack_of(small(), "k"))
    numbered = list(places(pack))
    for which, _, value in changes:
        pack.set(*numbered[which % len(numbered)], value)
    assert_harmless(pack.data)


@settings(max_examples=200)
@given(st.integers(0, 2**31), st.binary(min_size=1, max_size=4))
def test_any_bytes_in_any_part_are_harmless(place: int, change: bytes) -> None:
    pack = Dissected(pack_of(small(), "k"))
    part = pack.parts[place % len(pack.parts)]
    if part.length >= len(change):
        at = place // len(pack.parts) % (part.length - len(change) + 1)
        start = pack.body + part.offset + at
        pack.data[start : start + len(change)] = change
        pack.seal(part)
    assert_harmless(pack.data)


def test_ids_and_specs_that_are_not_utf8_are_refused() -> None:
    for name in ("record 0", "spec 0", "tail", "roster"):
        pack = Dissected(pack_of(small()))
        part = pack.part(name)
        at = pack.body + part.offset + part.length - 1
        pack.data[at : at + 1] = b"\xff"
        pack.seal(part)
        got = answers(pack.data)
        assert CorruptPack in got
        assert all(isinstance(one, type) or "\udcff" not in str(one) for one in got)


def test_a_spec_that_is_said_to_be_ascii_and_is_not_is_refused() -> None:
    pack = Dissected(pack_of(small()))
    table = pack.part("table 0")
    for index in range(3):
        pack.set(table, index * ENTRY + 28, 1)
    specs = [pack.payload(pack.part(f"spec {index}")) for index in range(3)]
    assert [spec.isascii() for spec in specs] == [True, True, False]
    units = opened(pack.data)
    assert units.workflow("A").isascii()
    with pytest.raises(CorruptPack, match="not ASCII"):
        units.workflow("B")


def test_a_process_that_the_roster_has_and_the_directory_has_not_is_refused() -> None:
    pack = Dissected(pack_of(small()))
    part = pack.part("process bucket 0")
    start = pack.body + part.offset
    pack.data[start : start + part.length] = bytes(part.length)
    pack.seal(part)
    units = opened(pack.data)
    assert "B" in units.process_ids
    for ask in (units.element_ids, units.references, units.spec_json, units.needs, units.workflow):
        with pytest.raises(CorruptPack):
            ask("B")


def test_a_pack_of_nothing_but_one_spec_over_and_over_is_refused() -> None:
    """A small pack cannot give a large unit by entries that all point at one record."""
    specs = {f"{n}": process(f"{n}") for n in range(64)}
    tasks = [{"name": f"{n}", "typename": "S", "spec": f"{n}"} for n in range(64)]
    pack = Dissected(pack_of({"spec": process("A", *tasks), "subprocess_specs": specs}))
    largest = pack.part("table 0")
    entry = pack.payload(largest)[:20]
    for table in (part for part in pack.parts if part.name.startswith("table")):
        for at in range(0, table.length, ENTRY):
            start = pack.body + table.offset + at
            pack.data[start : start + 20] = entry
        pack.seal(table)
    units = opened(pack.data)
    with pytest.raises(CorruptPack):
        units.workflow("A")


def test_a_pack_of_as_many_processes_as_a_number_holds_is_harmless() -> None:
    """The questions run in their own process, which would not survive a read out of bounds."""
    run = subprocess.run(
        [sys.executable, "-c", "import dissect; dissect.ask_about_far_processes()"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert run.returncode == 0
