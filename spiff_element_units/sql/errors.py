"""The errors of stored instances."""

from __future__ import annotations

from ..errors import ElementUnitsError


class Conflict(ElementUnitsError):
    """Another transaction was faster. Nothing of this one was written: do it again.

    Another step has changed the instance since this one read it, or the database gave way to
    another transaction: a deadlock, a failed serialization or a lock that was not free in time.
    `start` raises it if there is an instance with this id already.

    If you catch it in a transaction of your own, nothing of the step is in it. But the database may
    have undone what you wrote before, so roll back.
    """


class UnknownInstance(ElementUnitsError):
    """The database does not contain the instance."""
