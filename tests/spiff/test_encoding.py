"""What the compiled encoder writes is what the application's own encoder would write."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import driving
import lockstep
import models
import pytest
from serializers import loader_with, registry
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer

from spiff_element_units.spiff.encoding import dumps, faster


class DecimalEncoder(json.JSONEncoder):
    def default(self, o: Any) -> Any:
        return {"decimal": str(o)} if isinstance(o, Decimal) else super().default(o)


class Compact(DecimalEncoder):
    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "separators": (",", ":"), "sort_keys": True})


class Dense(DecimalEncoder):
    item_separator = ","
    key_separator = ":"


class Shouting(DecimalEncoder):
    def encode(self, o: Any) -> str:
        return super().encode(o).upper()


class Counting(DecimalEncoder):
    def iterencode(self, o: Any, _one_shot: bool = False) -> Any:
        return iter(["1", *super().iterencode(o, _one_shot)])


VALUE = {"b": [Decimal("1.50"), {"a": (1, 2.5, None)}], "a": "größe 🦊", "3": float("nan")}


@pytest.mark.parametrize("encoder", [DecimalEncoder, Compact, Dense, Shouting, Counting])
def test_an_encoder_writes_what_it_always_writes(encoder: Any) -> None:
    wanted = json.dumps(VALUE, cls=encoder)
    assert dumps(VALUE, encoder) == wanted
    assert json.dumps(VALUE, cls=faster(encoder)) == wanted


def test_errors_are_those_of_json() -> None:
    circle: dict[str, Any] = {}
    circle["a"] = [circle]
    for value, error in ((circle, "Circular reference"), ([object()], "not JSON serializable")):
        for write in (dumps, lambda one, encoder: json.dumps(one, cls=faster(encoder))):
            with pytest.raises((TypeError, ValueError), match=error):
                write(value, None)


@pytest.mark.parametrize("name", models.MODELS)
def test_the_text_of_a_state_is_as_json_would_write_it(name: str) -> None:
    model = models.MODELS[name]
    loader = lockstep.loader_of(model)
    workflow = loader.start(script_engine=models.script_engine())

    def saved(workflow: Any) -> Any:
        text = loader.save(workflow)
        assert json.dumps(json.loads(text)) == text
        return workflow

    driving.run(model, workflow, saved, engine_steps=True)


def waiting(loader: Any, data: dict[str, Any]) -> Any:
    workflow = loader.start()
    workflow.do_engine_steps()
    (task,) = driving.ready_tasks(workflow)
    task.data.update(data)
    return workflow


def test_values_that_the_serializer_converts_are_saved_as_it_saves_them() -> None:
    serializer = BpmnWorkflowSerializer(registry(), json_encoder_cls=DecimalEncoder)
    loader = loader_with(serializer)
    data = {
        "when": datetime(2026, 1, 2, 3, 4, 5),
        "id": UUID(int=7),
        "price": Decimal("1.50"),
        "list": [1, {"id": UUID(int=8)}],
        "größe": "🦊",
    }
    workflow = waiting(loader, data)
    native = json.loads(serializer.serialize_json(workflow))
    own = json.loads(loader.save(workflow))
    assert own["tasks"] == native["tasks"]
    assert list(own["tasks"]) == list(native["tasks"])


class Indented(BpmnWorkflowSerializer):
    """Writes with an option that the serializer does not use."""

    def serialize_json(self, workflow: Any, use_gzip: bool = False) -> str:
        run = {**self.to_dict(workflow), self.VERSION_KEY: self.VERSION}
        return json.dumps(run, cls=self.json_encoder_cls, indent=1)


def test_a_serializer_that_writes_json_itself_gets_its_own_encoder() -> None:
    loader = loader_with(Indented(registry()))
    text = loader.save(loader.start())
    assert json.dumps(json.loads(text), indent=1) == text


def test_an_encoder_that_is_set_later_is_used() -> None:
    serializer = BpmnWorkflowSerializer(registry())
    loader = loader_with(serializer)
    loader.save(loader.start())
    name = "_encoder_cls" if hasattr(serializer, "_encoder_cls") else "json_encoder_cls"
    setattr(serializer, name, DecimalEncoder)
    workflow = waiting(loader, {"price": Decimal("1.50")})
    assert '{"decimal": "1.50"}' in loader.save(workflow)
    setattr(serializer, name, None)
    with pytest.raises(TypeError):
        loader.save(workflow)
