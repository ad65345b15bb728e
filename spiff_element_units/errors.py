"""What can go wrong, as kinds of one error.

Every failure of the library is an `ElementUnitsError`, which is a `ValueError`. Its message names
the thing, the place and the way out; the cause, where there is one, is chained. An argument of the
wrong type is a `TypeError`.
"""

from __future__ import annotations


class ElementUnitsError(ValueError):
    """Any failure of spiff-element-units."""


class InvalidWorkflowSpec(ElementUnitsError):
    """The text is not JSON, or not of the form of a serialized workflow."""


class CacheError(ElementUnitsError):
    """The cache directory or a file in it cannot be created, read or written."""


class UnitNotFound(ElementUnitsError):
    """The cache has no such key, or the workflow no such process or element."""


class CorruptPack(CacheError):
    """A stored workflow is damaged or not one of ours; caching it again mends it."""
