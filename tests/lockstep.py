"""Runs a model on plain SpiffWorkflow and on units in lockstep, and compares after every step.

What this module promises:

- Both sides make the same choices. After each step they are at the same point (`same_point`), or
have
  raised the same.
- `VARIANTS` are the ways from one step to the next: a side is kept as it is, or saved and resumed
by a
  `SpecLoader` or by SpiffWorkflow's own serializer.
- Only the parsed models are kept between two runs.
"""

from __future__ import annotations

import json
import re
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Callable
from weakref import WeakKeyDictionary

import driving
import models
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.exceptions import SpiffWorkflowException

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

HEADER = "spiff_element_units"
SPECS = ("spec", "subprocess_specs")
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def loader_of(model, **options) -> SpecLoader:
    """A new loader of a model's workflow, in memory."""
    units = ElementUnits.from_json(models.spec_json(model))
    return SpecLoader(units, models.serializer(), **options)


def full_specs(model) -> dict:
    """The model's `subprocess_specs`, restored, as plain SpiffWorkflow has them."""
    registry = models.serializer().registry
    specs = models.spec_dict(model)["subprocess_specs"]
    return {name: spec and registry.restore(spec) for name, spec in specs.items()}


def plain_start(model, process_id):
    """A workflow of one process on plain SpiffWorkflow, with the specs that it leads to.

    That is what SpiffWorkflow's parser gives for a process. The root is run with the full dict.
    """
    registry = models.serializer().registry
    specs = models.spec_dict(model)
    full = specs["subprocess_specs"]
    known = {specs["spec"]["name"]: specs["spec"], **full}
    names = set(full) if process_id == specs["spec"]["name"] else reachable(known, process_id)
    return BpmnWorkflow(
        registry.restore(deepcopy(known[process_id])),
        {name: known[name] and registry.restore(deepcopy(known[name])) for name in sorted(names)},
        script_engine=models.script_engine(),
    )


def reachable(known, process_id) -> set:
    """The names of the processes in `known` that a process leads to."""
    found: set = set()
    waiting = [process_id]
    while waiting:
        for task_spec in (known[waiting.pop()] or {"task_specs": {}})["task_specs"].values():
            names = {task_spec.get("spec"), *task_spec.get("trigger_specs", [])}
            new = names.intersection(known) - found
            found |= new
            waiting += new
    return found


# How a workflow is carried from one step to the next


def kept(workflow, loader):
    """As it is."""
    return workflow


def resumed(workflow, loader):
    """Saved and resumed by the loader. The state is that of SpiffWorkflow, without the specs."""
    state = loader.save(workflow)
    assert in_order(state) == in_order(models.serializer().serialize_json(workflow))
    return loader.resume(state, script_engine=workflow.script_engine)


def by_json_column(workflow, loader):
    """Saved, kept in a column of type jsonb, which orders keys anew, and resumed."""
    state = reordered(loader.to_dict(workflow))
    shown = loader.resume(state)
    assert loader.waiting(state) == loader.waiting(shown)
    return loader.resume(state, script_engine=workflow.script_engine), shown


def reordered(value):
    """A value in the order in which PostgreSQL's jsonb returns it: short keys first."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return {key: reordered(value[key]) for key in keys}
    return [reordered(one) for one in value] if isinstance(value, list) else value


def as_a_dict(workflow, loader):
    """Saved as a dict and resumed from it. The dict is what `save` writes, and stays as it is."""
    state = loader.to_dict(workflow)
    assert state == json.loads(loader.save(workflow))
    again = deepcopy(state)
    resumed = loader.resume(again, script_engine=workflow.script_engine)
    assert again == state
    return resumed


def unopened(workflow, loader):
    """Saved and resumed. Another workflow is resumed from the same state, to be looked at."""
    state = loader.save(workflow)
    assert in_order(state) == in_order(models.serializer().serialize_json(workflow))
    shown = loader.resume(state)
    again = loader.save(loader.resume(state))
    assert in_order(again) == in_order(models.serializer().serialize_json(shown))
    return loader.resume(state, script_engine=workflow.script_engine), shown


def glanced_at(workflow, loader):
    """Saved and resumed; then somebody looks into one of the subprocesses, and at some tasks."""
    workflow, shown = unopened(workflow, loader)
    ids = [task.id for task in shown.get_tasks()]
    for task_id in ids[:: len(ids) // 3 + 1]:
        assert workflow.get_task_from_id(task_id).id == task_id
    for subprocess in list(workflow.subprocesses.values())[-1:]:
        assert subprocess.task_tree.workflow is subprocess
    return workflow, shown


def in_pieces(workflow, loader):
    """Saved as pieces, and resumed from them. Only changed pieces are written."""
    store = STORES.setdefault(loader, {})
    keep(loader.save_pieces(workflow), store)
    read = dict(store).__getitem__
    state = loader.save(workflow)
    assert without_specs(loader.join(read)) == without_specs(state)
    again = in_order(loader.save(loader.resume(state)))
    assert in_order(loader.save(loader.resume_pieces(read))) == again
    assert not loader.verify_pieces(read)
    shown = loader.resume_pieces(read)
    return loader.resume_pieces(read, script_engine=workflow.script_engine), shown


def kept_in_pieces(workflow, loader):
    """Kept as it is. After each step, what changed is written as pieces."""
    store = STORES.setdefault(loader, {})
    written = loader.save_pieces(workflow, since=WRITTEN.get(loader))
    keep(written, store)
    WRITTEN[loader] = written
    joined = loader.join(store.__getitem__)
    assert without_specs(joined) == without_specs(models.serializer().serialize_json(workflow))
    return workflow


def keep(pieces, store) -> None:
    """Do to a store what `save_pieces` says. What is settled is written once."""
    for piece_id in pieces.removed:
        del store[piece_id]
    assert not (set(pieces.changed) & set(store)) - {"live"}
    store.update(pieces.changed)


STORES: WeakKeyDictionary = WeakKeyDictionary()
WRITTEN: WeakKeyDictionary = WeakKeyDictionary()


def resumed_by_another(workflow, loader):
    """Saved by the loader and resumed by one that has restored nothing yet."""
    fresh = SpecLoader(loader.units, models.serializer())
    return fresh.resume(loader.save(workflow), script_engine=workflow.script_engine)


def own_save(workflow, loader):
    """Saved and restored by SpiffWorkflow's serializer."""
    return driving.saved_and_restored(workflow)


def moved_over(workflow, loader):
    """Saved by SpiffWorkflow's serializer, specs and all, and resumed by the loader."""
    text = models.serializer().serialize_json(workflow)
    return loader.resume(text, script_engine=workflow.script_engine)


@dataclass(frozen=True)
class Variant:
    """How both sides get to the next step, and whether SpiffWorkflow's own save is part of it."""

    name: str
    plain: Callable
    units: Callable

    def fits(self, model) -> bool:
        """Whether the sides can be the same: SpiffWorkflow's own save can change a run."""
        stays = (kept, kept_in_pieces)
        return not model.own_save_differs or (self.plain in stays) == (self.units in stays)


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("no saves", kept, kept),
        Variant("saved and resumed", own_save, resumed),
        Variant("saved and resumed, plain not", kept, resumed),
        Variant("resumed by another loader", own_save, resumed_by_another),
        Variant("SpiffWorkflow's own save", own_save, own_save),
        Variant("moved over", own_save, moved_over),
        Variant("kept in a JSON column", own_save, by_json_column),
        Variant("as a dict", own_save, as_a_dict),
        Variant("nobody looks back", own_save, unopened),
        Variant("somebody looks back", own_save, glanced_at),
        Variant("in pieces", own_save, in_pieces),
        Variant("kept and written in pieces", kept, kept_in_pieces),
    )
}


def variant_for(model) -> Variant:
    """The variant that tests most of units, of those that fit a model."""
    fitting = (VARIANTS["saved and resumed"], VARIANTS["no saves"])
    return next(variant for variant in fitting if variant.fits(model))


# Lockstep


def lockstep(model, variant: Variant, loader=None) -> list:
    """Runs a model on both sides to the end and returns what was done, step by step."""
    loader = loader or loader_of(model)
    units = loader.start(script_engine=models.script_engine())
    return compare(model, variant, driving.start(model), units, loader)


def compare(model, variant: Variant, plain, units, loader) -> list:
    """Runs a plain workflow and one on units to the end; returns what was done, step by step."""
    sides = [
        Side(model, plain, variant.plain, None),
        Side(model, units, variant.units, loader),
    ]
    done: list = []
    for _ in range(driving.STEP_LIMIT):
        same_point(*(side.shown for side in sides), f"{model.name} after {done[-5:]}")
        plain, units = [side.step() for side in sides]
        assert plain == units, f"{model.name}: {plain!r} on plain, {units!r} on units"
        if plain is None or plain.startswith("error"):
            return done
        done.append(plain)
    raise AssertionError(f"{model.name} is not at an end after {done[-5:]}")


class Side:
    """One of the two workflows, and its way from step to step."""

    def __init__(self, model, workflow, carry, loader):
        self.workflow = workflow
        self.shown = workflow  # a workflow at the same point, which tests may look into
        self._driver = driving.Driver(model)
        self._carry = carry
        self._loader = loader

    def step(self):
        """Does the next thing; says what, or what SpiffWorkflow raised, or None at the end."""
        try:
            action = self._driver.step(self.workflow)
        except SpiffWorkflowException as error:
            return f"error {type(error).__name__}: {error}"
        except AssertionError as end:  # the script of a model does not fit the process that is run
            return f"error {end}"
        if action is not None:
            carried = self._carry(self.workflow, self._loader)
            self.workflow, self.shown = carried if isinstance(carried, tuple) else (carried,) * 2
        return action


def same_point(plain, units, where="") -> None:
    """Fails unless both workflows are at the same point, and says where they differ."""
    difference = first_difference(driving.snapshot(plain), driving.snapshot(units))
    assert difference is None, f"{where}: {difference}"


def first_difference(plain: Any, units: Any, place: str = "workflow"):
    """Where two snapshots first differ, as text; None if they are equal."""
    if plain == units or both_ids(plain, units):
        return None
    if isinstance(plain, dict) and isinstance(units, dict) and plain.keys() == units.keys():
        pairs = ((f"{place}[{key!r}]", plain[key], units[key]) for key in plain)
    elif isinstance(plain, list) and isinstance(units, list) and len(plain) == len(units):
        pairs = ((f"{place}[{at}]", *both) for at, both in enumerate(zip(plain, units)))
    else:
        return f"{place} is {plain!r} on plain and {units!r} on units"
    found = (first_difference(a, b, at) for at, a, b in pairs)
    return next((difference for difference in found if difference), None)


def both_ids(plain: Any, units: Any) -> bool:
    """Whether these are ids of removed tasks. In a snapshot, other ids are replaced by paths."""
    return all(isinstance(one, str) and ID.fullmatch(one) for one in (plain, units))


def in_order(state: str) -> list:
    """A saved state without specs and header, with its subprocesses in their order."""
    run = without_specs(state)
    return [run, list(run["subprocesses"])]


def without_specs(state: str) -> dict:
    """A saved state as a dict, without specs and header."""
    return {k: v for k, v in json.loads(state).items() if k not in (*SPECS, HEADER)}
