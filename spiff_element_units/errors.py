"""The errors of the library, which are kinds of one error.

Every failure of the library is an `ElementUnitsError`, which is a `ValueError`. The message says
what is wrong, where, and what to do. If another exception is the cause, it is the `__cause__`. An
argument of the wrong type is a `TypeError`.
"""

from __future__ import annotations


class ElementUnitsError(ValueError):
    """Any failure of spiff-element-units."""


class InvalidWorkflowSpec(ElementUnitsError):
    """The text is not JSON, or it is not a serialized workflow."""


class CacheError(ElementUnitsError):
    """The cache directory or a file in it cannot be created, read or written, or a store fails."""


class UnitNotFound(ElementUnitsError):
    """The cache does not contain the key, or the workflow lacks the process or element."""


class CorruptPack(CacheError):
    """A pack is damaged, or this version cannot read it. To repair it, cache the workflow again."""
