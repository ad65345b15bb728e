"""A child that is forked while other threads save and restore goes on as its parent does."""

from __future__ import annotations

import gc
import os
import signal
import threading
import warnings
import weakref
from datetime import datetime
from itertools import count

import driving
import models
import pytest
import spiff_bpmn
from lockstep import loader_of

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")

MODEL = models.MODELS["nested_calls"]
LIMIT = 60  # seconds after which a child that hangs is killed; none takes as long


def in_child(action):
    """What an action in a forked child comes to: "done", or how it failed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forking threads
        pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LIMIT)
        try:
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    return "done" if os.WEXITSTATUS(status) == 0 else "raised"


class Halfway:
    """Does something in a thread, and stops in the midst of it until the `with` block ends."""

    def __init__(self, action):
        self._arrived, self._released = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=action)

    def stop(self, *args):
        """What the action calls in the midst."""
        if threading.current_thread() is self._thread:
            self._arrived.set()
            assert self._released.wait(LIMIT)
        return {}

    def __enter__(self):
        self._thread.start()
        assert self._arrived.wait(LIMIT)

    def __exit__(self, *error):
        self._released.set()
        self._thread.join()


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
        # Not as while a workflow is written.
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
    gone = [weakref.ref(loader), weakref.ref(loader._sources.own._lock)]
    del loader
    gc.collect()
    assert [ref() for ref in gone] == [None, None]
