"""Starts the servers that the tests of stores need: real ones, on free ports, in own folders.

Each function is a context manager that gives a URL for `open_store`. `Missing` says which program
or library is not here. Nothing is installed, and nothing of the machine's own servers is used.

`STORES_REQUIRED` names servers whose tests fail instead of being skipped if they are not here.
`STORES_ROOT` names a folder with a Debian, made by debootstrap, in which programs are looked for
that this system lacks: radosgw and valkey-server.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Optional

ROOT = os.environ.get("STORES_ROOT", "")
PATIENCE = 20.0
KEY, SECRET = "access-key", "secret/key+with=signs"


class Missing(Exception):
    """A program or library that a server needs is not here."""


class Server:
    """A process that serves; it can be killed, frozen and started again."""

    def __init__(self, command: list[str], folder: Path, url: str, **options: Any) -> None:
        self.command = command
        self.folder = folder
        self.url = url
        self.options = options
        self.process: Optional[subprocess.Popen[bytes]] = None

    def start(self, ready: Callable[[], object]) -> None:
        """Start it and wait until it answers.

        It is started again if it ends at once: what it left when it was killed may be in its way.
        """
        end = time.monotonic() + PATIENCE
        while True:
            if self.process is None or self.process.poll() is not None:
                with open(self.folder / "log", "ab") as log:
                    self.process = subprocess.Popen(
                        self.command, stdout=log, stderr=log, cwd=self.folder, **self.options
                    )
            with suppress(Exception):
                ready()
                return
            if time.monotonic() > end:
                raise AssertionError((self.folder / "log").read_text("utf-8", "replace")[-3000:])
            time.sleep(0.05)

    def stop(self) -> None:
        """Kill it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def program(*names: str) -> str:
    """The path of the first of these programs. Raises Missing."""
    places = os.pathsep.join(
        [
            os.environ.get("PATH", ""),
            "/usr/sbin",
            "/usr/local/sbin",
            *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)),
        ]
    )
    for name in names:
        found = shutil.which(name, path=places)
        if found:
            return found  # not where it links to: redis-server goes by its name
    raise Missing(f"no {' or '.join(names)} is installed")


def in_root(name: str) -> list[str]:
    """The command of a program here, or of one in the folder that STORES_ROOT names."""
    with suppress(Missing):
        return [program(name)]
    for place in ("usr/bin", "usr/sbin"):
        if ROOT and Path(ROOT, place, name).exists() and os.getuid() == 0:
            return ["chroot", ROOT, name]
    raise Missing(f"no {name} is installed, and none is in STORES_ROOT")


def library(*names: str) -> None:
    for name in names:
        if find_spec(name) is None:
            raise Missing(f"the library {name} is not installed")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def answers(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), 1).close()


def without_root(folder: Path) -> dict[str, Any]:
    """Options for a server that does not run as root: the user, who gets the folder."""
    if os.getuid() != 0:
        return {}
    import pwd  # noqa: PLC0415 - Windows has none

    user = next(
        one for one in ("postgres", "nobody") if one in {name.pw_name for name in pwd.getpwall()}
    )
    shutil.chown(folder, user)
    os.chmod(folder, 0o711)
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


@contextmanager
def postgresql(folder: Path) -> Iterator[Server]:
    library("sqlalchemy", "psycopg")
    command, initdb = program("postgres"), program("initdb")
    port, data = free_port(), folder / "data"
    options = without_root(folder)
    (folder / "password").write_text("secret-password")
    subprocess.run(
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
        check=True,
        capture_output=True,
        cwd=folder,
        **options,
    )
    url = f"postgresql://app:secret-password@127.0.0.1:{port}/postgres"
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
            "listen_addresses=127.0.0.1",
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
    library("sqlalchemy", "pymysql")
    command, install = program("mariadbd", "mysqld"), program("mariadb-install-db")
    port, data = free_port(), folder / "data"
    options = without_root(folder)
    setup = ["--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal"]
    subprocess.run(
        [install, *setup, "--skip-test-db"],
        check=True,
        capture_output=True,
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
    library("sqlalchemy")
    yield Server([], folder, f"sqlite:///{folder / 'store.db'}")


@contextmanager
def redis(folder: Path) -> Iterator[Server]:
    yield from _redis([program("redis-server")], folder, "redis")


@contextmanager
def valkey(folder: Path) -> Iterator[Server]:
    yield from _redis(in_root("valkey-server"), folder, "valkey")


def _redis(command: list[str], folder: Path, scheme: str) -> Iterator[Server]:
    library("redis")
    port = free_port()
    server = Server(
        [
            *command,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--requirepass",
            "secret-password",
            "--save",
            "",
            "--appendonly",
            "no",
        ],
        folder,
        f"{scheme}://:secret-password@127.0.0.1:{port}/0",
    )
    import redis  # noqa: PLC0415

    client = redis.Redis(port=port, password="secret-password")
    yield from run(server, client.ping)


def run(server: Server, ready: Callable[[], object]) -> Iterator[Server]:
    try:
        server.start(ready)
        yield server
    finally:
        server.stop()


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
    library("obstore", "moto.server", "flask")
    port = free_port()
    server = Server(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        folder,
        s3_url(port),
    )
    yield from run(server, lambda: make_bucket(port))


@contextmanager
def radosgw(folder: Path) -> Iterator[Server]:
    """Ceph's gateway with its dbstore backend.

    Raises Missing if it returns other bytes than the range that it is asked for, as the one of Ceph
    20.2 does.
    """
    library("obstore")
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
    subprocess.run(
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
        check=True,
        capture_output=True,
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
    library("obstore")
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
}
