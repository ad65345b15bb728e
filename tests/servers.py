"""Starts the servers that the tests of stores need: real ones, on free ports, in own folders.

Each function is a context manager that gives a URL for `open_store`. `Missing` says which program
or library is not here. Nothing is installed, and nothing of the machine's own servers is used.

If a server that `STORES_REQUIRED` names is not here, its tests fail instead of being skipped.
`namespaces` stands for the hosts of `hosts`.
`STORES_ROOT` names a folder with a Debian that debootstrap has made. If this system does not have
radosgw or valkey-server, they are looked for there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any, Callable
from urllib.parse import quote

from server_process import (
    ROOT,
    Missing,
    Server,
    answers,
    free_port,
    in_root,
    program,
    require_packages,
    run,
    set_up,
    without_root,
)

HERE = "127.0.0.1"
KEY, SECRET = "access-key", "secret/key+with=signs"
# The account of Azurite is the same everywhere, and no secret.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@contextmanager
def postgresql(folder: Path, address: str = HERE) -> Iterator[Server]:
    require_packages("sqlalchemy", "psycopg")
    command, initdb = program("postgres"), program("initdb")
    port, data = free_port(), folder / "data"
    options = without_root(folder)
    (folder / "password").write_text("secret-password")
    set_up(
        [
            initdb,
            "--pgdata",
            str(data),
            "--username=app",
            f"--pwfile={folder / 'password'}",
            "--auth=scram-sha-256",
            "--no-sync",
            "--no-locale",
            "--encoding=UTF8",
        ],
        cwd=folder,
        **options,
    )
    with open(data / "pg_hba.conf", "a") as allowed:
        allowed.write(f"host all all {address}/24 scram-sha-256\n")
    url = f"postgresql://app:secret-password@{address}:{port}/postgres"
    server = Server(
        [
            command,
            "-D",
            str(data),
            "-p",
            str(port),
            "-c",
            f"unix_socket_directories={folder}",
            "-c",
            f"listen_addresses={address}",
            "-c",
            "fsync=off",
            "-c",
            "max_connections=50",
        ],
        folder,
        url,
        **options,
    )
    import psycopg  # noqa: PLC0415

    yield from run(server, lambda: psycopg.connect(url, connect_timeout=5).close())


@contextmanager
def mariadb(folder: Path) -> Iterator[Server]:
    require_packages("sqlalchemy", "pymysql")
    command, install = program("mariadbd", "mysqld"), program("mariadb-install-db")
    port, data = free_port(), folder / "data"
    options = without_root(folder)
    setup = ["--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal"]
    set_up(
        [install, *setup, "--skip-test-db"],
        cwd=folder,
        **options,
    )
    start = folder / "init.sql"
    start.write_text(
        "CREATE DATABASE IF NOT EXISTS app;\n"
        "CREATE USER IF NOT EXISTS app@'127.0.0.1' IDENTIFIED BY 'secret-password';\n"
        "GRANT ALL ON app.* TO app@'127.0.0.1';\n"
    )
    server = Server(
        [
            command,
            "--no-defaults",
            f"--datadir={data}",
            f"--port={port}",
            f"--init-file={start}",
            f"--socket={folder / 'sock'}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=2",
            f"--pid-file={folder / 'pid'}",
        ],
        folder,
        f"mariadb://app:secret-password@127.0.0.1:{port}/app",
        **options,
    )
    import pymysql  # noqa: PLC0415

    account: Any = {"user": "app", "password": "secret-password", "database": "app"}
    yield from run(server, lambda: pymysql.connect(host="127.0.0.1", port=port, **account).close())


@contextmanager
def sqlite(folder: Path) -> Iterator[Server]:
    require_packages("sqlalchemy")
    yield Server([], folder, f"sqlite:///{folder / 'store.db'}")


@contextmanager
def redis(folder: Path, address: str = HERE) -> Iterator[Server]:
    yield from _redis([program("redis-server")], folder, "redis", address)


@contextmanager
def valkey(folder: Path) -> Iterator[Server]:
    yield from _redis(in_root("valkey-server"), folder, "valkey", HERE)


def _redis(command: list[str], folder: Path, scheme: str, address: str) -> Iterator[Server]:
    require_packages("redis")
    port = free_port()
    server = Server(
        [
            *command,
            "--port",
            str(port),
            "--bind",
            address,
            "--requirepass",
            "secret-password",
            "--save",
            "",
            "--appendonly",
            "no",
        ],
        folder,
        f"{scheme}://:secret-password@{address}:{port}/0",
    )
    import redis  # noqa: PLC0415

    client = redis.Redis(address, port, password="secret-password")
    yield from run(server, client.ping)


@contextmanager
def rabbitmq(folder: Path, address: str = HERE) -> Iterator[Server]:
    """RabbitMQ, with an epmd of its own, by which Erlang's nodes find each other."""
    require_packages("amqp")
    places = sorted(Path("/usr/lib/rabbitmq/lib").glob("*/sbin/rabbitmq-server"), reverse=True)
    # The program in the PATH only runs as the user of Debian's own server.
    command = str(places[0]) if places else program("rabbitmq-server")
    epmd, port, epmd_port = program("epmd"), free_port(), free_port()
    options = without_root(folder)
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = {address}:{port}\n"
        "default_user = app\ndefault_pass = secret-password\nlog.console = true\n"
    )
    (folder / "plugins").write_text("[].\n")
    options["env"] = {
        **os.environ,
        "HOME": str(folder),  # Erlang writes its cookie there
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": HERE,
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "no-environment"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_ALLOW_INPUT": "1",  # the script becomes the server, which can then be killed
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput +sbwt none",
    }
    names = Server([epmd, "-port", str(epmd_port), "-address", HERE], folder, "", **options)
    server = Server([command], folder, f"amqp://app:secret-password@{address}:{port}//", **options)
    import amqp  # noqa: PLC0415

    def ready() -> None:
        account = {"userid": "app", "password": "secret-password", "connect_timeout": 5}
        with amqp.Connection(f"{address}:{port}", **account):
            pass

    for _ in run(names, lambda: answers(epmd_port)):
        yield from run(server, ready)


def s3_url(port: int, prefix: str = "units") -> str:
    return (
        f"s3://test-bucket/{prefix}?endpoint=http://127.0.0.1:{port}&region=us-east-1"
        f"&access_key_id={KEY}&secret_access_key={SECRET.replace('/', '%2F').replace('+', '%2B')}"
    )


def make_bucket(port: int) -> None:
    """Make the bucket of the tests, with a request that obstore signs."""
    from datetime import timedelta  # noqa: PLC0415

    import obstore  # noqa: PLC0415

    store = obstore.store.S3Store(
        "test-bucket",
        endpoint=f"http://127.0.0.1:{port}",
        region="us-east-1",
        access_key_id=KEY,
        secret_access_key=SECRET,
        client_options={"allow_http": True},
    )
    url = obstore.sign(store, "PUT", "", timedelta(seconds=60))
    urllib.request.urlopen(urllib.request.Request(url, method="PUT")).close()


@contextmanager
def moto(folder: Path) -> Iterator[Server]:
    """moto's server, which speaks S3 and keeps everything in memory."""
    require_packages("obstore", "moto", "flask")
    port = free_port()
    server = Server(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        folder,
        s3_url(port),
    )
    yield from run(server, lambda: make_bucket(port))


@contextmanager
def azurite(folder: Path) -> Iterator[Server]:
    """The emulator of Azure's storage."""
    require_packages("obstore")
    command, port = program("azurite-blob"), free_port()
    place = f"http://127.0.0.1:{port}/{ACCOUNT}"
    server = Server(
        [
            *(command, "--silent", "--skipApiVersionCheck", "--disableTelemetry"),
            *("--location", str(folder), "--blobHost", "127.0.0.1", "--blobPort", str(port)),
        ],
        folder,
        f"az://test-container/units?endpoint={place}&account_name={ACCOUNT}"
        f"&account_key={quote(ACCOUNT_KEY, safe='')}",
    )
    yield from run(server, lambda: make_container(place))


def make_container(place: str) -> None:
    """Make the container of the tests. Does nothing if it is there."""
    headers = {
        "x-ms-date": formatdate(usegmt=True),
        "x-ms-version": "2021-08-06",
    }
    signed = "PUT" + 12 * "\n" + "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    signed += f"/{ACCOUNT}/{ACCOUNT}/test-container\nrestype:container"
    digest = hmac.new(base64.b64decode(ACCOUNT_KEY), signed.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    url = f"{place}/test-container?restype=container"
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers)).close()
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise


@contextmanager
def radosgw(folder: Path) -> Iterator[Server]:
    """Ceph's gateway with its dbstore backend.

    Raises Missing if it returns other bytes than the range that it is asked for, as the one of Ceph
    20.2 does.
    """
    require_packages("obstore")
    command, port = in_root("radosgw"), free_port()
    chrooted = command[0] == "chroot"
    place = Path(ROOT, "tmp", f"radosgw-{port}") if chrooted else folder / "data"
    (place / "db").mkdir(parents=True)
    inside = f"/tmp/{place.name}" if chrooted else str(place)
    (place / "ceph.conf").write_text(
        f"[client.rgw]\nrgw_frontends = beast endpoint=127.0.0.1:{port}\n"
        f"dbstore_db_dir = {inside}/db\nrgw_data = {inside}\nlog_file = {inside}/log\n"
        f"run_dir = {inside}\nadmin_socket =\n"
    )
    options = ["--no-mon-config", "-n", "client.rgw", "-c", f"{inside}/ceph.conf"]
    options += ["--rgw_backend_store=dbstore", "--rgw_config_store=dbstore"]
    set_up(
        [
            *command[:-1],
            command[-1].replace("radosgw", "radosgw-admin"),
            "user",
            "create",
            "--uid=u",
            "--display-name=u",
            f"--access-key={KEY}",
            f"--secret-key={SECRET}",
            *options,
        ],
    )
    server = Server([*command, "-f", *options], folder, s3_url(port))
    try:
        for one in run(server, lambda: make_bucket(port)):
            require_ranges(one.url)
            yield one
    finally:
        shutil.rmtree(place, ignore_errors=True)


def require_ranges(url: str) -> None:
    from spiff_element_units.stores import open_store  # noqa: PLC0415

    store: Any = open_store(url)
    content = os.urandom(100_000)
    store.write("testing/ranges", content)
    if store.read("testing/ranges", [(20_000, 100)]) != [content[20_000:20_100]]:
        raise Missing(
            "the radosgw that is installed returns other bytes than the range it is asked"
        )


@contextmanager
def memory(folder: Path) -> Iterator[Server]:
    require_packages("obstore")
    yield Server([], folder, "memory://")


SERVERS: dict[str, Callable[[Path], Any]] = {
    "memory": memory,
    "sqlite": sqlite,
    "postgresql": postgresql,
    "mariadb": mariadb,
    "redis": redis,
    "valkey": valkey,
    "radosgw": radosgw,
    "moto": moto,
    "azurite": azurite,
}
