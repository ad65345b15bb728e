"""Makes small BPMN models from Python values, for tests with models of their own.

A process is a list of nodes that follow one another. A node is a tuple of its kind and its
arguments. The id of a node depends on its place, so it is the same in every run.

    ("human",)                      a manual task
    ("script", code)                a script task
    ("call", process_id)            a call activity
    ("calls", process_id, n)        a parallel multi-instance call activity, n times
    ("embed", [nodes])              an embedded subprocess
    ("parallel", [nodes], [nodes])  branches between two parallel gateways
    ("throw", signal)               a signal thrown
"""

from __future__ import annotations

import json
from itertools import count

import models

BPMN = "http://www.omg.org/spec/BPMN/20100524/MODEL"
LOOP = "multiInstanceLoopCharacteristics"


def bpmn(processes: dict, starts=None) -> str:
    """The BPMN text of processes; `starts` says which of them a signal starts."""
    starts = starts or {}
    written = [f'<signal id="{name}" name="{name}"/>' for name in sorted(set(starts.values()))]
    for process_id, nodes in processes.items():
        inner = _Flow(process_id).written(nodes, starts.get(process_id))
        written.append(f'<process id="{process_id}" isExecutable="true">{inner}</process>')
    return f'<definitions xmlns="{BPMN}" targetNamespace="tests">{"".join(written)}</definitions>'


def spec_json(processes: dict, root: str, null=(), absent=(), **options) -> str:
    """The spec JSON of processes: all but those `absent`, and null for those in `null`."""
    parser = models.SpiffBpmnParser()
    present = {name: nodes for name, nodes in processes.items() if name not in absent}
    parser.add_bpmn_str(bpmn(present, **options).encode())
    serializer = models.serializer()
    specs = {name: serializer.to_dict(one) for name, one in parser.find_all_specs().items()}
    specs.update(dict.fromkeys(null))
    return json.dumps(
        {
            "spec": specs.pop(root),
            "subprocess_specs": specs,
            serializer.VERSION_KEY: serializer.VERSION,
        }
    )


class _Flow:
    """Writes the elements of one process."""

    def __init__(self, process_id):
        self._process_id = process_id
        self._number = count(1)
        self._xml = []

    def written(self, nodes, signal=None) -> str:
        return self._scope(nodes, _signal(signal) if signal else "")

    def _id(self, kind) -> str:
        return f"{self._process_id}_{kind}_{next(self._number)}"

    def _scope(self, nodes, event="") -> str:
        outer, self._xml = self._xml, []
        start = self._element("startEvent", "start", event)
        last = self._chain(start, nodes)
        self._flow(last, self._element("endEvent", "end"))
        inner, self._xml = "".join(self._xml), outer
        return inner

    def _chain(self, last, nodes) -> str:
        for kind, *rest in nodes:
            last = getattr(self, f"_{kind}")(last, *rest)
        return last

    def _element(self, tag, kind, inner="", **attributes) -> str:
        name = self._id(kind)
        written = "".join(f' {key}="{value}"' for key, value in attributes.items())
        self._xml.append(f'<{tag} id="{name}" name="{name}"{written}>{inner}</{tag}>')
        return name

    def _flow(self, source, target) -> str:
        name = self._id("flow")
        self._xml.append(f'<sequenceFlow id="{name}" sourceRef="{source}" targetRef="{target}"/>')
        return target

    def _human(self, last):
        return self._flow(last, self._element("manualTask", "human"))

    def _script(self, last, code):
        return self._flow(last, self._element("scriptTask", "script", f"<script>{code}</script>"))

    def _call(self, last, process_id):
        return self._flow(last, self._element("callActivity", "call", calledElement=process_id))

    def _calls(self, last, process_id, n):
        inner = f"<{LOOP}><loopCardinality>{n}</loopCardinality></{LOOP}>"
        name = self._element("callActivity", "calls", inner, calledElement=process_id)
        return self._flow(last, name)

    def _embed(self, last, nodes):
        return self._flow(last, self._element("subProcess", "embed", self._scope(nodes)))

    def _parallel(self, last, *branches):
        split = self._flow(last, self._element("parallelGateway", "split"))
        join = self._element("parallelGateway", "join")
        for nodes in branches:
            self._flow(self._chain(split, nodes), join)
        return join

    def _throw(self, last, signal):
        return self._flow(last, self._element("intermediateThrowEvent", "throw", _signal(signal)))


def _signal(name) -> str:
    return f'<signalEventDefinition signalRef="{name}"/>'
