"""The servers of the tests of stores: each is started once for a file, and on free ports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers import SERVERS, Missing, Server


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """The servers that run, by their names; `started` adds to them."""
    running: dict[str, Server] = {}
    managers = []
    failed: dict[str, BaseException] = {}

    class Started(dict[str, Server]):
        def __missing__(self, name: str) -> Server:
            if name in failed:
                raise failed[name]
            manager = SERVERS[name](tmp_path_factory.mktemp(name))
            try:
                self[name] = manager.__enter__()
            except BaseException as error:
                failed[name] = error
                raise
            managers.append(manager)
            return self[name]

    running = Started()
    yield running
    for manager in reversed(managers):
        manager.__exit__(None, None, None)


@pytest.fixture
def server(servers: dict[str, Server], kind: str) -> Server:
    """The server that the parameter `kind` names, started when it is first needed."""
    try:
        return servers[kind]
    except Missing as missing:
        pytest.skip(f"{kind}: {missing}")
