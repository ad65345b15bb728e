"""Each store does what `Store` asks for, on real servers, also behind a local directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from server_process import Server
from servers import SERVERS

from spiff_element_units.stores import CachedStore, open_store
from spiff_element_units.stores.testing import CHECKS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", SERVERS)
def test_a_store_does_what_the_kit_checks(server: Server, check: Callable[[Any], None]) -> None:
    check(open_store(server.url))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", ["redis", "sqlite"])
def test_a_store_behind_a_directory_does_so_too(
    server: Server, check: Callable[[Any], None], tmp_path: Path
) -> None:
    remote: Any = open_store(server.url)
    check(CachedStore(remote, tmp_path, max_bytes=10**7, keys_for=0))
