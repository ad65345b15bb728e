"""Hypothesis does any sequence of operations with a cache, and compares it with a dict.

The dict says which workflow each key must give, and how old it is. STRESS_SEQUENCES sets the number
of sequences, and STRESS_STEPS their length.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import crowd
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from spiff_element_units import (
    CacheError,
    CorruptPack,
    ElementUnits,
    UnitNotFound,
    cache_element_units_for_workflow,
    cache_keys,
    prune_cache,
    remove_cached_workflow,
    verify_cache,
    workflow_from_cached_element_unit,
)
from spiff_element_units.cache.directory import check, pack_path

HOUR = 3600
DAMAGED = "damaged"

keys = st.sampled_from(["", "key", "KEY", "../key", "k\0y", "\ud800", "\u00e9", "e\u0301"])
marks = st.sampled_from(["m", "n", "ö", "o" * 30])
elements = st.sampled_from(["A", "call", "embed", "B", "in B", "C", "in C"])
hours = st.integers(1, 9)


class Entry:
    """What the dict says about a key: its mark, or that it is damaged, and its age in hours."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.age = 0


class Cache(RuleBasedStateMachine):
    """A cache, and the dict that says what it must return."""

    opened = Bundle("opened")

    @initialize()
    def start(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.model: dict[str, Entry] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, key: str) -> Path:
        return Path(pack_path(self.directory, key))

    def hold(self, key: str, mark: str) -> None:
        self.model[key] = Entry(mark)

    # Writing

    @rule(key=keys, mark=marks, durable=st.booleans())
    def cache(self, key: str, mark: str, durable: bool) -> None:
        cache_element_units_for_workflow(self.directory, key, crowd.text(mark), durable=durable)
        self.hold(key, mark)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def cache_the_same_again(self, data: Any) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        mark = self.model[key].mark
        if mark != DAMAGED:
            before = self.path(key).stat().st_ino
            cache_element_units_for_workflow(self.directory, key, crowd.text(mark))
            assert self.path(key).stat().st_ino == before
            self.hold(key, mark)

    @rule(key=keys, mark=marks)
    def get_or_cache(self, key: str, mark: str) -> None:
        units = ElementUnits.get_or_cache(self.directory, key, lambda: crowd.text(mark))
        if key not in self.model or self.model[key].mark == DAMAGED:
            self.hold(key, mark)
        assert crowd.mark_in(units.workflow("A", "call")) == self.model[key].mark

    @rule(key=keys, text=st.sampled_from(["", "{}", "[", '{"spec":1}', "\ud800", "é"]))
    def cache_what_is_no_workflow(self, key: str, text: str) -> None:
        with pytest.raises(ValueError, match=r"workflow|spec|JSON"):
            cache_element_units_for_workflow(self.directory, key, text)

    # Reading

    @rule(key=keys, element=elements)
    def get(self, key: str, element: str) -> None:
        entry = self.model.get(key)
        if entry is None:
            with pytest.raises(UnitNotFound, match="not cached"):
                workflow_from_cached_element_unit(self.directory, key, "A", element)
            return
        try:
            unit = workflow_from_cached_element_unit(self.directory, key, "A", element)
        except CorruptPack:
            assert entry.mark == DAMAGED
        else:
            mark = crowd.mark_in(unit, element=element)
            assert entry.mark in (mark, DAMAGED)

    @rule(target=opened, key=keys)
    def open(self, key: str) -> Any:
        entry = self.model.get(key)
        if entry is None or entry.mark == DAMAGED:
            with pytest.raises((UnitNotFound, CorruptPack)):
                check(ElementUnits.open(self.directory, key)._use())
            return None
        return ElementUnits.open(self.directory, key), entry.mark

    @rule(held=opened, element=elements)
    def ask_what_was_opened(self, held: Any, element: str) -> None:
        if held:
            units, mark = held
            assert crowd.mark_in(units.workflow("A", element), element=element) == mark

    @rule(held=opened, key=keys)
    def save_what_was_opened(self, held: Any, key: str) -> None:
        if held:
            units, mark = held
            units.save(self.directory, key)
            self.hold(key, mark)

    @rule(held=consumes(opened))
    def close(self, held: Any) -> None:
        if held:
            held[0].close()
            with pytest.raises(CacheError, match="closed"):
                held[0].workflow("A")

    # Managing it

    @rule(key=keys)
    def remove(self, key: str) -> None:
        assert remove_cached_workflow(self.directory, key) == (key in self.model)
        self.model.pop(key, None)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), by=hours)
    def age(self, data: Any, by: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        self.model[key].age = by
        then = time.time() - by * HOUR
        os.utime(self.path(key), (then, then))

    @rule(limit=hours)
    def prune_by_age(self, limit: int) -> None:
        old = {key for key, entry in self.model.items() if entry.age >= limit}
        report = prune_cache(self.directory, max_age=limit * HOUR)
        assert len(report.removed) + len(report.leftovers) == len(old)
        assert {found.cache_key for found in report.removed} <= old
        for key in old:
            del self.model[key]

    @rule(share=st.floats(0, 1))
    def prune_by_size(self, share: float) -> None:
        sizes = {key: self.path(key).stat().st_size for key in self.model}
        limit = int(share * sum(sizes.values()))
        report = prune_cache(self.directory, max_bytes=limit)
        left = {key for key in self.model if self.path(key).exists()}
        gone = set(self.model) - left
        assert sum(sizes[key] for key in left) <= limit
        assert report.bytes_freed == sum(sizes[key] for key in gone)
        assert all(self.model[a].age >= self.model[b].age for a in gone for b in left)
        for key in gone:
            del self.model[key]

    @rule(key=keys, size=st.integers(0, 100), number=st.integers(0, 2**64 - 1))
    def a_writer_dies(self, key: str, size: int, number: int) -> None:
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        Path(f"{path}.{number % 99:x}-{number:016x}.tmp").write_bytes(bytes(size))
        report = verify_cache(self.directory)
        assert len(report.leftovers) == 1
        assert prune_cache(self.directory).leftovers == report.leftovers

    # Damage

    def damage(self, key: str, content: bytes) -> None:
        """Damage a pack by another file in its place. An open pack is still read."""
        self.path(key).unlink()
        self.path(key).write_bytes(content)
        self.hold(key, DAMAGED)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), flip=st.integers(1, 255))
    def flip_a_byte(self, data: Any, flip: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        content = bytearray(self.path(key).read_bytes())
        if self.model[key].mark != DAMAGED:
            place = data.draw(st.integers(0, len(content) - 1))
            content[place] ^= flip
            self.damage(key, content)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def cut_off_the_end(self, data: Any) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        content = self.path(key).read_bytes()
        if self.model[key].mark != DAMAGED:
            self.damage(key, content[: data.draw(st.integers(0, len(content) - 1))])

    @precondition(lambda self: self.model)
    @rule(data=st.data(), key=keys)
    def put_a_pack_in_the_place_of_another(self, data: Any, key: str) -> None:
        other = data.draw(st.sampled_from(sorted(self.model)))
        if other != key and self.model[other].mark != DAMAGED:  # which may be this one's own
            self.path(key).parent.mkdir(parents=True, exist_ok=True)
            self.path(key).touch()
            self.damage(key, self.path(other).read_bytes())

    @rule()
    def delete_everything(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        self.model.clear()

    # At any time

    @invariant()
    def what_is_listed_is_what_is_cached(self) -> None:
        good = {key for key, entry in self.model.items() if entry.mark != DAMAGED}
        listed = {found.cache_key: found for found in cache_keys(self.directory)}
        assert good <= set(listed) <= set(self.model)
        for key in good:
            mark = self.model[key].mark
            assert listed[key].digest == ElementUnits.from_json(crowd.text(mark)).digest

    @invariant()
    def verifying_tells_what_is_damaged(self) -> None:
        report = verify_cache(self.directory)
        good = {key for key, entry in self.model.items() if entry.mark != DAMAGED}
        assert {found.cache_key for found in report.good} == good
        assert {found.path for found in report.damaged} == {
            str(self.path(key)) for key in set(self.model) - good
        }
        assert report.leftovers == ()


TestCache = Cache.TestCase
TestCache.settings = settings(
    max_examples=crowd.amount("SEQUENCES", 60),
    stateful_step_count=crowd.amount("STEPS", 40),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
