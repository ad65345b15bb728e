"""Makes pairs of versions of a workflow from Python values, and instances of the first version.

A process is a list of elements that follow one another, each a tuple of its kind, its id, and what
the kind takes:

    ("human", id)                       a manual task
    ("script", id, code)                a script task
    ("call", id, process_id)            a call activity
    ("calls", id, process_id, n)        a parallel multi-instance call activity, n times
    ("humans", id, n)                   a sequential multi-instance manual task, n times
    ("embed", id, [elements])           an embedded subprocess
    ("parallel", id, [elements], ..)    branches between two parallel gateways

An element has the same id wherever it stands, so that a version can add, remove or move elements.
"""

from __future__ import annotations

import json

import driving
import models
import spiff_bpmn

from spiff_element_units import ElementUnits
from spiff_element_units.spiff import SpecLoader

LOOP = "multiInstanceLoopCharacteristics"


def spec_json(processes: dict, root: str = "root") -> str:
    """The JSON text of a workflow."""
    parser = models.SpiffBpmnParser()
    written = "".join(
        f'<process id="{name}" isExecutable="true">{_Flow(name).written(elements)}</process>'
        for name, elements in processes.items()
    )
    parser.add_bpmn_str(
        f'<definitions xmlns="{spiff_bpmn.BPMN}" targetNamespace="tests">{written}'
        "</definitions>".encode()
    )
    serializer = models.serializer()
    specs = {name: serializer.to_dict(one) for name, one in parser.find_all_specs().items()}
    return json.dumps(
        {
            "spec": specs.pop(root),
            "subprocess_specs": specs,
            serializer.VERSION_KEY: serializer.VERSION,
        }
    )


def units(processes: dict, cache_dir=None, key: str = "", root: str = "root") -> ElementUnits:
    """The workflow, cached if there is a cache."""
    text = spec_json(processes, root)
    if cache_dir is None:
        return ElementUnits.from_json(text)
    ElementUnits.from_json(text).save(cache_dir, key)
    return ElementUnits.open(cache_dir, key)


def loader_of(processes, cache_dir=None, key="", **options) -> SpecLoader:
    found = units(processes, cache_dir, key)
    return SpecLoader(found, models.serializer(), **options)


def started(loader, *done):
    """An instance that has done some human tasks."""
    workflow = loader.start(script_engine=models.script_engine())
    workflow.do_engine_steps()
    for name in done:
        do(workflow, name)
    return workflow


def do(workflow, name) -> None:
    next(task for task in waiting(workflow) if task.task_spec.name == name).run()
    workflow.do_engine_steps()


def waiting(workflow) -> list:
    return [task for task in driving.ready_tasks(workflow) if task.task_spec.manual]


def at(workflow) -> list:
    return [task.task_spec.name for task in waiting(workflow)]


class Kept:
    """An instance that one version after another saves and resumes, in one of several ways."""

    def __init__(self, way):
        self._way = way
        self._store = {}

    def to(self, loader, workflow, other=None):
        """The workflow, saved by a loader and resumed by it or another one."""
        return self._way(self, loader, workflow, other or loader)

    def as_text(self, loader, workflow, to):
        return to.resume(loader.save(workflow), models.script_engine())

    def as_dict(self, loader, workflow, to):
        return to.resume(loader.to_dict(workflow), models.script_engine())

    def as_pieces(self, loader, workflow, to):
        pieces = loader.save_pieces(workflow)
        for one in pieces.removed:
            del self._store[one]
        self._store.update(pieces.changed)
        return to.resume_pieces(self._store.__getitem__, models.script_engine())

    def dict_split_and_joined(self, loader, workflow, to):
        split = to.split(loader.to_dict(workflow))
        return to.resume(to.join(split.changed.__getitem__), models.script_engine())

    def split_and_joined(self, loader, workflow, to):
        split = to.split(loader.save(workflow))
        return to.resume(to.join(split.changed.__getitem__), models.script_engine())

    def pieces_and_text(self, loader, workflow, to):
        workflow = self.as_pieces(loader, workflow, loader)
        return self.as_text(loader, workflow, to)

    def joined_pieces(self, loader, workflow, to):
        self.as_pieces(loader, workflow, loader)
        return to.resume(to.join(self._store.__getitem__), models.script_engine())

    def text_of_the_other(self, loader, workflow, to):
        workflow = self.as_pieces(loader, workflow, to)
        return self.as_text(to, workflow, to)


WAYS = [
    *(Kept.as_text, Kept.as_dict, Kept.as_pieces),
    *(Kept.split_and_joined, Kept.dict_split_and_joined),
    *(Kept.pieces_and_text, Kept.joined_pieces, Kept.text_of_the_other),
]


class _Flow(spiff_bpmn._Flow):
    """Writes the elements of one process, by the ids that they are given."""

    def __init__(self, process_id):
        super().__init__(process_id)
        self._scopes = [process_id]
        self._ids = []

    def _id(self, kind) -> str:
        if kind in ("start", "end"):
            return f"{self._scopes[-1]}_{kind}"
        return super()._id(kind) if kind == "flow" else self._ids.pop()

    def _chain(self, last, nodes) -> str:
        for kind, name, *rest in nodes:
            self._ids.append(name)
            last = getattr(self, f"_{kind}")(last, *rest)
        return last

    def _embed(self, last, nodes):
        name = self._ids.pop()
        self._scopes.append(name)
        inner = self._scope(nodes)
        self._scopes.pop()
        self._ids.append(name)
        return self._flow(last, self._element("subProcess", "embed", inner))

    def _humans(self, last, n):
        inner = f'<{LOOP} isSequential="true"><loopCardinality>{n}</loopCardinality></{LOOP}>'
        return self._flow(last, self._element("manualTask", "humans", inner))

    def _parallel(self, last, *branches):
        self._ids.insert(len(self._ids) - 1, f"{self._ids[-1]}_join")
        return super()._parallel(last, *branches)


def finish(workflow) -> list:
    """Does all that is left; the names of the human tasks."""
    workflow.do_engine_steps()
    done = []
    while waiting(workflow):
        done.append(at(workflow)[0])
        do(workflow, done[-1])
    assert driving.is_completed(workflow)
    return done
