"""What differs between two versions of a workflow: processes, their elements, and their fields.

The texts of the two are compared, not models of them: two specs are the same if they are the same
bytes. Whitespace between tokens, the order of `subprocess_specs` and the order of top-level members
do not count. Everything else does: a spec, an element or a field that is written in another way
counts as changed, even if it means the same. A process is the same if its digest is the same.

Processes and elements are compared by their ids. If one gets another id, it counts as removed, and
as added under the new id.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any, Literal, Optional

import orjson

from .core.digest import belongs, own_digest, process_digest
from .core.fault import Fault
from .core.members import members
from .core.pack import Pack

Change = Literal["added", "removed", "changed"]

_LONGEST = 60  # characters of a value that is shown
_DEEPEST = 3  # names in the path of a field; what lies deeper is compared as a whole


@dataclasses.dataclass(frozen=True)
class FieldDiff:
    """A member of a task spec, a process spec or a workflow that differs.

    `field` is its name, or its path in the JSON with dots between the names, such as
    `"extensions.properties.formJsonSchemaFilename"`. `kind` says in a word what it is about:
    "script", "condition", "name", "lane", "form", "flow" (which elements come before and after),
    "type", "process" (the one that is called or embedded), "event", "loop", "data" and others. If
    the library does not know the member, `kind` is the name of the member.

    `old` and `new` are the values, as `json.loads` gives them. One is None if that version does not
    have the member.
    """

    field: str
    kind: str
    old: Any = dataclasses.field(hash=False)
    new: Any = dataclasses.field(hash=False)

    def __str__(self) -> str:
        what = self.kind
        if self.field.startswith(_FLOWS):
            what += f" of the flow to {self.field[len(_FLOWS) :]!r}"
        elif self.kind != _NAMED_LIKE.get(self.field, self.field):
            what += f" ({self.field})"
        if not (_is_short(self.old) and _is_short(self.new)) or self.old == self.new:
            return what
        return f"{what} {_shown(self.old)} -> {_shown(self.new)}"


@dataclasses.dataclass(frozen=True)
class ElementDiff:
    """An element that was added, removed or changed, as `change` says.

    `element_id` is the key of its task spec. `typename` and `name` (what a diagram shows, or None)
    are those of the new version, or of the old one if it was removed.

    If it was changed and `fields` is empty, only the order or the spelling of its members differs.
    """

    element_id: str
    change: Change
    typename: str
    name: Optional[str]
    fields: tuple[FieldDiff, ...] = ()

    def __str__(self) -> str:
        name = "" if self.name is None else f" {self.name!r}"
        about = f"{self.change} {self.element_id!r} ({self.typename}{name})"
        return about if self.change != "changed" else f"{about}: {told(self.fields)}"


@dataclasses.dataclass(frozen=True)
class ProcessDiff:
    """A process that is in both versions and differs between them.

    `elements` are its elements that differ: first those of the new version, in its order, and then
    those that were removed. `fields` are the other members of its spec that differ. `within` are
    the ids of other specs that belong to the process and differ: its embedded subprocesses, and
    what events start. It contains the id of the process itself if the workflow's root has another
    spec in `subprocess_specs`, and that one differs.

    If all are empty, only the order or the spelling of members differs.
    """

    process_id: str
    elements: tuple[ElementDiff, ...]
    fields: tuple[FieldDiff, ...]
    within: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"changed {self.process_id!r}", *(f"  {one}" for one in self.elements)]
        if self.fields or not (self.elements or self.within):
            lines.append(f"  the process: {told(self.fields)}")
        if self.within:
            lines.append(f"  within it: {', '.join(map(repr, self.within))}")
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class WorkflowDiff:
    """The differences between two versions of a workflow. It is true if there are any.

    `added` and `removed` are ids of processes that are in one version only. `changed` and `same`
    divide the processes that are in both: those in `same` have the same `process_digest` in both.
    `removed` is in the order of the old version, and the others are in the order of the new one. An
    embedded subprocess counts as a process.

    `fields` are the members of the workflow that differ: its `root`, the list of its `external`
    processes (keys of `subprocess_specs` that are null), and top-level members such as
    `serializer_version`, under the names that they have in a unit.

    `print` shows everything but the processes that are the same.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[ProcessDiff, ...]
    same: tuple[str, ...]
    fields: tuple[FieldDiff, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.fields)

    def __str__(self) -> str:
        lines = [self.summary, *map(str, self.changed)]
        lines += [f"added {one!r}" for one in self.added]
        lines += [f"removed {one!r}" for one in self.removed]
        if self.fields:
            lines.append(f"the workflow: {told(self.fields)}")
        return "\n".join(lines)

    @property
    def summary(self) -> str:
        """How many processes were changed, added and removed, and are the same, in one line."""
        counts = [len(self.changed), len(self.added), len(self.removed), len(self.same)]
        processes = "process" if counts[0] == 1 else "processes"
        return "{:,} {} changed, {:,} added, {:,} removed, {:,} the same".format(
            counts[0], processes, *counts[1:]
        )


def told(fields: tuple[FieldDiff, ...]) -> str:
    """The fields that differ, in words. Fields of one kind are named once."""
    if not fields:
        return "only the order or the spelling of its members"
    kinds: dict[str, list[FieldDiff]] = {}
    for one in fields:
        kinds.setdefault(one.kind, []).append(one)
    return ", ".join(str(found[0]) if len(found) == 1 else kind for kind, found in kinds.items())


def compare(old: Pack, new: Pack) -> WorkflowDiff:
    """Compare two versions. Raises Fault if a pack is damaged."""
    if old.digest == new.digest:
        return WorkflowDiff((), (), (), process_ids(new), ())
    before = process_ids(old)
    known = set(before)
    added, changed, same = [], [], []
    for name in process_ids(new):
        if name not in known:
            added.append(name)
        elif process_digest(old, name) == process_digest(new, name):
            same.append(name)
        else:
            changed.append(_process(old, new, name))
    gone = known.difference(added, same, (one.process_id for one in changed))
    removed = tuple(name for name in before if name in gone)
    return WorkflowDiff(
        tuple(added), removed, tuple(changed), tuple(same), tuple(_of_workflow(old, new))
    )


def process_ids(pack: Pack) -> tuple[str, ...]:
    """The root, and then the keys of `subprocess_specs` that have a spec."""
    held = [key for key, has_spec in pack.subprocess_ids().items() if has_spec]
    return tuple(dict.fromkeys([pack.root_id(), *held]))


def _of_workflow(old: Pack, new: Pack) -> Iterator[FieldDiff]:
    if old.root_id() != new.root_id():
        yield FieldDiff("root", "root", old.root_id(), new.root_id())
    externals = [
        [key for key, has_spec in pack.subprocess_ids().items() if not has_spec]
        for pack in (old, new)
    ]
    if set(externals[0]) != set(externals[1]):
        yield FieldDiff("external", "external processes", *externals)
    before, after = _Text(old, None, old.tail_json()), _Text(new, None, new.tail_json())
    yield from _fields(before, after, {})


def _process(old: Pack, new: Pack, process_id: str) -> ProcessDiff:
    elements: tuple[ElementDiff, ...] = ()
    fields: tuple[FieldDiff, ...] = ()
    if own_digest(old, process_id) != own_digest(new, process_id):
        before = _Text(old, process_id, old.spec_json(process_id))
        after = _Text(new, process_id, new.spec_json(process_id))
        elements = tuple(_elements(before.pop("task_specs"), after.pop("task_specs")))
        fields = tuple(_fields(before, after, _PROCESS_KINDS))
    owned = [dict(belongs(pack, process_id)) for pack in (old, new)]
    within = (
        name
        for name in dict.fromkeys((*owned[1], *owned[0]))
        if owned[0].get(name) != owned[1].get(name)
    )
    return ProcessDiff(process_id, elements, fields, tuple(within))


def _elements(old: _Text, new: _Text) -> Iterator[ElementDiff]:
    for name, text in new.members.items():
        if name not in old.members:
            yield _element(name, "added", new.member(name), ())
        elif old.members[name] != text:
            before, after = old.member(name), new.member(name)
            yield _element(name, "changed", after, tuple(_fields(before, after, _KINDS)))
    for name in old.members:
        if name not in new.members:
            yield _element(name, "removed", old.member(name), ())


def _element(
    element_id: str, change: Change, text: _Text, fields: tuple[FieldDiff, ...]
) -> ElementDiff:
    name = text.value("bpmn_name")
    return ElementDiff(
        element_id, change, text.value("typename"), name if isinstance(name, str) else None, fields
    )


def _fields(old: _Text, new: _Text, kinds: dict[str, str], above: str = "") -> Iterator[FieldDiff]:
    """The fields that differ between two objects. `above` is the path of both."""
    for name in dict.fromkeys((*new.members, *old.members)):
        if old.members.get(name) == new.members.get(name):
            continue
        path = f"{above}{name}"
        inner: list[FieldDiff] = []
        if path == "cond_task_specs":
            inner = list(_conditions(old.value(name), new.value(name)))
        elif old.is_object(name) and new.is_object(name) and path.count(".") < _DEEPEST - 1:
            inner = list(_fields(old.member(name), new.member(name), kinds, f"{path}."))
        if inner:
            yield from inner
        else:
            yield FieldDiff(path, _kind(path, name, kinds), old.value(name), new.value(name))


def _conditions(old: Any, new: Any) -> Iterator[FieldDiff]:
    """The flows of a gateway whose conditions differ; none if the flows themselves differ."""
    before, after = _by_target(old), _by_target(new)
    if before is not None and after is not None and list(before) == list(after):
        for target, condition in after.items():
            if json.dumps(before[target]) != json.dumps(condition):
                yield FieldDiff(f"{_FLOWS}{target}", "condition", before[target], condition)


def _by_target(flows: Any) -> Optional[dict[str, Any]]:
    """The condition of each flow by its target; None if the list is not as SpiffWorkflow writes."""
    if not isinstance(flows, list) or not all(
        isinstance(one, dict) and one.keys() == {"condition", "task_spec"} for one in flows
    ):
        return None
    targets = [one["task_spec"] for one in flows]
    if not all(isinstance(one, str) for one in targets) or len(set(targets)) < len(targets):
        return None
    return {one["task_spec"]: one["condition"] for one in flows}


class _Text:
    """The text of an object, and the texts of its members. It is in the process `process_id`."""

    def __init__(self, pack: Pack, process_id: Optional[str], text: bytes) -> None:
        self._pack = pack
        self._process_id = process_id
        self.members: dict[str, bytes]
        try:
            self.members = members(text) or {}
        except ValueError as error:
            raise self._damage() from error

    def is_object(self, name: str) -> bool:
        return self.members.get(name, b"").startswith(b"{")

    def member(self, name: str) -> _Text:
        return _Text(self._pack, self._process_id, self.members[name])

    def pop(self, name: str) -> _Text:
        """Take a member out of the object."""
        if name not in self.members:
            raise self._damage()
        member = self.member(name)
        del self.members[name]
        return member

    def value(self, name: str) -> Any:
        """The value of a member; None if there is no such member."""
        text = self.members.get(name, b"null")
        process_id = self._process_id
        try:
            # orjson would read long numbers as floats.
            if process_id is None or self._pack.has_long_numbers(process_id):
                return json.loads(text)
            return orjson.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._damage() from error

    def _damage(self) -> Fault:
        if self._process_id is None:
            return Fault("tail JSON", pack=self._pack.where)
        return Fault("spec JSON", pack=self._pack.where, process=self._process_id)


def _is_short(value: Any) -> bool:
    return not isinstance(value, (dict, list)) and len(_shown(value)) <= _LONGEST


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(value)
    return "nothing" if value is None else json.dumps(value)


def kind_of(field: str) -> str:
    """The `FieldDiff.kind` of a field of an element: what it is about, in a word."""
    return _kind(field, field, _KINDS)


def _kind(path: str, name: str, kinds: dict[str, str]) -> str:
    if path.startswith("extensions."):
        return _EXTENSION_KINDS.get(name, "form" if name.startswith("form") else "extensions")
    top = path.partition(".")[0]
    return kinds.get(top, top)


def _kinds(**names: str) -> dict[str, str]:
    return {name: kind.replace("_", " ") for kind, of in names.items() for name in of.split()}


_FLOWS = "cond_task_specs."
_KINDS = _kinds(
    id="name bpmn_id",
    name="bpmn_name",
    type="typename description manual",
    flow="inputs outputs default_task_spec",
    script="script prescript postscript",
    condition="cond_task_specs condition choice",
    process="spec",
    triggers="trigger_specs",
    event="event_definition cancel_activity",
    loop="task_spec maximum test_before cardinality data_input data_output input_item output_item",
    join="split_task threshold cancel",
    data="data_input_associations data_output_associations io_specification",
    decision_table="decision_table",
    service="operation_name operation_params result_variable",
)
_PROCESS_KINDS = _kinds(
    id="name",
    name="description",
    type="typename",
    data="data_objects io_specification",
    correlation="correlation_keys",
    start_events="bpmn_start_events",
    condition="completion_condition",
)
_EXTENSION_KINDS = {"preScript": "script", "postScript": "script"}
_NAMED_LIKE = {
    "bpmn_name": "name",
    "spec": "process",
    "typename": "type",
    "decision_table": "decision table",
    "external": "external processes",
}
