"""The kind of each error, and that its message names the thing, the place and the way out.

The library may raise only an `ElementUnitsError`, or a `TypeError` for an argument of the wrong
type.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
from pathlib import Path
from string import Formatter
from typing import Any, Callable

import pytest

import spiff_element_units as library
from spiff_element_units import (
    CacheError,
    CorruptPack,
    ElementUnits,
    ElementUnitsError,
    InvalidWorkflowSpec,
    UnitNotFound,
)
from spiff_element_units.core.fault import Fault
from spiff_element_units.wording import DAMAGE, INVALID, OTHER_FORMAT, in_words

TASK = {"name": "T", "typename": "UserTask", "bpmn_id": None}
CALL = {"name": "approve", "typename": "CallActivity", "spec": "Approval"}


def process(name: str, *tasks: dict) -> dict:
    return {
        "name": name,
        "typename": "BpmnProcessSpec",
        "task_specs": {task["name"]: task for task in tasks},
    }


def good() -> dict:
    """Order calls Approval, which calls the external Archive; nothing leads to Refund."""
    archive = {"name": "archive", "typename": "CallActivity", "spec": "Archive"}
    return {
        "spec": process("Order", TASK, CALL),
        "subprocess_specs": {
            "Approval": process("Approval", {**TASK, "name": "sign"}, archive),
            "Refund": process("Refund", {**TASK, "name": "pay_back"}),
            "Archive": None,
        },
    }


def units() -> ElementUnits:
    return ElementUnits.from_json(json.dumps(good()))


def message_of(error: type[ElementUnitsError], ask: Callable[[], Any]) -> str:
    with pytest.raises(error) as raised:
        ask()
    assert type(raised.value) is error
    return str(raised.value)


# Kinds


def test_every_kind_is_a_value_error() -> None:
    for kind in (InvalidWorkflowSpec, CacheError, UnitNotFound, CorruptPack):
        assert issubclass(kind, ElementUnitsError)
        assert kind.__doc__
    assert issubclass(ElementUnitsError, ValueError)
    assert issubclass(CorruptPack, CacheError)
    assert not issubclass(UnitNotFound, CacheError)


def test_the_kinds_are_public() -> None:
    for name in library.__all__:
        assert hasattr(library, name)


# What the core finds wrong

SOURCES = sorted((Path(library.__file__).parent / "core").glob("*.pyx"))
FAULTS = [
    found.groups()
    for file in SOURCES
    for found in re.finditer(
        r'\bfault\(\s*"([^"]+)"((?:[^()]|\([^()]*\))*)\)',
        file.read_text(encoding="utf-8"),
        re.IGNORECASE,
    )
]
"""The kind of each fault that the core raises, and its values as they are written down."""


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


@pytest.mark.skipif(not FAULTS, reason="what is installed has no sources of compiled modules")
def test_every_kind_of_fault_has_its_sentence_and_every_sentence_its_fault() -> None:
    kinds = {kind for kind, _ in FAULTS} - {"no element"}
    told_elsewhere = {"spec JSON", "tail JSON"}
    assert kinds == {*DAMAGE, *INVALID, "format"} - told_elsewhere
    assert not DAMAGE.keys() & INVALID.keys()


def test_a_fault_of_a_pack_has_the_values_of_its_sentence() -> None:
    sentences = {**DAMAGE, "format": OTHER_FORMAT}
    for kind, values in FAULTS:
        if kind in sentences:
            given = set(re.findall(r"(\w+)=", values))
            assert given == fields(sentences[kind]) | {"pack"}, kind


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_told_with_the_pack_and_the_way_out(kind: str) -> None:
    values = {"size": 1, "length": 2, "byte": 3, "index": 4, "process": "P"}
    error = in_words(Fault(kind, pack="pack 'p'", **values))
    assert type(error) is CorruptPack
    message = str(error)
    assert message.startswith("pack 'p' is damaged (")
    assert message.endswith("); cache the workflow again")


# A workflow of another form

WRONG = [None, True, 7, 1.5, "text", [], {}]
NAMES = {type(None): "null", bool: "a boolean", int: "a number", float: "a number"}
NAMES.update({str: "a string", list: "an array", dict: "an object"})

SPECS = {"spec": ("spec",), 'subprocess_specs["Approval"]': ("subprocess_specs", "Approval")}
TASKS = {"spec": "approve", 'subprocess_specs["Approval"]': "archive"}


def changed(path: tuple[str, ...], *value: Any) -> str:
    """The good workflow with another value at a path, or without it."""
    workflow = copy.deepcopy(good())
    place: Any = workflow
    for key in path[:-1]:
        place = place[key]
    if value:
        place[path[-1]] = value[0]
    else:
        del place[path[-1]]
    return json.dumps(workflow)


def refusal(text: str) -> str:
    return message_of(InvalidWorkflowSpec, lambda: ElementUnits.from_json(text))


@pytest.mark.parametrize("field", ["spec", "subprocess_specs"])
def test_a_workflow_without_a_field_is_told_the_form_that_is_expected(field: str) -> None:
    message = refusal(changed((field,)))
    assert f'no "{field}"' in message
    assert '{"spec": {..}, "subprocess_specs": {..}}' in message
    assert "SpiffWorkflow" in message


@pytest.mark.parametrize("value", [None, True, 7, "text", []])
def test_subprocess_specs_must_be_an_object(value: Any) -> None:
    message = refusal(changed(("subprocess_specs",), value))
    assert message.startswith("subprocess_specs must be an object")
    assert "{}" in message


@pytest.mark.parametrize("value", [None, True, 7, "text", []])
@pytest.mark.parametrize("place", SPECS)
def test_a_spec_must_be_an_object(place: str, value: Any) -> None:
    if value is None and place != "spec":
        assert "Approval" not in ElementUnits.from_json(changed(SPECS[place], None)).process_ids
        return
    message = refusal(changed(SPECS[place], value))
    assert message == f"{place} must be an object, not {NAMES[type(value)]}"


@pytest.mark.parametrize("field", ["name", "typename", "task_specs"])
@pytest.mark.parametrize("place", SPECS)
def test_a_spec_must_have_its_fields(place: str, field: str) -> None:
    message = refusal(changed((*SPECS[place], field)))
    assert message.startswith(f'{place} has no "{field}"')
    assert "serialize the workflow with SpiffWorkflow again" in message


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("field", ["name", "typename", "task_specs"])
@pytest.mark.parametrize("place", SPECS)
def test_a_specs_fields_must_be_of_their_types(place: str, field: str, value: Any) -> None:
    wanted = dict if field == "task_specs" else str
    if isinstance(value, wanted):
        ElementUnits.from_json(changed((*SPECS[place], field), value))
        return
    expected = "an object" if wanted is dict else "a string"
    message = refusal(changed((*SPECS[place], field), value))
    assert message == f"{place}.{field} must be {expected}, not {NAMES[type(value)]}"


@pytest.mark.parametrize("value", [None, True, 7, "text", []])
@pytest.mark.parametrize("place", SPECS)
def test_a_task_spec_must_be_an_object(place: str, value: Any) -> None:
    task = TASKS[place]
    message = refusal(changed((*SPECS[place], "task_specs", task), value))
    assert message == f'{place}.task_specs["{task}"] must be an object, not {NAMES[type(value)]}'


@pytest.mark.parametrize("field", ["typename", "spec"])
@pytest.mark.parametrize("place", SPECS)
def test_a_reference_must_have_its_fields(place: str, field: str) -> None:
    task = TASKS[place]
    message = refusal(changed((*SPECS[place], "task_specs", task, field)))
    assert message.startswith(f'{place}.task_specs["{task}"] has no "{field}"')
    assert "a string" in message
    assert "SpiffWorkflow" in message


@pytest.mark.parametrize("value", [value for value in WRONG if not isinstance(value, str)])
@pytest.mark.parametrize("field", ["typename", "spec", "name", "bpmn_id", "trigger_specs"])
@pytest.mark.parametrize("place", SPECS)
def test_a_task_specs_fields_must_be_of_their_types(place: str, field: str, value: Any) -> None:
    path = (*SPECS[place], "task_specs", TASKS[place], field)
    absent = value is None and field in ("name", "bpmn_id", "trigger_specs")
    if absent or (field == "trigger_specs" and value == []):
        ElementUnits.from_json(changed(path, value))
        return
    expected = "an array of strings" if field == "trigger_specs" else "a string"
    at = f'{place}.task_specs["{TASKS[place]}"].{field}'
    assert refusal(changed(path, value)) == f"{at} must be {expected}, not {NAMES[type(value)]}"


@pytest.mark.parametrize("value", [value for value in WRONG if not isinstance(value, str)])
def test_triggers_must_be_strings(value: Any) -> None:
    message = refusal(changed(("spec", "task_specs", "T", "trigger_specs"), ["Refund", value]))
    at = 'spec.task_specs["T"].trigger_specs'
    assert message == f"{at} must contain strings, not {NAMES[type(value)]}"


def test_triggers_that_are_a_string_are_refused() -> None:
    message = refusal(changed(("spec", "task_specs", "T", "trigger_specs"), "Refund"))
    assert message.endswith(".trigger_specs must be an array of strings, not a string")


@pytest.mark.parametrize(
    "typename",
    [
        *("CallActivity", "SubWorkflowTask", "TransactionSubprocess", "EventSubprocess"),
        "AdHocSubprocess",
    ],
)
def test_a_known_reference_must_name_a_process(typename: str) -> None:
    task = {"name": "T", "typename": typename}
    message = refusal(changed(("spec", "task_specs", "T"), task))
    assert message.startswith('spec.task_specs["T"] has no "spec"')


@pytest.mark.parametrize("text", ["", "nonsense", "{", '{"spec": }', b"\xff\xfe"])
def test_what_is_not_json_is_told_with_the_parsers_words(text: str | bytes) -> None:
    with pytest.raises(InvalidWorkflowSpec, match=r"^the workflow is not JSON: .+") as refused:
        ElementUnits.from_json(text)
    assert isinstance(refused.value.__cause__, json.JSONDecodeError)
    assert str(refused.value.__cause__) in str(refused.value)


def test_json_that_is_no_object_is_told_so() -> None:
    for text in ("[1]", "7", "null", ' "spec" '):
        assert refusal(text).startswith('the workflow must be an object, {"spec": {..}')


# What is not found


def test_a_near_miss_of_a_process_gets_a_hint() -> None:
    message = message_of(UnitNotFound, lambda: units().workflow("Aproval"))
    assert "no process 'Aproval'" in message
    assert "'Order'" in message
    assert message.endswith("did you mean 'Approval'?")


def test_a_near_miss_of_an_element_gets_a_hint() -> None:
    message = message_of(UnitNotFound, lambda: units().workflow("Order", "aprove"))
    assert "no element 'aprove' in process 'Order'" in message
    assert "did you mean 'approve'" in message


def test_a_near_miss_of_a_process_as_an_element_gets_a_hint() -> None:
    message = message_of(UnitNotFound, lambda: units().workflow("Order", "Approvall"))
    assert "'Approval'" in message.partition("did you mean")[2]


def test_what_is_like_nothing_gets_no_hint() -> None:
    for ask in (
        lambda: units().workflow("zzzzzzzz"),
        lambda: units().workflow("Order", "zzzzzzzz"),
        lambda: units().workflow("Order", "z" * 100_000),
        lambda: units().workflow("\ud800"),
        lambda: units().workflow("Order", "\ud800"),
    ):
        assert "did you mean" not in message_of(UnitNotFound, ask)


@pytest.mark.parametrize("element_id", ["pay_back", "Refund"])
def test_an_element_that_cannot_be_reached_is_told_so(element_id: str) -> None:
    message = message_of(UnitNotFound, lambda: units().needs("Order", element_id))
    assert f"element '{element_id}' exists in the workflow" in message
    assert "process 'Order' does not lead to it" in message
    assert "ask with the process that contains it" in message


def test_a_process_that_is_null_is_told_to_be_external() -> None:
    for ask in (units().needs, units().workflow, units().spec_json, units().element_ids):
        message = message_of(UnitNotFound, lambda ask=ask: ask("Archive"))
        assert "no process 'Archive'" in message
        assert 'subprocess_specs["Archive"] is null' in message
        assert "external" in message
        assert "load it" in message


@pytest.mark.parametrize("ask", ["element_ids", "references", "needs", "workflow", "spec_json"])
def test_every_question_about_an_unknown_process_is_answered_alike(ask: str) -> None:
    message = message_of(UnitNotFound, lambda: getattr(units(), ask)("Ordr"))
    assert message == "no process 'Ordr' in the workflow of 'Order'; did you mean 'Order'?"


def test_what_is_not_found_in_a_cache_is_told_alike(tmp_path: Any) -> None:
    library.cache_element_units_for_workflow(tmp_path, "key", json.dumps(good()))
    for asked in [("Ordr", "Ordr"), ("Order", "aprove"), ("Order", "Refund"), ("Archive", "x")]:
        memory = message_of(UnitNotFound, lambda asked=asked: units().workflow(*asked))
        cached = message_of(
            UnitNotFound,
            lambda asked=asked: library.workflow_from_cached_element_unit(tmp_path, "key", *asked),
        )
        assert cached == memory


def test_a_key_that_is_not_cached_is_told_with_the_way_out(tmp_path: Any) -> None:
    for directory in (tmp_path, tmp_path / "none"):
        message = message_of(UnitNotFound, lambda d=directory: ElementUnits.open(d, "no key"))
        assert "'no key' is not cached" in message
        assert str(directory) in message
        assert "call cache_element_units_for_workflow" in message


@pytest.mark.parametrize("length", [10, 60, 195])
def test_a_hint_costs_no_more_than_a_look_at_some_ids(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comparison of two ids may cost the product of their lengths."""
    costs, closest = [], difflib.get_close_matches

    def counted(wanted: str, known: list[str], n: int) -> list[str]:
        costs.append(len(wanted) * sum(map(len, known)))
        return closest(wanted, known[:10], n)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    wanted = "a" * length
    tasks = [{"name": f"{wanted}{number}", "typename": "T"} for number in range(10_000)]
    large = json.dumps({"spec": process("Order", *tasks), "subprocess_specs": {}})
    message_of(UnitNotFound, lambda: ElementUnits.from_json(large).needs("Order", wanted))
    assert sum(costs) <= 20_000_000


# Arguments


@pytest.mark.parametrize("wrong", [None, 7, b"bytes", ["list"], object()])
def test_an_id_that_is_no_string_is_a_type_error(wrong: Any) -> None:
    known = units()
    for ask in (
        lambda: known.workflow(wrong),
        lambda: known.workflow("Order", wrong),
        lambda: known.workflow("Order", "T", wrong),
        lambda: known.needs(wrong),
        lambda: known.needs("Order", wrong),
        lambda: known.element_ids(wrong),
        lambda: known.references(wrong),
        lambda: known.spec_json(wrong),
    ):
        with pytest.raises(TypeError, match=r"(process|element)_id must be a str, not "):
            ask()


@pytest.mark.parametrize("wrong", [None, 7, b"cache", ["cache"]])
def test_a_cache_directory_of_another_type_is_a_type_error_that_names_the_argument(
    wrong: Any,
) -> None:
    with pytest.raises(TypeError, match=f"cache_dir must be .*, not {type(wrong).__name__}$"):
        library.cache_element_units_for_workflow(wrong, "key", "{}")
    with pytest.raises(TypeError, match=f"cache_dir must be .*, not {type(wrong).__name__}$"):
        ElementUnits.open(wrong, "key")


@pytest.mark.parametrize("wrong", [None, 7, bytearray(b"{}"), memoryview(b"{}"), {}, ["{}"]])
def test_a_workflow_that_is_neither_str_nor_bytes_is_a_type_error(
    wrong: Any, tmp_path: Any
) -> None:
    expected = f"workflow_spec_json must be str or bytes, not {type(wrong).__name__}"
    with pytest.raises(TypeError, match=re.escape(expected)):
        ElementUnits.from_json(wrong)
    with pytest.raises(TypeError, match=re.escape(expected)):
        library.cache_element_units_for_workflow(tmp_path, "key", wrong)


@pytest.mark.parametrize("wrong", ["", "call", "ALL", "nothing "])
def test_another_defer_is_told_what_there_is(wrong: str) -> None:
    for ask in (units().needs, units().workflow):
        message = message_of(ElementUnitsError, lambda ask=ask: ask("Order", defer=wrong))
        assert message == f"defer must be one of 'calls', 'all', 'nothing', not {wrong!r}"


@pytest.mark.parametrize("wrong", [None, True, 1, b"all", ["all"], {}])
def test_a_defer_that_is_no_string_is_a_type_error(wrong: Any) -> None:
    for ask in (units().needs, units().workflow):
        with pytest.raises(TypeError, match="defer"):
            ask("Order", defer=wrong)


def test_element_units_are_not_made_by_their_class() -> None:
    with pytest.raises(TypeError, match="from_json"):
        ElementUnits()
