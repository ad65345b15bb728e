"""A child that is forked while other threads save and restore works like its parent."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from datetime import datetime
from itertools import count

import driving
import models
import pytest
import spiff_bpmn
from forking import Halfway, in_child
from lockstep import loader_of

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")

MODEL = models.MODELS["nested_calls"]


def started(loader):
    workflow = loader.start(script_engine=models.script_engine())
    workflow.do_engine_steps()
    return workflow


class Value:
    """A value that the application's serializer converts."""


def test_a_child_saves_while_a_thread_of_its_parent_saved():
    serializer = models.serializer()
    loader = SpecLoader(ElementUnits.from_json(models.spec_json(MODEL)), serializer)
    one, other = started(loader), started(loader)
    one.task_tree.data["value"] = Value()
    halfway = Halfway(lambda: loader.save(one))
    serializer.registry.register(Value, halfway.stop, Value)
    expected = driving.snapshot(other)
    when = datetime(2024, 2, 29)

    def child():
        # The registry must not be in the state that it has while a workflow is written.
        assert serializer.registry.convert({"when": [when]})["when"] != [when]
        assert driving.snapshot(loader.resume(loader.save(other))) == expected
        assert SpecLoader(loader.units, serializer).start()

    with halfway:
        assert in_child(child) == "done"


def test_a_child_restores_while_a_thread_of_its_parent_restored():
    loader = loader_of(MODEL)
    own, restore = loader._sources.own, loader._sources.own.restore
    halfway = Halfway(lambda: loader.spec("delivery"))
    own.restore = lambda process_id: halfway.stop() or restore(process_id)
    with halfway:
        assert in_child(lambda: loader.spec("delivery")) == "done"
        assert in_child(lambda: loader.spec("order")) == "done"


def test_a_child_resolves_while_a_thread_of_its_parent_resolved():
    processes = {"outer": [("call", "inner")], "inner": [("human",)]}
    inner = ElementUnits.from_json(spiff_bpmn.spec_json(processes, "inner", absent=["outer"]))
    outer = ElementUnits.from_json(spiff_bpmn.spec_json(processes, "outer", absent=["inner"]))
    loader = SpecLoader(outer, models.serializer(), resolve=lambda name: inner)

    class Stores(dict):
        def get(self, key):
            halfway.stop()
            return super().get(key)

    loader._sources._stores = Stores(loader._sources._stores)
    halfway = Halfway(lambda: loader.subprocess_specs()["inner"])
    with halfway:
        assert in_child(lambda: loader.subprocess_specs()["inner"]) == "done"


def test_children_that_are_forked_in_a_loop_under_load_all_come_to_their_end():
    loader, stop = loader_of(MODEL), threading.Event()
    workflow = started(loader)
    text = models.spec_json(MODEL)
    shared = [SpecLoader(ElementUnits.from_json(text), models.serializer())]
    rounds = count()

    def saving():
        mine = started(loader)
        while not stop.is_set():
            loader.save(mine)

    def restoring():
        while not stop.is_set():
            shared[0] = SpecLoader(ElementUnits.from_json(text), models.serializer())
            assert all(shared[0].subprocess_specs().values())
            next(rounds)

    def child():
        assert loader.resume(loader.save(workflow))
        assert all(shared[0].subprocess_specs().values())

    threads = [threading.Thread(target=one) for one in (saving, saving, restoring, restoring)]
    for one in threads:
        one.start()
    try:
        assert {in_child(child) for _ in range(40)} == {"done"}
    finally:
        stop.set()
        for one in threads:
            one.join()


def test_a_loader_is_not_kept_alive_for_the_sake_of_forks():
    loader = loader_of(MODEL)
    loader.resume(loader.save(started(loader)))
    gone = [weakref.ref(loader), weakref.ref(loader._sources._lock)]
    del loader
    gc.collect()
    assert [ref() for ref in gone] == [None, None]
