"""Fuzzes caching: any bytes as the JSON text of a workflow.

What is accepted must be what the parser and the rules accept, and each of its units must be what
the plain model of the rules says. Run it with `make fuzz`.
"""

from __future__ import annotations

import json

import naive
import orjson

from spiff_element_units import ElementUnits, InvalidWorkflowSpec, UnitNotFound
from spiff_element_units.cache.directory import check

SMALL = 2_000  # bytes of text of which every unit is compared


def is_workflow(content: bytes) -> bool:
    try:
        return naive.is_workflow(orjson.loads(content))
    except orjson.JSONDecodeError:
        return False


def compare(workflow: dict, units: ElementUnits) -> None:
    assert units.process_ids == naive.process_ids(workflow)
    for process_id in units.process_ids:
        process = naive.find(workflow, process_id)
        assert units.element_ids(process_id) == naive.element_ids(workflow, process)
        for element_id in (process_id, *units.element_ids(process_id), units.root):
            for defer in ("calls", "all", "nothing"):
                compare_unit(workflow, units, (process_id, element_id), defer)


def compare_unit(workflow: dict, units: ElementUnits, asked: tuple[str, str], defer: str) -> None:
    try:
        expected = naive.unit(workflow, *asked, defer=defer)
    except naive.NotFound:
        try:
            units.workflow(*asked, defer=defer)
        except UnitNotFound:
            return
        raise AssertionError(f"{asked} has a unit") from None
    unit = orjson.loads(units.workflow(*asked, defer=defer))
    assert {**unit, "serializer_version": None} == expected
    assert units.needs(*asked, defer=defer) == naive.needs(workflow, *asked, defer=defer)


def one_input(data: bytes) -> bool:
    """Whether it was accepted."""
    expected = is_workflow(data)
    try:
        units = ElementUnits.from_json(data)
    except InvalidWorkflowSpec:
        assert not expected, "refused"
        return False
    assert expected, "accepted"
    workflow = orjson.loads(data)
    check(units._use())
    if len(data) <= SMALL:
        compare(workflow, units)
    again = ElementUnits.from_json(json.dumps(workflow, ensure_ascii=False))
    assert again.process_ids == units.process_ids
    return True
