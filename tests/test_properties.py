"""The promises that hold for every workflow, tried on generated ones.

The processes in a unit are compared with the naive model, its content with the caller's text, and
what is accepted and refused with the JSON parser.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import naive
import orjson
import pytest
import strategies
from hypothesis import event, given, settings
from hypothesis import strategies as st

from spiff_element_units import (
    ElementUnits,
    InvalidWorkflowSpec,
    UnitNotFound,
    __version__,
    cache_element_units_for_workflow,
    workflow_from_cached_element_unit,
)
from spiff_element_units.cache.directory import content

KEY = "a key"


def opened(directory: str, text: str) -> ElementUnits:
    """The workflow from a cache in that directory."""
    cache_element_units_for_workflow(directory, KEY, text)
    return ElementUnits.open(directory, KEY)


def ways_to_have(directory: str, text: str) -> list[ElementUnits]:
    return [
        ElementUnits.from_json(text),
        ElementUnits.from_json(text.encode()),
        opened(directory, text),
    ]


def every_id(workflow: dict) -> list[str]:
    """Process ids and element ids, those of external processes, and one that is nowhere."""
    found = ["nowhere", workflow["spec"]["name"], *workflow["subprocess_specs"]]
    for process in [naive.ROOT, *workflow["subprocess_specs"]]:
        if naive.spec_of(workflow, process) is not None:
            found += naive.element_ids(workflow, process)
    return list(dict.fromkeys(found))


def expected(ask: Any, *arguments: Any, **options: Any) -> Any:
    """The result of the model; None if it says that there is no such unit."""
    try:
        return ask(*arguments, **options)
    except naive.NotFound:
        return None


def found(ask: Any, *arguments: Any, **options: Any) -> Any:
    try:
        return ask(*arguments, **options)
    except UnitNotFound:
        return None


# Which processes a unit contains


@given(strategies.texts(), strategies.defers)
def test_a_unit_of_any_element_holds_what_the_rules_name(text: str, defer: str) -> None:
    workflow = naive.load(text)
    with tempfile.TemporaryDirectory() as directory:
        memory, _, cached = ways_to_have(directory, text)
        for process_id in every_id(workflow):
            for element_id in every_id(workflow):
                asked = (process_id, element_id)
                wanted = expected(naive.needs, workflow, *asked, defer=defer)
                assert found(memory.needs, *asked, defer=defer) == wanted, asked
                assert found(cached.needs, *asked, defer=defer) == wanted, asked


@given(strategies.texts(max_size=4), strategies.defers)
def test_a_unit_is_the_workflow_that_the_rules_describe(text: str, defer: str) -> None:
    workflow = naive.load(text)
    with tempfile.TemporaryDirectory() as directory:
        memory, _, cached = ways_to_have(directory, text)
        for process_id in every_id(workflow):
            for elements in [(), *((id,) for id in every_id(workflow))]:
                asked = (process_id, *elements)
                wanted = expected(naive.unit, workflow, *asked, defer=defer)
                unit = found(memory.workflow, *asked, defer=defer)
                assert found(cached.workflow, *asked, defer=defer) == unit
                if wanted is None:
                    assert unit is None, asked
                    continue
                wanted["serializer_version"] = f"spiff-element-units-{__version__}"
                assert json.loads(unit) == wanted, asked
                held = list(json.loads(unit)["subprocess_specs"])
                assert held == list(wanted["subprocess_specs"]), asked


@given(strategies.texts(), st.data(), strategies.defers)
def test_a_unit_of_several_elements_is_the_union(text: str, data: Any, defer: str) -> None:
    workflow = naive.load(text)
    units = ElementUnits.from_json(text)
    process_id = data.draw(st.sampled_from(naive.process_ids(workflow)))
    single = {id: found(units.needs, process_id, id, defer=defer) for id in every_id(workflow)}
    reachable = [id for id, needed in single.items() if needed is not None]
    chosen = data.draw(st.lists(st.sampled_from(reachable), min_size=1, max_size=4))
    together = units.needs(process_id, *chosen, defer=defer)
    assert set(together) == set().union(*(single[id] for id in chosen))
    unit = json.loads(units.workflow(process_id, *chosen, defer=defer))
    wanted = naive.unit(workflow, process_id, *chosen, defer=defer)
    assert list(unit["subprocess_specs"]) == list(wanted["subprocess_specs"])
    units_alone = [json.loads(units.workflow(process_id, id, defer=defer)) for id in chosen]
    assert set(unit["subprocess_specs"]) == set().union(
        *(alone["subprocess_specs"] for alone in units_alone)
    )
    unreachable = [id for id, needed in single.items() if needed is None]
    for id in unreachable[:2]:
        with pytest.raises(UnitNotFound):
            units.needs(process_id, *chosen, id, defer=defer)


@given(strategies.texts())
def test_deferring_more_never_needs_more(text: str) -> None:
    units = ElementUnits.from_json(text)
    for process_id in units.process_ids:
        for element_id in [process_id, *units.element_ids(process_id)]:
            least = set(units.needs(process_id, element_id, defer="all"))
            usual = set(units.needs(process_id, element_id))
            most = set(units.needs(process_id, element_id, defer="nothing"))
            assert least <= usual <= most


@given(strategies.texts())
def test_what_a_workflow_consists_of_is_told_as_it_is(text: str) -> None:
    workflow = naive.load(text)
    with tempfile.TemporaryDirectory() as directory:
        for units in ways_to_have(directory, text):
            assert units.root == workflow["spec"]["name"]
            assert units.process_ids == naive.process_ids(workflow)
            assert units.subprocess_ids == tuple(workflow["subprocess_specs"])
            assert units.digest == sha256(text.encode()).hexdigest()
            for process_id in units.process_ids:
                process = naive.find(workflow, process_id)
                assert units.element_ids(process_id) == naive.element_ids(workflow, process)
                told = [tuple(reference) for reference in units.references(process_id)]
                assert told == naive.references(workflow, process)


# Exactness


@given(strategies.texts(), strategies.defers)
def test_a_unit_holds_the_callers_own_bytes(text: str, defer: str) -> None:
    workflow = naive.exact(text)
    own_text = naive.without_whitespace(text)
    units = ElementUnits.from_json(text)
    for process_id in units.process_ids:
        root = process_id == units.root
        theirs = workflow if root else workflow.last("subprocess_specs")
        spec = units.spec_json(process_id).decode()
        assert spec in own_text
        assert naive.exact(spec) == theirs.last("spec" if root else process_id)
        for element_id in [process_id, *units.element_ids(process_id)]:
            unit = units.workflow(process_id, element_id, defer=defer)
            assert unit == naive.without_whitespace(unit)
            assert unit.startswith(f'{{"spec":{spec},"subprocess_specs":{{')
            members = naive.exact(unit)
            keys = [key for key, _ in members]
            assert len(keys) == len(set(keys))
            for key, value in members.last("subprocess_specs"):
                assert value == workflow.last("subprocess_specs").last(key)
            for key, value in members[2:]:
                if key == "source_serializer_version":
                    there = any(name == key for name, _ in workflow)
                    assert value == workflow.last(key if there else "serializer_version")
                elif key != "serializer_version":
                    assert value == workflow.last(key)


NUMBERS = st.one_of(
    st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1]).map(str),
)


@given(st.lists(NUMBERS | st.from_regex(r"\A\"[0-9a-z ]{0,40}\"\Z"), max_size=5))
def test_the_numbers_of_a_spec_are_read_as_json_reads_them(values: list[str]) -> None:
    text = f'{{"name":"A","typename":"P","task_specs":{{}},"x":[{",".join(values)}]}}'
    units = ElementUnits.from_json(f'{{"spec":{text},"subprocess_specs":{{}}}}')
    assert repr(units._decoded("A")) == repr(json.loads(text))


@given(strategies.workflows(), st.data())
def test_a_unit_cached_again_keeps_its_specs_and_its_source(workflow: dict, data: Any) -> None:
    workflow.setdefault("serializer_version", "1.5")
    units = ElementUnits.from_json(data.draw(strategies.spelled(st.just(workflow))))
    whole = units.workflow(units.root, defer="nothing")
    again = ElementUnits.from_json(whole)
    assert again.workflow(again.root, defer="nothing") == whole


@given(strategies.texts())
def test_a_cached_unit_is_byte_for_byte_that_of_memory(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        memory, encoded, cached = ways_to_have(directory, text)
        for process_id in memory.process_ids:
            for element_id in [process_id, *memory.element_ids(process_id)]:
                unit = memory.workflow(process_id, element_id)
                assert encoded.workflow(process_id, element_id) == unit
                assert cached.workflow(process_id, element_id) == unit
                assert (
                    workflow_from_cached_element_unit(directory, KEY, process_id, element_id)
                    == unit
                )
            assert cached.spec_json(process_id) == memory.spec_json(process_id)


def pack_of(directory: Path) -> bytes:
    (path,) = directory.glob("v2/*/*.pack")
    return path.read_bytes()


@settings(max_examples=40)
@given(strategies.texts())
def test_the_same_text_and_key_give_the_same_pack(text: str) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        cache_element_units_for_workflow(one, KEY, text)
        ElementUnits.from_json(text).save(other, "elsewhere first")
        saved = ElementUnits.open(other, "elsewhere first")
        with tempfile.TemporaryDirectory() as third:
            saved.save(third, KEY)
            assert pack_of(Path(one)) == pack_of(Path(third))


PACK_DIGESTS = """
import hashlib, sys
from spiff_element_units import ElementUnits
from spiff_element_units.cache.directory import content
for text in sys.stdin.buffer.read().split(b"\\0"):
    pack = b"".join(content(ElementUnits.from_json(text)._use(), ""))
    print(hashlib.sha256(pack).hexdigest())
"""


def large_text() -> str:
    """Workflows with many processes, ids and links, which fill every table of the writer."""
    chance = random.Random(7)
    names = [f"process {number}" for number in range(60)]

    def process(name: str) -> dict:
        tasks = {
            f"task {chance.randrange(100)}": {
                "typename": chance.choice(["CallActivity", "SubWorkflowTask"]),
                "spec": chance.choice(names),
                "bpmn_id": f"id {chance.randrange(100)}",
            }
            for _ in range(8)
        }
        return {"name": name, "typename": "BpmnProcessSpec", "task_specs": tasks}

    specs = {name: process(name) for name in names}
    return json.dumps({"spec": process("top"), "subprocess_specs": specs, "more": names})


def test_the_pack_does_not_depend_on_the_run() -> None:
    texts = [large_text().encode(), naive.without_whitespace(large_text()).encode()]
    here = []
    for text in texts:
        pack = b"".join(content(ElementUnits.from_json(text)._use(), ""))
        here.append(sha256(pack).hexdigest())
    for seed in ("1", "4242"):
        run = subprocess.run(
            [sys.executable, "-c", PACK_DIGESTS],
            input=b"\0".join(texts),
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
        )
        assert run.stdout.decode().split() == here


# What is accepted and refused


def parsed(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return orjson.JSONDecodeError


def assert_accepted_as_json_has_it(text: bytes) -> None:
    """Require that a text is accepted if it is JSON and has the form, and refused otherwise."""
    value = parsed(text)
    if value is orjson.JSONDecodeError or not naive.is_workflow(value):
        event("not JSON" if value is orjson.JSONDecodeError else "of another form")
        with pytest.raises(InvalidWorkflowSpec):
            ElementUnits.from_json(text)
        return
    event("accepted")
    units = ElementUnits.from_json(text)
    assert units.root == value["spec"]["name"]
    assert units.process_ids == naive.process_ids(value)
    for process_id in units.process_ids:
        spec = naive.spec_of(value, naive.find(value, process_id))
        assert orjson.loads(units.spec_json(process_id)) == spec
    whole = orjson.loads(units.workflow(units.root, defer="nothing"))
    for key in value:
        if key not in ("spec", "subprocess_specs", "serializer_version"):
            assert whole[key] == value[key]


TOKENS = [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b" ", b"\n", b"\0", b"\x0b", b"\x1f"]
TOKENS += [b"0", b"-", b"1 2", b".", b"e", b"null", b"nul", b"true", b"NaN", b"{}", b'""', b"//"]
TOKENS += [b"\x80", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"\xef\xbb\xbf"]

edits = st.lists(
    st.tuples(
        st.integers(0, 2**31),
        st.sampled_from(["insert", "replace", "delete", "swap", "cut"]),
        st.sampled_from(TOKENS) | st.binary(min_size=1, max_size=1),
    ),
    min_size=1,
    max_size=3,
)


def edited(text: bytes, changes: list[tuple[int, str, bytes]]) -> bytes:
    for place, kind, token in changes:
        at = place % (len(text) + 1)
        end = at + 1 + place % 3
        if kind == "insert":
            text = text[:at] + token + text[at:]
        elif kind == "replace":
            text = text[:at] + token + text[at + len(token) :]
        elif kind == "delete":
            text = text[:at] + text[end:]
        elif kind == "swap":
            text = text[:at] + text[at:end][::-1] + text[end:]
        else:
            text = text[:at]
    return text


@settings(max_examples=600)
@given(strategies.texts(max_size=3), edits)
def test_a_text_is_refused_where_the_parser_refuses_it(text: str, changes: list) -> None:
    assert_accepted_as_json_has_it(edited(text.encode(), changes))


@given(strategies.spelled(strategies.values))
def test_any_other_json_is_refused(text: str) -> None:
    assert_accepted_as_json_has_it(text.encode())


@settings(max_examples=300)
@given(
    strategies.workflows(max_size=3), st.data(), st.sampled_from([None, True, 7, "", "A", [], {}])
)
def test_a_field_of_any_type_is_accepted_or_refused_by_the_rules(
    workflow: dict, data: Any, value: Any
) -> None:
    place = data.draw(st.sampled_from(objects_of(workflow)))
    key = data.draw(st.sampled_from([*place, "spec", "name", "bpmn_id", "trigger_specs"]))
    if data.draw(st.booleans()):
        place[key] = value
    else:
        place.pop(key, None)
    text = data.draw(strategies.spelled(st.just(workflow)))
    assert_accepted_as_json_has_it(text.encode())


def objects_of(workflow: dict) -> list[dict]:
    """The objects whose fields the rules name."""
    specs = [workflow["spec"], *workflow["subprocess_specs"].values()]
    specs = [spec for spec in specs if spec is not None]
    tasks = [spec["task_specs"] for spec in specs]
    return [
        *(task for group in tasks for task in group.values()),
        *tasks,
        *specs,
        workflow["subprocess_specs"],
        workflow,
    ]
