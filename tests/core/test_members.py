"""The members of an object are those that `json` finds, with their text unchanged."""

from __future__ import annotations

import json
import random

import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from spiff_element_units.core.members import members

PLAIN = strategies.Spelling(random.Random(0), spaces=0, escapes=0, twice=0)
OBJECTS = st.dictionaries(strategies.free_ids, strategies.values, max_size=5)


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@given(OBJECTS)
def test_each_member_is_given_as_its_text(value: dict) -> None:
    found = members(encoded(PLAIN.value(value)))
    assert found == {key: encoded(PLAIN.value(one)) for key, one in value.items()}
    assert list(found) == list(value)


@given(OBJECTS, st.integers(0, 2**32))
def test_keys_are_decoded_and_the_last_of_the_same_counts(value: dict, seed: int) -> None:
    spelled = strategies.Spelling(random.Random(seed), spaces=0, escapes=0.5, twice=0.5)
    text = spelled.value(value)
    found = members(encoded(text))
    assert found is not None
    assert {key: json.loads(one) for key, one in found.items()} == json.loads(text)
    assert list(found) == list(json.loads(text))


@given(OBJECTS, st.data())
def test_what_is_no_object_in_full_and_without_whitespace_is_refused(
    value: dict, data: st.DataObject
) -> None:
    text = encoded(PLAIN.value(value))
    end = data.draw(st.integers(1, len(text) - 1))
    for wrong in (text[:end], text + b"}", text + text, b"{ " + text[1:], text[:-1] + b"\n}"):
        with pytest.raises(ValueError, match="not JSON"):
            members(wrong)


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b'"{}"', b"7", b" {}"])
def test_a_text_that_does_not_begin_as_an_object_has_no_members(text: bytes) -> None:
    assert members(text) is None


@pytest.mark.parametrize("text", [b'{"a"}', b'{"a":}', b"{a:1}", b'{"a":1,}', b'{"\xff":1}'])
def test_bad_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of the parser or of ours
        members(text)
