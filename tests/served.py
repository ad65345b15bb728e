"""Fixtures with servers: each is started once for a file of tests, and on a free port."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from server_process import Missing, Server
from servers import SERVERS


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    """The servers that run, by their names. One is started when it is first asked for.

    Their folders are not pytest's, which no other user may enter.
    """
    running: dict[str, Server] = {}
    top = tempfile.mkdtemp(prefix="stores-")
    os.chmod(top, 0o711)
    managers = []
    failed: dict[str, BaseException] = {}

    class Started(dict[str, Server]):
        def __missing__(self, name: str) -> Server:
            if name in failed:
                raise failed[name]
            manager = SERVERS[name](Path(tempfile.mkdtemp(prefix=f"{name}-", dir=top)))
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
    shutil.rmtree(top, ignore_errors=True)


@pytest.fixture
def server(servers: dict[str, Server], kind: str) -> Server:
    """The server that the parameter `kind` names, started when it is first needed."""
    try:
        return servers[kind]
    except Missing as missing:
        skip(missing, kind)


def skip(missing: Missing, *kinds: str) -> NoReturn:
    """Skip a test because something is missing, or fail if STORES_REQUIRED names one of these."""
    required = sorted(set(kinds) & set(os.environ.get("STORES_REQUIRED", "").split()))
    if required:
        pytest.fail(f"{missing}, but STORES_REQUIRED names {' and '.join(required)}")
    pytest.skip(f"{' and '.join(kinds)}: {missing}")
