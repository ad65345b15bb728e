"""A proxy on loopback between a store and its server: it counts round trips, cuts and stalls."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Optional


class Proxy:
    """Passes bytes on to a port, for connections to its own.

    `trips` is the number of times that a client has sent something after the last reply.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.trips = 0
        self.replied = 0
        self.cut_after: Optional[int] = None  # so many more bytes of replies; then it hangs up
        self.stalled = False  # nothing is passed on to clients any more
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._closed = False
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                continue
            self._ends += [client, server]
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        asking = False
        with suppress(OSError, ValueError), client, server:
            while not self._closed:
                for one in select.select([client, server], [], [], 1)[0]:
                    data = one.recv(1 << 16)
                    if not data:
                        return
                    if one is client:
                        if not asking:
                            self.trips += 1
                        asking = True
                        server.sendall(data)
                        continue
                    asking = False
                    if self.stalled:
                        continue
                    if self.cut_after is not None:
                        data = data[: self.cut_after - self.replied]
                    self.replied += len(data)
                    client.sendall(data)
                    if self.cut_after is not None and self.replied >= self.cut_after:
                        return

    def cut(self, after: Optional[int]) -> None:
        self.replied = 0
        self.cut_after = after

    def counted(self) -> int:
        """The number of round trips since the last call."""
        trips, self.trips = self.trips, 0
        return trips

    def close(self) -> None:
        self._closed = True
        for one in [self._listener, *self._ends]:
            with suppress(OSError):
                one.close()


@contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    made = Proxy(target)
    try:
        yield made
    finally:
        made.close()
