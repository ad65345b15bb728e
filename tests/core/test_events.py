"""Processes that events start, in workflows that do not say so: those before SpiffWorkflow 3.2.

They have no `trigger_specs`. At each event the engine looks through all subprocess specs for start
events of that event.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import models
import naive
import pytest
from dissect import ENTRY, Dissected, opened, pack_of

from spiff_element_units import (
    ElementUnits,
    Reference,
    UnitNotFound,
    cache_element_units_for_workflow,
    verify_cache,
)
from spiff_element_units.cache.directory import pack_path

MESSAGE = {"typename": "MessageEventDefinition", "name": "request"}
NO_EVENT = {"typename": "NoneEventDefinition", "name": None}


def start(definition: Any = NO_EVENT, typename: str = "StartEvent") -> dict:
    return {"typename": typename, "event_definition": definition}


def call(process_id: str, typename: str = "CallActivity") -> dict:
    return {"typename": typename, "spec": process_id}


def process(name: str, /, **tasks: dict) -> dict:
    tasks = {"Start": {"typename": "BpmnStartTask"}, **tasks}
    return {"name": name, "typename": "BpmnProcessSpec", "task_specs": tasks}


def purchase() -> dict:
    """A collaboration: the customer's message starts the supplier, who calls pricing."""
    return {
        "spec": process("purchase", begin=start(), customer=call("customer")),
        "subprocess_specs": {
            "customer": process("customer", customer_start=start(), ask={"typename": "UserTask"}),
            "supplier": process("supplier", supplier_start=start(MESSAGE), price=call("pricing")),
            "pricing": process("pricing", pricing_start=start(), inner=call("sums")),
            "sums": process("sums", sums_start=start()),
            "archive": None,
        },
        "serializer_version": "1.4",
    }


def school() -> dict:
    """The town calls the school, which calls a lesson, which calls a drill or is told of one."""
    return {
        "spec": process("town", begin=start(), to_school=call("school"), to_park=call("park")),
        "subprocess_specs": {
            "park": process("park", park_start=start()),
            "school": process("school", school_start=start(), to_lesson=call("lesson")),
            "lesson": process("lesson", bell=start(), to_drill=call("drill")),
            "drill": process("drill", alarm=start(MESSAGE), leave=call("stairs")),
            "stairs": process("stairs", up=start()),
        },
    }


def units_of(workflow: dict) -> ElementUnits:
    return ElementUnits.from_json(json.dumps(workflow))


def test_the_roots_unit_holds_what_events_start() -> None:
    units = units_of(purchase())
    assert units.needs("purchase") == ("purchase", "supplier")
    assert units.needs("purchase", "customer") == ("purchase", "customer", "supplier")
    assert units.needs("purchase", defer="all") == ("purchase",)
    everything = ("purchase", "customer", "supplier", "pricing", "sums")
    assert units.needs("purchase", defer="nothing") == everything
    assert list(json.loads(units.workflow("purchase"))["subprocess_specs"]) == ["supplier"]


def test_what_events_start_can_be_resumed_at() -> None:
    units = units_of(purchase())
    assert units.needs("purchase", "supplier_start") == ("purchase", "supplier")
    assert units.needs("purchase", "supplier") == ("purchase", "supplier")
    wanted = ("purchase", "supplier", "pricing")
    assert units.needs("purchase", "pricing_start") == wanted


def test_what_events_start_is_a_trigger_of_the_roots_start_task() -> None:
    assert units_of(purchase()).references("purchase") == (
        Reference("trigger", "supplier", "Start", False),
        Reference("call", "customer", "customer", False),
    )
    unnamed = purchase()
    unnamed["spec"]["task_specs"]["Start"]["typename"] = "Simple"
    unnamed["spec"]["task_specs"]["began"] = {"typename": "StartTask"}
    (reference,) = (r for r in units_of(unnamed).references("purchase") if r.kind == "trigger")
    assert reference.element_id == "began"


def test_a_participant_alone_starts_no_other() -> None:
    """SpiffWorkflow's parser gives it the specs that it refers to, without participants."""
    units = units_of(purchase())
    assert units.needs("customer") == ("customer",)
    assert units.needs("customer", defer="nothing") == ("customer",)
    with pytest.raises(UnitNotFound, match="does not lead to it"):
        units.needs("customer", "supplier_start")


def test_the_unit_of_any_process_holds_what_it_leads_to_and_events_start() -> None:
    units = units_of(school())
    for process_id in ("town", "school", "lesson"):
        assert units.needs(process_id) == (process_id, "drill"), process_id
        assert units.needs(process_id, defer="all") == (process_id,)
    assert units.needs("school", "to_lesson") == ("school", "lesson", "drill")
    assert units.needs("park") == ("park",)
    assert units.needs("stairs") == ("stairs",)
    for process_id in ("school", "lesson"):
        assert {one.kind for one in units.references(process_id)} == {"call"}


def test_what_is_embedded_in_what_events_start_comes_along() -> None:
    workflow = school()
    workflow["subprocess_specs"]["drill"]["task_specs"]["leave"]["typename"] = "SubWorkflowTask"
    units = units_of(workflow)
    assert units.needs("town") == ("town", "drill", "stairs")
    assert units.needs("school") == ("school", "drill", "stairs")


def test_a_process_that_events_start_and_that_leads_to_itself_is_in_its_own_unit() -> None:
    workflow = school()
    workflow["subprocess_specs"]["stairs"]["task_specs"]["again"] = call("drill")
    units = units_of(workflow)
    assert list(json.loads(units.workflow("drill"))["subprocess_specs"]) == ["drill"]
    assert list(json.loads(units.workflow("lesson"))["subprocess_specs"]) == ["drill"]


def test_a_workflow_with_any_trigger_specs_says_itself_what_events_start() -> None:
    for value in (None, [], ["customer"]):
        for key in ("spec", "customer", "supplier", "sums"):
            for task in ("Start", "late"):
                workflow = purchase()
                spec = workflow["spec"] if key == "spec" else workflow["subprocess_specs"][key]
                tasks = spec["task_specs"]
                tasks.setdefault(task, {"typename": "UserTask"})["trigger_specs"] = value
                units = units_of(workflow)
                kinds = [one.kind for one in units.references("purchase")]
                wanted = ["trigger"] * (key == "spec" and bool(value))
                assert [kind for kind in kinds if kind != "call"] == wanted
                assert "supplier" not in units.needs("purchase", defer="nothing")
                assert units.needs("supplier") == naive.needs(workflow, "supplier")


@pytest.mark.parametrize("typename", ["StartEvent", "OurOwnStartEvent"])
@pytest.mark.parametrize(
    "definition",
    [MESSAGE, {"typename": "SignalEventDefinition"}, {"typename": "TimeDateEventDefinition"}],
)
def test_a_start_event_that_waits_for_something_is_started_by_it(
    typename: str, definition: dict
) -> None:
    workflow = purchase()
    tasks = workflow["subprocess_specs"]["sums"]["task_specs"]
    tasks["sums_start"] = start(definition, typename)
    assert units_of(workflow).needs("purchase") == ("purchase", "supplier", "sums")


@pytest.mark.parametrize(
    ("typename", "definition"),
    [
        ("StartEvent", NO_EVENT),
        *(("StartEvent", other) for other in (None, "Message", 7, [], [MESSAGE], {})),
        *(("StartEvent", {"typename": other}) for other in (None, 7, [], {})),
        *((other, MESSAGE) for other in ("EndEvent", "BoundaryEvent", "Event", "", "startevent")),
    ],
)
def test_what_is_no_start_event_or_waits_for_nothing_is_not_started(
    typename: str, definition: Any
) -> None:
    workflow = purchase()
    workflow["subprocess_specs"]["sums"]["task_specs"]["sums_start"] = start(definition, typename)
    units = units_of(workflow)
    assert units.needs("purchase") == naive.needs(workflow, "purchase") == ("purchase", "supplier")


def test_another_spec_by_the_roots_name_can_be_started() -> None:
    workflow = purchase()
    workflow["subprocess_specs"]["purchase"] = process("purchase", begin=start(MESSAGE))
    unit = json.loads(units_of(workflow).workflow("purchase"))
    assert unit["spec"] == workflow["spec"]
    assert unit["subprocess_specs"]["purchase"] == workflow["subprocess_specs"]["purchase"]


def test_a_root_without_task_specs_starts_nothing() -> None:
    workflow = purchase()
    workflow["spec"]["task_specs"] = {}
    assert units_of(workflow).needs("purchase") == ("purchase",)


def test_a_workflow_of_this_spiffworkflow_says_what_events_start() -> None:
    """The way depends on the version. The unit contains the participants in both cases."""
    text = models.spec_json(models.MODELS["collaboration"])
    assert ('"trigger_specs"' in text) == (models.SPIFF_VERSION >= (3, 2))
    units = ElementUnits.from_json(text)
    assert "supplier" in units.needs("purchase")
    assert units.needs("purchase", "supplier_start")[0] == "purchase"


# Packs of 0.4.0


def as_written_before(data: bytes) -> bytes:
    """The pack as 0.4.0 wrote it, except for the references of the root."""
    pack = Dissected(data)
    table = pack.part("table 0")
    for index in range(pack.header("processes")):
        flags = pack.payload(table)[index * ENTRY + 28] & 3
        pack.set(table, index * ENTRY + 28, flags)
    return bytes(pack.data)


def test_a_pack_that_does_not_say_what_events_start_is_read() -> None:
    units = opened(as_written_before(pack_of(school())))
    assert units.needs("school") == ("school",)
    assert units.workflow("school", "to_lesson").startswith('{"spec":{"name":"school"')
    assert units.process_ids == units_of(school()).process_ids
    # A digest covers the start unit, which is smaller with such a pack.
    assert units.process_digest("school") == sha256(units.spec_json("school")).hexdigest()
    assert units.process_digest("school") != units_of(school()).process_digest("school")


def test_a_pack_that_does_not_say_what_events_start_is_replaced_when_it_is_cached_again(
    tmp_path: Path,
) -> None:
    text = json.dumps(school())
    cache_element_units_for_workflow(tmp_path, "key", text)
    path = Path(pack_path(tmp_path, "key"))
    good = path.read_bytes()
    for again in (
        lambda: cache_element_units_for_workflow(tmp_path, "key", text),
        lambda: ElementUnits.from_json(text).save(tmp_path, "key"),
    ):
        path.write_bytes(as_written_before(good))
        assert verify_cache(tmp_path).ok
        again()
        assert path.read_bytes() == good
    path.write_bytes(as_written_before(good))
    before = path.stat().st_ino
    ElementUnits.open(tmp_path, "key").save(tmp_path, "key")
    assert path.stat().st_ino == before
