"""`Fault`: what a compiled module found wrong, as plain values without a message."""

from __future__ import annotations

from typing import Any


class Fault(Exception):
    """`kind` says what is wrong. `values` say where it is, and what was found there.

    `spiff_element_units.wording` has the error and the message for each kind. Code that calls the
    core catches a `Fault` and raises that error instead.
    """

    def __init__(self, kind: str, **values: Any) -> None:
        super().__init__(kind, values)
        self.kind = kind
        self.values = values
