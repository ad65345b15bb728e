"""A server that a test starts, on a free port and in a folder of its own, and can kill."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Optional

ROOT = os.environ.get("STORES_ROOT", "")
PATIENCE = 60.0


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
            str(Path(__file__).parent.parent / "build" / "azurite" / "node_modules" / ".bin"),
        ]
    )
    for name in names:
        found = shutil.which(name, path=places)
        if found:
            return found  # not the target of the link: redis-server looks at its name
    raise Missing(f"no {' or '.join(names)} is installed")


def in_root(name: str) -> list[str]:
    """The command of a program here, or of one in the folder that STORES_ROOT names."""
    with suppress(Missing):
        return [program(name)]
    for place in ("usr/bin", "usr/sbin"):
        if ROOT and Path(ROOT, place, name).exists() and os.getuid() == 0:
            return ["chroot", ROOT, name]
    raise Missing(f"no {name} is installed, and none is in STORES_ROOT")


def set_up(command: list[str], **options: Any) -> None:
    """Run a command that a server needs once, before it starts."""
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}")


def require_packages(*names: str) -> None:
    """Raise Missing if one of these Python packages is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise Missing(f"the Python package {name} is not installed")


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


def run(server: Server, ready: Callable[[], object]) -> Iterator[Server]:
    try:
        server.start(ready)
        yield server
    finally:
        server.stop()
