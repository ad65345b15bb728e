"""`ElementUnits.diff` of two versions, compared with the results of `json` and the rules.

`pairs()` gives two versions of a workflow: generated ones, changed in a few places. The digests of
the processes are those of `test_digest`, which compares them with the naive model.
"""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import naive
import pytest
import strategies
from hypothesis import event, given
from hypothesis import strategies as st

from spiff_element_units import (
    CacheError,
    CorruptPack,
    ElementDiff,
    ElementUnits,
    FieldDiff,
    ProcessDiff,
    WorkflowDiff,
)

VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, 1.0, 2**70, "x", "y", "größe", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abf"), inner),
    max_leaves=4,
)
FLOWS = st.lists(
    st.fixed_dictionaries(
        {
            "condition": st.sampled_from([None, "x > 1", "x > 2"]),
            "task_spec": st.sampled_from("pqr"),
        }
    ),
    max_size=3,
)
FIELDS = {
    "script": st.sampled_from(["x = 1", "x = 2", None]),
    "bpmn_name": st.sampled_from(["Pay", "Pay it", None, 7]),
    "lane": VALUES,
    "outputs": st.lists(st.sampled_from("pqr"), max_size=2),
    "extensions": VALUES,
    "cond_task_specs": VALUES | FLOWS | FLOWS,
    "our own": VALUES,
}


def text_of(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def units_of(whole: dict) -> ElementUnits:
    return ElementUnits.from_json(text_of(whole))


@st.composite
def edited(draw: Any, whole: dict) -> dict:
    """The workflow, changed in up to four places."""
    whole = copy.deepcopy(whole)
    specs = whole["subprocess_specs"]
    for _ in range(draw(st.integers(0, 4))):
        held = [whole["spec"], *(one for one in specs.values() if one is not None)]
        spec = draw(st.sampled_from(held))
        tasks = spec["task_specs"]
        what = draw(st.sampled_from(["task", "task", "task", "new", "drop", "turn", "process",
                                     "forget", "member", "root"]))  # fmt: skip
        if what == "task" and tasks:
            name = draw(st.sampled_from(sorted(FIELDS)))
            tasks[draw(st.sampled_from(sorted(tasks)))][name] = draw(FIELDS[name])
        elif what == "new":
            tasks[draw(strategies.ids)] = {"typename": "UserTask"}
        elif what == "drop" and tasks:
            del tasks[draw(st.sampled_from(sorted(tasks)))]
        elif what == "turn" and tasks:
            name = draw(st.sampled_from(sorted(tasks)))
            tasks[name] = dict(reversed(tasks[name].items()))
        elif what == "process":
            name = draw(strategies.ids)
            specs[name] = {"name": name, "typename": "P", "task_specs": {}}
        elif what == "forget" and specs:
            name = draw(st.sampled_from(sorted(specs)))
            specs[name] = None
            if draw(st.booleans()):
                del specs[name]
        elif what == "member":
            name = draw(st.sampled_from(["file", "x"]))
            draw(st.sampled_from([spec, whole]))[name] = draw(VALUES)
        elif what == "root":
            whole["spec"]["name"] = draw(strategies.ids)
    return whole


@st.composite
def pairs(draw: Any) -> tuple[dict, dict]:
    plain = strategies.Spelling(random.Random(0), spaces=0, escapes=0, twice=0)
    base = json.loads(plain.text(draw(strategies.workflows())))
    return draw(edited(base)), draw(edited(base))


# What must hold


def specs_of(whole: dict) -> dict[str, dict]:
    held = {key: one for key, one in whole["subprocess_specs"].items() if one is not None}
    return {whole["spec"]["name"]: whole["spec"], **held, whole["spec"]["name"]: whole["spec"]}


def without_nulls(value: Any) -> Any:
    """A value without members that are null: for a diff, such a member is the same as no member."""
    if not isinstance(value, dict):
        return value
    return {key: without_nulls(one) for key, one in value.items() if one is not None}


def applied(old: dict, fields: tuple[FieldDiff, ...]) -> dict:
    """`old`, with the new values of the fields that the diff names."""
    made = copy.deepcopy(old)
    for one in fields:
        *above, name = one.field.split(".")
        inner = made
        for key in above:
            if isinstance(inner[key], list):
                flow = next(flow for flow in inner[key] if flow["task_spec"] == name)
                inner, name = flow, "condition"
            else:
                inner = inner[key]
        assert text_of(inner.get(name)) == text_of(one.old), "the old value is another one"
        inner[name] = one.new
    return made


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same. `true`, 1 and 1.0 are three different values."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(pairs())
def test_processes_are_divided_by_their_ids_and_digests(pair: tuple[dict, dict]) -> None:
    old, new = map(units_of, pair)
    diff = old.diff(new)
    before, after = dict.fromkeys(old.process_ids), dict.fromkeys(new.process_ids)
    assert list(diff.added) == [one for one in after if one not in before]
    assert list(diff.removed) == [one for one in before if one not in after]
    both = [one for one in after if one in before]
    equal = [one for one in both if old.process_digest(one) == new.process_digest(one)]
    assert list(diff.same) == equal
    assert [one.process_id for one in diff.changed] == [one for one in both if one not in equal]


@given(pairs())
def test_elements_are_divided_by_their_ids_and_texts(pair: tuple[dict, dict]) -> None:
    diff = units_of(pair[0]).diff(units_of(pair[1]))
    specs = specs_of(pair[0]), specs_of(pair[1])
    for process in diff.changed:
        old, new = (one[process.process_id]["task_specs"] for one in specs)
        expected = [
            (name, "added" if name not in old else "changed")
            for name in new
            if name not in old or text_of(old[name]) != text_of(new[name])
        ] + [(name, "removed") for name in old if name not in new]
        assert [(one.element_id, one.change) for one in process.elements] == expected
        for one in process.elements:
            task = (old if one.change == "removed" else new)[one.element_id]
            assert one.typename == task["typename"]
            name = task.get("bpmn_name")
            assert one.name == (name if isinstance(name, str) else None)
            assert one.fields == () or one.change == "changed"
            event(f"element {one.change}, fields: {len(one.fields)}")


@given(pairs())
def test_the_old_version_with_the_fields_that_differ_is_the_new_one(
    pair: tuple[dict, dict],
) -> None:
    diff = units_of(pair[0]).diff(units_of(pair[1]))
    specs = specs_of(pair[0]), specs_of(pair[1])
    for process in diff.changed:
        old, new = (dict(one[process.process_id]) for one in specs)
        tasks = old.pop("task_specs"), new.pop("task_specs")
        assert same(without_nulls(applied(old, process.fields)), without_nulls(new))
        for one in process.elements:
            if one.change == "changed":
                old, new = (some[one.element_id] for some in tasks)
                assert same(without_nulls(applied(old, one.fields)), without_nulls(new))
                told = [text_of([field.old, field.new]) for field in one.fields]
                event("only the order" if not told else "a value differs")


@given(pairs())
def test_what_belongs_to_a_changed_process_and_differs_is_named(pair: tuple[dict, dict]) -> None:
    old, new = map(units_of, pair)
    diff = old.diff(new)
    specs = specs_of(pair[0]), specs_of(pair[1])
    for process in diff.changed:
        name = process.process_id
        owned = [naive.belonging(whole, name) for whole in pair]
        assert set(process.within) == {
            one
            for one in {**owned[0], **owned[1]}
            if text_of(owned[0].get(one)) != text_of(owned[1].get(one))
        }
        changed = text_of(specs[0][name]) != text_of(specs[1][name])
        assert changed or process.within
        assert changed or not (process.elements or process.fields)


@given(pairs())
def test_a_diff_is_false_where_the_versions_are_the_same(pair: tuple[dict, dict]) -> None:
    old, new = pair
    diff = units_of(old).diff(units_of(new))
    if not diff:
        ends = [{**one, "subprocess_specs": None, "spec": None} for one in pair]
        assert same(*ends)
        assert set(old["subprocess_specs"]) == set(new["subprocess_specs"])
        for name in old["subprocess_specs"]:
            assert text_of(old["subprocess_specs"][name]) == text_of(new["subprocess_specs"][name])
        assert text_of(old["spec"]) == text_of(new["spec"])
    assert not units_of(old).diff(units_of(old))
    event("the same" if not diff else "others")


@given(pairs())
def test_the_diff_backwards_says_the_opposite(pair: tuple[dict, dict]) -> None:
    old, new = map(units_of, pair)
    there, back = old.diff(new), new.diff(old)
    assert set(there.added) == set(back.removed)
    assert set(there.removed) == set(back.added)
    assert set(there.same) == set(back.same)
    opposite = {"added": "removed", "removed": "added", "changed": "changed"}
    for one in there.changed:
        other = next(other for other in back.changed if other.process_id == one.process_id)
        assert set(one.within) == set(other.within)
        assert {(e.element_id, e.change) for e in one.elements} == {
            (e.element_id, opposite[e.change]) for e in other.elements
        }
        fields = {(f.field, f.kind, text_of([f.old, f.new])) for f in one.fields}
        assert fields == {(f.field, f.kind, text_of([f.new, f.old])) for f in other.fields}


@given(pairs())
def test_a_diff_in_words_names_all_that_differs(pair: tuple[dict, dict]) -> None:
    diff = units_of(pair[0]).diff(units_of(pair[1]))
    words = str(diff)
    for name in (*diff.added, *diff.removed, *(one.process_id for one in diff.changed)):
        assert repr(name) in words
    for process in diff.changed:
        for element in process.elements:
            assert repr(element.element_id) in words
            assert all(field.kind in str(element) for field in element.fields)
        assert all(repr(name) in words for name in process.within)
    assert all(repr(name) not in words.splitlines()[0] for name in diff.same)


# Examples


def task(name: str = "T", typename: str = "ScriptTask", **fields: Any) -> dict:
    return {"name": name, "typename": typename, **fields}


def spec(name: str, *tasks: dict, **members: Any) -> dict:
    named = {one["name"]: one for one in tasks}
    return {"name": name, "typename": "P", **members, "task_specs": named}


def workflow(root: dict, *others: dict, **members: Any) -> ElementUnits:
    specs = {one["name"]: one for one in others}
    return units_of({"spec": root, "subprocess_specs": specs, **members})


def changes_of(old: dict, new: dict) -> list[tuple[str, str]]:
    """The field and the kind of each change of a task spec."""
    diff = workflow(spec("A", old)).diff(workflow(spec("A", new)))
    ((element,),) = [one.elements for one in diff.changed]
    return [(one.field, one.kind) for one in element.fields]


@pytest.mark.parametrize(
    ("field", "kind", "old", "new"),
    [
        ("script", "script", "x = 1", "x = 2"),
        ("prescript", "script", None, "x = 2"),
        ("bpmn_name", "name", "Pay", "Pay it"),
        ("lane", "lane", "Staff", None),
        ("documentation", "documentation", "a", "b"),
        ("outputs", "flow", ["B"], ["C", "B"]),
        ("inputs", "flow", [], ["A"]),
        ("typename", "type", "ScriptTask", "UserTask"),
        ("spec", "process", "B", "C"),
        ("event_definition.name", "event", "wake", "sleep"),
        ("maximum", "loop", 3, 4),
        ("extensions.properties.formJsonSchemaFilename", "form", "a.json", "b.json"),
        ("extensions.instructionsForEndUser", "extensions", "Read it", "Sign it"),
        ("extensions.preScript", "script", "x = 1", "x = 2"),
        ("form.fields", "form", [], [{"id": "name"}]),
        ("condition", "condition", "x < 3", "x < 4"),
        ("io_specification", "data", None, {}),
        ("our_own", "our_own", True, 1),
        ("our_own", "our_own", 1, 1.0),
    ],
)
def test_a_change_is_told_by_its_field_and_in_a_word(
    field: str, kind: str, old: Any, new: Any
) -> None:
    def with_value(value: Any) -> dict:
        *above, name = field.split(".")
        made = task()
        inner = made
        for key in above:
            inner = inner.setdefault(key, {"kept": True})
        inner[name] = value
        return made

    before, after = with_value(old), with_value(new)
    diff = workflow(spec("A", before)).diff(workflow(spec("A", after)))
    (process,) = diff.changed
    (element,) = process.elements
    assert element.fields == (FieldDiff(field, kind, old, new),)
    assert (process.fields, process.within) == ((), ())
    assert kind in str(diff)


def test_a_condition_is_told_with_the_flow_that_has_it() -> None:
    def gateway(*flows: tuple[Any, str]) -> dict:
        listed = [{"condition": condition, "task_spec": target} for condition, target in flows]
        return task(typename="ExclusiveGateway", cond_task_specs=listed)

    old = gateway(("x > 5", "B"), (None, "C"))
    assert changes_of(old, gateway(("x > 3", "B"), (None, "C"))) == [
        ("cond_task_specs.B", "condition")
    ]
    whole = [("cond_task_specs", "condition")]
    assert changes_of(old, gateway(("x > 5", "B"), (None, "D"))) == whole
    assert changes_of(old, gateway((None, "C"), ("x > 5", "B"))) == whole
    assert changes_of(old, gateway(("x > 5", "B"), (None, "B"))) == whole


def test_what_lies_deep_in_a_field_is_compared_as_a_whole() -> None:
    old, new = (task(extensions={"a": {"b": {"c": n}, "same": 1}}) for n in (1, 2))
    assert changes_of(old, new) == [("extensions.a.b", "extensions")]


def test_members_in_another_order_are_a_change_that_says_so() -> None:
    old, new = task(script="x", lane="a"), {"lane": "a", **task(script="x")}
    diff = workflow(spec("A", old)).diff(workflow(spec("A", new)))
    assert diff
    assert changes_of(old, new) == []
    assert "changed 'T' (ScriptTask): only the order or the spelling of its members" in str(diff)
    inner = [task(extensions={"a": 1, "b": 2}), task(extensions={"b": 2, "a": 1})]
    assert changes_of(*inner) == [("extensions", "extensions")]
    turned = spec("A", task("T"), task("U")), spec("A", task("U"), task("T"))
    diff = workflow(turned[0]).diff(workflow(turned[1]))
    assert diff.changed == (ProcessDiff("A", (), (), ()),)
    assert "the process: only the order or the spelling of its members" in str(diff)


def test_another_spelling_of_the_same_value_is_a_change() -> None:
    text = text_of({"spec": spec("A", task(n=0)), "subprocess_specs": {}})
    texts = [text.replace('"n":0', f'"n":{number}') for number in ("1.0", "1.00", " 1.0")]
    old, new, spaced = map(ElementUnits.from_json, texts)
    ((element,),) = [one.elements for one in old.diff(new).changed]
    assert element.fields == (FieldDiff("n", "n", 1.0, 1.0),)
    assert str(element).endswith(": n")
    assert not old.diff(spaced)


def test_whole_numbers_of_any_length_are_told_exactly() -> None:
    old, new = (task(number=10**number) for number in (30, 31))
    diff = workflow(spec("A", old)).diff(workflow(spec("A", new)))
    ((element,),) = [one.elements for one in diff.changed]
    assert (element.fields[0].old, element.fields[0].new) == (10**30, 10**31)


def test_a_process_changes_with_what_is_embedded_in_it_and_not_with_what_it_calls() -> None:
    def version(script: str) -> ElementUnits:
        embed = task("embed", "SubWorkflowTask", spec="E")
        call = task("call", "CallActivity", spec="C")
        return workflow(
            spec("A", embed),
            spec("B", call),
            spec("E", task(script=script)),
            spec("C", task(script=script)),
        )

    diff = version("x").diff(version("y"))
    changed = {one.process_id: one for one in diff.changed}
    assert list(changed) == ["A", "E", "C"]
    assert changed["A"] == ProcessDiff("A", (), (), ("E",))
    assert diff.same == ("B",)
    assert "  within it: 'E'" in str(changed["A"])


def test_the_workflow_itself_tells_its_root_its_externals_and_its_other_members() -> None:
    old = units_of(
        {"spec": spec("A"), "subprocess_specs": {"B": spec("B"), "X": None},
         "serializer_version": "1.4", "by": {"name": "Ada"}}
    )  # fmt: skip
    new = units_of(
        {"spec": spec("B"), "subprocess_specs": {"A": spec("A"), "Y": None},
         "serializer_version": "1.5", "by": {"name": "Eve"}}
    )  # fmt: skip
    diff = old.diff(new)
    assert (diff.added, diff.removed, diff.changed, diff.same) == ((), (), (), ("B", "A"))
    assert diff.fields == (
        FieldDiff("root", "root", "A", "B"),
        FieldDiff("external", "external processes", ["X"], ["Y"]),
        FieldDiff("source_serializer_version", "source_serializer_version", "1.4", "1.5"),
        FieldDiff("by.name", "by", "Ada", "Eve"),
    )
    assert str(diff) == (
        "0 processes changed, 0 added, 0 removed, 2 the same\n"
        "the workflow: root 'A' -> 'B', external processes, "
        "source_serializer_version '1.4' -> '1.5', by (by.name) 'Ada' -> 'Eve'"
    )


def test_a_renamed_element_and_a_renamed_process_are_removed_and_added() -> None:
    old = workflow(spec("A", task("pay")), spec("B"))
    new = workflow(spec("A", task("settle")), spec("C"))
    diff = old.diff(new)
    assert (diff.added, diff.removed) == (("C",), ("B",))
    assert diff.changed[0].elements == (
        ElementDiff("settle", "added", "ScriptTask", None),
        ElementDiff("pay", "removed", "ScriptTask", None),
    )


def test_a_diff_reads_well() -> None:
    old = workflow(
        spec("A", task("pay", script="x = 1", bpmn_name="Pay"), task("old"), file="a.bpmn"),
        spec("B"),
    )
    new = workflow(
        spec("A", task("pay", script="x = 2", bpmn_name="Pay", lane="Staff"),
             task("new", "UserTask", bpmn_name="Look again"), file="b.bpmn"),
        spec("C"), spec("D"),
    )  # fmt: skip
    assert str(old.diff(new)) == (
        "1 process changed, 2 added, 1 removed, 0 the same\n"
        "changed 'A'\n"
        "  changed 'pay' (ScriptTask 'Pay'): script 'x = 1' -> 'x = 2', "
        "lane nothing -> 'Staff'\n"
        "  added 'new' (UserTask 'Look again')\n"
        "  removed 'old' (ScriptTask)\n"
        "  the process: file 'a.bpmn' -> 'b.bpmn'\n"
        "added 'C'\n"
        "added 'D'\n"
        "removed 'B'"
    )


def test_a_long_value_is_not_in_the_words() -> None:
    old, new = "x = 1\n" * 20, "x = 2\n" * 20
    diff = workflow(spec("A", task(script=old))).diff(workflow(spec("A", task(script=new))))
    ((element,),) = [one.elements for one in diff.changed]
    assert str(element) == "changed 'T' (ScriptTask): script"
    assert (element.fields[0].old, element.fields[0].new) == (old, new)


def test_a_diff_cannot_be_changed_and_can_be_kept_in_a_set() -> None:
    old, new = workflow(spec("A", task(x=[1]))), workflow(spec("A", task(x={"a": 2})))
    diff = old.diff(new)
    assert len({diff, old.diff(new)}) == 1
    assert isinstance(diff, WorkflowDiff)
    for one in (diff, diff.changed[0], diff.changed[0].elements[0]):
        with pytest.raises(AttributeError):
            one.fields = ()  # type: ignore[misc]


def test_packs_of_any_key_are_compared_and_only_what_differs_is_decoded(tmp_path: Path) -> None:
    old = workflow(spec("A", task(script="x")), spec("B", task("keep")))
    new = workflow(spec("A", task(script="y")), spec("B", task("keep")))
    for key, units in (("one", old), ("two", new)):
        units.save(tmp_path, key)
    opened = [ElementUnits.open(tmp_path, key) for key in ("one", "two")]
    assert opened[0].diff(opened[1]) == old.diff(new) == old.diff(opened[1])


def test_what_is_no_workflow_cannot_be_compared(tmp_path: Path) -> None:
    units = workflow(spec("A"))
    with pytest.raises(TypeError, match="other must be an ElementUnits, not str"):
        units.diff("A")  # type: ignore[arg-type]
    other = workflow(spec("B"))
    other.save(tmp_path, "key")
    (path,) = tmp_path.rglob("*.pack")
    broken = bytearray(path.read_bytes())
    broken[broken.index(b'{"name":"B"') + 9] ^= 1
    path.write_bytes(broken)
    damaged = ElementUnits.open(tmp_path, "key")
    again = workflow(spec("B", task()))
    for one, another in ((again, damaged), (damaged, again)):
        with pytest.raises(CorruptPack, match=r"\.pack"):
            one.diff(another)
    other.close()
    with pytest.raises(CacheError, match="closed"):
        units.diff(other)
