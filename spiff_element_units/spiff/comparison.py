"""The results of comparing a state with a version of its workflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional

from .versions import WorkflowVersion


@dataclass(frozen=True)
class ElementComparison:
    """An element of a process that differs between the two versions.

    `fields` contains the fields of the serialized task spec that differ. `new_id` is the id of the
    element in the new version, if it is a different id. The counts say how many of the instance's
    tasks are of this element: `finished`, `current` (started, ready or waiting) and `predicted`.
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
    """The comparison of one process of an instance.

    `result` says whether the process is the same in this version. It is "gone" if this version has
    no such process. `running` is False if all subprocesses of this process are settled. Settled
    subprocesses do not change, so they do not affect the result. `elements` contains the elements
    of a running process that differ. It is empty if the version that the state was saved with
    cannot be found.
    """

    process_id: str
    result: Literal["same", "changed", "gone"]
    running: bool = True
    elements: tuple[ElementComparison, ...] = ()


@dataclass(frozen=True)
class StateComparison:
    """The comparison of a state with a version of its workflow.

    `process_id` is the process that was started. `saved_with` and `compared_with` are the two
    versions, and `processes` are those that the instance has been in.

    `can_resume` says whether the instance continues on this version without a migration, and
    `can_migrate` whether it can be migrated. `reasons` contains sentences that say why it does not
    continue and why it cannot be migrated.
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
