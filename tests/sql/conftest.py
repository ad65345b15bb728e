"""Databases for the tests of instances: SQLite, and servers of the kinds that are installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import count
from typing import TYPE_CHECKING

import pytest
from served import server, servers  # noqa: F401 - fixtures
from server_process import Server

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from spiff_element_units.sql import Tables

if find_spec("sqlalchemy") is None:
    collect_ignore_glob = ["test_*.py"]

KINDS = ["sqlite", "postgresql", "mariadb"]
PREFIXES = (f"t{number}_" for number in count())


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:  # noqa: F811
    import databases  # noqa: PLC0415 - needs SQLAlchemy

    made = databases.engine(server.url)
    yield made
    made.dispose()


@pytest.fixture
def impatient(server: Server) -> Iterator[Engine]:  # noqa: F811
    """An engine that does not wait for locks."""
    import databases  # noqa: PLC0415 - needs SQLAlchemy

    made = databases.impatient(server.url)
    yield made
    made.dispose()


@pytest.fixture
def made_tables(engine: Engine) -> Iterator[Tables]:
    """Tables of this test alone."""
    from sqlalchemy import MetaData  # noqa: PLC0415

    from spiff_element_units.sql import tables  # noqa: PLC0415

    metadata = MetaData()
    made = tables(metadata, prefix=next(PREFIXES))
    metadata.create_all(engine)
    yield made
    metadata.drop_all(engine)
