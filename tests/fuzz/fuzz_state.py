"""Fuzzes the cutting of states: any bytes as the text of a state.

The cutter must find what the naive model of the rules finds, and the parts must give the same text
when they are joined. Run it with `make fuzz`.
"""

from __future__ import annotations

import naive_state

from spiff_element_units.core.cut import cut_state, splice


def one_input(data: bytes) -> bool:
    """Whether it was cut."""
    was_cut, was_cut_too = compare(data, True), compare(data, False)
    assert was_cut == was_cut_too
    return was_cut


def compare(data: bytes, writes_completed: bool) -> bool:
    cut = cut_state(data, writes_completed)
    expected = naive_state.cut(data, writes_completed=writes_completed)
    assert (cut is None) == (expected is None), "cut" if cut is not None else "not cut"
    if cut is None:
        return False
    naive_state.same(expected, cut)
    naive_state.comes_back(data.decode(), cut, splice)
    return True
