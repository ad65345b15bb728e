"""Restores settled subprocesses when they are looked into, and puts stand-ins in their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, Optional, Union
from uuid import UUID

from SpiffWorkflow.bpmn.serializer.default.workflow import BpmnWorkflowConverter
from SpiffWorkflow.bpmn.specs.mixins.subworkflow_task import SubWorkflowTask
from SpiffWorkflow.bpmn.util.subworkflow import BpmnSubWorkflow
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.workflow import Workflow

from .pieces import CutPieces, StoredPieces
from .standin import Piece, can_stand_in
from .subprocesses import Subprocesses
from .walks import install


class PieceRestorer:
    """Restores the pieces of one instance, as `subprocesses.Restorer` says.

    `prepare` is called with the name of a process before its first piece is restored.
    """

    def __init__(
        self, registry: Any, pieces: Union[CutPieces, StoredPieces], prepare: Callable[[str], None]
    ) -> None:
        self._registry = registry
        self.pieces: Any = pieces
        self._prepare = prepare
        self._classes = subprocess_classes(registry)

    def native_class(self, piece: Piece) -> type[Any]:
        if len(self._classes) == 1:
            return next(iter(self._classes.values()))
        return self._classes[str(piece.typename)]

    def spec(self, task: Any, top_workflow: Any) -> Any:
        self._prepare(task.task_spec.spec)
        return top_workflow.subprocess_specs.get(task.task_spec.spec)

    def restore(self, piece: Piece, task: Any, top_workflow: Any) -> Any:
        self._prepare(task.task_spec.spec)
        return self._registry.restore(piece.decoded(), task=task, top_workflow=top_workflow)

    def find(self, pieces: Sequence[Piece], task_id: UUID) -> Optional[Piece]:
        found: Optional[Piece] = self.pieces.find(pieces, task_id)
        return found

    def may_have(self, task_id: Any) -> bool:
        return bool(self.pieces.may_have(task_id))

    def put_into(self, workflow: Any, saved: dict[str, Any]) -> None:
        """Restore a workflow's living subprocesses, as its converter does, and put stand-ins in.

        `saved` has the living ones by the id of their tasks.
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


def subprocess_classes(registry: Any) -> dict[str, type[Any]]:
    """The classes of subprocesses that a registry converts, by what it calls them."""
    return {
        name: cls for cls, name in registry.typenames.items() if issubclass(cls, BpmnSubWorkflow)
    }


def can_leave_out(registry: Any) -> bool:
    """Whether subprocesses can be left out of what a registry's converters restore and write.

    They can where the workflow's converter restores and writes them as SpiffWorkflow's does.
    """
    known = [(cls, name) for cls, name in registry.typenames.items() if issubclass(cls, Workflow)]
    classes = [cls for cls, _ in known if issubclass(cls, BpmnSubWorkflow)]
    names = [name for cls, name in known if issubclass(cls, BpmnWorkflow)]
    return (
        bool(classes)
        and all(map(can_stand_in, classes))
        and all(_is_native(registry.convert_from_dict.get(name)) for name in names)
    )


def _is_native(conversion: Any) -> bool:
    converter = getattr(next(iter(getattr(conversion, "args", ())), None), "__self__", None)
    return isinstance(converter, BpmnWorkflowConverter) and all(
        getattr(type(converter), name) is getattr(BpmnWorkflowConverter, name)
        for name in ("subprocesses_from_dict", "mapping_to_dict")
    )
