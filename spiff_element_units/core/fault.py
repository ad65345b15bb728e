"""What a compiled module found wrong, as plain values: no error of the library, and no sentence."""

from __future__ import annotations

from typing import Any


class Fault(Exception):
    """`kind` says what is wrong; `values` say where, and what was found there.

    `spiff_element_units.wording` has the error and the sentence for each kind. Whoever calls the
    core catches a Fault and raises that error in its place.
    """

    def __init__(self, kind: str, **values: Any) -> None:
        super().__init__(kind, values)
        self.kind = kind
        self.values = values
