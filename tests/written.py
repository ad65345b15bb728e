"""Writes small BPMN files: processes whose elements follow one another."""

from __future__ import annotations

from pathlib import Path

MODEL = "http://www.omg.org/spec/BPMN/20100524/MODEL"


def process(id: str, *elements: str, executable: bool = True) -> str:
    """A process with elements one after the other; the n-th gets the id `<id>_<n>`."""
    inner = [f'<startEvent id="{id}_start"/>']
    for number, element in enumerate(elements):
        inner.append(element.replace(" ", f' id="{id}_{number}" ', 1))
    inner.append(f'<endEvent id="{id}_end"/>')
    ids = [f"{id}_start", *(f"{id}_{number}" for number in range(len(elements))), f"{id}_end"]
    flows = (
        f'<sequenceFlow id="{one}_flow" sourceRef="{one}" targetRef="{to}"/>'
        for one, to in zip(ids, ids[1:])
    )
    return (
        f'<process id="{id}" isExecutable="{str(executable).lower()}">'
        f"{''.join(inner)}{''.join(flows)}</process>"
    )


def call(to: str) -> str:
    return f'<callActivity calledElement="{to}"/>'


def decide(decision: str) -> str:
    return (
        "<businessRuleTask ><extensionElements><s:calledDecisionId>"
        f"{decision}</s:calledDecisionId></extensionElements></businessRuleTask>"
    )


def write(path: Path, *parts: str) -> Path:
    """A BPMN file with these processes and other parts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<definitions xmlns="{MODEL}" xmlns:s="http://spiffworkflow.org/bpmn/schema/1.0/core"'
        f' targetNamespace="tests">{"".join(parts)}</definitions>',
        encoding="utf-8",
    )
    return path


def script(text: str) -> str:
    return f"<scriptTask ><script>{text}</script></scriptTask>"


def catch(definition: str) -> str:
    return f"<intermediateCatchEvent >{definition}</intermediateCatchEvent>"


def timer(kind: str, expression: str) -> str:
    """An event of a `kind`: timeDuration, timeDate or timeCycle."""
    return catch(f"<timerEventDefinition><{kind}>{expression}</{kind}></timerEventDefinition>")
