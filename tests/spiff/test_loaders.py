"""The registry of loaders: what it keeps, what it notices, and that it serves many at once."""

from __future__ import annotations

import gc
import gzip
import json
import logging
import os
import re
import shutil
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import driving
import lockstep
import models
import pytest
import spiff_bpmn
from forking import Halfway, in_child
from SpiffWorkflow.bpmn.serializer.migration.version_migration import MIGRATIONS
from threads import at_once

from spiff_element_units import CorruptPack, ElementUnits, UnitNotFound, remove_cached_workflow
from spiff_element_units.cache import directory, places
from spiff_element_units.errors import CacheError, ElementUnitsError
from spiff_element_units.spiff import ChangedWorkflow, SpecLoader, SpecLoaders, StateError
from spiff_element_units.spiff import loaders as module
from spiff_element_units.spiff.forks import Locks
from spiff_element_units.spiff.kept import KeptSpecs

every_model = pytest.mark.parametrize("model", models.MODELS.values(), ids=lambda model: model.name)
LIMIT = 60  # seconds after which something hangs

CALLS = {"outer": [("human",), ("call", "inner")], "inner": [("human",)]}
OTHER = {"outer": [("human",), ("human",), ("call", "inner")], "inner": [("human",)]}


def text_of(processes, root="outer"):
    return spiff_bpmn.spec_json(processes, root)


def cached(folder, key="key", processes=None):
    ElementUnits.from_json(text_of(processes or CALLS)).save(folder, key)


def cached_by_another(folder, key, processes):
    """Cache a workflow as another process does it, so that this process does not notice it."""
    aside = folder.parent / "aside"
    before = directory.Published.latest
    cached(aside, key, processes)
    directory.Published.latest = before
    pack = directory.pack_path(folder, key)
    shutil.copy(directory.pack_path(aside, key), f"{pack}.new")
    os.replace(f"{pack}.new", pack)


def damage(folder, key="key"):
    pack = directory.pack_path(folder, key)
    with open(f"{pack}.new", "wb") as stream:
        stream.write(b"no pack")
    os.replace(f"{pack}.new", pack)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it on."""
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def registry(folder, *args, **kwargs):
    return SpecLoaders(folder, models.serializer(), *args, **kwargs)


def started(loader):
    workflow = loader.start(script_engine=models.script_engine())
    workflow.do_engine_steps()
    return workflow


def finished(workflow):
    while not workflow.is_completed():
        (task,) = driving.ready_tasks(workflow)
        task.run()
        workflow.do_engine_steps()
    return workflow


# Opening and keeping


def test_a_key_is_opened_once_and_its_loader_kept(tmp_path):
    cached(tmp_path)
    loaders = registry(tmp_path)
    assert loaders["key"] is loaders["key"]
    assert loaders["key"].units.cache_key == "key"
    assert loaders.kept == ("key",)
    finished(started(loaders["key"]))


def test_a_key_that_is_not_cached_is_made_once_and_cached(tmp_path):
    made = []

    def make_json(key):
        made.append(key)
        return text_of(CALLS)

    loaders = registry(tmp_path, make_json)
    assert loaders["a"] is loaders["a"]
    assert loaders["b"] is not loaders["a"]
    assert registry(tmp_path)["a"].units.digest == loaders["a"].units.digest
    assert made == ["a", "b"]


def test_without_make_json_a_key_that_is_not_cached_is_not_found(tmp_path):
    loaders = registry(tmp_path)
    with pytest.raises(UnitNotFound, match="'key' is not cached"):
        loaders["key"]
    cached(tmp_path)
    assert loaders["key"].units.root == "outer"


def test_a_damaged_pack_is_made_again_if_that_is_possible(tmp_path):
    cached(tmp_path)
    damage(tmp_path)
    with pytest.raises(CorruptPack):
        registry(tmp_path)["key"]
    events = []
    loaders = registry(tmp_path, lambda key: text_of(CALLS), on_event=events.append)
    finished(started(loaders["key"]))
    assert [event.kind for event in events][:2] == ["damaged", "cached"]
    assert ElementUnits.open(tmp_path, "key").root == "outer"


def test_a_cache_that_cannot_be_written_stops_nobody(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise CacheError("No space left on device")

    monkeypatch.setattr(directory, "publish", full)
    made = []
    loaders = registry(tmp_path, lambda key: made.append(key) or text_of(CALLS))
    with pytest.warns(RuntimeWarning, match="No space left"):
        finished(started(loaders["key"]))
    assert loaders["key"] is loaders["key"]
    assert made == ["key"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"keep": 0}, ElementUnitsError),
        ({"keep": "3"}, TypeError),
        ({"keep": True}, TypeError),
        ({"keep_specs": 0}, ElementUnitsError),
        ({"make_json": "text"}, TypeError),
        ({"on_event": "text"}, TypeError),
    ],
)
def test_a_wrong_argument_is_refused_at_once(tmp_path, options, error):
    with pytest.raises(error):
        registry(tmp_path, **options)


def test_a_serializer_of_another_kind_is_refused_at_once(tmp_path):
    with pytest.raises(TypeError, match="serializer"):
        SpecLoaders(tmp_path, object())


def test_a_key_of_another_type_is_a_type_error(tmp_path):
    with pytest.raises(TypeError, match="cache_key"):
        registry(tmp_path)[7]


def test_the_loaders_that_were_used_longest_ago_are_dropped(tmp_path):
    events = []
    loaders = registry(tmp_path, lambda key: text_of(CALLS), keep=2, on_event=events.append)
    first = loaders["a"]
    running = started(first)
    loaders["b"], loaders["a"], loaders["c"]
    assert loaders.kept == ("a", "c")
    assert [event.cache_key for event in events if event.kind == "evicted"] == ["b"]
    loaders["d"]
    assert loaders.kept == ("c", "d")
    assert first.resume(first.save(finished(running))).is_completed()


def test_a_loader_that_was_asked_for_again_is_not_the_one_that_goes(tmp_path, clock):
    for key in "abc":
        cached(tmp_path, key)
    loaders = registry(tmp_path, keep=2)
    loaders["a"], loaders["b"], loaders["a"], loaders["c"]
    assert loaders.kept == ("a", "c")


def test_a_spec_that_was_asked_for_again_is_not_the_one_that_goes(tmp_path):
    cached(tmp_path)
    cached(tmp_path, "other")
    loaders = registry(tmp_path, keep_specs=2)
    own = loaders["key"]._sources.own
    own.spec("outer"), own.spec("inner"), own.spec("outer")
    loaders["other"]._sources.own.spec("outer")
    assert loaders["key"].kept == ("outer",)


def test_asking_how_a_spec_was_before_the_run_is_a_use_of_it(tmp_path):
    cached(tmp_path)
    cached(tmp_path, "other")
    loaders = registry(tmp_path, keep_specs=2)
    own = loaders["key"]._sources.own
    own.spec("outer"), own.spec("inner"), own.before("outer")
    loaders["other"]._sources.own.spec("outer")
    assert loaders["key"].kept == ("outer",)


def test_what_is_known_of_a_spec_is_dropped_with_it(tmp_path):
    cached(tmp_path)
    own = registry(tmp_path, keep_specs=1)["key"]._sources.own
    assert own.before("outer")
    own.spec("inner")
    assert (own._before, own.kept) == ({}, ("inner",))


def test_what_a_dropped_loader_held_is_freed(tmp_path):
    loaders = registry(tmp_path, lambda key: text_of(CALLS), keep=1)
    finished(started(loaders["a"]))
    gone = weakref.ref(loaders["a"]), weakref.ref(loaders["a"]._sources.own._kept["inner"])
    loaders["b"]
    gc.collect()
    assert [one() for one in gone] == [None, None]


def test_resolve_may_use_the_same_registry(tmp_path):
    ElementUnits.from_json(text_of(CALLS, "inner")).save(tmp_path, "inner")
    alone = spiff_bpmn.spec_json(CALLS, "outer", absent=["inner"])
    ElementUnits.from_json(alone).save(tmp_path, "outer")
    loaders = registry(tmp_path, resolve=lambda name: loaders[name].units)
    finished(started(loaders["outer"]))
    assert loaders.kept == ("outer", "inner")


# Bounded specs


@every_model
def test_a_model_runs_the_same_if_hardly_any_spec_is_kept(model, tmp_path):
    lockstep.loader_of(model).units.save(tmp_path, "key")
    loader = registry(tmp_path, keep_specs=1)["key"]
    variant = lockstep.variant_for(model)
    plain = driving.run(model, driving.start(model), lambda one: variant.plain(one, None))
    workflow = loader.start(script_engine=models.script_engine())
    run = driving.run(model, workflow, lambda one: variant.units(one, loader))
    assert run.actions == plain.actions
    assert run.snapshots == plain.snapshots


def test_all_loaders_together_keep_no_more_specs_than_the_bound(tmp_path):
    events = []
    loaders = registry(tmp_path, lambda key: text_of(CALLS), keep_specs=3, on_event=events.append)
    for key in "abc":
        finished(started(loaders[key]))
        assert sum(len(loaders[one].kept) for one in loaders.kept) <= 3
    assert loaders["c"].kept == ("outer", "inner")
    assert sum(len(loaders[one].kept) for one in loaders.kept) == 3
    dropped = [(one.cache_key, one.process_id) for one in events if one.kind == "evicted"]
    assert dropped == [("a", "outer"), ("a", "inner"), ("b", "outer")]


def test_without_a_bound_all_specs_are_kept(tmp_path):
    loaders = registry(tmp_path, lambda key: text_of(CALLS), keep_specs=None)
    for key in "abc":
        finished(started(loaders[key]))
    assert [len(loaders[key].kept) for key in "abc"] == [2, 2, 2]


def test_a_dropped_spec_that_a_workflow_runs_on_is_given_to_others(tmp_path):
    loaders = registry(tmp_path, lambda key: text_of(CALLS), keep_specs=1)
    running = finished(started(loaders["a"]))
    own = running.subprocess_specs["inner"]
    started(loaders["b"])
    assert loaders["a"].kept == ()
    assert loaders["a"]._sources.own.spec("inner") is own
    assert loaders["a"].kept == ("inner",)
    loaders["b"]._sources.own.spec("inner")
    del running, own
    gc.collect()
    assert loaders["a"]._sources.own._in_use.get("inner") is None


def test_a_save_needs_no_second_restore_of_a_spec_that_was_dropped(tmp_path):
    if models.SPIFF_VERSION < (3, 2):
        pytest.skip("each workflow has a copy of the root's spec there")
    events = []
    loaders = registry(tmp_path, lambda key: text_of(CALLS), keep_specs=1, on_event=events.append)
    running = started(loaders["a"])
    started(loaders["b"])
    assert loaders["a"].kept == ()
    events.clear()
    loaders["a"].save(running)
    assert events == []


def test_resolved_workflows_count_too(tmp_path):
    alone = spiff_bpmn.spec_json(CALLS, "outer", absent=["inner"])
    inner = ElementUnits.from_json(text_of(CALLS, "inner"))
    loaders = registry(tmp_path, lambda key: alone, lambda name: inner, keep_specs=1)
    finished(started(loaders["key"]))
    assert loaders["key"].kept == ()
    assert len(loaders._specs) == 1


# Keys that are cached anew


def test_a_key_that_this_process_caches_anew_is_noticed_at_once(tmp_path, clock):
    cached(tmp_path)
    loaders = registry(tmp_path)
    older = loaders["key"]
    running = started(older)
    cached(tmp_path, processes=OTHER)
    newer = loaders["key"]
    assert newer is not older
    assert newer.units.digest != older.units.digest
    assert loaders["key"] is newer
    finished(started(newer))
    finished(older.resume(older.save(running)))


def test_a_key_that_another_process_caches_anew_is_noticed_in_a_second(tmp_path, clock):
    cached(tmp_path)
    loaders = registry(tmp_path)
    older = loaders["key"]
    cached_by_another(tmp_path, "key", OTHER)
    clock[0] += 0.9
    assert loaders["key"] is older
    clock[0] += 0.2
    assert loaders["key"].units.digest != older.units.digest


def test_the_same_workflow_cached_again_keeps_its_loader(tmp_path, clock):
    cached(tmp_path)
    loaders = registry(tmp_path)
    loader = loaders["key"]
    cached_by_another(tmp_path, "key", CALLS)
    clock[0] += 2
    assert loaders["key"] is loader
    cached(tmp_path)
    assert loaders["key"] is loader


def test_a_state_finds_the_loader_that_it_was_saved_with(tmp_path, clock):
    cached(tmp_path)
    loaders = registry(tmp_path)
    older = loaders["key"]
    state = older.save(started(older))
    cached(tmp_path, processes=OTHER)
    newer = loaders["key"]
    assert loaders.for_state(state) is older
    assert loaders.for_state(newer.save(started(newer))) is newer
    finished(loaders.for_state(state).resume(state))


def test_a_state_of_a_version_that_another_process_just_cached_finds_its_loader(tmp_path, clock):
    cached(tmp_path)
    loaders = registry(tmp_path)
    assert loaders["key"].kept == ()
    cached_by_another(tmp_path, "key", OTHER)
    newer = registry(tmp_path)["key"]
    state = newer.save(started(newer))
    loader = loaders.for_state(state)
    assert loader.units.digest == newer.units.digest
    assert loaders["key"] is loader
    finished(loader.resume(state))


def test_a_state_of_a_version_that_nobody_has_gets_the_current_loader(tmp_path):
    cached(tmp_path)
    older = registry(tmp_path)["key"]
    state = older.save(started(older))
    cached(tmp_path, processes=OTHER)
    loader = registry(tmp_path).for_state(state)
    with pytest.raises(ChangedWorkflow):
        loader.resume(state)


def test_a_key_that_is_changed_back_gets_its_first_loader_again(tmp_path, clock):
    cached(tmp_path)
    loaders = registry(tmp_path)
    first = loaders["key"]
    cached(tmp_path, processes=OTHER)
    second = loaders["key"]
    cached(tmp_path)
    assert loaders["key"] is first
    assert loaders.for_state(second.save(started(second))) is second


def test_older_versions_count_and_are_dropped_like_other_loaders(tmp_path, clock):
    cached(tmp_path)
    loaders = registry(tmp_path, keep=1)
    older = loaders["key"]
    state = older.save(started(older))
    cached(tmp_path, processes=OTHER)
    newer = loaders["key"]
    assert loaders.for_state(state) is newer
    assert loaders.kept == ("key",)


def test_a_pack_that_is_removed_is_used_on_until_the_key_is_cached_again(tmp_path, clock):
    cached(tmp_path)
    made = []
    loaders = registry(tmp_path, lambda key: made.append(key) or text_of(CALLS))
    loader = loaders["key"]
    remove_cached_workflow(tmp_path, "key")
    clock[0] += 2
    assert loaders["key"] is loader
    finished(started(loader))
    assert made == []
    cached(tmp_path, processes=OTHER)
    assert loaders["key"].units.digest != loader.units.digest


def test_a_pack_that_is_damaged_later_is_told_once_and_the_kept_one_used_on(tmp_path, clock):
    cached(tmp_path)
    events = []
    loaders = registry(tmp_path, on_event=events.append)
    loader = loaders["key"]
    damage(tmp_path)
    events.clear()
    for _ in range(3):
        clock[0] += 2
        assert loaders["key"] is loader
    assert [event.kind for event in events] == ["damaged"]


def test_a_pack_that_is_damaged_later_is_made_again_if_that_is_possible(tmp_path, clock):
    cached(tmp_path)
    events = []
    loaders = registry(tmp_path, lambda key: text_of(CALLS), on_event=events.append)
    loader = loaders["key"]
    damage(tmp_path)
    events.clear()
    clock[0] += 2
    assert loaders["key"] is loader
    assert [event.kind for event in events] == ["damaged", "cached"]
    assert ElementUnits.open(tmp_path, "key").digest == loader.units.digest


# States


def test_every_form_of_a_state_names_its_loader(tmp_path):
    cached(tmp_path)
    loaders = registry(tmp_path)
    loader = loaders["key"]
    workflow = started(loader)
    state = loader.save(workflow)
    run = json.loads(state)
    reordered = json.dumps(dict(reversed(run.items())))
    live = loader.save_pieces(workflow).changed["live"]
    for form in (state, state.encode(), gzip.compress(state.encode()), run, reordered, live):
        assert loaders.for_state(form) is loader
    assert loaders.for_state(live.encode()) is loader


@pytest.mark.parametrize(
    ("state", "error", "told"),
    [
        ("{}", StateError, "top level"),
        ("[]", StateError, "top level"),
        ("{", StateError, "not JSON"),
        (b"\xff", StateError, "not JSON"),
        ('{"spiff_element_units": {', StateError, "not JSON"),
        ('{"spiff_element_units": 7}', StateError, "top level"),
        ({"tasks": {}}, StateError, "top level"),
        (7, TypeError, "state must be"),
    ],
)
def test_what_is_no_state_is_told(tmp_path, state, error, told):
    with pytest.raises(error, match=told):
        registry(tmp_path).for_state(state)


def test_a_state_of_a_workflow_that_was_not_cached_is_told(tmp_path):
    loader = SpecLoader(ElementUnits.from_json(text_of(CALLS)), models.serializer())
    with pytest.raises(StateError, match="not opened from a cache"):
        registry(tmp_path).for_state(loader.save(started(loader)))


# Threads and forks


def test_threads_that_ask_for_one_key_at_once_get_one_loader(tmp_path):
    made, all_ask = [], threading.Event()

    def make_json(key):
        made.append(key)
        all_ask.wait(0.05)  # the others are asking by now
        return text_of(CALLS)

    loaders = registry(tmp_path, make_json)
    assert len({id(loader) for loader in at_once(8, lambda: loaders["key"])}) == 1
    assert made == ["key"]


def test_who_comes_while_another_waits_gets_the_same_lock():
    """If the first thread fails, the others try one after the other, and not all at once."""
    locks = Locks()
    first, waits = locks.of("key"), locks.of("key")
    assert locks.of("other") is not waits
    del first
    comes = locks.of("key")
    assert comes is waits
    assert len(locks) == 1
    del waits, comes
    gc.collect()
    assert len(locks) == 0


def test_nobody_waits_for_a_key_that_another_thread_opens(tmp_path):
    halfway = Halfway(lambda: loaders["slow"])

    def make_json(key):
        if key == "slow":
            halfway.stop()
        return text_of(CALLS)

    loaders = registry(tmp_path, make_json)
    with halfway:
        finished(started(loaders["other"]))
    assert loaders["slow"].units.root == "outer"


def test_nobody_waits_for_a_key_that_another_thread_writes_to_the_cache(tmp_path, monkeypatch):
    publish = places.publish_or_warn

    def slowly(cache, key, *args, **kwargs):
        if key == "slow":
            halfway.stop()
        publish(cache, key, *args, **kwargs)

    monkeypatch.setattr(places, "publish_or_warn", slowly)
    halfway = Halfway(lambda: loaders["slow"])
    loaders = registry(tmp_path, lambda key: text_of(CALLS))
    loaders["kept"]
    with halfway:
        for key in ("kept", "other"):
            loader = loaders[key]
            state = loader.save(started(loader))
            finished(loaders.for_state(state).resume(state))
    assert loaders["slow"].units.root == "outer"


def test_nobody_waits_for_a_spec_that_another_thread_restores(tmp_path):
    cached(tmp_path)
    loader = registry(tmp_path)["key"]
    own, restore = loader._sources.own, loader._sources.own.restore
    halfway = Halfway(lambda: own.spec("outer"))
    own.restore = lambda name: (name == "outer" and halfway.stop()) or restore(name)
    with halfway:
        assert own.spec("inner").name == "inner"
        assert loader.kept == ("inner",)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_child_opens_while_a_thread_of_its_parent_opened(tmp_path):
    halfway = Halfway(lambda: loaders["key"])
    loaders = registry(tmp_path, lambda key: halfway.stop() or text_of(CALLS), keep_specs=1)
    with halfway:
        assert in_child(lambda: finished(started(loaders["key"]))) == "done"


class Holding:
    """A store of specs that only keeps them."""

    def __init__(self):
        self.held = {}

    def drop(self, process_id):
        self.held.pop(process_id, None)


@pytest.fixture
def switching_often():
    """Let threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_specs_are_dropped_while_another_thread_uses_some(switching_often):
    kept, used, other = KeptSpecs(100), Holding(), Holding()
    names = [f"{number}" for number in range(90)]
    done = threading.Event()

    def use():
        while not done.is_set():
            for name in names:
                kept.used(used, name)

    with ThreadPoolExecutor(1) as pool:
        using = pool.submit(use)
        try:
            for name in names * 20:
                kept.keep(used, used.held, name, name)
                for one in names[:30]:
                    kept.keep(other, other.held, one, one)
                kept.forget(other)
                assert other.held == {}
        finally:
            done.set()
        using.result()


def test_many_threads_with_few_loaders_and_few_specs_finish_all_they_start(tmp_path):
    loaders = registry(tmp_path, lambda key: text_of(CALLS), keep=2, keep_specs=2)
    keys = [f"{number}" for number in range(5)]

    def work():
        for key in keys * 3:
            loader = loaders[key]
            workflow = loader.resume(loader.save(started(loader)))
            workflow.script_engine = models.script_engine()
            finished(workflow)
        return True

    assert all(at_once(6, work))
    assert len(loaders.kept) == 2
    assert len(loaders._specs) <= 2
    counted = {(id(store), name) for store, name in loaders._specs._order}
    for key in loaders.kept:
        own = loaders[key]._sources.own
        assert {(id(own), name) for name in (*own._kept, *own._before)} <= counted


# Events


def test_events_tell_what_was_done(tmp_path):
    events = []
    loaders = registry(tmp_path, lambda key: text_of(CALLS), on_event=events.append)
    finished(started(loaders["key"]))
    found = [(event.kind, event.cache_key, event.process_id) for event in events]
    assert found == [
        ("cached", "key", "outer"),
        ("restored", "key", "outer"),
        ("restored", "key", "inner"),
    ]
    assert events[0].size == len(text_of(CALLS).encode())
    assert events[1].size == len(loaders["key"].units.spec_json("outer"))
    assert all(event.seconds > 0 for event in events)
    again = []
    registry(tmp_path, on_event=again.append)["key"]
    assert [(event.kind, event.cache_key, event.process_id) for event in again] == [
        ("opened", "key", "outer")
    ]
    assert again[0].size == os.path.getsize(directory.pack_path(tmp_path, "key"))


def test_a_state_that_is_migrated_is_told(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "spiff_element_units")
    cached(tmp_path)
    events = []
    loader = registry(tmp_path, on_event=events.append)["key"]
    state = json.loads(loader.save(started(loader)))
    loader.resume(json.dumps(state))
    assert "migrated" not in [event.kind for event in events]
    monkeypatch.setitem(MIGRATIONS, "0.9", lambda run: run.pop("old"))
    old = {**state, "serializer_version": "0.9", "old": 1}
    loader.resume(json.dumps(old))
    event = events[-1]
    assert (event.kind, event.cache_key, event.process_id) == ("migrated", "key", "outer")
    assert "'0.9'" in event.detail
    assert "migrated process 'outer' of 'key'" in caplog.messages[-1]


def test_an_exception_of_on_event_is_logged_and_stops_nothing(tmp_path, caplog):
    def fail(event):
        raise RuntimeError("the metrics are down")

    loaders = registry(tmp_path, lambda key: text_of(CALLS), on_event=fail)
    finished(started(loaders["key"]))
    assert "the metrics are down" in caplog.text


def test_on_event_is_called_while_no_lock_is_held(tmp_path):
    """The function may wait for another thread that needs the same loader and the same spec."""
    done = []

    def wait_for_another(event):
        if event.kind in ("opened", "restored"):
            thread = threading.Thread(
                target=lambda: done.append(loaders["key"].spec("outer")), daemon=True
            )
            thread.start()
            thread.join(LIMIT)
            assert not thread.is_alive()

    cached(tmp_path)
    loaders = registry(tmp_path, keep_specs=1, on_event=wait_for_another)
    assert loaders["key"].spec("outer").name == "outer"
    assert {spec.name for spec in done} == {"outer"}


def test_the_log_tells_at_the_levels_of_the_page(tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "spiff_element_units")
    loaders = registry(tmp_path, lambda key: text_of(CALLS), keep=1)
    started(loaders["key"])
    loaders["other"]
    damage(tmp_path)
    loaders["key"]
    registry(tmp_path)["key"]
    kinds = {(one.levelname, one.getMessage().split()[0]) for one in caplog.records}
    assert kinds == {
        ("INFO", "cached"),
        ("DEBUG", "restored"),
        ("DEBUG", "evicted"),
        ("WARNING", "damaged"),
        ("DEBUG", "opened"),
    }
    first = {one.getMessage().split()[0]: one.getMessage() for one in reversed(caplog.records)}
    assert re.fullmatch(r"cached 'key': [\d,]+ bytes", first["cached"])
    restored = r"restored process 'outer' of 'key': [\d,]+ bytes in [\d.]+ ms"
    assert re.fullmatch(restored, first["restored"])
