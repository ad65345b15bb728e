"""Fuzzes the cutting of states: any bytes as the text of a state or of a piece.

What is cut must be what the plain model of the rules finds in what `json` reads, and it must come
back when it is put together. Run it with `make fuzz`.
"""

from __future__ import annotations

import naive_state

from spiff_element_units.core.cut import Cut, cut_piece, cut_state, splice


def one_input(data: bytes) -> bool:
    """Whether it was cut."""
    cuts = [
        compare(data, of_piece, writes_completed)
        for of_piece in (False, True)
        for writes_completed in (True, False)
    ]
    return any(cuts)


def compare(data: bytes, of_piece: bool, writes_completed: bool) -> bool:
    cut = (cut_piece if of_piece else cut_state)(data, writes_completed)
    expected = naive_state.cut(data, of_piece=of_piece, writes_completed=writes_completed)
    assert (cut is None) == (expected is None), "cut" if cut is not None else "not cut"
    if cut is None:
        return False
    naive_state.same(expected, cut)
    if not of_piece:
        put_together(data.decode(), cut)
    return True


def put_together(text: str, cut: Cut) -> None:
    members = [number if cut.is_settled(number) else cut.id(number) for number in range(len(cut))]
    whole = splice(cut.head(), members, cut)
    assert whole is not None
    assert naive_state.exact(whole) == naive_state.exact(text)
