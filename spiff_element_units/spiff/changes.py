"""The changes that the engine makes to the specs of one workflow. They are saved with its state.

SpiffWorkflow saves a changed spec as a whole. A state without specs contains only what differs:
connections between task specs that were added, task specs that are not in the workflow's JSON, and
fields that have another value. `changing` says which specs these are.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from SpiffWorkflow.bpmn.specs.data_spec import TaskDataReference

from .changing import EVENTS_EXTEND_SPECS, FIELDS, Before, Convert, Spec, fields_of

Change = dict[str, Any]
"""`{"task_specs": {name: dict}, "inputs": {name: [names]}, "outputs": {name: [names]}}`: what was
added, in order. `"fields"` has `{name: {"before": {field: value}, "after": {field: value}}}`, where
the values are JSON. Each of the four keys may be missing."""


def changes_in(spec: Spec, before: Before, convert: Convert) -> Change:
    """What differs in a spec from `before`; may be empty."""
    change: Change = {}
    for name, task_spec in spec.task_specs.items():
        if name not in before:
            change.setdefault("task_specs", {})[name] = convert(task_spec)
            continue
        inputs, outputs, fields = before[name]
        _note(change, "inputs", name, _added(task_spec._inputs, inputs))
        _note(change, "outputs", name, _added(task_spec._outputs, outputs))
        if fields:
            _note_fields(change, name, fields, fields_of(task_spec, convert) or fields)
    return change


def changes_in_json(dct: Any, spec: Spec, before: Before, run: Any, convert: Convert) -> Change:
    """The same for a spec as SpiffWorkflow saved it in the state `run`.

    The workflow may have changed since then, so a difference need not come from the run. This
    takes only the kinds of connections and task specs that the engine adds, which all begin at the
    start task, and only the values that the engine gives to fields.
    """
    saved = dct["task_specs"]
    start = spec.start.name
    change: Change = {}
    for name, (_, _, fields) in before.items():
        if fields and name in saved:
            now = {field: saved[name].get(field) for field in FIELDS}
            if now in _values_after_start(spec.task_specs[name], fields, convert):
                _note_fields(change, name, fields, now)
    for name in _added(saved[start]["outputs"], before[start].outputs):
        if not _by_engine(name, saved, spec, run):
            continue
        _note(change, "outputs", start, [name])
        if name not in before:
            change.setdefault("task_specs", {})[name] = saved[name]
            continue
        inputs, outputs, _ = before[name]
        following = [one for one in _added(saved[name]["outputs"], outputs) if one in before]
        _note(change, "inputs", name, {start}.intersection(_added(saved[name]["inputs"], inputs)))
        _note(change, "outputs", name, following)
        for one in following:
            # A restored spec may have a connection in one direction only, so both are compared.
            added = _added(saved[one]["inputs"], before[one].inputs)
            _note(change, "inputs", one, {name}.intersection(added))
    return change


def apply(change: Change, spec: Spec, registry: Any) -> None:
    """Make the same changes to a newly restored spec.

    Fields of a task spec that has changed since keep their new values.
    """
    for name, dct in change.get("task_specs", {}).items():
        if name not in spec.task_specs:
            made = {**dct, "wf_spec": spec}
            task_spec = registry.restore(made)
            if "extensions" in made:
                task_spec.extensions = made["extensions"]
    for attribute in ("inputs", "outputs"):
        for name, added in change.get(attribute, {}).items():
            task_spec = spec.task_specs.get(name)
            if task_spec is None:  # the workflow has changed since
                continue
            connected = getattr(task_spec, f"_{attribute}")
            connected.extend(one for one in added if one in spec.task_specs)

    for name, fields in change.get("fields", {}).items():
        task_spec = spec.task_specs.get(name)
        if task_spec is not None and fields_of(task_spec, registry.convert) == fields["before"]:
            for field, value in fields["after"].items():
                setattr(task_spec, field, registry.restore(deepcopy(value)))


def _values_after_start(
    task_spec: Any, fields: dict[str, Any], convert: Convert
) -> list[dict[str, Any]]:
    """What a multi-instance task of `SpiffWorkflow.camunda` may have made of its fields.

    Without a cardinality, its input is its output. Otherwise the cardinality is a number, or it
    names the collection that is the input. In this case, the task has no cardinality afterwards,
    and its input is its output when it starts once more.
    """

    def reference(name: Any) -> Any:
        return None if name is None else convert(TaskDataReference(name))

    def name_of(data: Any) -> Any:
        return None if data is None else data.bpmn_id

    item = reference(name_of(task_spec.output_item))
    number = {**fields, "input_item": item}
    collection = {
        "cardinality": None,
        "data_input": reference(fields["cardinality"]),
        "input_item": item,
    }
    output = {**collection, "data_input": reference(name_of(task_spec.data_output))}
    return [output] if fields["cardinality"] is None else [number, collection, output]


def _by_engine(name: str, saved: Any, spec: Spec, run: Any) -> bool:
    if EVENTS_EXTEND_SPECS:
        of_run = any(task["task_spec"] == name for task in run["tasks"].values())
        return of_run and name not in spec.task_specs and "spec" in saved[name]
    conditional = (task_spec.name for task_spec in getattr(spec, "conditional_paths", ()))
    return name in spec.start.trigger_specs or name in conditional


def _added(now: Any, before: Any) -> list[str]:
    return [one for one in now if one not in before] if len(now) != len(before) else []


def _note_fields(change: Change, name: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    if after != before:
        change.setdefault("fields", {})[name] = {"before": before, "after": after}


def _note(change: Change, attribute: str, name: str, added: Iterable[str]) -> None:
    if added:
        change.setdefault(attribute, {}).setdefault(name, []).extend(added)
