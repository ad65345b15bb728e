"""What the cases and probes work on: a workflow, its instances, and what is made of them.

Imports are in the functions, because a process loads only what it measures. The process of version
0.3.1 has no SpiffWorkflow.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

KEY = "workflow"


class Given(NamedTuple):
    """What a case works on: the folder of the workflow, and an empty one to write to."""

    folder: Path
    scratch: Path

    @property
    def about(self) -> Any:
        """The ids to ask for."""
        return json.loads((self.folder / "about.json").read_text(encoding="utf-8"))

    def text(self, name: str = "spec") -> str:
        """The text of one JSON file of the folder."""
        return (self.folder / f"{name}.json").read_text(encoding="utf-8")


def remove_files(folder: Path) -> None:
    """Remove the files under a folder; the folders stay."""
    for parent, _, names in os.walk(folder):
        for name in names:
            os.unlink(os.path.join(parent, name))


def cache_workflow(given: Given) -> None:
    from spiff_element_units import cache_element_units_for_workflow

    cache_element_units_for_workflow(str(given.scratch), KEY, given.text())


def cached_file(given: Given) -> Path:
    cache_workflow(given)
    return next(given.scratch.glob("v2/*/*.pack"))


def asked_for(given: Given, name: str) -> tuple[str, str]:
    """The process and the element that a case asks for."""
    about = given.about
    if name.endswith("leaf"):
        return about["leaf"], about["leaf"]
    return about["root"], about["deep" if name.endswith("deep") else "root"]


def unit_text(given: Given, name: str) -> str:
    """The unit that a case asks for."""
    from spiff_element_units import ElementUnits

    return ElementUnits.from_json(given.text()).workflow(*asked_for(given, name))


def new_serializer() -> Any:
    from workflows import serializer

    return serializer()


def new_engine() -> Any:
    from SpiffWorkflow.bpmn.script_engine import PythonScriptEngine

    return PythonScriptEngine()


def state_name(name: str) -> str:
    return "deep" if name.endswith("deep") else "state"


def specs_of(given: Given, subject: str) -> Callable[[], tuple[Any, dict[str, Any]]]:
    """A function that gives the specs of the full workflow, `(root, others)`."""
    import orjson

    if subject in ("engine", "pickle"):
        data = (given.folder / "specs.pickle").read_bytes()
        if subject == "pickle":
            return lambda: pickle.loads(data)
        kept = pickle.loads(data)
        return lambda: (kept[0], dict(kept[1]))
    text, serializer = given.text(), new_serializer()
    loads = json.loads if subject == "json" else orjson.loads

    def restored() -> tuple[Any, dict[str, Any]]:
        workflow = loads(text)
        others = workflow["subprocess_specs"]
        return serializer.from_dict(workflow["spec"]), {
            name: serializer.from_dict(spec) for name, spec in others.items()
        }

    return restored


def saved_instance(given: Given, name: str) -> Any:
    """The instance that a case resumes or saves, on the full workflow in memory."""
    serializer = new_serializer()
    run = json.loads(without_specs(given.text(state_name(name))))
    serializer.migrate(run)
    run["spec"], run["subprocess_specs"] = specs_of(given, "engine")()
    return serializer.from_dict(run)


def resumed_instance(given: Given, name: str) -> tuple[Any, Any]:
    """A loader, and the instance that a case saves, resumed by it."""
    from spiff_element_units import ElementUnits
    from spiff_element_units.spiff import SpecLoader

    cache_workflow(given)
    loader = SpecLoader(ElementUnits.open(str(given.scratch), KEY), new_serializer())
    return loader, loader.resume(loader.save(saved_instance(given, name)))


def without_specs(state: str) -> str:
    run = json.loads(state)
    del run["spec"], run["subprocess_specs"]
    return json.dumps(run)
