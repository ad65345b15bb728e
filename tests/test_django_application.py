"""The Django example, on real servers, with clients that submit at the same time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import servers
from web_servers import (
    DJANGO,
    an_instance_is_driven_to_its_end_by,
    it_says_what_it_does_not_have,
    of_concurrent_submits_exactly_one_succeeds,
    serving,
    two_serving,
)

pytest.importorskip("django", reason="needs Django 5.1, which needs Python 3.10")


@pytest.fixture(scope="module")
def postgresql() -> Iterator[dict[str, str]]:
    """The variables of libpq for a PostgreSQL server of these tests."""
    try:
        import psycopg  # noqa: F401, PLC0415
    except ImportError as error:  # without libpq
        pytest.skip(f"psycopg cannot be imported: {error}")
    with tempfile.TemporaryDirectory(prefix="django-") as folder:
        try:
            with servers.postgresql(Path(folder)) as server:
                url = urlsplit(server.url)
                yield {
                    "PGHOST": str(url.hostname),
                    "PGPORT": str(url.port),
                    "PGUSER": str(url.username),
                    "PGPASSWORD": str(url.password),
                }
        except servers.Missing as missing:
            pytest.skip(str(missing))


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The variables that say where the application has its cache and its database."""
    variables = {"WORKFLOWS": str(tmp_path)}
    if request.param == "PostgreSQL":
        variables.update(request.getfixturevalue("postgresql"))
    return variables


def test_an_instance_is_driven_to_its_end_by_two_servers(where: dict[str, str]) -> None:
    with two_serving(*DJANGO, **where) as servers:
        an_instance_is_driven_to_its_end_by(servers, "/")


def test_of_concurrent_submits_to_two_servers_exactly_one_succeeds(where: dict[str, str]) -> None:
    with two_serving(*DJANGO, **where) as servers:
        of_concurrent_submits_exactly_one_succeeds(servers, "/")


def test_it_says_what_it_does_not_have(tmp_path: Path) -> None:
    with serving(*DJANGO, WORKFLOWS=str(tmp_path)) as server:
        it_says_what_it_does_not_have(server, "/")
