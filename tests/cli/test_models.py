"""Bad models: the command says what cannot be read or written, and in which process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import models
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")
pytest.importorskip("lxml")

from spiff_element_units import ElementUnits
from spiff_element_units.cli._app import Failure
from spiff_element_units.cli._documents import Document
from spiff_element_units.cli._models import Broken, Model

BPMN = Path(__file__).parents[1] / "bpmn"


def model_of(name: str) -> Model:
    model = Model("spiff")
    model.add(Document(str(BPMN / name), name))
    return model


def test_a_file_that_is_gone_is_remembered_with_the_reason(tmp_path: Path) -> None:
    model = Model("spiff")
    gone = str(tmp_path / "gone.bpmn")
    with pytest.raises(Broken) as broken:
        model.add(Document(gone, "gone.bpmn"))
    assert (broken.value.path, broken.value.reason) == (gone, "No such file or directory")
    assert model.bad == (gone,)


def test_a_collaboration_is_a_root() -> None:
    model = model_of("collaboration.bpmn")
    (collaboration,) = model._parser.collaborations
    parsed = model.spec_json(model.require_root(collaboration))
    units = ElementUnits.from_json(parsed.text)
    assert units.root == parsed.root == collaboration
    # Before SpiffWorkflow 3.2, no spec contains the processes that events start.
    named = set(model.roots()) if models.SPIFF_VERSION >= (3, 2) else {"customer"}
    assert named < set(units.process_ids)


def test_a_process_that_cannot_be_converted_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(spec: Any) -> Any:
        raise KeyError("no converter")

    model = model_of("two_calls.bpmn")
    monkeypatch.setattr(model._serializer.registry, "convert", failing)
    (root, *_) = model.roots()
    with pytest.raises(Failure, match=f"process '{root}': it cannot be serialized"):
        model.spec_json(root)


def test_a_process_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("two_calls.bpmn")
    monkeypatch.setattr(model._serializer.registry, "convert", lambda spec: {"data": {1, 2}})
    (root, *_) = model.roots()
    with pytest.raises(Failure, match=f"process '{root}': it cannot be serialized .* set"):
        model.spec_json(root)


def test_a_failure_to_convert_that_is_told_already_is_told_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = model_of("two_calls.bpmn")
    (root, *_) = model.roots()
    assert json.loads(model.spec_json(root).text)["spec"]["name"] == root

    def failing(process_id: str) -> Any:
        raise Failure("told")

    monkeypatch.setattr(model, "_spec", failing)
    with pytest.raises(Failure, match=r"^told$"):
        model._converted(root)
