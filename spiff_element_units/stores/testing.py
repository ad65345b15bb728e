"""Checks that a store does what `Store` asks for, for applications that write one.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_store(check):
        check(MyStore())

Each check takes a store and raises AssertionError if the store does something else. A check may
find names of other checks in the store. `check_store` does them all. They write about 2 MB, take a
few seconds, and need neither a test runner nor SpiffWorkflow.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable

from ..cache.store import LONGEST_NAME, Store, is_store
from ..cache.upkeep import cache_keys, prune_cache, remove_cached_workflow, verify_cache
from ..errors import UnitNotFound
from ..units import ElementUnits

CHECKS: list[Callable[[Store], None]] = []
"""All checks."""

_WRITERS = 4
_TURNS = 10


def check_store(store: Store) -> None:
    """Do all checks. AssertionError names what the store does wrong."""
    for check in CHECKS:
        check(store)


def _check(function: Callable[[Store], None]) -> Callable[[Store], None]:
    CHECKS.append(function)
    return function


def _require(met: bool, told: str) -> None:
    """An `assert` that also works with `python -O`."""
    if not met:
        raise AssertionError(told)


def _name() -> str:
    return f"testing/{os.urandom(8).hex()}"


def _whole(store: Store, name: str, length: int) -> bytes:
    found = store.read(name, [(0, length + 1)])
    _require(found is not None and len(found) == 1, f"read({name!r}) returned {found!r:.100}")
    assert found is not None
    return found[0]


@_check
def it_has_the_methods_of_a_store(store: Store) -> None:
    _require(is_store(store), "it lacks read, write, list_names or delete")
    _require(" at 0x" not in str(store), "str(store) must name the store in messages")


@_check
def it_returns_what_was_written(store: Store) -> None:
    for size in (1, 4096, 70_000, 1_000_000):
        name, content = _name(), os.urandom(size)
        store.write(name, content)
        _require(_whole(store, name, size) == content, f"it changed {size} bytes")


@_check
def it_returns_any_bytes(store: Store) -> None:
    name, content = _name(), bytes(range(256)) * 3 + b"\r\n\x00'\\%_\xff"
    store.write(name, content)
    _require(_whole(store, name, len(content)) == content, "it changed bytes")


@_check
def it_reads_ranges(store: Store) -> None:
    name, content = _name(), os.urandom(100_000)
    store.write(name, content)
    ranges = [(0, 1), (1, 50_000), (16_383, 2), (99_999, 1), (65_536, 34_464), (7, 7)]
    for one in ranges:
        wanted = content[one[0] : sum(one)]
        _require(store.read(name, [one]) == [wanted], f"range {one} has other bytes")
    wanted_parts = [content[at : at + length] for at, length in ranges]
    _require(store.read(name, ranges) == wanted_parts, "several ranges have other bytes than each")


@_check
def a_range_ends_where_the_content_ends(store: Store) -> None:
    name, content = _name(), os.urandom(20_000)
    store.write(name, content)
    _require(store.read(name, [(19_000, 5_000)]) == [content[19_000:]], "a range is not cut off")
    _require(store.read(name, [(0, 70_000)]) == [content], "a range is not cut off")


@_check
def a_name_that_was_not_written_gives_none(store: Store) -> None:
    _require(store.read(_name(), [(0, 10)]) is None, "it returns bytes that nobody wrote")
    _require(store.read(_name(), [(0, 10), (5, 5)]) is None, "it returns bytes that nobody wrote")


@_check
def a_name_may_have_200_characters(store: Store) -> None:
    name = f"{_name()}-"
    name += (LONGEST_NAME - len(name)) * "z"
    store.write(name, b"long")
    _require(_whole(store, name, 4) == b"long", "it does not find a long name")
    _require(store.delete(name), "it does not delete a long name")


@_check
def writing_again_replaces_the_content(store: Store) -> None:
    name = _name()
    for size in (50_000, 10, 80_000):
        content = os.urandom(size)
        store.write(name, content)
        _require(_whole(store, name, 90_000) == content, "it has other content than the last")


@_check
def it_lists_what_was_written(store: Store) -> None:
    folder = _name()
    _require(list(store.list_names(f"{folder}/")) == [], "it lists what nobody wrote")
    sizes = {f"{folder}/{letter}": number * 30_000 + 1 for number, letter in enumerate("abc")}
    for name, size in sizes.items():
        store.write(name, bytes(size))
    store.write(f"{folder}-other", b"other")
    listed = {one.name: one.size for one in store.list_names(f"{folder}/")}
    _require(listed == sizes, f"it lists {listed}, and not {sizes}")


@_check
def it_lists_all_of_many_names(store: Store) -> None:
    folder = _name()
    names = {f"{folder}/{number}" for number in range(120)}
    for name in names:
        store.write(name, b"x")
    _require({one.name for one in store.list_names(f"{folder}/")} == names, "some are missing")


@_check
def time_does_not_go_back(store: Store) -> None:
    folder = _name()
    store.write(f"{folder}/one", b"1")
    (first,) = store.list_names(f"{folder}/")
    store.write(f"{folder}/one", b"2")
    (second,) = store.list_names(f"{folder}/")
    _require(first.modified > 0 and second.modified >= first.modified, "its clock runs backwards")


@_check
def it_deletes_a_name(store: Store) -> None:
    name = _name()
    store.write(name, b"content")
    _require(store.delete(name) is True, "delete must return True if there is such a name")
    _require(store.read(name, [(0, 10)]) is None, "the content is still there")
    _require(store.delete(name) is False, "delete must return False if there is no such name")


@_check
def it_deletes_what_is_as_it_was_listed(store: Store) -> None:
    folder = _name()
    store.write(f"{folder}/one", b"1")
    (listed,) = store.list_names(f"{folder}/")
    _require(
        not store.delete(listed.name, listed.modified - 5), "it deletes what was written again"
    )
    _require(_whole(store, listed.name, 1) == b"1", "it deleted what was written again")
    _require(store.delete(listed.name, listed.modified), "it does not delete what it listed")
    _require(store.read(listed.name, [(0, 1)]) is None, "the content is still there")


@_check
def readers_see_one_content_while_others_write(store: Store) -> None:
    name = _name()
    contents = {bytes([letter]) * (20_000 + 30_000 * letter) for letter in range(_WRITERS)}
    store.write(name, min(contents))
    wrong: list[object] = []

    def write(content: bytes) -> None:
        try:
            for _ in range(_TURNS):
                store.write(name, content)
        except Exception as error:
            wrong.append(error)

    def read() -> None:
        try:
            for _ in range(2 * _TURNS):
                found = store.read(name, [(0, 200_000)])
                if found is None or found[0] not in contents:
                    wrong.append("a mixture")
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    threads += [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _require(not wrong, f"a reader or writer beside others met {wrong[:1]}")


def _workflow(name: str, length: int) -> str:
    """The text of a small workflow; `length` is that of its documentation."""
    spec = {"name": name, "typename": "BpmnProcessSpec", "task_specs": {}, "text": length * "x"}
    return json.dumps({"spec": spec, "subprocess_specs": {"called": {**spec, "name": "called"}}})


@_check
def it_keeps_a_cache(store: Store) -> None:
    key = _name()
    try:
        ElementUnits.open(store, key)
    except UnitNotFound:
        pass
    else:
        _require(False, "it has a workflow that nobody cached")
    ElementUnits.from_json(_workflow("first", 100_000)).save(store, key)
    first = ElementUnits.open(store, key)
    ElementUnits.from_json(_workflow("second", 10)).save(store, key)
    second = ElementUnits.open(store, key)
    _require(first.root == "first" and second.root == "second", "a key has another workflow")
    unit = json.loads(first.workflow("called", "called"))
    _require(unit["spec"]["name"] == "called", "a reader of what was replaced cannot go on")


@_check
def a_cache_in_it_can_be_managed(store: Store) -> None:
    key = _name()
    ElementUnits.from_json(_workflow("managed", 10)).save(store, key)
    listed = {cached.cache_key: cached for cached in cache_keys(store)}
    _require(key in listed, "cache_keys does not list what was cached")
    good = {cached.cache_key for cached in verify_cache(store).good}
    _require(key in good, "verify_cache does not find what was cached")
    reader = ElementUnits.open(store, key)
    prune_cache(store)
    _require(remove_cached_workflow(store, key) is True, "the key was not there")
    _require(remove_cached_workflow(store, key) is False, "the key is still there")
    report = prune_cache(store)
    _require(report.removed == (), "prune_cache without limits removed a workflow")
    _require(reader.root == "managed", "a reader of what was removed cannot go on")
    _require(key not in {cached.cache_key for cached in cache_keys(store)}, "it is still listed")
