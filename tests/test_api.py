"""The two functions: their arguments, which are those of 0.3.1, their results and their errors."""

from __future__ import annotations

import inspect
import json
import os
import typing
from pathlib import Path
from typing import Any

import pytest

from spiff_element_units import (
    CacheError,
    ElementUnits,
    InvalidWorkflowSpec,
    UnitNotFound,
    cache_element_units_for_workflow,
    workflow_from_cached_element_unit,
)
from spiff_element_units.cache.store import Store


def process(name: str, *tasks: dict) -> dict:
    specs = {task["name"]: task for task in tasks}
    return {"name": name, "typename": "BpmnProcessSpec", "task_specs": specs}


TEXT = json.dumps(
    {
        "spec": process("A", {"name": "call", "typename": "CallActivity", "spec": "B"}),
        "subprocess_specs": {"B": process("B", {"name": "größe", "typename": "UserTask"})},
        "serializer_version": "1.5",
    },
    ensure_ascii=False,
)


def specs_in(unit: str) -> list[str]:
    return list(json.loads(unit)["subprocess_specs"])


def test_the_arguments_are_those_of_the_earlier_version() -> None:
    cache = dict(inspect.signature(cache_element_units_for_workflow).parameters)
    assert list(cache) == ["cache_dir", "cache_key", "workflow_spec_json", "durable"]
    assert cache.pop("durable").kind is inspect.Parameter.KEYWORD_ONLY
    get = inspect.signature(workflow_from_cached_element_unit).parameters
    assert list(get) == ["cache_dir", "cache_key", "process_id", "element_id"]
    for parameter in [*cache.values(), *get.values()]:
        assert parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        assert parameter.default is inspect.Parameter.empty


def test_a_workflow_is_cached_and_its_units_are_had(tmp_path: Path) -> None:
    assert cache_element_units_for_workflow(str(tmp_path), "key", TEXT) is None
    start = workflow_from_cached_element_unit(str(tmp_path), "key", "A", "A")
    assert isinstance(start, str)
    assert specs_in(start) == []
    assert specs_in(workflow_from_cached_element_unit(str(tmp_path), "key", "A", "call")) == ["B"]
    assert specs_in(workflow_from_cached_element_unit(str(tmp_path), "key", "A", "größe")) == ["B"]
    called = json.loads(workflow_from_cached_element_unit(str(tmp_path), "key", "B", "B"))
    assert called["spec"]["name"] == "B"


def test_arguments_may_be_keywords(tmp_path: Path) -> None:
    cache_element_units_for_workflow(
        workflow_spec_json=TEXT, cache_key="key", cache_dir=str(tmp_path)
    )
    unit = workflow_from_cached_element_unit(
        element_id="call", process_id="A", cache_key="key", cache_dir=str(tmp_path)
    )
    assert unit == ElementUnits.from_json(TEXT).workflow("A", "call")


def test_the_keyword_of_the_earlier_version_is_taken_too(tmp_path: Path) -> None:
    cache_element_units_for_workflow(
        cache_dir=str(tmp_path), cache_key="key", workflow_specs_json=TEXT
    )
    assert ElementUnits.open(tmp_path, "key").root == "A"
    with pytest.raises(TypeError, match="workflow_specs_json"):
        cache_element_units_for_workflow(
            str(tmp_path), "key", workflow_spec_json=TEXT, workflow_specs_json=TEXT
        )


def test_type_hints_can_be_had_at_run_time() -> None:
    cache = typing.get_type_hints(cache_element_units_for_workflow)
    get = typing.get_type_hints(workflow_from_cached_element_unit)
    place = typing.Union[str, os.PathLike[str], Store]
    nothing, text = type(None), typing.Union[str, bytes]
    assert list(cache.values()) == [place, str, text, bool, nothing]
    assert list(get.values()) == [place, str, str, str, str]


def test_the_text_may_be_given_by_the_keyword_that_the_earlier_version_had(tmp_path: Path) -> None:
    cache_element_units_for_workflow(tmp_path, "key", workflow_specs_json=TEXT)
    assert ElementUnits.open(tmp_path, "key").root == "A"
    with pytest.raises(TypeError):
        cache_element_units_for_workflow(
            tmp_path, "key", workflow_specs_json=TEXT, workflow_spec_json=TEXT
        )
    with pytest.raises(TypeError):
        cache_element_units_for_workflow(tmp_path, "key", TEXT, workflow_specs_json=TEXT)


class OwnPath:
    def __init__(self, path: Any) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        return self.path


@pytest.mark.parametrize("directory", [str, Path, lambda path: OwnPath(str(path))])
@pytest.mark.parametrize("text", [TEXT, TEXT.encode()])
def test_directories_and_texts_come_in_any_form(
    directory: Any, text: str | bytes, tmp_path: Path
) -> None:
    cache_element_units_for_workflow(directory(tmp_path / "new" / "größe"), "key", text)
    unit = workflow_from_cached_element_unit(directory(tmp_path / "new" / "größe"), "key", "A", "A")
    assert unit == ElementUnits.from_json(TEXT).workflow("A")


def test_a_relative_directory_is_that_of_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache_element_units_for_workflow(".", "key", TEXT)
    cache_element_units_for_workflow("below/it", "key", TEXT)
    assert sorted(os.listdir(tmp_path)) == ["below", "v2"]


def test_another_workflow_replaces_what_was_cached(tmp_path: Path) -> None:
    cache_element_units_for_workflow(tmp_path, "key", TEXT)
    cache_element_units_for_workflow(tmp_path, "key", TEXT.replace('"A"', '"New"'))
    assert ElementUnits.open(tmp_path, "key").root == "New"
    with pytest.raises(UnitNotFound):
        workflow_from_cached_element_unit(tmp_path, "key", "A", "A")


def test_a_workflow_that_is_refused_leaves_what_was_cached(tmp_path: Path) -> None:
    cache_element_units_for_workflow(tmp_path, "key", TEXT)
    for bad in ("", TEXT[:-1], "{}", TEXT.replace('"typename"', '"typ"', 1)):
        with pytest.raises(InvalidWorkflowSpec):
            cache_element_units_for_workflow(tmp_path, "key", bad)
    assert ElementUnits.open(tmp_path, "key").root == "A"


def test_a_workflow_that_is_refused_makes_no_directory(tmp_path: Path) -> None:
    with pytest.raises(InvalidWorkflowSpec):
        cache_element_units_for_workflow(tmp_path / "new", "key", "{}")
    assert not (tmp_path / "new").exists()


# Failures


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (UnitNotFound, (".", "other", "A", "A")),
        (UnitNotFound, ("none", "key", "A", "A")),
        (UnitNotFound, (".", "key", "none", "A")),
        (UnitNotFound, (".", "key", "A", "none")),
        (UnitNotFound, (".", "key", "B", "A")),
        (UnitNotFound, (".", "key", "", "")),
        (CacheError, ("file", "key", "A", "A")),
        (CacheError, ("", "key", "A", "A")),
        (CacheError, ("nul\0", "key", "A", "A")),
        (CacheError, ("\ud800", "key", "A", "A")),
        (CacheError, ("d" * 5000, "key", "A", "A")),
        (TypeError, (None, "key", "A", "A")),
        (TypeError, (7, "key", "A", "A")),
        (TypeError, (b".", "key", "A", "A")),
        (TypeError, (OwnPath(b"."), "key", "A", "A")),
        (TypeError, (OwnPath(None), "key", "A", "A")),
        (TypeError, (".", None, "A", "A")),
        (TypeError, (".", b"key", "A", "A")),
        (TypeError, (".", "key", None, "A")),
        (TypeError, (".", "key", "A", None)),
        (TypeError, (".", "key", b"A", "A")),
        (TypeError, (".", "key", "A", 7)),
    ],
)
def test_every_failure_of_a_get_is_of_its_kind(
    error: type, arguments: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("not a directory")
    cache_element_units_for_workflow(".", "key", TEXT)
    with pytest.raises(error) as raised:
        workflow_from_cached_element_unit(*arguments)
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (TypeError, (None, "key", TEXT)),
        (TypeError, (7, "key", TEXT)),
        (TypeError, (b"bytes", "key", TEXT)),
        (TypeError, (OwnPath(b"bytes"), "key", TEXT)),
        (TypeError, ("dir", None, TEXT)),
        (TypeError, ("dir", b"key", TEXT)),
        (TypeError, ("dir", "key", None)),
        (TypeError, ("dir", "key", {"spec": {}})),
        (CacheError, ("", "key", TEXT)),
        (CacheError, ("nul\0", "key", TEXT)),
        (CacheError, ("\ud800", "key", TEXT)),
        (CacheError, ("file", "key", TEXT)),
        (CacheError, ("file/below", "key", TEXT)),
        (CacheError, ("d" * 5000, "key", TEXT)),
        (InvalidWorkflowSpec, ("dir", "key", "[]")),
        (InvalidWorkflowSpec, ("dir", "key", b"\xff")),
        (InvalidWorkflowSpec, ("dir", "key", "\ud800")),
    ],
)
def test_every_failure_to_cache_is_of_its_kind_and_makes_nothing(
    error: type, arguments: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("not a directory")
    with pytest.raises(error) as raised:
        cache_element_units_for_workflow(*arguments)
    assert type(raised.value) is error
    assert os.listdir(tmp_path) == ["file"]


def test_the_cause_of_a_failure_is_chained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(CacheError, match="cannot write") as raised:
        cache_element_units_for_workflow(tmp_path / "file", "key", TEXT)
    assert isinstance(raised.value.__cause__, OSError)
    with pytest.raises(CacheError, match="cannot read") as raised:
        workflow_from_cached_element_unit(tmp_path / "file", "key", "A", "A")
    assert isinstance(raised.value.__cause__, OSError)
    with pytest.raises(UnitNotFound) as not_found:
        workflow_from_cached_element_unit(tmp_path, "key", "A", "A")
    assert isinstance(not_found.value.__cause__, FileNotFoundError)
