"""A PostgreSQL server of its own for a test, if PostgreSQL is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BINARIES = os.pathsep.join(
    [os.environ.get("PATH", ""), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))]
)


def missing() -> str:
    """Why there can be no server here, or an empty text."""
    if os.name != "posix":
        return "the server of these tests needs Unix sockets"
    if shutil.which("initdb", path=BINARIES) is None:
        return "PostgreSQL is not installed"
    try:
        import psycopg  # noqa: F401, PLC0415
    except ImportError as error:
        return f"psycopg cannot be imported: {error}"
    return ""


@contextmanager
def running() -> Iterator[dict[str, str]]:
    """Run a server, and tell the variables of libpq with which clients find it.

    It listens only on a socket in its own folder.
    """
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        folder, user = Path(name), _user()
        if user:
            shutil.chown(folder, **user)

        def run(program: str, *arguments: str) -> None:
            command = shutil.which(program, path=BINARIES)
            assert command is not None
            done = subprocess.run(
                [command, "--pgdata", str(folder / "data"), *arguments],
                check=False,
                cwd=folder,
                stdout=(folder / "log").open("a"),
                stderr=subprocess.STDOUT,
                env={**os.environ, "LC_ALL": "C"},
                **user,
            )
            assert done.returncode == 0, (folder / "log").read_text()

        run("initdb", "--username=tests", "--auth=trust", "--no-sync", "--encoding=UTF8")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "start", "--wait", "--options", options)
        try:
            yield {"PGHOST": str(folder), "PGUSER": "tests"}
        finally:
            run("pg_ctl", "stop", "--wait", "--mode=immediate")


def _user() -> dict[str, Any]:
    """As whom the server runs: it refuses to run as root."""
    return {"user": "nobody", "group": "nogroup"} if os.getuid() == 0 else {}
