"""A store in memory that counts requests, and that can be made to fail and to lie.

It is also an example of an application's own store: it implements `Store` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Optional

from spiff_element_units import CacheError
from spiff_element_units.stores import Stored


class MemoryStore:
    def __init__(self) -> None:
        self.held: dict[str, tuple[bytes, float]] = {}
        self.now = 1_000_000.0
        self.requests: list[str] = []
        self.fail: Callable[[str, str], bool] = lambda method, name: False
        self.lie: Callable[[str, bytes], bytes] = lambda name, data: data

    def __str__(self) -> str:
        return "memory"

    def read(self, name: str, ranges: Sequence[tuple[int, int]]) -> Optional[list[bytes]]:
        self._request("read", name)
        if name not in self.held:
            return None
        content = self.held[name][0]
        return [self.lie(name, content[at : at + length]) for at, length in ranges]

    def write(self, name: str, content: bytes) -> None:
        self._request("write", name)
        self.held[name] = content, self.now

    def list_names(self, prefix: str) -> list[Stored]:
        self._request("list", prefix)
        found = sorted(name for name in self.held if name.startswith(prefix))
        return [Stored(name, len(self.held[name][0]), self.held[name][1]) for name in found]

    def delete(self, name: str, modified: Optional[float] = None) -> bool:
        self._request("delete", name)
        if name not in self.held or modified not in (None, self.held[name][1]):
            return False
        del self.held[name]
        return True

    def _request(self, method: str, name: str) -> None:
        self.requests.append(f"{method} {name}")
        if self.fail(method, name):
            raise CacheError(f"memory cannot {method} {name!r}: it was told to fail")

    def counted(self) -> int:
        """The number of requests since the last call."""
        number = len(self.requests)
        self.requests.clear()
        return number
