"""The unit rules on small workflows that a reader can draw, and the walks on very large ones.

`drawn` says how they are written. The generated workflows of `test_properties` try the same rules
without being readable.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from dissect import Dissected, pack_of
from drawn import call, embed, loop, spec, start, task, workflow

from spiff_element_units import ElementUnits, UnitNotFound

EXTERNAL = None


def specs_in(unit: str) -> list[str]:
    return list(json.loads(unit)["subprocess_specs"])


# Starting a process


def test_a_called_process_is_left_out_and_an_embedded_one_is_not() -> None:
    units = workflow("A", A=[call("B"), embed("C")], B=[task()], C=[task()])
    assert units.needs("A") == ("A", "C")
    assert units.needs("A", defer="all") == ("A",)
    assert units.needs("A", defer="nothing") == ("A", "B", "C")


@pytest.mark.parametrize(
    "typename",
    [
        *("SubWorkflowTask", "TransactionSubprocess", "EventSubprocess", "AdHocSubprocess"),
        *("", "callactivity", "OurCallActivity", "UserTask", "BpmnStartTask"),
    ],
)
def test_whatever_refers_and_is_no_call_activity_embeds(typename: str) -> None:
    units = workflow("A", A=[embed("B", typename=typename)], B=[task()])
    assert units.needs("A") == ("A", "B")
    assert units.references("A") == (("embedded", "B", "embed B", False),)


def test_what_an_embedded_process_embeds_is_needed_and_what_it_calls_is_not() -> None:
    units = workflow(
        "A",
        A=[embed("B")],
        B=[embed("C"), call("D")],
        C=[start("E")],
        D=[embed("F")],
        E=[],
        F=[task()],
    )
    assert units.needs("A") == ("A", "B", "C", "E")
    assert units.needs("D") == ("D", "F")
    assert units.needs("A", defer="nothing") == ("A", "B", "C", "D", "E", "F")


def test_a_trigger_is_needed() -> None:
    units = workflow("A", A=[start("B", "C")], B=[task()], C=[task()], D=[task()])
    assert units.needs("A") == ("A", "B", "C")
    assert units.needs("A", "Start") == ("A", "B", "C")
    assert units.needs("A", "Start", defer="all") == ("A",)


def test_every_process_has_units_and_not_only_the_root() -> None:
    units = workflow("A", A=[call("B")], B=[embed("C")], C=[task()], D=[embed("C")])
    assert units.needs("B") == ("B", "C")
    assert units.needs("D") == ("D", "C")
    assert json.loads(units.workflow("B"))["spec"]["name"] == "B"


def test_the_callers_order_is_kept() -> None:
    units = workflow(
        "A", Z=[task()], A=[embed("B"), embed("Z"), embed("K")], K=[task()], B=[task()]
    )
    assert units.process_ids == ("A", "Z", "K", "B")
    assert units.needs("A") == ("A", "Z", "K", "B")
    assert specs_in(units.workflow("A")) == ["Z", "K", "B"]


# Resuming it at an element of its own


def test_an_element_that_refers_brings_what_it_refers_to() -> None:
    units = workflow(
        "A", A=[call("B"), call("C"), task("T")], B=[embed("D"), call("C")], C=[], D=[task()]
    )
    assert units.needs("A", "call B") == ("A", "B", "D")
    assert units.needs("A", "call B", defer="all") == ("A", "B")
    assert units.needs("A", "T") == ("A",)


def test_a_loop_brings_what_it_loops_over() -> None:
    units = workflow("A", A=[loop("call B", "L"), call("B"), loop("L", "outer")], B=[task()])
    assert units.needs("A", "L") == ("A", "B")
    assert units.needs("A", "outer") == ("A", "B")
    assert units.needs("A") == ("A",)


def test_loops_that_loop_over_each_other_refer_to_nothing() -> None:
    units = workflow(
        "A", A=[loop("M", "L"), loop("L", "M"), loop("S", "S"), loop("none", "N"), call("B")]
    )
    for element_id in "LMSN":
        assert units.needs("A", element_id) == ("A",)


def test_an_element_is_found_by_its_bpmn_id() -> None:
    units = workflow(
        "A", A=[call("B", "task", bpmn_id="Activity_1"), task("T", bpmn_id=None)], B=[task()]
    )
    assert units.element_ids("A") == ("task", "Activity_1", "T")
    assert units.needs("A", "Activity_1") == ("A", "B")


def test_an_id_of_several_tasks_means_all_of_them() -> None:
    units = workflow(
        "A",
        A=[call("B", bpmn_id="x"), call("C", bpmn_id="x"), task(bpmn_id="x"), call("D")],
        B=[task()],
        C=[task()],
        D=[task()],
    )
    assert units.needs("A", "x") == ("A", "B", "C")


def test_an_own_element_is_meant_though_others_use_its_id() -> None:
    units = workflow("A", A=[task("Start"), call("B")], B=[task("Start")])
    assert units.needs("A", "Start") == ("A",)


def test_the_process_itself_is_meant_though_an_element_has_its_id() -> None:
    units = workflow("A", A=[call("B", "A")], B=[task()])
    assert units.needs("A", "A") == ("A",)


# Resuming it deeper down


def test_an_element_deeper_down_brings_the_processes_on_its_paths() -> None:
    units = workflow(
        "A",
        A=[call("B"), call("C"), call("X")],
        B=[call("D")],
        C=[call("D")],
        D=[task("deep"), call("E")],
        E=[task()],
        X=[task()],
    )
    assert units.needs("A", "deep") == ("A", "B", "C", "D")
    assert units.needs("A", "D") == ("A", "B", "C", "D")
    assert units.needs("B", "deep") == ("B", "D")


def test_an_embedded_element_brings_its_path_when_everything_is_deferred() -> None:
    units = workflow("A", A=[embed("B"), embed("X")], B=[embed("C")], C=[task("deep")], X=[task()])
    assert units.needs("A", "deep", defer="all") == ("A", "B", "C")
    assert units.needs("A", "deep") == ("A", "B", "C", "X")


def test_every_reachable_owner_counts() -> None:
    units = workflow(
        "A", A=[call("B"), call("C")], B=[task("T")], C=[task("T")], D=[task("T"), call("A")]
    )
    assert units.needs("A", "T") == ("A", "B", "C")


def test_a_path_through_a_trigger_counts() -> None:
    units = workflow("A", A=[start("B")], B=[call("C")], C=[task("deep")])
    assert units.needs("A", "deep", defer="all") == ("A", "B", "C")


def test_several_elements_bring_the_union() -> None:
    units = workflow(
        "A",
        A=[call("B"), call("C"), call("D")],
        B=[call("E")],
        C=[task()],
        D=[task()],
        E=[task("T")],
    )
    assert units.needs("A", "T", "call C") == ("A", "B", "C", "E")
    assert units.needs("A", "call C", "T", "A", "T") == ("A", "B", "C", "E")


def test_what_cannot_be_reached_is_not_found() -> None:
    units = workflow("A", A=[call("B")], B=[task("T")], C=[call("A"), task("U")])
    for element_id in ("C", "U", "call A", "nothing"):
        with pytest.raises(UnitNotFound):
            units.needs("A", element_id)
        with pytest.raises(UnitNotFound):
            units.needs("A", "T", element_id)


# External processes, recursion, and several of one name


@pytest.mark.parametrize("null", [True, False])
def test_an_external_process_is_the_callers_to_bring(null: bool) -> None:
    processes = {"X": EXTERNAL, "Y": EXTERNAL} if null else {}
    units = workflow("A", A=[call("X"), embed("Y"), start("X")], **processes)
    assert units.process_ids == ("A",)
    assert units.subprocess_ids == tuple(processes)
    for defer in ("calls", "all", "nothing"):
        assert units.needs("A", "call X", "embed Y", defer=defer) == ("A",)
        assert specs_in(units.workflow("A", "call X", defer=defer)) == []
    assert {reference.external for reference in units.references("A")} == {True}
    for process_id in "XY":
        with pytest.raises(UnitNotFound):
            units.needs(process_id)
        with pytest.raises(UnitNotFound):
            units.needs("A", process_id)


def recursive() -> ElementUnits:
    """A calls B, B calls itself and embeds C, C calls B."""
    return workflow(
        "A", A=[call("B")], B=[call("B", "again"), embed("C")], C=[call("B"), task("T")]
    )


def test_a_recursive_process_is_among_the_specs_where_the_engine_will_look_it_up() -> None:
    units = recursive()
    assert specs_in(units.workflow("B")) == ["C"]
    assert specs_in(units.workflow("B", "again")) == ["B", "C"]
    assert specs_in(units.workflow("B", "T")) == ["B", "C"]
    assert specs_in(units.workflow("B", defer="nothing")) == ["B", "C"]
    assert specs_in(units.workflow("B", "again", defer="all")) == ["B"]
    assert specs_in(units.workflow("B", defer="all")) == []
    assert specs_in(units.workflow("A", "T")) == ["B", "C"]
    assert units.needs("B", "again") == ("B", "C")


def test_processes_that_embed_each_other_need_each_other() -> None:
    units = workflow("R", R=[call("A")], A=[embed("B")], B=[embed("A")])
    assert units.needs("A") == ("A", "B")
    assert specs_in(units.workflow("A")) == ["A", "B"]
    assert specs_in(units.workflow("B")) == ["A", "B"]


def test_the_root_is_external_where_only_spec_holds_it() -> None:
    units = workflow("A", A=[call("A"), call("B")], B=[call("A", "back")])
    assert units.references("A")[0].external
    assert specs_in(units.workflow("A", "call A")) == []
    assert units.needs("B", "back") == ("B",)


def two_of_one_name() -> ElementUnits:
    """The root is A; so is a key of subprocess_specs, with a spec of its own."""
    inner = spec("A", [task("inner"), embed("C")])
    top = spec("A", [call("A"), call("B"), task("T")])
    others = {"B": spec("B", [task("T"), call("A")]), "A": inner, "C": spec("C", [])}
    return ElementUnits.from_json(json.dumps({"spec": top, "subprocess_specs": others}))


def test_the_root_goes_before_a_subprocess_spec_of_its_name() -> None:
    units = two_of_one_name()
    assert units.process_ids == ("A", "B", "C")
    assert units.element_ids("A") == ("call A", "call B", "T")
    assert json.loads(units.spec_json("A"))["task_specs"].keys() == {"call A", "call B", "T"}


def test_a_reference_to_the_roots_name_is_to_the_subprocess_spec() -> None:
    units = two_of_one_name()
    assert units.needs("A", "call A") == ("A", "C")
    unit = json.loads(units.workflow("A", "call A"))
    assert list(unit["subprocess_specs"]) == ["A", "C"]
    assert "inner" in unit["subprocess_specs"]["A"]["task_specs"]
    assert "T" in unit["spec"]["task_specs"]
    assert specs_in(units.workflow("A", "inner")) == ["B", "A", "C"]
    assert specs_in(units.workflow("A")) == []
    assert units.needs("B", "inner") == ("B", "A", "C")


# Reading a process


def test_what_is_read_of_a_process() -> None:
    units = workflow(
        "A", A=[call("B", "T", bpmn_id="U"), start("C"), loop("T", "L"), task("U")], B=[], C=[]
    )
    assert units.references("A") == (
        ("call", "B", "T", False),
        ("trigger", "C", "Start", False),
    )
    assert units.element_ids("A") == ("T", "U", "Start", "L")
    for element, needed in {"T": "ABC", "U": "ABC", "Start": "AC", "L": "ABC"}.items():
        assert units.needs("A", element) == tuple(needed)


def test_a_task_is_known_by_its_key_its_name_and_its_bpmn_id() -> None:
    called = {"name": "name", "bpmn_id": "bpmn", "typename": "CallActivity", "spec": "B"}
    top = {"name": "A", "typename": "P", "task_specs": {"key": called}}
    units = ElementUnits.from_json(
        json.dumps({"spec": top, "subprocess_specs": {"B": spec("B", [])}})
    )
    assert units.element_ids("A") == ("key", "name", "bpmn")
    assert units.references("A") == (("call", "B", "key", False),)
    assert {units.needs("A", id) for id in ("key", "name", "bpmn")} == {("A", "B")}


def test_a_spec_that_is_no_string_is_no_reference_of_an_unknown_task() -> None:
    assert workflow("A", A=[task("T", "Theirs", spec={"a": 1})]).references("A") == ()


def test_what_a_process_says_may_be_written_with_escapes() -> None:
    plain = {"spec": spec("A", [call("B", "T", bpmn_id="U"), loop("T")]), "subprocess_specs": {}}
    plain["subprocess_specs"]["B"] = spec("B", [task("größe"), start("A")])
    text = json.dumps(plain, ensure_ascii=False)
    pieces = text.split('"')
    pieces[1::2] = ["".join(f"\\u{ord(c):04X}" for c in piece) for piece in pieces[1::2]]
    units = ElementUnits.from_json('"'.join(pieces))
    same = ElementUnits.from_json(text)
    assert units.process_ids == same.process_ids
    for process_id in same.process_ids:
        assert units.element_ids(process_id) == same.element_ids(process_id)
        assert units.references(process_id) == same.references(process_id)
    assert units.needs("A", "U") == units.needs("A", "loop") == ("A", "B")


# Order in a pack


def embedding_order(children: list[list[int]]) -> list[tuple[int, int]]:
    """(process, size of its run) in the order of a pack, without the root, which embeds nothing."""
    specs = {
        f"{number}": spec(f"{number}", [embed(f"{child}") for child in below])
        for number, below in enumerate(children)
    }
    text = json.dumps({"spec": spec("top", []), "subprocess_specs": specs})
    (root, run), *others = Dissected(pack_of(text)).order()
    assert (root, run) == (0, 1)
    return [(rank - 1, run) for rank, run in others]


def assert_is_embedding_order(children: list[list[int]]) -> None:
    order = embedding_order(children)
    assert sorted(index for index, _ in order) == list(range(len(children)))
    for position, (index, size) in enumerate(order):
        assert 1 <= size <= len(order) - position
        subtree = {below for below, _ in order[position : position + size]}
        assert subtree - {index} <= reachable(children, index)


def reachable(children: list[list[int]], index: int) -> set[int]:
    found, waiting = set(), [index]
    while waiting:
        for child in children[waiting.pop()]:
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


@pytest.mark.parametrize(
    "children",
    [
        [],
        [[]],
        [[0]],
        [[1], [0]],
        [[2, 1], [], [3], []],
        [[], [0, 2], [0], [1]],
        [[1, 2], [3], [3], []],
        [[1], [2], [0], [1, 4], [4]],
    ],
)
def test_what_a_process_embeds_follows_it(children: list[list[int]]) -> None:
    assert_is_embedding_order(children)


def test_a_tree_is_in_preorder_and_each_subtree_is_one_run() -> None:
    assert embedding_order([[3, 1], [2], [], [4], []]) == [(0, 5), (3, 2), (4, 1), (1, 2), (2, 1)]


# Large workflows: the tests would not end if the cost grew faster than the size


MANY = 20_000


def chain(length: int, make: Any) -> ElementUnits:
    """Process 0 refers to 1, which refers to 2, and so on."""
    specs = {f"{n}": spec(f"{n}", [make(f"{n + 1}", "on"), task(f"T{n}")]) for n in range(length)}
    return ElementUnits.from_json(json.dumps({"spec": specs.pop("0"), "subprocess_specs": specs}))


@pytest.mark.parametrize("make", [call, embed])
def test_a_chain_of_many_processes_does_not_exhaust_the_stack(make: Any) -> None:
    units = chain(MANY, make)
    whole = tuple(str(number) for number in range(MANY))
    assert units.needs("0", defer="nothing") == whole
    assert units.needs("0", f"T{MANY - 1}", defer="all") == whole
    assert units.needs("0") == (("0",) if make is call else whole)
    assert len(units.needs("5", "T9")) == (5 if make is call else MANY - 5)


def test_a_chain_of_many_loops_does_not_exhaust_the_stack() -> None:
    loops = [loop(f"L{number + 1}", f"L{number}") for number in range(MANY)]
    for order in (loops, loops[::-1]):
        units = workflow("A", A=[*order, call("B", f"L{MANY}")], B=[task()])
        assert units.needs("A", "L0") == units.needs("A", f"L{MANY - 1}") == ("A", "B")


def test_an_id_that_many_tasks_share_is_no_trouble() -> None:
    units = workflow("A", A=[call("B", f"{n}", bpmn_id="x") for n in range(MANY)], B=[task()])
    assert units.needs("A", "x") == ("A", "B")
    assert len(units.references("A")) == MANY


def test_an_id_that_many_processes_share_is_no_trouble() -> None:
    tasks = [call(f"{number}") for number in range(MANY)]
    specs = {f"{number}": spec(f"{number}", [task("Start")]) for number in range(MANY)}
    top = spec("top", tasks)
    units = ElementUnits.from_json(json.dumps({"spec": top, "subprocess_specs": specs}))
    assert len(units.needs("top", "Start")) == MANY + 1
    assert units.needs("17", "Start") == ("17",)
    with pytest.raises(UnitNotFound):
        units.needs("17", "18")


def test_every_one_of_many_ids_is_found() -> None:
    """This holds for any distribution of the ids over the hash table."""
    specs = {f"P{n}": spec(f"P{n}", [task(f"T{n}")]) for n in range(5_000)}
    top = spec("top", [call("P7")])
    units = ElementUnits.from_json(json.dumps({"spec": top, "subprocess_specs": specs}))
    for number in range(5_000):
        name = f"P{number}"
        assert units.needs(name, f"T{number}") == (name,)
        if number % 5 == 0:
            with pytest.raises(UnitNotFound, match="exists in the workflow"):
                units.needs("P7", f"T{number}")


def test_processes_that_all_refer_to_each_other_are_no_trouble() -> None:
    names = [f"{number}" for number in range(200)]
    specs = {name: spec(name, [embed(other) for other in names]) for name in names}
    specs["0"]["task_specs"]["deep"] = task("deep")
    top = spec("top", [call("100")])
    units = ElementUnits.from_json(json.dumps({"spec": top, "subprocess_specs": specs}))
    assert units.needs("100") == ("100", *(name for name in names if name != "100"))
    assert units.needs("top", "deep", defer="all") == ("top", *names)


def test_a_key_that_comes_many_times_is_no_trouble() -> None:
    body = json.dumps(spec("B", [task()]))
    members = ", ".join([f'"B": {body}'] * MANY)
    top = json.dumps(spec("A", [call("B")]))
    others = '"x": 1, ' * MANY
    text = f'{{"spec": {top}, {others} "subprocess_specs": {{{members}}}}}'
    assert ElementUnits.from_json(text).needs("A", "call B") == ("A", "B")
