"""What the library tells about its work: to the log, and to the function that an application gives.

It promises:

- While nobody listens, nothing is read for an event, and no text is made of it.
- The application's function is called without any lock of the library.
- An exception of that function is logged, and changes nothing else.
"""

from __future__ import annotations

import logging
from typing import Any, Callable, Literal, NamedTuple, Optional

LOG = logging.getLogger("spiff_element_units")

Kind = Literal["cached", "opened", "restored", "evicted", "migrated", "damaged"]

# `cache.directory` logs what is cached, whoever does it.
LEVELS: dict[Kind, int] = {
    "opened": logging.DEBUG,
    "restored": logging.DEBUG,
    "evicted": logging.DEBUG,
    "migrated": logging.INFO,
    "damaged": logging.WARNING,
}


class Event(NamedTuple):
    """What the library has done.

    `kind` is "cached", "opened", "restored", "evicted", "migrated" or "damaged". `cache_key` is the
    key of the workflow, and `process_id` the process; each is None if there is none. `seconds` says
    how long it took. `size` is a number of bytes: of the JSON text for "cached" and "restored", of
    the pack for "opened". `detail` says more in words, such as what is damaged. Values that do not
    apply are None.
    """

    kind: Kind
    cache_key: Optional[str] = None
    process_id: Optional[str] = None
    seconds: Optional[float] = None
    size: Optional[int] = None
    detail: Optional[str] = None

    def __str__(self) -> str:
        process = "" if self.process_id is None else f"process {self.process_id!r}"
        key = "" if self.cache_key is None else repr(self.cache_key)
        size = "" if self.size is None else f"{self.size:,} bytes"
        time = "" if self.seconds is None else f"{self.seconds * 1000:.1f} ms"
        what = " of ".join(filter(None, [process, key]))
        measured = " in ".join(filter(None, [size, time]))
        return ": ".join(filter(None, [f"{self.kind} {what}".strip(), self.detail, measured]))


OnEvent = Callable[[Event], Any]


class Events:
    """Tells the log, and a function if there is one. Safe to use from several threads at once."""

    __slots__ = ("_on_event",)

    def __init__(self, on_event: Optional[OnEvent] = None) -> None:
        if on_event is not None and not callable(on_event):
            raise TypeError(f"on_event must be callable, not {type(on_event).__name__}")
        self._on_event = on_event

    def wanted(self, kind: Kind) -> bool:
        """Whether anybody listens to events of this kind."""
        return self._on_event is not None or LOG.isEnabledFor(LEVELS.get(kind, logging.NOTSET))

    def tell(self, event: Event) -> None:
        """Tell an event to all who listen."""
        if event.kind in LEVELS:
            LOG.log(LEVELS[event.kind], "%s", event)
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception:
            LOG.exception("on_event raised an exception for: %s", event)


QUIET = Events()  # tells the log alone
