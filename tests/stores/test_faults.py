"""Stores on real servers: how many round trips a get takes, and what happens when the server fails.

A proxy counts and disturbs. Each fault ends in an error that names the store, in bounded time and
without credentials, or in the right unit.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from proxy import Proxy, proxy
from server_process import Server, answers
from servers import SECRET
from store_workers import hammer, version
from store_workflows import workflow

from spiff_element_units import CacheError, ElementUnits, verify_cache
from spiff_element_units.stores import open_store

SERVERS = ["postgresql", "mariadb", "redis", "moto"]
TEXT = workflow(200)
UNITS = ElementUnits.from_json(TEXT)
WANT = UNITS.workflow("p150")
SECRETS = ["secret-password", SECRET, SECRET.replace("/", "%2F")]
BOUND = 60.0
"""Seconds within which every fault is an error, with the timeout of 1 second of these tests."""


def port_of(server: Server) -> int:
    url = server.url.partition("endpoint=")[2] or server.url
    port = urlsplit(url.partition("&")[0]).port
    assert port is not None
    return port


@pytest.fixture
def between(server: Server) -> Iterator[Proxy]:
    with proxy(port_of(server)) as made:
        yield made


@pytest.fixture
def store(server: Server, between: Proxy) -> Any:
    """The store of the server, by way of the proxy, with the workflow in it."""
    url = server.url.replace(f":{port_of(server)}", f":{between.port}")
    found: Any = open_store(url, timeout=1)
    UNITS.save(found, "key")
    return found


def without_secrets(error: BaseException) -> str:
    told = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    context: Any = error
    while context is not None:
        told += repr(context)
        context = context.__cause__ or context.__context__
    for secret in SECRETS:
        assert secret not in told
    return str(error)


@pytest.mark.parametrize("kind", [*SERVERS, "azurite"])
def test_a_cold_get_takes_at_most_three_round_trips_and_a_warm_one_none(
    store: Any, between: Proxy
) -> None:
    ElementUnits.open(store, "key")  # the connection is made
    between.counted()
    units = ElementUnits.open(store, "key")
    assert units.workflow("p150") == WANT
    assert between.counted() <= 3
    assert units.workflow("p150") == WANT
    assert between.counted() == 0


@pytest.mark.parametrize("kind", [*SERVERS, "azurite"])
def test_a_start_unit_takes_no_more_round_trips_than_one_read_of_its_bytes(
    store: Any, between: Proxy
) -> None:
    start = UNITS.workflow(UNITS.root)
    store.write("testing/unit", start.encode())
    between.counted()
    assert store.read("testing/unit", [(0, len(start))]) == [start.encode()]
    one = between.counted()
    assert one > 0
    assert ElementUnits.open(store, "key").workflow(UNITS.root) == start
    assert 0 < between.counted() <= one


@pytest.mark.parametrize("kind", SERVERS)
def test_a_connection_that_is_cut_at_any_byte_gives_an_error_or_the_right_unit(
    store: Any, between: Proxy
) -> None:
    between.replied = 0
    ElementUnits.open(store, "key").workflow("p150")
    length = between.replied
    assert length > 1000
    right = 0
    told = []
    for cut in [*range(0, 60, 7), length // 2, length - 1]:
        between.cut(cut)
        done = threading.Event()

        def mend(done: threading.Event = done) -> None:
            """Let the next attempts through, as if nothing was cut."""
            done.wait(0.3)
            between.cut(None)

        mending = threading.Thread(target=mend)
        mending.start()
        try:
            assert ElementUnits.open(store, "key").workflow("p150") == WANT
            right += 1
        except CacheError as error:
            told.append(without_secrets(error))
        done.set()
        mending.join()
        between.cut(None)
    assert ElementUnits.open(store, "key").workflow("p150") == WANT
    assert all(str(store) in message for message in told)
    assert right > 0  # what was cut once is asked for again


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_hangs_up_each_time_is_an_error_in_bounded_time(
    store: Any, between: Proxy
) -> None:
    between.cut(0)
    start = time.monotonic()
    with pytest.raises(CacheError) as caught:
        ElementUnits.open(store, "key")
    assert time.monotonic() - start < BOUND
    assert str(store) in without_secrets(caught.value)


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_never_answers_is_an_error_in_bounded_time(
    store: Any, between: Proxy
) -> None:
    between.stalled = True
    start = time.monotonic()
    with pytest.raises(CacheError) as caught:
        ElementUnits.open(store, "key")
    assert time.monotonic() - start < BOUND
    assert str(store) in without_secrets(caught.value)


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_is_away_is_an_error_that_names_it(server: Server) -> None:
    with proxy(1) as nobody:
        port = nobody.port
    store: Any = open_store(server.url.replace(f":{port_of(server)}", f":{port}"), timeout=1)
    for call in (lambda: ElementUnits.open(store, "key"), lambda: UNITS.save(store, "key")):
        with pytest.raises(CacheError) as caught:
            call()
        assert str(store) in without_secrets(caught.value)


@pytest.mark.parametrize("kind", SERVERS)
def test_credentials_are_in_no_message_and_in_no_log(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        store: Any = open_store(server.url, timeout=1)
        ElementUnits.from_json(TEXT).save(store, "key")
        wrong = server.url.replace("secret-password", "wrong-password").replace(
            "secret%2Fkey", "wrong-password"
        )
        refused: Any = open_store(wrong, timeout=1)
        if server.url.startswith("s3"):
            pytest.skip("moto's server takes any key")
        with pytest.raises(CacheError) as caught:
            ElementUnits.open(refused, "key")
    said = without_secrets(caught.value) + str(store) + repr(store) + caplog.text
    for secret in ("secret-password", "wrong-password", *SECRETS):
        assert secret not in said


@pytest.mark.parametrize("kind", ["postgresql", "mariadb", "redis"])
def test_a_server_that_is_killed_and_restarted_under_load_loses_no_unit(server: Server) -> None:
    store: Any = open_store(server.url, timeout=2)
    ElementUnits.from_json(version(0)).save(store, "key")
    context = multiprocessing.get_context("spawn")
    results, stop, done = context.Queue(), context.Event(), context.Array("i", 3)
    workers = [
        context.Process(target=hammer, args=(server.url, number, done, stop, results))
        for number in range(3)
    ]
    for worker in workers:
        worker.start()
    try:
        for _ in range(2):
            wait_for_progress(done, workers)
            server.stop()
            server.start(lambda: answers(port_of(server)))
        wait_for_progress(done, workers)
    finally:
        stop.set()
        told = [results.get(timeout=5 * BOUND) for _ in workers]
        for worker in workers:
            worker.join()
    assert [one for one in told if one] == []
    ElementUnits.from_json(version(0)).save(store, "key")
    report = verify_cache(store)
    assert report.ok, report.damaged


def wait_for_progress(done: Any, workers: list[Any]) -> None:
    """Wait until each worker has cached and read something from now on."""
    before = list(done)
    end = time.monotonic() + 5 * BOUND
    while any(now == old for now, old in zip(done, before)):
        assert all(worker.is_alive() for worker in workers)
        assert time.monotonic() < end
        time.sleep(0.05)


FORK = """
import os, sys
from spiff_element_units import CacheError, ElementUnits
from spiff_element_units.stores import open_store
store = open_store(sys.argv[1], timeout=2)
used = ElementUnits.open(store, "key")
child = os.fork()
if child == 0:
    try:
        units = ElementUnits.open(store, "key")
        os._exit(0 if units.workflow("p150") == used.workflow("p150") else 1)
    except CacheError as error:
        os._exit(3 if "forked" in str(error) else 1)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
ElementUnits.open(store, "key").workflow("p0")
sys.exit(code)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize(("kind", "code"), [*((kind, 0) for kind in SERVERS[:3]), ("moto", 3)])
def test_a_forked_process_uses_its_own_connections_or_is_told(server: Server, code: int) -> None:
    UNITS.save(open_store(server.url), "key")
    done = subprocess.run(
        [sys.executable, "-c", FORK, server.url],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        timeout=BOUND,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize("kind", ["redis"])
def test_a_full_redis_is_an_error_and_what_was_there_stays(server: Server) -> None:
    import redis  # noqa: PLC0415

    store: Any = open_store(server.url)
    UNITS.save(store, "full")
    client = redis.Redis.from_url(server.url)
    try:
        client.config_set("maxmemory", client.info("memory")["used_memory"])
        with pytest.raises(CacheError, match="maxmemory"):
            ElementUnits.from_json(workflow(200, "other")).save(store, "full")
    finally:
        client.config_set("maxmemory", 0)
    assert ElementUnits.open(store, "full").workflow("p150") == WANT


@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_database_that_is_read_only_is_read_and_an_error_to_write(server: Server) -> None:
    import sqlalchemy  # noqa: PLC0415

    store: Any = open_store(server.url)
    UNITS.save(store, "key")
    engine = store._engine
    with engine.connect() as connection:
        connection.execute(
            sqlalchemy.text("ALTER DATABASE postgres SET default_transaction_read_only = on")
        )
    try:
        reader: Any = open_store(server.url)
        assert ElementUnits.open(reader, "key").workflow("p150") == WANT
        with pytest.raises(CacheError, match="read-only"):
            ElementUnits.from_json(version(1)).save(reader, "key")
    finally:
        with engine.connect() as connection:
            connection.execute(
                sqlalchemy.text("ALTER DATABASE postgres SET default_transaction_read_only = off")
            )


def test_a_full_sqlite_file_is_an_error_and_what_was_there_stays(tmp_path: Path) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    store: Any = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    UNITS.save(store, "key")
    limited = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'store.db'}")

    @sqlalchemy.event.listens_for(limited, "connect")
    def limit(connection: Any, _: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 10}")

    from spiff_element_units.stores import SqlStore  # noqa: PLC0415

    with pytest.raises(CacheError, match="full"):
        ElementUnits.from_json(workflow(200, "other")).save(SqlStore(limited), "key")
    assert ElementUnits.open(store, "key").workflow("p150") == WANT
