"""Compares many states with a version of their workflow, before it is deployed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from ..errors import ElementUnitsError
from .comparing import Comparing
from .comparison import StateComparison
from .state import State


@dataclass
class StateSummary:
    """Which instances continue on a version of their workflow, and which can be migrated.

    Each of the four lists contains the ids of instances, in order. The instances in `resumable`
    continue without a migration. Those in `migratable` can be migrated, and those in `blocked`
    cannot. The states of those in `unreadable` are damaged, or are not states. `reasons` counts the
    instances for each reason, and `ids_of` returns the ids of these instances.
    """

    resumable: list[Any] = field(default_factory=list)
    migratable: list[Any] = field(default_factory=list)
    blocked: list[Any] = field(default_factory=list)
    unreadable: list[Any] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    _by_reason: dict[str, list[Any]] = field(default_factory=dict, repr=False)

    @property
    def total(self) -> int:
        """How many states were compared."""
        groups = (self.resumable, self.migratable, self.blocked, self.unreadable)
        return sum(map(len, groups))

    def ids_of(self, reason: str) -> list[Any]:
        """The ids of the instances with a reason."""
        return list(self._by_reason.get(reason, ()))

    def add(self, instance_id: Any, comparison: StateComparison) -> None:
        """Count a comparison."""
        if comparison.can_resume:
            self.resumable.append(instance_id)
        elif comparison.can_migrate:
            self.migratable.append(instance_id)
        else:
            self.blocked.append(instance_id)
        self._note(instance_id, comparison.reasons)

    def add_unreadable(self, instance_id: Any, reason: str) -> None:
        """Count a state that cannot be compared."""
        self.unreadable.append(instance_id)
        self._note(instance_id, (reason,))

    def _note(self, instance_id: Any, reasons: Iterable[str]) -> None:
        for reason in reasons:
            self.reasons[reason] += 1
            self._by_reason.setdefault(reason, []).append(instance_id)

    def __str__(self) -> str:
        instances = "instance" if self.total == 1 else "instances"
        lines = [
            f"{self.total} {instances}: {len(self.resumable)} continue as they are, "
            f"{len(self.migratable)} can be migrated, {len(self.blocked)} cannot, "
            f"{len(self.unreadable)} are unreadable"
        ]
        lines += [f"{count:>6}  {reason}" for reason, count in self.reasons.most_common()]
        return "\n".join(lines)


def compare_all(
    states: Union[Mapping[Any, State], Iterable[Any]],
    loader: Any,
    *,
    old: Any = None,
    renamed: Optional[Mapping[str, str]] = None,
) -> StateSummary:
    """Compare many states with the workflow of a loader.

    `states` contains states, which get numbers from 0 as ids, or pairs of an id and a state. It may
    also be a mapping from ids to states. A state is a text or a mapping, as for `resume`. For an
    instance in pieces, pass the live piece. States are read one after another, so a generator over
    a database needs memory for only one. `old` and `renamed` are those of `SpecLoader.migrate`. A
    state that cannot be read is counted as unreadable, and the comparison continues.

    Raises ElementUnitsError if `renamed` names an element that the new version does not have.
    """
    comparing = Comparing(loader, old, renamed)
    summary = StateSummary()
    for number, one in enumerate(states.items() if isinstance(states, Mapping) else states):
        instance_id, state = one if isinstance(one, tuple) else (number, one)
        try:
            comparison = comparing.compare(state)
        except ElementUnitsError as error:
            summary.add_unreadable(instance_id, str(error))
        else:
            summary.add(instance_id, comparison)
    return summary
