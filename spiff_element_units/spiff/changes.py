"""The changes that the engine makes to the specs of one workflow. They are saved with its state.

SpiffWorkflow saves a changed spec as a whole. A state without specs contains only the additions:
connections between task specs, and task specs that are not in the workflow's JSON.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable

from .specs import EVENTS_EXTEND_SPECS, Links, Spec

Change = dict[str, Any]
"""`{"task_specs": {name: dict}, "inputs": {name: [names]}, "outputs": {name: [names]}}`: what was
added, in order. Each of the three keys may be missing."""


def changes_in(spec: Spec, before: Links, convert: Callable[[Any], Any]) -> Change:
    """The additions to a spec whose task specs were connected as in `before`; may be empty."""
    change: Change = {}
    for name, task_spec in spec.task_specs.items():
        if name not in before:
            change.setdefault("task_specs", {})[name] = convert(task_spec)
            continue
        inputs, outputs = before[name]
        _note(change, "inputs", name, _added(task_spec._inputs, inputs))
        _note(change, "outputs", name, _added(task_spec._outputs, outputs))
    return change


def changes_in_json(dct: Any, spec: Spec, before: Links, run: Any) -> Change:
    """The same for a spec as SpiffWorkflow saved it in the state `run`.

    The workflow may have changed since then, so a difference need not come from the run. This
    takes only the kinds of connections and task specs that the engine adds. All of them begin at
    the start task.
    """
    saved = dct["task_specs"]
    start = spec.start.name
    change: Change = {}
    for name in _added(saved[start]["outputs"], before[start][1]):
        if not _by_engine(name, saved, spec, run):
            continue
        _note(change, "outputs", start, [name])
        if name not in before:
            change.setdefault("task_specs", {})[name] = saved[name]
            continue
        inputs, outputs = before[name]
        following = [one for one in _added(saved[name]["outputs"], outputs) if one in before]
        _note(change, "inputs", name, {start}.intersection(_added(saved[name]["inputs"], inputs)))
        _note(change, "outputs", name, following)
        for one in following:
            # A restored spec may have a connection in one direction only, so both are compared.
            added = _added(saved[one]["inputs"], before[one][0])
            _note(change, "inputs", one, {name}.intersection(added))
    return change


def apply(change: Change, spec: Spec, restore: Callable[[Any], Any]) -> None:
    """Make the same additions to a newly restored spec."""
    for name, dct in change.get("task_specs", {}).items():
        if name not in spec.task_specs:
            made = {**dct, "wf_spec": spec}
            task_spec = restore(made)
            if "extensions" in made:
                task_spec.extensions = made["extensions"]
    for attribute in ("inputs", "outputs"):
        for name, added in change.get(attribute, {}).items():
            task_spec = spec.task_specs.get(name)
            if task_spec is None:  # the workflow has changed since
                continue
            connected = getattr(task_spec, f"_{attribute}")
            connected.extend(one for one in added if one in spec.task_specs)


def _by_engine(name: str, saved: Any, spec: Spec, run: Any) -> bool:
    if EVENTS_EXTEND_SPECS:
        of_run = any(task["task_spec"] == name for task in run["tasks"].values())
        return of_run and name not in spec.task_specs and "spec" in saved[name]
    conditional = (task_spec.name for task_spec in getattr(spec, "conditional_paths", ()))
    return name in spec.start.trigger_specs or name in conditional


def _added(now: Any, before: Any) -> list[str]:
    return [one for one in now if one not in before] if len(now) != len(before) else []


def _note(change: Change, attribute: str, name: str, added: Iterable[str]) -> None:
    if added:
        change.setdefault(attribute, {}).setdefault(name, []).extend(added)
