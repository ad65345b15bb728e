"""A cache in a store: the time of a get, compared with one read of as many bytes from the server.

    python benchmarks/store_gets.py [--processes 200] [--rounds 300]

It starts the servers that are installed here, as the tests of stores do, caches a workflow in each,
and measures in turns:

    read    one read of as many bytes as the start unit has, with the store
    start   open the key, and return the start unit
    warm    return it again

Then it measures the same through a `CachedStore`, as a second process does, and compares it with a
cache directory. Times are medians. Exits with 1 if a number is not reached. It names missing
servers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from side_by_side import Missing, in_turns, running
from workflows import Tree, spec_json

from spiff_element_units import ElementUnits
from spiff_element_units.stores import CachedStore, open_store

MEASURED = ("sqlite", "postgresql", "mariadb", "redis", "valkey", "radosgw", "moto", "azurite")
AT_MOST = 2.0  # times one read
KEPT_AT_MOST = 1.2  # times a get from a directory
WARM_UP = 10


@contextmanager
def started(name: str) -> Iterator[Any]:
    """A store on a server, which ends with the block. Raises Missing."""
    with running(name) as server:
        yield open_store(server.url)


def measure(store: Any, units: ElementUnits, rounds: int) -> list[float]:
    """The times of a read, of a start unit, and of the same unit again."""
    units.save(store, "key")
    unit = units.workflow(units.root)
    store.write("benchmarks/unit", unit.encode())
    opened = ElementUnits.open(store, "key")
    return in_turns(
        rounds,
        lambda: store.read("benchmarks/unit", [(0, len(unit))]),
        lambda: ElementUnits.open(store, "key").workflow(units.root),
        lambda: opened.workflow(units.root),
        warm_up=WARM_UP,
    )


def measure_kept(store: Any, units: ElementUnits, rounds: int) -> list[float]:
    """The time of a start unit from a directory, and from a directory in front of the store."""
    with tempfile.TemporaryDirectory() as folder:
        directory, kept = f"{folder}/directory", f"{folder}/kept"
        units.save(directory, "key")
        for _ in range(2):  # the second acts as another process
            cached = CachedStore(store, kept, max_bytes=10**9, keys_for=3600)
            ElementUnits.open(cached, "key").workflow(units.root)
        return in_turns(
            rounds,
            lambda: ElementUnits.open(directory, "key").workflow(units.root),
            lambda: ElementUnits.open(cached, "key").workflow(units.root),
            warm_up=WARM_UP,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure gets from stores.")
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=300)
    asked = parser.parse_args()
    units = ElementUnits.from_json(spec_json(Tree(asked.processes)))
    unit = len(units.workflow(units.root))
    print(f"{asked.processes} processes; the start unit has {unit:,} bytes; milliseconds, medians")
    row = "{:<12}{:>9}{:>9}{:>9}{:>10}{:>12}{:>9}{:>14}"
    print(row.format("", "read", "start", "warm", "of read", "directory", "kept", "of directory"))
    missed = False
    for name in MEASURED:
        try:
            with started(name) as store:
                read, start, warm = measure(store, units, asked.rounds)
                directory, kept = measure_kept(store, units, asked.rounds)
        except Missing as missing:
            print(f"{name:<12}  {missing}")
            continue
        numbers = (f"{one:.3f}" for one in (read, start, warm))
        of_read, of_directory = start / read, kept / directory
        # SQLite has no server: it is read in this process, and is only shown.
        missed |= (of_read > AT_MOST and name != "sqlite") or of_directory > KEPT_AT_MOST
        print(
            row.format(
                name,
                *numbers,
                f"{of_read:.2f}",
                f"{directory:.3f}",
                f"{kept:.3f}",
                f"{of_directory:.2f}",
            ),
            flush=True,
        )
    print(
        f"at most {AT_MOST} of a read, {KEPT_AT_MOST} of a directory: {'no' if missed else 'yes'}"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
