"""Locks that are free in a forked child.

A child has one thread, the one that forked. A lock that another thread held at that moment would
stay locked in the child for ever.
"""

from __future__ import annotations

import os
import threading
from typing import Callable
from weakref import WeakSet, WeakValueDictionary


class Lock:
    """A reentrant lock, used as `with lock.now:`. A forked child gets a new lock."""

    __slots__ = ("__weakref__", "now")

    def __init__(self) -> None:
        self.now = threading.RLock()
        _LOCKS.add(self)


_LOCKS: WeakSet[Lock] = WeakSet()


class Locks:
    """A lock for each name, as long as somebody has it. Safe to use from several threads at once.

    Keep a reference to the lock while you use it: first `lock = locks.of(name)`, then
    `with lock.now:`. A thread that asks for the name meanwhile gets the same lock.
    """

    __slots__ = ("_guard", "_held")

    def __init__(self) -> None:
        self._held: WeakValueDictionary[str, Lock] = WeakValueDictionary()
        self._guard = Lock()

    def __len__(self) -> int:
        return len(self._held)

    def of(self, name: str) -> Lock:
        """The lock of a name."""
        with self._guard.now:
            return self._held.setdefault(name, Lock())


def in_child(action: Callable[[], None]) -> None:
    """Call `action` in each forked child, before any other code runs there."""
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(after_in_child=action)


def _renew() -> None:
    for lock in tuple(_LOCKS):
        lock.now = threading.RLock()


in_child(_renew)
