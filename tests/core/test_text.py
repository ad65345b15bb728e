"""The text as the compiled modules have it, and the digest that they are given with it."""

from __future__ import annotations

import io
import struct
import sys
from typing import Any, Callable

import pytest

from spiff_element_units import ElementUnits, InvalidWorkflowSpec
from spiff_element_units.core.ids import Ids
from spiff_element_units.core.text import Text
from spiff_element_units.core.writer import build_pack, pack_header

GOOD = '{"spec": {"name": "é", "typename": "P", "task_specs": {}}, "subprocess_specs": {}}'
TEXTS = [GOOD, GOOD.encode(), GOOD.replace("é", "e"), "", b""]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_a_buffer_like_its_bytes(text: str | bytes) -> None:
    encoded = text.encode() if isinstance(text, str) else text
    made: Any = Text(text)
    view, expected = memoryview(made), memoryview(encoded)
    assert view == expected
    for name in ("format", "itemsize", "ndim", "shape", "strides", "suboffsets", "nbytes"):
        assert getattr(view, name) == getattr(expected, name), name
    assert view.readonly
    assert view.contiguous
    assert bytes(made) == encoded
    assert view[1:].tobytes() == encoded[1:]


def test_a_text_cannot_be_written_to() -> None:
    text: Any = Text(GOOD)
    for write in (
        lambda: io.BytesIO(b"other").readinto(text),
        lambda: struct.pack_into("B", text, 0, 7),
    ):
        with pytest.raises((TypeError, BufferError)):
            write()
    assert bytes(text) == GOOD.encode()


def test_a_buffer_keeps_its_text_alive() -> None:
    view = memoryview(Text(GOOD * 1000))
    assert view == GOOD.encode() * 1000


def test_a_text_is_freed_with_its_last_buffer() -> None:
    text: Any = Text(GOOD)
    before = sys.getrefcount(text)
    views = [memoryview(text) for _ in range(100)]
    used = sys.getrefcount(text)
    views.clear()
    after = sys.getrefcount(text)
    assert (used, after) == (before + 100, before)


def refuse() -> None:
    with pytest.raises(InvalidWorkflowSpec):
        ElementUnits.from_json(GOOD + "}")


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is not counted any more")
@pytest.mark.parametrize(
    "use",
    [
        lambda: memoryview(Text(GOOD)),
        lambda: ElementUnits.from_json(GOOD),
        refuse,
    ],
)
def test_a_buffer_that_is_done_with_leaves_no_reference_behind(use: Callable[[], Any]) -> None:
    use()
    before = sys.getrefcount(None)
    for _ in range(1000):
        use()
    assert abs(sys.getrefcount(None) - before) < 500


@pytest.mark.parametrize("length", [0, 1, 8, 16, 31, 33, 64])
def test_a_digest_of_another_length_is_refused(length: int) -> None:
    digest = bytes(length)
    for use in (
        lambda: build_pack(Text(GOOD), digest),
        lambda: Ids(digest, 1),
        lambda: pack_header("", digest, 0, 0, 0, 0, 0, 0, 0, 0),
    ):
        with pytest.raises(ValueError, match=f"a digest has 32 bytes, not {length}"):
            use()
    assert build_pack(Text(GOOD), bytes(32))
