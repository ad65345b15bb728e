"""An application with types. It is not run: `make lint` checks it with mypy and pyright.

`assert_type` fails if the library's types are wider or narrower than written here. A `type: ignore`
fails if its line is not an error.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Optional

from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from typing_extensions import assert_type

import spiff_element_units
from spiff_element_units import (
    CachedWorkflow,
    CacheError,
    CorruptPack,
    DamagedPack,
    ElementDiff,
    ElementUnits,
    ElementUnitsError,
    FieldDiff,
    InvalidWorkflowSpec,
    ProcessDiff,
    Reference,
    UnitNotFound,
    WorkflowDiff,
    cache_element_units_for_workflow,
    cache_keys,
    prune_cache,
    remove_cached_workflow,
    verify_cache,
    workflow_from_cached_element_unit,
)
from spiff_element_units.spiff import SpecLoader


def classic(cache_dir: Path, entry: os.DirEntry[str], text: str, content: bytes) -> None:
    assert_type(spiff_element_units.__version__, str)
    cache_element_units_for_workflow("cache", "key", text)
    cache_element_units_for_workflow(cache_dir, "key", content, durable=True)
    cache_element_units_for_workflow(entry, cache_key="key", workflow_spec_json=text)
    assert_type(workflow_from_cached_element_unit(cache_dir, "key", "process", "element"), str)
    cache_element_units_for_workflow("cache", "key", workflow_specs_json=text)
    cache_element_units_for_workflow(b"cache", "key", text)  # type: ignore[call-overload]
    cache_element_units_for_workflow("cache", 1, text)  # type: ignore[call-overload]
    cache_element_units_for_workflow("cache", "key", {})  # type: ignore[call-overload]
    cache_element_units_for_workflow("cache", "key")  # type: ignore[call-overload]
    cache_element_units_for_workflow(  # type: ignore[call-overload]
        "cache", "key", text, workflow_specs_json=text
    )
    workflow_from_cached_element_unit("cache", "key", "process", None)  # type: ignore[arg-type]


def units(cache_dir: Path, text: str) -> None:
    made = ElementUnits.from_json(text)
    assert_type(made, ElementUnits)
    made.save(cache_dir, "key", durable=True)
    assert_type(ElementUnits.get_or_cache(cache_dir, "key", lambda: text), ElementUnits)
    with ElementUnits.open(cache_dir, "key") as opened:
        assert_type(opened, ElementUnits)
        assert_type(opened.cache_key, Optional[str])
        assert_type(opened.digest, str)
        assert_type(opened.root, str)
        assert_type(opened.process_ids, tuple[str, ...])
        assert_type(opened.subprocess_ids, tuple[str, ...])
        assert_type(opened.element_ids("process"), tuple[str, ...])
        assert_type(opened.needs("process", "one", "other", defer="all"), tuple[str, ...])
        assert_type(opened.workflow("process", "one", defer="nothing"), str)
        assert_type(opened.spec_json("process"), bytes)
        for reference in opened.references("process"):
            assert_type(reference, Reference)
            assert_type(reference.kind, str)
            assert_type(reference.external, bool)
        assert_type(opened.process_digest("process"), str)
    opened.process_digest(1)  # type: ignore[arg-type]
    opened.root = "other"  # type: ignore[misc]
    opened.workflow("process", 1)  # type: ignore[arg-type]
    ElementUnits.get_or_cache(cache_dir, "key", text)  # type: ignore[arg-type]


def versions(old: ElementUnits, new: ElementUnits) -> None:
    diff = old.diff(new)
    assert_type(diff, WorkflowDiff)
    assert_type(diff.added, tuple[str, ...])
    assert_type(diff.same, tuple[str, ...])
    assert_type(diff.summary, str)
    for process in diff.changed:
        assert_type(process, ProcessDiff)
        assert_type(process.within, tuple[str, ...])
        for element in process.elements:
            assert_type(element, ElementDiff)
            assert_type(element.change, Literal["added", "removed", "changed"])
            assert_type(element.name, Optional[str])
            for field in element.fields:
                assert_type(field, FieldDiff)
                assert_type(field.kind, str)
    old.diff("new")  # type: ignore[arg-type]
    diff.added = ()  # type: ignore[misc]


def upkeep(cache_dir: Path) -> None:
    for cached in cache_keys(cache_dir):
        assert_type(cached, CachedWorkflow)
        assert_type(cached.cached_at, datetime)
        assert_type(cached.size, int)
    report = verify_cache(cache_dir)
    assert_type(report.ok, bool)
    assert_type(report.good, tuple[CachedWorkflow, ...])
    assert_type(report.damaged, tuple[DamagedPack, ...])
    pruned = prune_cache(cache_dir, max_age=timedelta(days=30), max_bytes=10**9)
    assert_type(pruned.removed, tuple[CachedWorkflow, ...])
    assert_type(pruned.bytes_freed, int)
    prune_cache(cache_dir, max_age=3600.0)
    assert_type(remove_cached_workflow(cache_dir, "key"), bool)
    prune_cache(cache_dir, 3600)  # type: ignore[call-arg]


def errors() -> list[type[ValueError]]:
    kinds: list[type[ElementUnitsError]] = [CacheError, InvalidWorkflowSpec, UnitNotFound]
    cache_errors: list[type[CacheError]] = [CorruptPack]
    return [*kinds, *cache_errors]


class Workflow(BpmnWorkflow):  # type: ignore[misc]
    """An application's own."""


def engine(opened: ElementUnits, serializer: Any) -> str:
    loader = SpecLoader(opened, serializer)
    assert_type(loader, SpecLoader)
    assert_type(loader.units, ElementUnits)
    workflow = assert_type(loader.start("process"), BpmnWorkflow)
    assert_type(loader.start(workflow_class=Workflow, owner="Ada"), Workflow)
    state = loader.save(workflow)
    assert_type(state, str)
    assert_type(loader.resume(state, binding="version"), BpmnWorkflow)
    SpecLoader("cache", serializer)  # type: ignore[arg-type]
    return state
