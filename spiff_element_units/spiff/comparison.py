"""What a comparison of a state with a version of its workflow tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional

from .versions import WorkflowVersion


@dataclass(frozen=True)
class ElementComparison:
    """An element of a process that is not the same in the other version.

    `fields` are those of the serialized task spec that differ. `new_id` is its id in the new
    version, if that is another one. The counts say how many of the instance's tasks are of this
    element: `finished`, `current` (started, ready or waiting) and `predicted`.
    """

    element_id: str
    change: Literal["added", "removed", "changed"]
    fields: tuple[str, ...] = ()
    new_id: Optional[str] = None
    finished: int = 0
    current: int = 0
    predicted: int = 0


@dataclass(frozen=True)
class ProcessComparison:
    """A process of an instance, compared.

    `running` is False if only settled subprocesses of the instance are of this process. These stay
    what they were, so they have no say. `elements` are those of a running process that are not the
    same; they are empty if the version that the state was saved with is not there.
    """

    process_id: str
    result: Literal["same", "changed", "gone"]
    running: bool = True
    elements: tuple[ElementComparison, ...] = ()


@dataclass(frozen=True)
class StateComparison:
    """A state, compared with a version of its workflow.

    `can_resume` tells whether the instance continues on this version as it is, and `can_migrate`
    whether it can be migrated to it. `reasons` says why it does not continue, and why it cannot be
    migrated, in sentences.
    """

    process_id: str
    saved_with: WorkflowVersion
    compared_with: WorkflowVersion
    processes: tuple[ProcessComparison, ...]
    can_resume: bool
    can_migrate: bool
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.can_resume:
            return f"the instance of process {self.process_id!r} continues as it is"
        can = "can" if self.can_migrate else "cannot"
        return f"the instance of process {self.process_id!r} {can} be migrated: " + "; ".join(
            self.reasons
        )
