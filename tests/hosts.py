"""Hosts on one machine: network namespaces with an address each, on a bridge with the servers.

Hosts have no common disk: in the place of the test's folder, each process of a host sees an empty
folder of its own. Needs root and `ip` (Debian's `iproute2`).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from server_process import Missing, program

# Each process of a host begins with this. `ip netns exec` has given it mounts of its own.
ALONE = 'mount -t tmpfs none "$0" && cd "$0" && TMPDIR="$0" exec "$@"'


class Host:
    """A network namespace. `link` is the end of its cable at the bridge."""

    def __init__(self, namespace: str, link: str) -> None:
        self.namespace = namespace
        self.link = link

    def command(self, folder: Path) -> list[str]:
        """What is put before a command, so that it runs here. `folder` is empty there."""
        return [program("ip"), "netns", "exec", self.namespace, "sh", "-c", ALONE, str(folder)]

    def cut(self) -> None:
        """Cut it off from the network. Neither end of a connection gets an error."""
        ip("link", "set", self.link, "down")

    def join(self) -> None:
        """Bring it back."""
        ip("link", "set", self.link, "up")


class Network:
    """The hosts by their names, and the address at which they reach the servers."""

    def __init__(self, address: str, hosts: dict[str, Host]) -> None:
        self.address = address
        self.hosts = hosts


@contextmanager
def network(*names: str) -> Iterator[Network]:
    """A bridge and so many hosts. Raises Missing if this machine or this user has none.

    End the processes of the hosts before this ends.
    """
    program("ip")
    if os.getuid() != 0:
        raise Missing("network namespaces need root")
    mark = f"seu{os.getpid()}"
    subnet = free_subnet()
    with ExitStack() as stack:
        bridge = f"{mark}br"
        added(stack, ["link", "add", bridge, "type", "bridge"], ["link", "del", bridge])
        ip("addr", "add", f"{subnet}.1/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        hosts = {}
        for number, name in enumerate(names):
            host = hosts[name] = Host(f"{mark}-{name}", f"{mark}h{number}")
            added(stack, ["netns", "add", host.namespace], ["netns", "del", host.namespace])
            peer = ["peer", "name", "eth0", "netns", host.namespace]
            added(
                stack,
                ["link", "add", host.link, "type", "veth", *peer],
                ["link", "del", host.link],
            )
            ip("link", "set", host.link, "master", bridge)
            ip("link", "set", host.link, "up")
            ip("-n", host.namespace, "addr", "add", f"{subnet}.{number + 2}/24", "dev", "eth0")
            ip("-n", host.namespace, "link", "set", "eth0", "up")
            ip("-n", host.namespace, "link", "set", "lo", "up")
        yield Network(f"{subnet}.1", hosts)


def added(stack: ExitStack, command: list[str], undo: list[str]) -> None:
    """Add something that is removed at the end. Raises Missing if this machine cannot have it."""
    done = _ip(command)
    if done.returncode:
        raise Missing(f"ip {' '.join(command)}: {done.stdout.strip()}")
    stack.callback(_ip, undo)


def ip(*arguments: str) -> str:
    done = _ip(list(arguments))
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stdout.strip()}")
    return done.stdout


def _ip(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("ip"), *arguments],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def free_subnet() -> str:
    """The first three numbers of addresses that this machine does not have.

    They are of those that are for tests of networks (RFC 2544).
    """
    taken = ip("-4", "addr")
    for number in range(os.getpid(), os.getpid() + 512):
        subnet = f"198.{18 + number // 256 % 2}.{number % 256}"
        if f"{subnet}." not in taken:
            return subnet
    raise Missing("all addresses for tests of networks are taken")
