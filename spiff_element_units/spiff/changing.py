"""Which specs the engine changes while an instance runs, and what of them.

Instances cannot share these specs. According to the source code of SpiffWorkflow they are:

- 3.2: an ad-hoc subprocess connects its start task to each conditional path that it starts
  (`AdHocSubprocessSpec.add_path`). A start task with trigger specs connects itself to each process
  that it triggers (`BpmnStartTask.trigger_wf`).
- 3.0 and 3.1: when an event arrives for which a process of the workflow has a start event, the
  engine adds a call activity to the spec that the instance was started with
  (`BpmnWorkflow.update_collaboration`). The application may have assigned that process.
- A multi-instance task of `SpiffWorkflow.camunda` replaces its cardinality and its references to
  input data when it starts (`update_task_spec`).

The specs of the first and third kind are restored again for each workflow. The second kind can be
any spec that is started, so each workflow gets a copy of the spec that it starts. A loop task also
connects itself to the task that it repeats. This is no change, because a restored spec has the
connection already.
"""

from __future__ import annotations

import sys
from typing import Any, Callable, NamedTuple

from SpiffWorkflow.bpmn.specs import bpmn_process_spec
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow

from .external import ExternalName

Spec = Any  # a BpmnProcessSpec
Convert = Callable[[Any], Any]

# SpiffWorkflow before 3.2: events add task specs to the spec that an instance was started with.
EVENTS_EXTEND_SPECS = hasattr(BpmnWorkflow, "update_collaboration")
FIELDS = ("cardinality", "data_input", "input_item")
_AD_HOC: Any = getattr(bpmn_process_spec, "AdHocSubprocessSpec", ())


class TaskSpecBefore(NamedTuple):
    """A task spec before an instance runs. `fields` are FIELDS, converted, if they may change."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    fields: dict[str, Any]


Before = dict[str, TaskSpecBefore]  # by the names of task specs


def changes_while_running(spec: Spec) -> bool:
    """Whether the engine changes this spec while an instance runs."""
    if isinstance(spec, _AD_HOC) or getattr(spec.start, "trigger_specs", None):
        return True
    kinds = camunda_kinds()
    return bool(kinds) and any(isinstance(one, kinds) for one in spec.task_specs.values())


def may_have_changed(saved: dict[str, Any]) -> bool:
    """Whether the engine may have changed a called or embedded process, by its spec in a state.

    Trigger specs count only in the spec that was started.
    """
    if "conditional_paths" in saved:
        return True
    return bool(camunda_kinds()) and any(
        "cardinality" in one for one in saved["task_specs"].values()
    )


def camunda_kinds() -> tuple[type, ...]:
    """The multi-instance tasks of `SpiffWorkflow.camunda`. None exist if nobody has imported it."""
    module = sys.modules.get("SpiffWorkflow.camunda.specs.multiinstance_task")
    if module is None:
        return ()
    return module.SequentialMultiInstanceTask, module.ParallelMultiInstanceTask


def before_run(spec: Spec, convert: Convert) -> Before:
    """What the engine may change in a spec, of a spec that it has not changed."""
    kinds = camunda_kinds()
    return {
        name: TaskSpecBefore(
            tuple(task_spec._inputs),
            tuple(task_spec._outputs),
            fields_of(task_spec, convert) if isinstance(task_spec, kinds) else {},
        )
        for name, task_spec in spec.task_specs.items()
    }


def fields_of(task_spec: Any, convert: Convert) -> dict[str, Any]:
    """The fields of a task spec that the engine changes, as they are in JSON; may be empty."""
    if not isinstance(task_spec, camunda_kinds()):
        return {}
    return {field: convert(getattr(task_spec, field)) for field in FIELDS}


def extensible(spec: Spec) -> Spec:
    """A copy of a spec. Adding task specs to the copy does not change the original.

    The task specs are copied too, and the copies belong to the new spec. Everything that the
    engine never changes is shared.
    """
    copies = {}
    made = _like(spec)
    for task_spec in spec.task_specs.values():
        copied = copies[id(task_spec)] = _like(task_spec)
        copied._wf_spec = made
        copied._inputs, copied._outputs = [*task_spec._inputs], [*task_spec._outputs]
        name = getattr(task_spec, "spec", None)
        if isinstance(name, ExternalName):
            copied.spec = ExternalName.of(name, copied, name.process_id, name.called)
    made.task_specs = {name: copies[id(one)] for name, one in spec.task_specs.items()}
    for name, value in vars(spec).items():
        if id(value) in copies:
            setattr(made, name, copies[id(value)])
    return made


def _like(obj: Any) -> Any:
    made = object.__new__(type(obj))
    made.__dict__.update(obj.__dict__)
    return made
