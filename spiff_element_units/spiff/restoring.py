"""Puts stand-ins into a workflow, and restores the settled subprocesses that they stand for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Callable, Optional, Union
from uuid import UUID

from SpiffWorkflow.bpmn.serializer.default.workflow import BpmnWorkflowConverter
from SpiffWorkflow.bpmn.specs.mixins.subworkflow_task import SubWorkflowTask
from SpiffWorkflow.bpmn.util.subworkflow import BpmnSubWorkflow
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.exceptions import SpiffWorkflowException

from ..errors import ElementUnitsError
from .pieces import CutPieces, StoredPieces
from .standin import Piece, can_stand_in
from .state import NOT_RESTORED, not_restored
from .subprocesses import Subprocesses
from .task_order import order_tasks
from .walks import install


class PieceRestorer:
    """Restores the pieces of one instance. It is a `subprocesses.Restorer`.

    `spec_then` gives the spec of a settled subprocess if it ran on another one than runs now. It
    gets the task of the caller, and the number of the version if the piece says it.
    """

    def __init__(
        self,
        registry: Any,
        pieces: Union[CutPieces, StoredPieces],
        spec_then: Callable[[Any, Optional[int]], Any],
    ) -> None:
        self._registry = registry
        self.pieces: Any = pieces
        self._spec_then = spec_then
        self._classes = subprocess_classes(registry)

    def native_class(self, piece: Piece) -> type[Any]:
        if len(self._classes) == 1:
            return next(iter(self._classes.values()))
        return self._classes[str(piece.typename)]

    def spec(self, piece: Piece, task: Any, top_workflow: Any) -> Any:
        then = self._spec_then(task, piece.version)
        return top_workflow.subprocess_specs.get(task.task_spec.spec) if then is None else then

    def restore(self, piece: Piece, task: Any, top_workflow: Any) -> Any:
        decoded = piece.decoded()
        try:
            order_tasks(decoded)
            with standing(top_workflow, task, self._spec_then(task, piece.version)):
                return self._registry.restore(decoded, task=task, top_workflow=top_workflow)
        except (ElementUnitsError, SpiffWorkflowException):
            raise
        except NOT_RESTORED as error:
            what = f"the settled subprocess of process {task.task_spec.spec!r}"
            raise not_restored(what, error) from error

    def find(self, pieces: Sequence[Piece], task_id: UUID) -> Optional[Piece]:
        found: Optional[Piece] = self.pieces.find(pieces, task_id)
        return found

    def may_have(self, task_id: Any) -> bool:
        return bool(self.pieces.may_have(task_id))

    def put_into(self, workflow: Any, saved: dict[str, Any]) -> None:
        """Restore the living subprocesses of a workflow and add a stand-in for each piece.

        `saved` contains the living ones by the id of their tasks. They are restored as the
        workflow's converter does it.
        """
        self._descend(workflow, workflow, saved, install(workflow, self))

    def _descend(
        self, process: Any, top: Any, saved: dict[str, Any], subprocesses: Subprocesses
    ) -> None:
        for task in process.tasks.values():
            if not isinstance(task.task_spec, SubWorkflowTask):
                continue
            piece = self.pieces.of_task(task.id)
            if piece is not None:
                subprocesses.add_piece(piece, process)
            elif str(task.id) in saved:
                restored = self._registry.restore(
                    saved.pop(str(task.id)), task=task, top_workflow=top
                )
                subprocesses[task.id] = restored
                restored.completed_event.connect(task.task_spec._on_subworkflow_completed, task)
                self._descend(restored, top, saved, subprocesses)


def standing(top_workflow: Any, task: Any, spec: Any) -> AbstractContextManager[None]:
    """While the subprocess of a task is restored: the spec that it ran on, if it is another one."""
    if spec is None:
        return nullcontext()
    found: AbstractContextManager[None] = top_workflow.subprocess_specs.standing(
        task.task_spec.spec, spec
    )
    return found


def subprocess_classes(registry: Any) -> dict[str, type[Any]]:
    """The classes of subprocesses that a registry converts, by their typenames."""
    return {
        name: cls for cls, name in registry.typenames.items() if issubclass(cls, BpmnSubWorkflow)
    }


def can_leave_out(registry: Any) -> bool:
    """Whether a registry's converters can restore and write a workflow without some subprocesses.

    They can if the workflow's converter treats subprocesses as SpiffWorkflow's own does.
    """
    typenames = registry.typenames
    classes = [cls for cls in _with_subclasses(BpmnSubWorkflow) if cls in typenames]
    names = [typenames[cls] for cls in _with_subclasses(BpmnWorkflow) if cls in typenames]
    return (
        bool(classes)
        and all(map(can_stand_in, classes))
        and all(_is_native(registry.convert_from_dict.get(name)) for name in names)
    )


def _with_subclasses(cls: Any) -> Iterator[Any]:
    """A class and all its subclasses. A registry has many classes, and these are few."""
    yield cls
    for below in cls.__subclasses__():
        yield from _with_subclasses(below)


def _is_native(conversion: Any) -> bool:
    converter = getattr(next(iter(getattr(conversion, "args", ())), None), "__self__", None)
    return isinstance(converter, BpmnWorkflowConverter) and all(
        getattr(type(converter), name) is getattr(BpmnWorkflowConverter, name)
        for name in ("subprocesses_from_dict", "mapping_to_dict")
    )
