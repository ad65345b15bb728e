"""What is JSON and what is not: the library and the parser agree at every byte of a text.

`orjson.loads` on the whole text says what must be accepted. Texts that are not workflows are
refused in any case. The tests try whole families of texts: every wrong byte in every place of a
text that has one token of each kind, every cut and every swap of it, every short number, every
escape, and every sequence of UTF-8, at every distance from the start and the end of a string.
STRESS_JSON multiplies the random texts.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable, Iterator
from typing import Any

import naive
import orjson
import pytest
import strategies
from crowd import amount
from hypothesis import given, settings
from hypothesis import strategies as st
from json_cases import CASES

from spiff_element_units import ElementUnits, InvalidWorkflowSpec

MANY = amount("JSON", 1)

# One token of each kind in each place that has its own reader: the outer object, the specs, a
# process, and the parts that are only copied.
DENSE = (
    '{"spec":{"name":"A","typename":"P","task_specs":{"T\\u00e9é":{"typename":"T","bpmn_id":null,'
    '"d":[true,-1.5e+3 , {} ]}},"x":"\\"\\\\🦊"}, "subprocess_specs":\n{"B\\/":null,"C":{"name":"C"'
    ',"typename":"","task_specs":{}}},"serializer_version":"1","y":[false,0,"",{"":[]}]}\t'
).encode()

PLACES = {
    "a task": b'{"spec":{"name":"A","typename":"P","task_specs":{"T":{"typename":"T","d":%b}}},'
    b'"subprocess_specs":{}}',
    "a called process": b'{"spec":{"name":"A","typename":"P","task_specs":{}},"subprocess_specs":'
    b'{"B":{"name":"B","typename":"P","d":%b,"task_specs":{}}}}',
    "the workflow": b'{"spec":{"name":"A","typename":"P","task_specs":{}},"subprocess_specs":{},'
    b'"x":%b}',
    "a spec that is replaced": b'{"subprocess_specs":{"B":%b,"B":null},'
    b'"spec":{"name":"A","typename":"P","task_specs":{}}}',
}
KEY_PLACES = {
    "a process id": b'{"spec":{"name":"A","typename":"P","task_specs":{}},"subprocess_specs":'
    b"{%b:null}}",
    "a task": b'{"spec":{"name":"A","typename":"P","task_specs":{%b:{"typename":"T"}}},'
    b'"subprocess_specs":{}}',
    "a field of a task": b'{"spec":{"name":"A","typename":"P","task_specs":{"T":{"typename":"T",'
    b'%b:null}}},"subprocess_specs":{}}',
    "the workflow": b'{%b:1,"spec":{"name":"A","typename":"P","task_specs":{}},'
    b'"subprocess_specs":{}}',
    "a value": b'{"spec":{"name":"A","typename":"P","task_specs":{},"d":[{%b:1}]},'
    b'"subprocess_specs":{}}',
    "the root's id": b'{"spec":{"name":%b,"typename":"P","task_specs":{}},"subprocess_specs":{}}',
    "an element's other id": b'{"spec":{"name":"A","typename":"P","task_specs":{"T":{"typename":'
    b'"T","bpmn_id":%b}}},"subprocess_specs":{}}',
    "a reference": b'{"spec":{"name":"A","typename":"P","task_specs":{"T":{"typename":"T",'
    b'"spec":%b}}},"subprocess_specs":{}}',
}
every_place = pytest.mark.parametrize("place", [*PLACES.values()], ids=[*PLACES])
every_string_place = pytest.mark.parametrize(
    "place",
    [*PLACES.values(), *KEY_PLACES.values()],
    ids=[*PLACES, *map("{} (id)".format, KEY_PLACES)],
)


def parsed(content: bytes | str) -> Any:
    """What the parser reads; the error if it refuses the text."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        return error


def accepted(content: bytes | str) -> ElementUnits | None:
    """What the text was accepted as, exactly if the parser does so and it is a workflow; None if
    the parser refuses it too."""
    value = parsed(content)
    is_json = not isinstance(value, orjson.JSONDecodeError)
    units, refusal = None, ""
    try:
        units = ElementUnits.from_json(content)
    except InvalidWorkflowSpec as error:
        refusal = str(error)
    expected = is_json and naive.is_workflow(value)
    assert (units is not None) == expected, f"{content!r} {refusal}"
    assert not is_json or "not JSON" not in refusal, f"{content!r} {refusal}"
    return units


def assert_agrees(content: bytes | str) -> bool:
    """Require that the library and the parser agree on the text. Returns whether they accept it.

    If they accept it, both must read the same.
    """
    units = accepted(content)
    if units is not None:
        assert_holds(units, parsed(content), content)
    return units is not None


def assert_holds(units: ElementUnits, value: dict, content: bytes | str) -> None:
    """Require that the units have all of the workflow, as it is written."""
    exact = naive.exact(content)
    specs = naive.Members(exact.last("subprocess_specs"))
    assert units.subprocess_ids == tuple(value["subprocess_specs"])
    assert units.process_ids == naive.process_ids(value)
    for process_id in units.process_ids:
        spec = units.spec_json(process_id)
        if process_id == value["spec"]["name"]:
            assert naive.exact(spec) == exact.last("spec")
            ids = naive.element_ids(value, naive.ROOT)
        else:
            assert naive.exact(spec) == specs.last(process_id)
            ids = naive.element_ids(value, process_id)
        assert spec.decode() == naive.without_whitespace(spec.decode())
        assert units.element_ids(process_id) == ids
    unit = units.workflow(units.root)
    assert {**orjson.loads(unit), "serializer_version": None} == naive.unit(value, units.root)
    members = naive.exact(unit)
    for key in value.keys() - {"spec", "subprocess_specs", "serializer_version"}:
        assert members.last(key) == exact.last(key)


def assert_agree(contents: Iterable[bytes | str]) -> None:
    """Require that they agree on all texts, and that they accept some and refuse others."""
    seen = {assert_agrees(content) for content in contents}
    assert seen == {True, False}


def test_the_texts_are_workflows_before_they_are_spoilt() -> None:
    assert len(ElementUnits.from_json(DENSE).process_ids) == 2
    for place in (*PLACES.values(), *KEY_PLACES.values()):
        assert ElementUnits.from_json(place % b'"s"').root in ("A", "s")


# Every wrong byte


@pytest.mark.parametrize("first", range(0, len(DENSE), 16))
def test_any_byte_may_stand_in_any_place(first: int) -> None:
    places = range(first, min(first + 16, len(DENSE)))
    assert_agree(
        DENSE[:place] + bytes([byte]) + DENSE[place + replaced :]
        for place in places
        for byte in range(256)
        for replaced in (0, 1)
    )


# Texts that fool a reader which looks at bytes and not at tokens.
PIECES = [
    *(
        b" ",
        b"\n",
        b"\r\t",
        b"  ",
        b"\x0c",
        b"\x0b",
        b"\x00",
        b"\x1f",
        b"\xc2\xa0",
        b"\xe2\x80\xa8",
    ),
    *(
        b"\xef\xbb\xbf",
        b'"',
        b'""',
        b"\\",
        b"\\\\",
        b'\\"',
        b'\\\\"',
        b"\\u",
        b"\\u0022",
        b"\\u005c",
    ),
    *(b"\\ud83d", b"\\ude00", b"\\ud83d\\ude00", b"\\ude00\\ud83d", b"\xed\xa0\xbd", b"\xc0\xa2"),
    *(b"\xf0\x9f\xa6\x8a", b"\xc3", b"\xf4\x90\x80\x80", b"[]", b"{}", b"[", b"{", b"}", b"]"),
    *(
        b"}{",
        b",",
        b",,",
        b":",
        b"::",
        b',"":0',
        b'"":0,',
        b"0",
        b"00",
        b"-",
        b"-0",
        b"1e400",
        b"+",
    ),
    *(b"1e-400", b".", b"e", b"E+", b"null", b"true", b"nulll", b"//", b"/*", b"*/", b"#", b"'"),
]


@pytest.mark.parametrize("piece", PIECES, ids=ascii)
def test_any_piece_may_stand_in_any_place(piece: bytes) -> None:
    for place in range(len(DENSE) + 1):
        assert_agrees(DENSE[:place] + piece + DENSE[place:])
        assert_agrees(DENSE[:place] + piece + DENSE[place + len(piece) :])


def test_any_stretch_may_be_cut_out_or_come_twice() -> None:
    lengths = [*range(1, 13), 16, 17, 31, 32, 33, 64]
    assert_agree(
        text
        for place in range(len(DENSE))
        for length in lengths
        for text in (
            DENSE[:place] + DENSE[place + length :],
            DENSE[: place + length] + DENSE[place:],
            DENSE[place : place + length] + DENSE[:place] + DENSE[place + length :],
        )
    )


def test_any_two_bytes_may_change_places() -> None:
    def texts() -> Iterator[bytes]:
        for place, distance in itertools.product(range(len(DENSE)), (1, 2, 3, 5, 8)):
            if place + distance < len(DENSE):
                content = bytearray(DENSE)
                content[place], content[place + distance] = DENSE[place + distance], DENSE[place]
                yield bytes(content)

    assert_agree(texts())


def test_a_text_may_end_or_start_anywhere() -> None:
    assert_agree(DENSE[:end] for end in range(len(DENSE) + 1))
    assert_agree(DENSE[start:] for start in range(len(DENSE) + 1))
    for before, after in itertools.product((b"", b" ", b"\n\n", b"\x00", b"1", b"{}"), repeat=2):
        assert_agrees(before + DENSE + after)


def test_whitespace_may_be_of_any_length_between_any_tokens() -> None:
    """If whitespace separates two halves of a token, removing it must not make the text JSON."""
    for length in (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65):
        for place in range(len(DENSE) + 1):
            assert_agrees(DENSE[:place] + b" \n\r\t"[place % 4 :][:1] * length + DENSE[place:])


# Values


@pytest.mark.parametrize("outer", [b"%b", b"[%b]", b'{"k":%b}', b"[1,%b,2]", b" %b "])
@every_place
def test_the_cases_hold_at_any_depth_of_a_value(place: bytes, outer: bytes) -> None:
    for name, case in CASES.items():
        if name not in ("n_lone_nothing", "n_lone_space"):  # "[]" is good
            is_json = assert_agrees(place % (outer % case))
            assert name.startswith("i_") or outer == b"[%b]" or is_json == name.startswith("y_")


@every_place
def test_every_short_number_is_a_number_or_not(place: bytes) -> None:
    assert_agree(
        place % b"".join(characters)
        for length in range(1, 6)
        for characters in itertools.product([b"-", b"0", b"7", b".", b"e", b"+"], repeat=length)
    )


@pytest.mark.parametrize("literal", [b"true", b"false", b"null"])
@every_place
def test_every_misspelt_literal_is_refused(place: bytes, literal: bytes) -> None:
    assert assert_agrees(place % literal)
    for at in range(len(literal) + 1):
        for wrong in b'TtrueAafnl\x00\x10\x14\x30\x80_0 "{[,':
            spoilt = [literal[:at] + bytes([wrong]) + literal[at:]]
            spoilt.append(literal[:at] + bytes([wrong]) + literal[at + 1 :])
            for text in (*spoilt, literal[:at], literal[at:], b"[" + spoilt[0] + b"]"):
                assert_agrees(place % text)


GREATEST = 2**1024 - 2**970  # what a double can hold
ROUNDED_UP = 2**1024 - 2**969  # halfway to the next number, which it cannot hold


@pytest.mark.parametrize("sign", ["", "-"])
@every_place
def test_a_number_is_refused_where_it_is_too_large_for_a_double(place: bytes, sign: str) -> None:
    numbers = ["1" * digits for digits in (1, 17, 18, 19, 20, 21, 307, 308, 309, 310, 700, 5000)]
    numbers += [f"{9 * 10**307}", f"{2 * 10**308}", "1" + "0" * 400, "1" + "0" * 400 + "e-93"]
    numbers += ["9" * digits for digits in (18, 19, 20, 308, 309)]
    for number in (GREATEST, ROUNDED_UP):
        for near in range(-2, 3):
            digits = str(number + near)
            numbers += [digits, f"{digits}.0", f"{digits}e0", f"{digits}E-0", f"{digits}0e-1"]
            numbers += [f"{digits}.{'0' * 800}1", f"{digits}{'0' * 800}1e-801"]
            numbers += [f"{digits[:1]}.{digits[1:]}e{len(digits) - 1}", f"0.{digits}e{len(digits)}"]
            numbers += [f"0.{'0' * 500}{digits}e{len(digits) + 500}", f"{digits[:-1]}e1"]
    for mantissa in ("1", "1.7976931348623157", "1.7976931348623158", "1.797693134862315807"):
        numbers += [f"{mantissa}e{e}" for e in ("307", "308", "+308", "0308", "309", "-400", "999")]
        numbers += [
            f"{mantissa}e{e}" for e in ("2147483647", "4294967296", "9" * 30, "-" + "9" * 30)
        ]
    numbers += [f"{zero}e{e}" for zero in ("0", "0.0", "0.000") for e in ("309", "9" * 30, "-400")]
    assert_agree(place % f"{sign}{number}".encode() for number in numbers)


def test_random_numbers_near_the_greatest_double_are_as_the_parser_has_them() -> None:
    chance = random.Random(5)
    place = PLACES["a task"]
    for _ in range(2_000 * MANY):
        digits = "".join(chance.choices("0123456789", k=chance.choice([1, 5, 17, 20, 40, 330])))
        if chance.random() < 0.5:
            digits = str(GREATEST)[: chance.choice([15, 16, 17, 18, 19, 20, 25, 300])] + digits
        point = chance.randrange(1, len(digits) + 1)
        exponent = 309 - point + chance.randrange(-2, 3)
        number = f"{digits[:point]}.{digits[point:] or '0'}e{exponent}".lstrip("0")
        assert_agrees(place % (number if number[0] != "." else f"0{number}").encode())


# Strings


@every_string_place
def test_every_escape_is_one_or_not(place: bytes) -> None:
    digits = [b"0", b"9", b"a", b"F", b"g", b"G", b"/", b":", b"@", b"`", b"\x00", b"\xc3", b'"']
    escapes = [b"\\" + bytes([byte]) for byte in range(256)]
    escapes += [b"\\u" + b"00e9"[:at] + d + b"00e9"[at + 1 :] for at in range(4) for d in digits]
    escapes += [b"\\u" + b"00e9"[:length] for length in range(5)]
    escapes += [b"\\" * number for number in range(1, 70)]
    assert_agree(
        place % (b'"' + before + escape + after + b'"')
        for escape in escapes
        for before, after in ((b"", b""), (b"abc", b"defgh"), (b"\xc3\xa9", b"\\n"))
    )


@every_string_place
def test_surrogates_must_be_in_pairs(place: bytes) -> None:
    units = ["0000", "d7ff", "d800", "D83d", "dbFf", "dc00", "DE00", "dfff", "e000", "ffff"]
    escapes = [f"\\u{unit}" for unit in units]
    others = ["", "x", "\\n", "\\", "\\u", "\\ud", "\\ude0", "\\\\ude00", "u de00", "\\xde00"]
    assert_agree(
        place % f'"{before}{first}{second}{third}"'.encode()
        for before in ("", "a")
        for first in escapes
        for second in (*escapes, *others)
        for third in ("", "\\ude00", "é")
    )


LEADS = [0x00, 0x1F, 0x20, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF]
LEADS += [0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF7, 0xF8, 0xFE, 0xFF]
FOLLOWING = [0x22, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC3, 0xE2, 0xF0]


@every_string_place
def test_every_sequence_of_one_or_two_bytes_is_utf8_or_not(place: bytes) -> None:
    before, after = place.split(b"%b")
    assert_agree(before + b'"' + bytes([byte]) + b'"' + after for byte in range(256))
    assert_agree(
        before + b'"' + bytes([first, second]) + b'"' + after
        for first in (*LEADS, *range(0xC0, 0x100, 5))
        for second in range(256)
    )


@every_string_place
def test_longer_sequences_are_utf8_or_not(place: bytes) -> None:
    before, after = place.split(b"%b")
    assert_agree(
        before + b'"' + bytes([first, *rest]) + b'"' + after
        for first in LEADS
        if first >= 0xC2
        for length in (2, 3)
        for rest in itertools.product(
            FOLLOWING[1:-2] if length == 2 else FOLLOWING[2:-3], repeat=length
        )
    )


@pytest.mark.parametrize(
    "wrong", [b"\xc3", b"\xe2\x82", b"\xf0\x9f\xa6", b"\x80", b"\xff", b"\x00"]
)
def test_a_wrong_byte_is_refused_outside_of_strings_and_at_the_end(wrong: bytes) -> None:
    for end in range(len(DENSE) + 1):
        assert_agrees(DENSE[:end] + wrong)


# At every distance: a reader of many bytes at once treats the last ones differently.

SPOILERS = [b'"', b"\\", b"\n", b"\x00", b"\x1f", b"\x7f", b"\x80", b"\xff", b"\xc3\xa9", b"\\n"]
SPOILERS += [
    b"\xc3",
    b"\\u00e9",
    b"\\u00",
    b"\\x",
    b"\xe2\x82\xac",
    b"\xed\xa0\x80",
    b"\\\\",
    b"\xe2",
]


@pytest.mark.parametrize("filler", [b"a", b"\xc3\xa9", b"\\n", b" ", b"\\\\", b"]"], ids=ascii)
@pytest.mark.parametrize("place", [PLACES["a task"], PLACES["the workflow"], KEY_PLACES["a task"]])
def test_a_string_may_be_wrong_at_any_distance_from_its_ends(place: bytes, filler: bytes) -> None:
    assert_agree(
        place % (b'"' + filler * before + spoiler + filler * after + b'"')
        for before in range(40)
        for after in (0, 1, 2, 3, 6, 7, 8, 9, 15, 16, 17, 30, 31, 32, 33)
        for spoiler in SPOILERS
    )


@every_string_place
def test_a_string_may_be_of_any_length(place: bytes) -> None:
    for length in (*range(130), 255, 256, 257, 4095, 4096, 4097, 65_535, 65_536, 70_000):
        for filler in (b"a", b"\xc3\xa9", b"\\u00e9"):
            assert assert_agrees(place % (b'"' + filler * length + b'"'))
        assert not assert_agrees(place % (b'"' + b"a" * length))


def test_a_text_may_start_at_any_address() -> None:
    """The rest of a buffer may have any length."""
    buffer = b" " * 64 + DENSE
    for start, end in itertools.product(range(65), range(-70, 1)):
        assert_agrees(buffer[start : len(buffer) + end])


# Nesting


@pytest.mark.parametrize(
    ("opening", "closing"),
    [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a": ', b"} ]"), (b"[1,[],", b",{}]"), (b"[[],", b"]")],
)
@pytest.mark.parametrize("core", [b"0", b"[]", b"{}", b'"', b"", b"}", b"]"])
@every_place
def test_nesting_is_accepted_as_deep_as_the_parser_does(
    place: bytes, opening: bytes, closing: bytes, core: bytes
) -> None:
    levels = 1024 // (2 if opening.startswith(b"[{") else 1)
    for deep in (*range(levels - 6, levels + 4), 3, 5_000):
        for missing in (0, 1):
            value = opening * deep + core + closing * (deep - missing)
            units = accepted(place % value)
            if units is not None and place is PLACES["a task"]:
                assert value.replace(b" ", b"") in units.spec_json("A")


# At random


@given(strategies.texts(), st.data())
@settings(max_examples=300 * MANY)
def test_a_workflow_with_a_piece_replaced_is_read_as_the_parser_reads_it(
    text: str, data: st.DataObject
) -> None:
    content = text.encode()
    assert assert_agrees(content)
    for _ in range(data.draw(st.integers(1, 8))):
        start = data.draw(st.integers(0, len(content)))
        length = data.draw(st.sampled_from([0, 0, 1, 1, 2, 4, 30]))
        piece = data.draw(st.sampled_from(PIECES) | st.binary(max_size=4))
        spoilt = content[:start] + piece + content[start + length :]
        if assert_agrees(spoilt):
            content = spoilt


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@given(json_values, st.sampled_from([*PLACES.values()]), st.booleans(), st.integers(0, 3))
@settings(max_examples=300 * MANY)
def test_any_value_is_kept(value: Any, place: bytes, ascii_only: bool, indent: int) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent or None)
    assert_agrees(place % text.encode("utf-8", "surrogatepass"))


@given(st.text(st.sampled_from('{}[]",:\\u0dE9e-.1ntf \n\u00e9\ud800'), max_size=40))
@settings(max_examples=500 * MANY)
def test_any_text_of_the_letters_of_json_is_read_as_the_parser_reads_it(text: str) -> None:
    """The texts are `str`, so they may contain lone surrogates."""
    for place in PLACES.values():
        content = place.decode().replace("%b", text)
        try:
            content.encode()
        except UnicodeEncodeError:
            with pytest.raises(InvalidWorkflowSpec):
                ElementUnits.from_json(content)
        else:
            assert_agrees(content)
            assert_agrees(content.encode())
