"""A cache of many packs: listing, verifying and pruning do the same work for each of them.

STRESS_PACKS sets the number of packs; `make stress` has 100,000. The tests count calls of the
operating system. They print seconds, but do not compare them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable

import crowd
import pytest

from spiff_element_units import (
    ElementUnits,
    cache_keys,
    prune_cache,
    remove_cached_workflow,
    verify_cache,
)
from spiff_element_units.cache.directory import pack_path

PACKS = crowd.amount("PACKS", 1_500)
HOUR = 3600
EVERY = 50  # one pack in so many is damaged, and one is old

CALLS = ("open", "pread", "fstat", "lstat", "stat", "unlink", "rename", "replace", "listdir")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cache")
    units = ElementUnits.from_json(crowd.text("m"))
    then = time.time() - 2 * HOUR
    for number in range(PACKS):
        units.save(directory, f"{number}")
        path = Path(pack_path(directory, f"{number}"))
        if number % EVERY == 1:
            path.write_bytes(path.read_bytes()[:-1] + b"?")
        if number % EVERY == 2:
            os.utime(path, (then - number, then - number))
        if number % EVERY == 3:
            left_over = Path(f"{path}.1-{number:016x}.tmp")
            left_over.write_bytes(b"left over")
            os.utime(left_over, (then - 48 * HOUR, then - 48 * HOUR))
    return directory


@contextmanager
def counted(what: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], float]]:
    """Count calls of `os` meanwhile. Gives the number of calls for each pack."""
    calls = dict.fromkeys(CALLS, 0)

    def counting(name: str) -> None:
        real = getattr(os, name)

        def call(*arguments: object, **more: object) -> object:
            calls[name] += 1
            return real(*arguments, **more)

        monkeypatch.setattr(os, name, call)

    for name in CALLS:
        if hasattr(os, name):
            counting(name)
    started = time.perf_counter()
    yield lambda: (sum(calls.values()) - calls["listdir"]) / PACKS
    taken = time.perf_counter() - started
    monkeypatch.undo()
    assert calls["listdir"] <= 600  # some calls for each of the 256 directories
    print(f"{what} {PACKS} packs: {taken:.2f} s, {calls}")


def of_every(rest: int) -> set[str]:
    return {f"{number}" for number in range(PACKS) if number % EVERY == rest}


def test_many_packs_are_looked_after(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with counted("listing", monkeypatch) as calls:
        listed = cache_keys(cache)
        assert calls() <= 4
    assert [found.cache_key for found in listed] == sorted(f"{n}" for n in range(PACKS))

    with counted("verifying", monkeypatch) as calls:
        report = verify_cache(cache)
        assert calls() <= 6
    assert {found.cache_key for found in report.damaged} <= of_every(1) | {None}
    assert len(report.damaged) == len(of_every(1))
    assert len(report.good) == PACKS - len(of_every(1))
    assert len(report.leftovers) == len(of_every(3))

    with counted("pruning", monkeypatch) as calls:
        pruned = prune_cache(cache, max_age=HOUR)
        assert calls() <= 6
    assert {found.cache_key for found in pruned.removed} == of_every(2)
    assert len(pruned.leftovers) == len(of_every(3))

    assert remove_cached_workflow(cache, "0")
    sizes = sum(path.stat().st_size for path in crowd.packs_in(cache))
    with counted("pruning to half the size", monkeypatch) as calls:
        pruned = prune_cache(cache, max_bytes=sizes // 2)
        assert calls() <= 8
    left = sum(path.stat().st_size for path in crowd.packs_in(cache))
    assert sizes // 2 - sizes // PACKS * 2 <= left <= sizes // 2
    assert pruned.bytes_freed == sizes - left
    assert len(crowd.files_in(cache)) == len(crowd.packs_in(cache))
