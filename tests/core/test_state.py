"""The cutter of states: what is settled, the text without it, questions about the rest, and the way
back. `naive_state` says what must be found in a text.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any, Optional

import driving
import lockstep
import models
import naive_state
import pytest
import spiff_bpmn
import state_strategies
import states
from hypothesis import given
from hypothesis import strategies as st
from naive import Members
from states import id_of, number_of, subprocess, task

from spiff_element_units import ElementUnits
from spiff_element_units.core.cut import Cut, checksum, cut_state, splice
from spiff_element_units.core.state import Uncut
from spiff_element_units.spiff import SpecLoader

SCRIPT = ("script", "n = 1")
PROCESSES = {
    "root": [("call", "a"), ("human",), ("call", "a"), ("human",)],
    "a": [SCRIPT, ("call", "b"), ("embed", [SCRIPT]), ("call", "b")],
    "b": [SCRIPT],
}
# SpiffWorkflow 3.0 does not write whether a subprocess is completed.
WRITES_COMPLETED = models.SPIFF_VERSION >= (3, 1)


def state(root: list[int], subprocesses: dict[int, dict[str, Any]], **more: Any) -> dict[str, Any]:
    """The root has these tasks, which are ready, and subprocesses are at some of all tasks."""
    return states.state([task(number, 16) for number in root], subprocesses, **more)


def made(text: str | bytes, **options: Any) -> Cut:
    cut = cut_state(text, **options)
    assert cut is not None
    return cut


def settled(value: dict[str, Any], **options: Any) -> list[int]:
    """The settled subprocesses of a state, by the numbers of their ids."""
    cut = made(json.dumps(value), **options)
    return [number_of(cut.id(number)) for number in range(len(cut)) if cut.is_settled(number)]


def check(text: str | bytes, writes_completed: bool = True) -> bool:
    """Require the right result for a text. Returns whether it is cut."""
    cut = cut_state(text, writes_completed)
    expected = naive_state.cut(text, writes_completed=writes_completed)
    assert (cut is None) == (expected is None)
    if cut is not None:
        naive_state.same(expected, cut)
    return cut is not None


@pytest.fixture(scope="module")
def saved() -> str:
    """The state of an instance that waits in the root after one call."""
    units = ElementUnits.from_json(spiff_bpmn.spec_json(PROCESSES, "root"))
    loader = SpecLoader(units, models.serializer())
    workflow = loader.start()
    workflow.do_engine_steps()
    return loader.save(workflow)


# What is found


@given(state_strategies.texts(), st.sampled_from([True, True, False]))
def test_a_text_is_cut_as_the_rules_say(text: str, writes_completed: bool) -> None:
    assert check(text.encode(), writes_completed) == check(text, writes_completed)


@pytest.mark.parametrize("name", models.MODELS)
def test_the_states_of_a_model_are_cut_at_every_step(name: str) -> None:
    loader = lockstep.loader_of(models.MODELS[name])
    workflow = loader.start(script_engine=models.script_engine())

    def saved(workflow: Any) -> Any:
        assert check(loader.save(workflow), writes_completed=WRITES_COMPLETED)
        return workflow

    driving.run(models.MODELS[name], workflow, saved, engine_steps=True)
    whole = models.serializer().serialize_json(workflow)  # specs and all
    assert check(whole, writes_completed=WRITES_COMPLETED)
    cut = made(whole, writes_completed=WRITES_COMPLETED)
    by_cut = {cut.id(number) for number in cut.order() if cut.is_settled(number)}
    assert by_cut == set(settled_objects(workflow, workflow))


def settled_objects(workflow: Any, process: Any) -> Iterator[str]:
    """The ids of the settled ones of the subprocesses below a process."""
    for one in process.tasks.values():
        inner = workflow.subprocesses.get(one.id)
        if inner is None:
            continue
        below = {str(id) for id in inner.tasks if id in workflow.subprocesses}
        settled = set(settled_objects(workflow, inner))
        yield from settled
        if (
            inner.is_completed()
            and below <= settled
            and all(one.has_state(naive_state.FINISHED_MASK) for one in inner.tasks.values())
        ):
            yield str(one.id)


def test_a_subprocess_is_settled_when_all_is_finished() -> None:
    for finished in (64, 128, 256):
        assert settled(state([1], {1: subprocess(1, task(2, finished), task(3))})) == [1]
    for unfinished in (1, 2, 4, 8, 16, 32, 0, 65, 192, 448, 512):
        assert settled(state([1], {1: subprocess(1, task(2), task(3, unfinished))})) == []


def test_a_subprocess_without_tasks_is_settled() -> None:
    assert settled(state([1], {1: subprocess(1)})) == [1]


def test_a_subprocess_is_not_settled_before_all_below_it_are() -> None:
    below = {3: subprocess(3, task(4)), 4: subprocess(4, task(5))}
    above = {1: subprocess(1, task(2)), 2: subprocess(2, task(3))}
    assert settled(state([1], {**above, **below})) == [1, 2, 3, 4]
    below[4]["completed"] = False
    assert settled(state([1], {**above, **below})) == []
    assert settled(state([1, 3], {1: subprocess(1, task(2)), **below})) == [1]


def test_a_subprocess_that_nothing_leads_to_is_not_settled() -> None:
    assert settled(state([1], {2: subprocess(2, task(3)), 3: subprocess(3, task(4))})) == []


def test_subprocesses_that_lead_to_each_other_are_not_settled() -> None:
    assert settled(state([1], {2: subprocess(2, task(2))})) == []
    assert settled(state([1], {2: subprocess(2, task(3)), 3: subprocess(3, task(2))})) == []


@pytest.mark.parametrize(
    "odd",
    [
        *({"completed": value} for value in (False, None, 1, "true", [True])),
        *({"parent_task_id": value} for value in (None, id_of(7), id_of(1).upper() + "0", 1)),
        *({field: value} for field in ("spec", "typename") for value in (None, 1, ["called"])),
    ],
)
def test_a_subprocess_that_is_unusual_is_not_settled(odd: dict[str, Any]) -> None:
    value = state([1], {1: subprocess(1, task(2), **odd)})
    assert settled(value) == []
    assert json.loads(made(json.dumps(value)).head()) == value


@pytest.mark.parametrize("field", ["completed", "parent_task_id", "spec", "typename"])
def test_a_subprocess_that_lacks_something_is_not_settled(field: str) -> None:
    value = state([1], {1: subprocess(1, task(2))})
    del value["subprocesses"][id_of(1)][field]
    assert settled(value) == []


@pytest.mark.parametrize("odd", [{"state": "64"}, {"state": None}, {"last_state_change": "1.5"}])
def test_a_subprocess_with_an_unusual_task_is_not_settled(odd: dict[str, Any]) -> None:
    assert settled(state([1], {1: subprocess(1, task(2, **odd))})) == []


def test_where_completed_is_not_written_all_tasks_tell() -> None:
    value = state([1], {1: subprocess(1, task(2))})
    assert settled(value, writes_completed=False) == []
    del value["subprocesses"][id_of(1)]["completed"]
    assert settled(value, writes_completed=False) == [1]
    value["subprocesses"][id_of(1)]["tasks"][id_of(2)]["state"] = 16
    assert settled(value, writes_completed=False) == []


# What is not cut


def without(value: dict[str, Any], key: str) -> dict[str, Any]:
    return {one: inner for one, inner in value.items() if one != key}


GOOD = state([1], {1: subprocess(1, task(2))})
GOOD_TEXT = json.dumps(GOOD)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "{}", "[]", "null", "7", GOOD_TEXT[:-1], GOOD_TEXT + "}", f"[{GOOD_TEXT}]"),
        json.dumps(without(GOOD, "tasks")),
        json.dumps(without(GOOD, "subprocesses")),
        json.dumps({**GOOD, "tasks": []}),
        json.dumps({**GOOD, "subprocesses": None}),
        json.dumps(state([1], {1: without(subprocess(1), "tasks")})),
        json.dumps(state([1], {1: subprocess(1, tasks=[])})),
        json.dumps({**GOOD, "subprocesses": {id_of(1): None}}),
        json.dumps({**GOOD, "tasks": {id_of(1): None}}),
        json.dumps({**GOOD, "tasks": {id_of(1): without(task(1), "id")}}),
        json.dumps({**GOOD, "tasks": {id_of(1): without(task(1), "task_spec")}}),
        json.dumps({**GOOD, "tasks": {id_of(1): task(2)}}),
        json.dumps({**GOOD, "tasks": {id_of(1): task(1, task_spec=None)}}),
        json.dumps({**GOOD, "tasks": {"1": {**task(1), "id": "1"}}}),
        json.dumps({**GOOD, "subprocesses": {"1": subprocess(1)}}),
        json.dumps({**GOOD, "subprocesses": {id_of(10).upper(): subprocess(1)}}),
        json.dumps(state([1], {1: subprocess(1, task(1))})),  # a task in two processes
        json.dumps(state([1, 3], {1: subprocess(1, task(2)), 3: subprocess(3, task(2))})),
    ],
)
def test_a_text_that_is_not_like_a_state_is_not_cut(text: str) -> None:
    assert cut_state(GOOD_TEXT) is not None
    assert cut_state(text) is None
    assert naive_state.cut(text) is None


def test_a_subprocess_drifts_from_where_one_is_at_a_task_without_children() -> None:
    below = {2: subprocess(2, task(3)), 3: subprocess(3, task(4)), 4: subprocess(4, task(5))}
    for number in (2, 3, 4):
        value = state([1], {1: subprocess(1, task(2)), **below})
        for process in value["subprocesses"].values():
            for id, one in process["tasks"].items():
                one["children"] = [] if id == id_of(number) else [id_of(9)]
        cut = made(json.dumps(value).replace("[]", "[ \n]"))
        assert [cut.drifts(one) for one in range(4)] == [one < number - 1 for one in range(4)]


def test_a_text_in_which_a_key_is_repeated_is_not_cut() -> None:
    for key in naive_state.KNOWN & {*GOOD, *subprocess(1), *task(1)}:
        before, after = GOOD_TEXT.split(f'"{key}": ', 1)
        assert cut_state(f'{before}"{key}": 1, "{key}": {after}') is None
    inner = json.dumps(GOOD["subprocesses"])[1:-1]
    twice = f'{{"tasks": {json.dumps(GOOD["tasks"])}, "subprocesses": {{{inner}, {inner}}}}}'
    assert cut_state(twice) is None


def test_two_that_nothing_leads_to_may_have_one_id() -> None:
    inner = json.dumps(state([], {7: subprocess(7, task(2))})["subprocesses"])[1:-1]
    other = inner.replace(id_of(2), id_of(3))
    text = f'{{"tasks": {json.dumps(GOOD["tasks"])}, "subprocesses": {{{inner}, {other}}}}}'
    cut = made(text)
    assert cut.head() == text
    assert cut.order() == []
    assert splice(text, [id_of(7), id_of(7)]) is None


def test_a_text_in_which_a_key_is_escaped_is_not_cut() -> None:
    for key in (*naive_state.KNOWN & {*GOOD, *subprocess(1), *task(1)}, id_of(1)):
        escaped = f"\\u{ord(key[0]):04x}{key[1:]}"
        text = GOOD_TEXT.replace(f'"{key}": ', f'"{escaped}": ')
        assert text != GOOD_TEXT
        assert cut_state(text) is None
        assert json.loads(text) == GOOD


def test_a_lone_surrogate_in_a_str_is_not_cut() -> None:
    assert cut_state(json.dumps({**GOOD, "x": "\ud800"}, ensure_ascii=False)) is None
    assert cut_state(json.dumps({**GOOD, "x": "\ud800"})) is not None


def test_what_is_neither_str_nor_bytes_is_a_type_error() -> None:
    for text in (None, 7, bytearray(b"{}"), memoryview(b"{}"), {}):
        with pytest.raises(TypeError):
            cut_state(text)  # type: ignore[arg-type]


def test_there_is_no_cut_of_nothing() -> None:
    with pytest.raises(TypeError):
        Cut.__new__(Cut)  # type: ignore[call-arg]
    with pytest.raises(Uncut):
        Cut("{}", True)
    assert len(Cut(GOOD_TEXT, True)) == 1


# What is asked


def test_a_number_that_is_none_is_an_index_error() -> None:
    cut = made(GOOD_TEXT)
    questions = (
        cut.id, cut.text, cut.is_settled, cut.parent, cut.drifts, cut.children,
        cut.typename, cut.task_ids, cut.names, cut.newest, cut.states,
    )  # fmt: skip
    for question in questions:
        for number in (1, -2, 2**31, -(2**31)):
            with pytest.raises(IndexError):
                question(number)
        if question != cut.children:
            with pytest.raises(IndexError, match="the root is no subprocess"):
                question(-1)


@pytest.mark.parametrize("id", ["", "x", id_of(9), id_of(1)[:-1], id_of(1) + "0", "é" * 36, "\0"])
def test_an_id_that_is_nowhere_is_not_found(id: str) -> None:
    cut = made(GOOD_TEXT)
    assert cut.find(id_of(1)) == 0
    assert cut.find(id) is None
    assert cut.holder(id_of(2)) == 0
    assert cut.holder(id) is None


def test_the_order_of_the_members_of_a_state_is_free() -> None:
    value = state([1, 2, 6], {1: subprocess(1, task(3), task(4)), 2: subprocess(2, task(5))})
    turned = {key: value[key] for key in ("subprocesses", "tasks")}
    for text in (json.dumps(value), json.dumps(turned)):
        cut = made(text)
        held = {number: cut.holder(id_of(number)) for number in range(1, 7)}
        assert held == {1: -1, 2: -1, 6: -1, 3: 0, 4: 0, 5: 1}
        assert [cut.find(id_of(number)) for number in (1, 2, 3, 6)] == [0, 1, None, None]
        assert check(text)


def test_an_element_is_found_however_its_name_is_written() -> None:
    names = ["größe", "grö\\u00dfe", 'say "hi"', "🦊", "\ud83e", "a/b", "é\n"]
    below = {n: subprocess(n, task(n + 50, task_spec=name)) for n, name in enumerate(names, 1)}
    value = state([*range(1, 9)], below)
    texts = [json.dumps(value), json.dumps(value).replace("/", "\\/").replace("gr", "\\u0067r")]
    texts.append(json.dumps(value, ensure_ascii=False).replace("\ud83e", "\\ud83e"))
    for text in texts:
        cut = made(text)
        assert [cut.names(number) for number in range(len(cut))] == [[name] for name in names]
        for number, name in enumerate(names):
            assert cut.matching(64, name) == [number]
        assert cut.matching(64, "gr") == []


def test_nothing_is_as_new_as_what_is_yet_to_come() -> None:
    value = state([1, 2], {1: subprocess(1, task(3)), 2: subprocess(2, task(4))})
    value["subprocesses"][id_of(2)]["tasks"][id_of(4)]["last_state_change"] = 7
    cut = made(json.dumps(value))
    assert [cut.newest(0), cut.newest(1)] == [1.5, 7.0]
    assert cut.matching(64, None, 1.5) == [0, 1]
    assert cut.matching(64, None, 1.6) == cut.matching(64, None, 7) == [1]
    assert cut.matching(64, None, 7.1) == []
    assert cut.matching(64, "element 3", 1.6) == []
    assert cut.matching(128 | 256) == []


def test_the_order_is_that_in_which_spiffworkflow_restores(saved: str) -> None:
    value = json.loads(saved)
    value["subprocesses"] = dict(reversed(value["subprocesses"].items()))
    cut = made(json.dumps(value), writes_completed=WRITES_COMPLETED)
    units = ElementUnits.from_json(spiff_bpmn.spec_json(PROCESSES, "root"))
    workflow = SpecLoader(units, models.serializer()).resume(saved)
    assert [cut.id(number) for number in cut.order()] == list(map(str, workflow.subprocesses))


# The way back


@given(state_strategies.texts(), st.randoms(use_true_random=False))
def test_a_state_is_put_together_again_in_any_order(text: str, chance: random.Random) -> None:
    cut = cut_state(text)
    if cut is None:
        return
    naive_state.comes_back(text, cut, splice)
    whole = naive_state.exact(text)
    members: list[Any] = []
    for number in range(len(cut)):
        member = (cut.id(number), cut.text(number)) if chance.random() < 0.5 else number
        members.append(member if cut.is_settled(number) else cut.id(number))
    assert naive_state.exact(splice(cut.head(), members, cut)) == whole

    first = sorted(range(len(cut)), key=lambda number: (not cut.is_settled(number), number))
    again = splice(cut.head(), [members[number] for number in first], cut)
    inside = whole.last("subprocesses")
    assert naive_state.exact(again) == Members(
        (key, Members(inside[number] for number in first) if key == "subprocesses" else value)
        for key, value in whole
    )


def test_a_state_of_one_line_comes_back_byte_for_byte(saved: str) -> None:
    cut = made(saved, writes_completed=WRITES_COMPLETED)
    assert all(map(cut.is_settled, range(len(cut))))
    assert splice(cut.head(), [*range(len(cut))], cut) == saved
    apart = [(cut.id(number), cut.text(number)) for number in range(len(cut))]
    assert splice(cut.head(), apart) == saved


def test_members_that_are_not_those_of_the_head_are_not_spliced() -> None:
    value = state([1, 3], {1: subprocess(1, task(2)), 3: subprocess(3, task(4, 16))})
    cut = made(json.dumps(value))
    head, living = cut.head(), id_of(3)
    assert splice(head, [0, living], cut) == json.dumps(value)
    for members in ([], [0], [0, id_of(4)], [living, living, 0], [0, living, "x"]):
        assert splice(head, members, cut) is None
    assert splice(head[:-1], [0, living], cut) is None
    assert splice("{}", [0], cut) is None
    for number in (2, -1, -2):
        with pytest.raises(IndexError):
            splice(head, [number, living], cut)
    with pytest.raises(IndexError, match="no pieces"):
        splice(head, [0, living])
    wrong: list[Any] = [None, ("id", None), 1.5, (), ("id",), ("id", "{}", "{}")]
    for member in wrong:
        with pytest.raises((TypeError, ValueError)):
            splice(head, [member, living], cut)


def test_members_that_become_more_meanwhile_do_no_harm() -> None:
    class Meddler(str):
        def __format__(self, _: str) -> str:
            members.extend([("x", "{}")] * 1_000)
            return str(self)

    head = made(json.dumps(state([1], {}))).head()
    members: list[Any] = [(Meddler(id_of(1)), "{}")]
    assert json.loads(splice(head, members) or "")["subprocesses"] == {id_of(1): {}}


def test_letters_outside_of_ascii_are_spliced_from_both_sides() -> None:
    for outer, inner in (("ä", "b"), ("a", "🦊"), ("é", "日")):
        value = state([1], {1: subprocess(1, task(2), data=inner)}, data=outer)
        for ascii_head in (True, False):
            text = json.dumps(value, ensure_ascii=False)
            cut = made(text)
            head = json.dumps(json.loads(cut.head()), ensure_ascii=ascii_head)
            assert json.loads(splice(head, [0], cut) or "") == value
            assert json.loads(splice(head, [(id_of(1), cut.text(0))]) or "") == value
            assert json.loads(made(text.encode()).text(0)) == value["subprocesses"][id_of(1)]


def test_a_checksum_tells_each_single_byte_and_where_it_starts() -> None:
    text = GOOD_TEXT.encode()
    assert checksum(text) == checksum(GOOD_TEXT)
    assert checksum("abc" + GOOD_TEXT, 3) == checksum(text)
    assert checksum("") == checksum("x", 1) == checksum("x", 2) == 0xEF46DB3751D8E999
    other = {checksum(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]) for at in range(150)}
    assert len(other | {checksum(text)}) == 151


# Cost


def test_a_cut_keeps_the_text_that_it_was_given_and_little_beside() -> None:
    value = state([1], {1: subprocess(1, *(task(n, data=["x" * 40] * 4) for n in range(2, 5_000)))})
    text = json.dumps(value)
    for source in (text, text.encode()):
        tracemalloc.start()
        cut = made(source)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10_000
        assert len(cut) == 1


def test_a_cut_holds_the_text_alive() -> None:
    cuts = [made(json.dumps(state([1], {1: subprocess(1, data=n)}))) for n in range(100)]
    assert [json.loads(cut.text(0))["data"] for cut in cuts] == [*range(100)]


def test_many_threads_may_ask_one_cut(saved: str) -> None:
    cut = made(saved, writes_completed=WRITES_COMPLETED)
    expected = naive_state.cut(saved, writes_completed=WRITES_COMPLETED)
    failed: list[Optional[BaseException]] = []

    def ask() -> None:
        try:
            for _ in range(20):
                naive_state.same(expected, cut)
        except BaseException as error:
            failed.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert failed == []
