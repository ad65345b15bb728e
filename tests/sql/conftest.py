"""Databases for the tests of instances: SQLite, and servers of the kinds that are installed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import databases
import pytest
from served import server, servers  # noqa: F401 - fixtures
from servers import Server
from sqlalchemy import Engine, MetaData

from spiff_element_units.sql import Tables, tables

PREFIXES = (f"t{number}_" for number in count())


@pytest.fixture(params=databases.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:  # noqa: F811
    made = databases.engine(server.url)
    yield made
    made.dispose()


@pytest.fixture
def made_tables(engine: Engine) -> Iterator[Tables]:
    """Tables of this test alone."""
    metadata = MetaData()
    made = tables(metadata, prefix=next(PREFIXES))
    metadata.create_all(engine)
    yield made
    metadata.drop_all(engine)
