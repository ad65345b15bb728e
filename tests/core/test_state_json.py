"""What the cutter of states accepts as JSON: never more than Python's `json` reads.

After any change of a text, the cut parts are what `json` reads there. If `json` refuses the text,
nothing is cut. `naive_state` also says which texts must be cut.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from collections.abc import Iterator

import naive_state
import pytest
from crowd import amount
from json_cases import CASES

from spiff_element_units.core.cut import cut_state, splice

MANY = amount("JSON", 1)
A, B, C, D = (f"0123456{n}-89ab-4cde-8f01-23456789abcd" for n in range(4))
TASK = '{"id": "%s", "last_state_change": 1.5e3, "state": %d, "task_spec": "x"%s}'

# One subprocess that is settled and one that is not, and a token of each kind on each level.
SMALL = (
    '{"data": [NaN, -1.5e+3 , {} ], "tasks": {"' + A + '": ' + TASK % (A, 16, "") + ',"' + B
    + '": ' + TASK % (B, 64, ', "d": {"\\u00e9": "\\ud800"}') + '}, "subprocesses":\n{"' + B
    + '": {"parent_task_id": "' + B + '", "spec": "\\"é", "typename": "P", "completed": true, '
    '"tasks": {"' + C + '": ' + TASK % (C, 128, ', "d": [false, "\\\\🦊"]') + "}}, "
    '"' + A + '": {"tasks": {"' + D + '": ' + TASK % (D, 4, "") + '}, "x": null} }, "y": {"": 0}}\t'
)  # fmt: skip


def check(text: str | bytes) -> bool:
    """Require the right result for a text, and put it together again. Returns whether it is cut."""
    cut = cut_state(text)
    expected = naive_state.cut(text)
    assert (cut is None) == (expected is None), text
    if cut is None:
        return False
    naive_state.same(expected, cut)
    naive_state.comes_back(text if isinstance(text, str) else text.decode(), cut, splice)
    return True


def test_the_small_state_has_a_subprocess_of_each_kind() -> None:
    assert check(SMALL)
    assert check(SMALL.encode())
    cut = cut_state(SMALL)
    assert cut is not None
    assert [cut.is_settled(number) for number in range(len(cut))] == [True, False]


def test_every_byte_of_a_state_may_be_wrong() -> None:
    small = SMALL.encode()
    taken = 0
    for place in range(len(small)):
        for byte in {*b'{}[]",:\\ 0-eN\x00\xc3', small[place] ^ 1, small[place] ^ 0x20}:
            taken += check(small[:place] + bytes([byte]) + small[place + 1 :])
    assert taken > 500


def test_every_byte_of_a_state_may_be_missing_or_twice() -> None:
    small = SMALL.encode()
    for place in range(len(small)):
        check(small[:place] + small[place + 1 :])
        check(small[: place + 1] + small[place:])


def test_a_state_may_be_cut_off_anywhere() -> None:
    small = SMALL.encode()
    for end in range(len(small.rstrip())):
        assert not check(small[:end])
        assert not check(small[end + 1 :])


def test_parts_of_a_state_may_change_places() -> None:
    chance = random.Random(7)
    small = SMALL.encode()
    for _ in range(2_000 * MANY):
        a, b, c = sorted(chance.sample(range(len(small)), 3))
        check(small[:a] + small[b:c] + small[a:b] + small[c:])
        check(small[:a] + small[b:])


PLACES = {
    "the state": '{"x": %s, ' + SMALL[1:],
    "a task": SMALL.replace('"task_spec": "x"', '"task_spec": "x", "y": %s', 1),
    "a settled subprocess": SMALL.replace('"spec": "\\"é"', '"spec": "A", "y": %s'),
    "a task of it": SMALL.replace("[false, ", "[%s, "),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_value_is_taken_where_json_takes_it(place: str) -> None:
    before, after = (part.encode() for part in PLACES[place].split("%s"))
    for name, value in CASES.items():
        was_cut = check(before + value + after)
        if name.startswith("y_"):
            assert was_cut
        if was_cut:
            json.loads(before + value + after)


def numbers() -> Iterator[str]:
    for length in range(1, 5):
        yield from map("".join, itertools.product("-+.e01", repeat=length))
    yield from ("NaN", "-NaN", "nan", "Infinity", "-Infinity", "+Infinity", "Inf", "-I", "I", "N")
    yield from ("1e999999", "-1e-999999", "1" * 640, "1" * 641, "-" + "1" * 639, "-" + "1" * 640)
    yield from ("0." + "1" * 638, "0." + "1" * 639, "1e" + "1" * 638, "1e" + "1" * 639)
    yield from ("Infinit", "NaNN", "-Infinityy", "tru", "truee", "nul", "fals", "falsee")


def test_a_number_is_taken_where_json_takes_it_unless_it_is_very_long() -> None:
    before, after = PLACES["a task of it"].split("%s")
    for number in numbers():
        was_cut = check(before + number + after)
        try:
            json.loads(number)
        except ValueError:
            assert not was_cut, number
        else:
            assert was_cut == (len(number) <= 640), number


def test_no_python_reads_fewer_digits_than_the_cutter() -> None:
    lowest = getattr(sys.int_info, "str_digits_check_threshold", 640)
    assert lowest >= naive_state.MOST_DIGITS


@pytest.mark.parametrize("brackets", ["[]", '{"":}'])
@pytest.mark.parametrize("place", PLACES)
def test_nesting_is_taken_up_to_1024_levels(place: str, brackets: str) -> None:
    before, after = PLACES[place].split("%s")
    outer = {"the state": 1, "a task": 3, "a settled subprocess": 3, "a task of it": 6}[place]
    opening, closing = brackets[:-1], brackets[-1]
    for levels in (1, 900, 1024 - outer):
        text = before + opening * (levels - 1) + "[]" + closing * (levels - 1) + after
        assert cut_state(text) is not None
        assert cut_state(text.replace("[]", "[[]]", 1)) is None or levels < 1024 - outer
    assert cut_state(before + opening * 1_000_000 + after) is None
    assert cut_state(before + closing * 1_000_000 + after) is None


@pytest.mark.parametrize("wrong", [b"\x80", b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80"])
def test_bytes_that_are_not_utf8_are_not_cut(wrong: bytes) -> None:
    for place in PLACES.values():
        before, after = (part.encode() for part in place.split("%s"))
        assert check(before + b'"\xc3\xa9"' + after)
        assert not check(before + b'"' + wrong + b'"' + after)
    assert not check(SMALL.encode() + wrong)
    assert not check(wrong + SMALL.encode())


def test_other_encodings_are_not_cut() -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig"):
        assert json.loads(SMALL.encode(encoding)) is not None
        assert cut_state(SMALL.encode(encoding)) is None


def test_a_string_may_end_at_any_place() -> None:
    before, after = PLACES["a task of it"].split("%s")
    for length in range(20):
        for special in ('\\"', "\\\\", "\\u00e9", "é", "🦊", "\\ud83e\\udd8a", "\\udc00", "\x7f"):
            for place in range(length):
                inside = "x" * place + special + "x" * (length - place)
                assert check(f'{before}"{inside}"{after}')
        for bad in ("\x1f", "\n", "\0", "\\x", "\\u12g4", "\\u12", "\\", '"'):
            assert not check(f'{before}"{"x" * length}{bad}"{after}')
