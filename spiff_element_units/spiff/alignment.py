"""Aligns the elements of two versions of a process, by SpiffWorkflow's `bpmn.util.diff`.

An element of one version is the same as the element of the other that has its id. Those without
such a partner are aligned by what leads to them and follows them, as `SpecDiff` does it, or by the
caller's own map of renamed ids. SpiffWorkflow 3.0 has no `bpmn.util.diff`: there, elements are
aligned by their ids alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from .specs import Spec

try:
    from SpiffWorkflow.bpmn.util.diff import SpecDiff
except ImportError:  # SpiffWorkflow 3.0
    SpecDiff = None

HAS_DIFF = SpecDiff is not None

# The fields of a serialized task spec that hold names of task specs.
_NAMES = frozenset(
    {"name", "bpmn_id", "inputs", "outputs", "task_spec", "cond_task_specs", "default_task_spec",
     "main_child_task_spec", "split_task", "prerequisites"}
)  # fmt: skip


class Alignment:
    """The elements of one version of a process beside those of another.

    `partners` has the new name of each old task spec, or None if it is gone. `changed` has the
    fields that differ, by the old name. `added` are the new ones without a partner.
    """

    def __init__(self, registry: Any, old: Spec, new: Spec, renamed: Mapping[str, str]) -> None:
        self.old = old
        self.new = new
        self._registry = registry
        self._renamed = _with_parts(renamed, old, new)
        self.partners: dict[str, Any] = dict.fromkeys(old.task_specs)
        self.partners.update((name, name) for name in old.task_specs if name in new.task_specs)
        if SpecDiff is not None:
            found = SpecDiff(registry, old, new).alignment
            aligned = {one.name: other and other.name for one, other in found.items() if one}
            self.partners.update((a, b) for a, b in aligned.items() if self.partners.get(a) is None)
        self.partners.update(self._renamed)
        taken = set(self.partners.values())
        self.added = [name for name in new.task_specs if name not in taken]
        self.changed: dict[str, tuple[str, ...]] = {}
        for name, partner in self.partners.items():
            fields = self._differing(name, partner) if partner is not None else ()
            if fields:
                self.changed[name] = fields

    @cached_property
    def differs(self) -> bool:
        """Whether the process itself has changed, not only what is embedded in it."""
        before, after = (self._registry.convert(one) for one in (self.old, self.new))
        return bool(before != after)

    @property
    def removed(self) -> list[str]:
        """The old task specs that are gone."""
        return [name for name, partner in self.partners.items() if partner is None]

    def _differing(self, name: str, partner: str) -> tuple[str, ...]:
        before = self._translated(self._registry.convert(self.old.task_specs[name]))
        after = self._registry.convert(self.new.task_specs[partner])
        if before.get("typename") != after.get("typename"):
            return ("typename",)
        keys = dict.fromkeys([*before, *after])
        if name in self._renamed:
            keys.pop("bpmn_name", None)
        return tuple(key for key in keys if before.get(key) != after.get(key))

    def _translated(self, task_spec: dict[str, Any]) -> dict[str, Any]:
        if not self._renamed:
            return task_spec
        return {
            key: _renamed(value, self._renamed) if key in _NAMES else value
            for key, value in task_spec.items()
        }


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, (list, tuple)):
        return [_renamed(one, names) for one in value]
    if isinstance(value, dict):
        return {key: _renamed(one, names) if key in _NAMES else one for key, one in value.items()}
    return value


def _with_parts(renamed: Mapping[str, str], old: Spec, new: Spec) -> dict[str, str]:
    """The renamed ids that this process has, and the task specs that SpiffWorkflow names by them.

    Those are `Id.BoundaryEventSplit` and `Id [child]`, for example.
    """
    found: dict[str, str] = {}
    for before, after in renamed.items():
        for name in old.task_specs:
            if name == before or name.startswith((f"{before}.", f"{before} [")):
                partner = after + name[len(before) :]
                if partner in new.task_specs:
                    found[name] = partner
    return found
