"""Times as the tables have them: UTC without a time zone."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Optional, overload


def now() -> datetime:
    """The time of this machine, aware."""
    return datetime.now(timezone.utc)


def stored(time: datetime) -> datetime:
    """An aware time as the tables have it. Raises TypeError for any other."""
    if not isinstance(time, datetime) or time.utcoffset() is None:
        raise TypeError(f"a time must be a datetime with a time zone, not {time!r}")
    return time.astimezone(timezone.utc).replace(tzinfo=None)


@overload
def aware(time: datetime) -> datetime: ...
@overload
def aware(time: Optional[datetime]) -> Optional[datetime]: ...
def aware(time: Optional[datetime]) -> Optional[datetime]:
    """A time of the tables with its time zone."""
    return None if time is None else time.replace(tzinfo=timezone.utc)
