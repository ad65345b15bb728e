"""Kills processes with SIGKILL: at every step that they take, and at random moments.

After each kill, the next reader gets the old or the new unit, the next writer succeeds, and the
next prune removes what is left over. STRESS_KILLS sets how many are killed at random. `make stress`
kills thousands.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any, Callable

import crowd
import pytest
from crowd import Child, amount, files_in, mark_in, needs_fork, packs_in, text

from spiff_element_units import (
    ElementUnits,
    UnitNotFound,
    cache_element_units_for_workflow,
    cache_keys,
    prune_cache,
    remove_cached_workflow,
    verify_cache,
    workflow_from_cached_element_unit,
)
from spiff_element_units.cache.directory import pack_path

pytestmark = needs_fork

KILLS = amount("KILLS", 150)
HOUR = 3600


def put(directory: Path, mark: str, key: str = "key", **options: Any) -> None:
    cache_element_units_for_workflow(directory, key, text(mark), **options)


def got(directory: Path, key: str = "key", filling: int = 0) -> str | None:
    """Get a unit, check it, and return the mark of its workflow; None if the key has none."""
    try:
        unit = workflow_from_cached_element_unit(directory, key, "A", "call")
    except UnitNotFound:
        return None
    return mark_in(unit, filling)


def set_back(directory: Path, key: str = "key") -> None:
    then = time.time() - 2 * HOUR
    os.utime(pack_path(directory, key), (then, then))


def dying(work: Callable[[], Any], step: int) -> Callable[[], None]:
    """Do something, and die by SIGKILL at the nth call of a function or when it returns."""

    def run() -> None:
        left = [step]

        def count(frame: Any, event: str, argument: Any) -> None:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(count)
        work()
        sys.setprofile(None)

    return run


def killed_at_every_step(
    directory: Path, prepare: Callable, work: Callable, check: Callable
) -> None:
    """Kill a process at its first step, another at its second, until one lives to the end."""
    for step in range(1, 5000):
        place = directory / str(step)
        prepare(place)
        child = Child(dying(lambda place=place: work(place), step))
        status = child.wait()
        assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
        check(place)
        assert verify_cache(place).ok
        put(place, "next")
        assert got(place) == "next"
        prune_cache(place, max_age=HOUR)
        assert files_in(place) == packs_in(place)
        if status == 0:
            assert step > 20
            return
    pytest.fail("does it ever end?")


def nothing(directory: Path) -> None:
    """A machine that has no cache yet."""


def old(directory: Path) -> None:
    put(directory, "old")


def long_ago(directory: Path) -> None:
    put(directory, "old")
    set_back(directory)


def damaged(directory: Path) -> None:
    put(directory, "old")
    Path(pack_path(directory, "key")).write_bytes(b"garbage")


def assert_old_or_new(directory: Path) -> None:
    assert got(directory) in ("old", "new")


def assert_none_or_new(directory: Path) -> None:
    assert got(directory) in (None, "new")


def heal(directory: Path) -> None:
    """A damaged pack stays damaged until it is written again."""
    if not verify_cache(directory).ok:
        put(directory, "healed")


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize(
    ("prepare", "check"),
    [(nothing, assert_none_or_new), (old, assert_old_or_new), (damaged, heal)],
)
def test_a_writer_may_be_killed_at_every_step(
    prepare: Callable, check: Callable, durable: bool, tmp_path: Path
) -> None:
    units = ElementUnits.from_json(text("new"))
    work = lambda place: units.save(place, "key", durable=durable)  # noqa: E731
    killed_at_every_step(tmp_path, prepare, work, check)


def test_a_writer_that_recognises_its_workflow_may_be_killed_at_every_step(tmp_path: Path) -> None:
    def check(directory: Path) -> None:
        assert got(directory) == "old"

    work = lambda place: put(place, "old", durable=True)  # noqa: E731
    killed_at_every_step(tmp_path, long_ago, work, check)


def test_a_prune_may_be_killed_at_every_step(tmp_path: Path) -> None:
    def prepare(directory: Path) -> None:
        put(directory, "kept", "kept")
        long_ago(directory)
        Path(f"{pack_path(directory, 'kept')}.1-0123456789abcdef.tmp").write_bytes(b"left over")

    def check(directory: Path) -> None:
        assert got(directory) in ("old", None)
        assert got(directory, "kept") == "kept"

    killed_at_every_step(tmp_path, prepare, lambda place: prune_cache(place, max_age=HOUR), check)


def test_a_removal_may_be_killed_at_every_step(tmp_path: Path) -> None:
    def check(directory: Path) -> None:
        assert got(directory) in ("old", None)

    killed_at_every_step(
        tmp_path, old, lambda place: [remove_cached_workflow(place, "key") for _ in range(9)], check
    )


def test_get_or_cache_may_be_killed_at_every_step(tmp_path: Path) -> None:
    work = lambda place: ElementUnits.get_or_cache(place, "key", lambda: text("new"))  # noqa: E731
    killed_at_every_step(tmp_path, nothing, work, assert_none_or_new)


def killed_at_random(child: Child, place: Path, chance: random.Random) -> None:
    """Kill a process that writes again and again, at some moment after its first write.

    This process waits in a loop. If it waited on a pipe, it would always kill the other process at
    the same place.
    """
    before = os.stat(place).st_ino
    while os.stat(place).st_ino == before:
        pass
    for _ in range(chance.randrange(20_000)):
        pass
    child.kill()


@pytest.mark.parametrize("filling", [0, 300_000])
def test_writers_may_be_killed_at_random_moments(filling: int, tmp_path: Path) -> None:
    chance = random.Random(7)
    marks = ["mark 0", "mark 1"]
    units = [ElementUnits.from_json(text(mark, filling)) for mark in marks]
    path = Path(pack_path(tmp_path, "key"))
    units[0].save(tmp_path, "key")
    left_over = known = 0

    def write() -> None:
        while True:
            for unit in units:
                unit.save(tmp_path, "key")

    for kill in range(KILLS):
        killed_at_random(Child(write), path, chance)
        left_over += len(verify_cache(tmp_path).leftovers) > known
        assert got(tmp_path, filling=filling) in marks
        number = chance.randrange(2)
        units[number].save(tmp_path, "key")
        assert got(tmp_path, filling=filling) == marks[number]
        if kill % 3 == 0:
            prune_cache(tmp_path)
            assert files_in(tmp_path) == [path]
        known = len(files_in(tmp_path)) - 1
    prune_cache(tmp_path)
    assert files_in(tmp_path) == [path]
    assert verify_cache(tmp_path).ok
    print(f"{KILLS} writers killed, {left_over} times with a temporary file left over")


def test_all_kinds_of_work_may_be_killed_at_once(tmp_path: Path) -> None:
    """Writers, prunes and removals run at the same time and are killed together."""
    chance = random.Random(11)
    keys = ["one", "two", "three"]

    def forever(line: crowd.Line, work: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            line.tell()
            while True:
                work()

        return run

    def cache_some() -> None:
        put(tmp_path, f"mark {chance.randrange(3)}", chance.choice(keys))

    works: list[Callable[[], Any]] = [
        cache_some,
        cache_some,
        lambda: prune_cache(tmp_path, max_age=0),
        lambda: remove_cached_workflow(tmp_path, chance.choice(keys)),
    ]
    for _ in range(KILLS // 4):
        put(tmp_path, "kept", "kept")
        with crowd.line() as line:
            children = [Child(forever(line, work)) for work in works]
            for _child in children:
                line.hear()
            cache_some()
            for _ in range(chance.randrange(20_000)):
                pass
            for child in children:
                child.kill()
        assert verify_cache(tmp_path).ok
        for key in (*keys, "kept"):
            assert got(tmp_path, key) in (None, "kept", "mark 0", "mark 1", "mark 2")
            put(tmp_path, "mark 1", key)
            assert got(tmp_path, key) == "mark 1"
    prune_cache(tmp_path)
    assert len(cache_keys(tmp_path)) == 4
    assert files_in(tmp_path) == packs_in(tmp_path)


@pytest.mark.parametrize("stopped", ["writer", "prune"])
def test_a_process_that_is_stopped_stops_no_other(
    stopped: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stopped process holds a lock and never releases it."""
    put(tmp_path, "old")
    set_back(tmp_path)
    with crowd.line() as line:

        def work() -> None:
            def stopping(source: str, target: str) -> None:
                line.tell()
                os.kill(os.getpid(), signal.SIGSTOP)

            os.replace = os.rename = stopping
            if stopped == "writer":
                put(tmp_path, "stopped")
            else:
                prune_cache(tmp_path, max_age=HOUR)

        child = Child(work)
        try:
            line.hear()
            assert got(tmp_path) == "old"
            put(tmp_path, "new")
            assert got(tmp_path) == "new"
            assert prune_cache(tmp_path, max_age=HOUR).removed == ()
            assert got(tmp_path) == "new"
        finally:
            child.kill()
    prune_cache(tmp_path)
    assert len(files_in(tmp_path)) == 1
