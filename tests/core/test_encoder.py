"""The encoder writes what `json.dumps` writes, character by character, or leaves it to `json`."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiff_element_units.core.encoder import encode

JSON = json.JSONEncoder().encode


class Word(str):
    pass


class Table(dict):
    pass


class Count(int):
    pass


TEXTS = st.text(st.characters()) | st.text(st.characters(max_codepoint=127))
SURROGATES = st.text(st.characters(categories=["Cs"]), max_size=3)
NUMBERS = st.integers() | st.integers(-(2**63) - 2, 2**63 + 2) | st.floats()
PLAIN = st.none() | st.booleans() | NUMBERS | TEXTS | SURROGATES
ODD = st.builds(Word, TEXTS) | st.builds(Count, st.integers()) | st.builds(Table, a=PLAIN)
KEYS = TEXTS | SURROGATES | st.none() | st.booleans() | NUMBERS | st.builds(Word, TEXTS)
VALUES = st.recursive(
    PLAIN | ODD,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(TEXTS, inner)
        | st.dictionaries(KEYS, inner)
    ),
)


@given(VALUES)
def test_a_value_is_written_as_json_writes_it(value: Any) -> None:
    written = encode(value, JSON)
    assert written == json.dumps(value)
    assert type(written) is str


@given(st.dictionaries(TEXTS, PLAIN))
def test_plain_values_are_not_left_to_json(value: dict[str, Any]) -> None:
    plain = {
        key: one for key, one in value.items() if not isinstance(one, (int, float)) or abs(one) < 9
    }

    def nothing(value: Any) -> str:
        raise AssertionError(f"{value!r} was left to json")

    assert encode([plain, tuple(plain)], nothing) == json.dumps([plain, tuple(plain)])


def test_long_texts_are_written_whole() -> None:
    for text in ("x" * 100_000, "\n" * 100_000, "\U0001f98a" * 100_000):
        assert encode({text: [text, text]}, JSON) == json.dumps({text: [text, text]})


def test_what_the_default_of_an_encoder_gives_is_written() -> None:
    class Encoder(json.JSONEncoder):
        def default(self, o: Any) -> Any:
            return {"set": sorted(o)} if isinstance(o, set) else super().default(o)

    value = {"a": [{1, 2}, {"b": {"é"}}], "c": 1}
    assert encode(value, Encoder().encode) == json.dumps(value, cls=Encoder)
    with pytest.raises(TypeError, match="not JSON serializable"):
        encode({"a": [object()]}, Encoder().encode)


def test_a_value_that_contains_itself_or_is_too_deep_is_no_crash() -> None:
    circle: list[Any] = []
    circle.append({"circle": circle})
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    for value in (circle, deep):
        with pytest.raises(RecursionError):
            encode(value, JSON)


def test_a_dict_that_changes_meanwhile_is_an_error() -> None:
    value: dict[str, Any] = {"a": {1}, "b": 2}

    def other(one: Any) -> str:
        value[f"more {len(value)}"] = one
        return "null"

    with pytest.raises(RuntimeError, match="changed size"):
        encode(value, other)


def test_text_of_json_that_is_not_ascii_is_refused() -> None:
    for text in ('"é"', b"1", 1):
        with pytest.raises(ValueError, match="not ASCII"):
            encode({1}, lambda _, text=text: text)  # type: ignore[misc]


def test_nothing_is_lost() -> None:
    value = {"a": ["b", 1.5, {"c": {1}}]}
    before = sys.getrefcount(None), sys.getrefcount(value)
    for _ in range(1000):
        encode(value, lambda _: "[1]")
    after = sys.getrefcount(None), sys.getrefcount(value)
    assert abs(after[0] - before[0]) < 100
    assert after[1] == before[1]
