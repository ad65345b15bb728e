"""Processes of other workflows: how elements refer to them, and the error if one is missing."""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any, Optional

from ..errors import UnitNotFound

if TYPE_CHECKING:  # SpiffWorkflow has no types

    class WorkflowException(Exception): ...

    class WorkflowTaskException(WorkflowException): ...

else:
    from SpiffWorkflow.bpmn.exceptions import WorkflowTaskException
    from SpiffWorkflow.exceptions import WorkflowException


class ExternalName(str):
    """The name of a process of another workflow, in the task spec that refers to the process.

    It is a `str` and equals the plain name. The engine passes it to the mapping of specs. The
    mapping learns from it which process needs the other one, and names the element in its error if
    no workflow contains the process.
    """

    task_spec: Any
    process_id: str
    called: bool

    @classmethod
    def of(cls, name: str, task_spec: Any, process_id: str, called: bool) -> ExternalName:
        """`name` as `task_spec` of process `process_id` refers to it. `called`: it is a call."""
        made = cls(name)
        made.task_spec = task_spec
        made.process_id = process_id
        made.called = called
        return made


class MissingProcess(UnitNotFound, WorkflowTaskException, KeyError):
    """The engine needs a process that no workflow contains.

    It is also the exception that SpiffWorkflow itself raises. From 3.2 on that is a
    `WorkflowTaskException`, and the task gets the state `ERROR`. Before 3.2 it is a `KeyError`.
    `task` is the task. It is None before 3.2, and while a state is resumed. `task_spec` is the task
    spec that refers to the process.

    To continue, provide the process and resume the last saved state.
    """

    notes: list[str]
    task: Any
    task_spec: Any
    task_trace: list[str]
    line_number: Optional[int]
    offset: Optional[int]
    error_line: Optional[str]
    error_type: str

    def __init__(self, message: str, task_spec: Any = None, task: Any = None) -> None:
        if task is not None:
            WorkflowTaskException.__init__(self, message, task)
            return
        WorkflowException.__init__(self, message, task_spec)
        self.task = self.line_number = self.offset = self.error_line = None
        self.error_type = "unknown"
        self.task_trace = []

    def __str__(self) -> str:
        return ". ".join(map(str, [*self.args, *self.notes]))


def get_missing_subworkflow_error(self: Any, my_task: Any) -> Any:
    """Raise an error that tells more than the one SpiffWorkflow asks a task spec for.

    This function has the name of the method that it replaces, so that specs can be pickled.
    """
    missing = getattr(my_task.workflow.top_workflow.subprocess_specs, "missing", None)
    if missing is not None:
        raise missing(self.spec, my_task)
    return type(self).get_missing_subworkflow_error(self, my_task)


def explain_where_missing(task_spec: Any) -> None:
    """Let the error for a task spec whose process is missing name the task spec."""
    if hasattr(task_spec, "get_missing_subworkflow_error"):  # since SpiffWorkflow 3.2
        task_spec.get_missing_subworkflow_error = MethodType(
            get_missing_subworkflow_error, task_spec
        )
