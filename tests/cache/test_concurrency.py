"""Many processes and threads use one cache while it is pruned and emptied, also across forks.

STRESS_ROUNDS sets the number of rounds. `make stress` does more.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from contextlib import suppress
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

PROCESSES = 8
THREADS = 3
ROUNDS = amount("ROUNDS", 40)
HOUR = 3600


def put(directory: Path, key: str, mark: str, filling: int = 0) -> None:
    cache_element_units_for_workflow(directory, key, text(mark, filling))


def got(directory: Path, key: str, filling: int = 0) -> str:
    """Get a unit, check that it is complete and right, and return the mark of its workflow."""
    return mark_in(workflow_from_cached_element_unit(directory, key, "A", "call"), filling)


def in_threads(work: Callable[[int], Any]) -> None:
    """Do something in several threads of this process. Fails if one of them fails."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def everywhere(work: Callable[[str], Any], *others: Callable[[], Any]) -> None:
    """Do something in several threads of several processes, each with a name, beside other work."""

    def of(number: int) -> Callable[[], Any]:
        return lambda: in_threads(lambda thread: work(f"{number}.{thread}"))

    crowd.together([*map(of, range(PROCESSES)), *others])


def assert_tidy(directory: Path) -> None:
    """Only good packs are left."""
    assert files_in(directory) == packs_in(directory)
    report = verify_cache(directory)
    assert report.ok
    assert len(report.good) == len(packs_in(directory))


@pytest.mark.parametrize("filling", [0, 100_000])
def test_every_reader_gets_a_whole_unit_and_no_write_is_lost(filling: int, tmp_path: Path) -> None:
    shared = ["one", "two"]
    marks = [f"mark {number}" for number in range(4)]
    for mark in marks:
        text(mark, filling)
    for key in shared:
        put(tmp_path, key, marks[0], filling)
    rounds = ROUNDS if not filling else ROUNDS // 4 + 1

    def work(name: str) -> None:
        chance = random.Random(name)
        for _ in range(rounds):
            key = chance.choice(shared)
            assert got(tmp_path, key, filling) in marks
            mark = chance.choice(marks)
            put(tmp_path, name, mark, filling)
            put(tmp_path, key, chance.choice(marks), filling)
            assert got(tmp_path, name, filling) == mark
        put(tmp_path, name, marks[-1], filling)

    everywhere(work)
    assert_tidy(tmp_path)
    names = [f"{number}.{thread}" for number in range(PROCESSES) for thread in range(THREADS)]
    assert [found.cache_key for found in cache_keys(tmp_path)] == sorted([*shared, *names])
    assert {got(tmp_path, name, filling) for name in names} == {marks[-1]}


def test_the_last_of_several_writers_of_one_key_wins(tmp_path: Path) -> None:
    for _ in range(ROUNDS // 4 + 1):
        crowd.together([lambda n=n: put(tmp_path, "key", f"mark {n}") for n in range(PROCESSES)])
        assert got(tmp_path, "key") in {f"mark {number}" for number in range(PROCESSES)}
        put(tmp_path, "key", "last")
        assert got(tmp_path, "key") == "last"
    assert_tidy(tmp_path)


def until(done: Path, work: Callable[[], Any]) -> Callable[[], None]:
    """Do something over and over until a file is there."""

    def run() -> None:
        while not done.exists():
            work()
        work()

    return run


def test_what_is_cached_stays_readable_while_others_prune_what_is_old(tmp_path: Path) -> None:
    directory, done = tmp_path / "cache", tmp_path / "done"
    put(directory, "kept", "mark 0")

    def set_back(key: str) -> None:
        then = time.time() - 2 * HOUR
        os.utime(pack_path(directory, key), (then, then))

    def work(name: str) -> None:
        chance = random.Random(name)
        mark = "mark 0"
        for _ in range(ROUNDS):
            assert got(directory, "kept").startswith("mark")
            put(directory, "kept", chance.choice(["mark 0", "mark 1"]))
            if chance.random() < 0.5:  # recognised, unless the prune was faster
                mark = f"mark {chance.randrange(3)}"
            put(directory, name, mark)
            assert got(directory, name) == mark
            set_back(name)
            put(directory, name, mark)  # just cached, although the prune was about to remove it
            assert got(directory, name) == mark
        put(directory, name, "old")
        set_back(name)

    prune = until(done, lambda: prune_cache(directory, max_age=HOUR))
    with Child(prune), Child(prune):
        everywhere(work)
        done.touch()
    assert [found.cache_key for found in cache_keys(directory)] == ["kept"]
    assert_tidy(directory)


def test_every_reader_gets_a_whole_unit_or_none_while_all_of_it_is_removed(tmp_path: Path) -> None:
    directory, done = tmp_path / "cache", tmp_path / "done"
    keys = ["one", "two", "three"]
    marks = ["mark 0", "mark 1"]

    def work(name: str) -> None:
        chance = random.Random(name)
        for _ in range(ROUNDS):
            key = chance.choice(keys)
            put(directory, key, chance.choice(marks))
            with suppress(UnitNotFound):
                assert got(directory, chance.choice(keys)) in marks
            made = ElementUnits.get_or_cache(directory, key, lambda: text(chance.choice(marks)))
            assert mark_in(made.workflow("A", "call")) in marks
            for found in cache_keys(directory):
                assert found.cache_key in keys

    def check() -> None:
        assert verify_cache(directory).ok

    removing = [
        until(done, lambda: prune_cache(directory, max_age=0)),
        until(done, lambda: prune_cache(directory, max_bytes=0)),
        until(done, lambda: [remove_cached_workflow(directory, key) for key in keys]),
        until(done, check),
    ]
    with Child(removing[0]), Child(removing[1]), Child(removing[2]), Child(removing[3]):
        everywhere(work)
        done.touch()
    assert files_in(directory) == []


def test_every_writer_succeeds_while_the_directory_is_deleted_over_and_over(
    tmp_path: Path,
) -> None:
    directory, done = tmp_path / "cache", tmp_path / "done"

    def work(name: str) -> None:
        for number in range(ROUNDS):
            units = ElementUnits.get_or_cache(directory, name, lambda: text("mark"))
            put(directory, name, f"mark {number % 2}")
            assert mark_in(units.workflow("A", "call")).startswith("mark")

    with Child(until(done, lambda: shutil.rmtree(directory, ignore_errors=True))):
        everywhere(work)
        done.touch()


def test_many_that_ask_at_once_for_what_is_not_cached_all_get_it_whole(tmp_path: Path) -> None:
    for number in range(ROUNDS // 4 + 1):

        def ask(name: str, number: int = number) -> None:
            units = ElementUnits.get_or_cache(tmp_path, f"{number}", lambda: text("mark"))
            assert mark_in(units.workflow("A", "call")) == "mark"
            assert got(tmp_path, f"{number}") == "mark"

        everywhere(ask)
    assert_tidy(tmp_path)
    assert len(packs_in(tmp_path)) == ROUNDS // 4 + 1


def test_many_that_find_one_pack_damaged_all_get_it_whole(tmp_path: Path) -> None:
    for _ in range(ROUNDS // 4 + 1):
        put(tmp_path, "key", "mark")
        path = Path(pack_path(tmp_path, "key"))
        content = path.read_bytes()
        path.write_bytes(content[:-9] + b"\0" + content[-8:])

        def ask(name: str) -> None:
            units = ElementUnits.get_or_cache(tmp_path, "key", lambda: text("mark"))
            assert mark_in(units.workflow("A", "call")) == "mark"

        everywhere(ask)
        assert path.read_bytes() == content
    assert_tidy(tmp_path)


# Forks


def test_what_was_opened_before_a_fork_serves_parent_and_children(tmp_path: Path) -> None:
    put(tmp_path, "key", "old", 50_000)
    units = ElementUnits.open(tmp_path, "key")
    wanted = {
        element: crowd.unit("old", 50_000, element) for element in ("A", "call", "embed", "B", "C")
    }

    def serve() -> None:
        for _ in range(ROUNDS):
            for element, unit in wanted.items():
                assert units.workflow("A", element) == unit

    def remove_all() -> None:
        while tmp_path.exists():  # the others may put something into a folder that is emptied
            shutil.rmtree(tmp_path, ignore_errors=True)

    changes: list[Callable[[], Any]] = [
        lambda: put(tmp_path, "key", "new"),
        lambda: remove_cached_workflow(tmp_path, "key"),
        lambda: put(tmp_path, "key", "newer"),
        remove_all,
    ]
    crowd.together([*[lambda: in_threads(lambda number: serve())] * PROCESSES, *changes])
    serve()


def test_a_fork_while_others_write_leaves_nothing_locked(tmp_path: Path) -> None:
    """A child has the parent's open files; the locks on them must not live as long as it does."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            put(tmp_path, "key", f"mark {number % 2}")

    writer = threading.Thread(target=write)
    put(tmp_path, "key", "mark 0")
    writer.start()
    children = []
    with crowd.line() as line:
        for _ in range(ROUNDS):
            children.append(Child(lambda: os.read(line.ends[0], 1)))
        stop.set()
        writer.join()
        before = packs_in(tmp_path)
        removed = prune_cache(tmp_path, max_age=0).removed
        for _ in children:
            line.tell()
        assert [child.wait() for child in children] == [0] * ROUNDS
    assert len(before) == 1
    assert len(removed) == 1
    prune_cache(tmp_path)
    assert files_in(tmp_path) == []


def test_threads_that_close_and_open_in_turn_never_read_each_others_files(tmp_path: Path) -> None:
    for key in "abc":
        put(tmp_path, key, key, 20_000)

    def work(name: str) -> None:
        chance = random.Random(name)
        for _ in range(ROUNDS):
            key = chance.choice("abc")
            with ElementUnits.open(tmp_path, key) as units:
                assert mark_in(units.workflow("A", "call"), 20_000) == key

    everywhere(work)
