"""Cache a workflow, run one of its processes on element units, and show what was loaded.

    python examples/demo.py

The workflow is `claim.bpmn` in the same folder: an insurance claim that calls nine other processes.
A small claim reaches only a few of them, and only those are loaded.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.spiff.parser.process import SpiffBpmnParser
from SpiffWorkflow.spiff.serializer.config import SPIFF_CONFIG

import spiff_element_units

ROOT = "Claim"
registry = BpmnWorkflowSerializer.configure(SPIFF_CONFIG)


def workflow_spec_json() -> str:
    """The serialized workflow: the text that an application stores."""
    parser = SpiffBpmnParser()
    parser.add_bpmn_file(str(Path(__file__).with_name("claim.bpmn")))
    return json.dumps(
        {
            "spec": registry.convert(parser.get_spec(ROOT)),
            "subprocess_specs": {
                name: registry.convert(spec)
                for name, spec in parser.get_subprocess_specs(ROOT).items()
            },
        }
    )


class Specs(dict[str, Any]):
    """The subprocess specs of a running workflow. Each is loaded when the engine asks for it."""

    def __init__(self, cache_dir: str, cache_key: str) -> None:
        self.place = (cache_dir, cache_key)
        self.loaded: list[tuple[str, list[str], int]] = []

    def fetch(self, process_id: str) -> Any:
        """Load the spec of a process, and the specs of its embedded subprocesses."""
        text = spiff_element_units.workflow_from_cached_element_unit(
            *self.place, process_id, process_id
        )
        unit = json.loads(text)
        self.loaded.append((process_id, list(unit["subprocess_specs"]), len(text)))
        for name, spec in unit["subprocess_specs"].items():
            self[name] = registry.restore(spec)
        return registry.restore(unit["spec"])

    def __missing__(self, process_id: str) -> Any:
        self[process_id] = spec = self.fetch(process_id)
        return spec

    def __contains__(self, process_id: object) -> bool:
        return True  # SpiffWorkflow 3.2 asks before it looks


def run(specs: Specs, amount: int) -> BpmnWorkflow:
    """Run a claim to its end."""
    workflow = BpmnWorkflow(specs.fetch(ROOT))
    workflow.subprocess_specs = specs
    workflow.task_tree.data["amount"] = amount
    workflow.do_engine_steps()
    return workflow


def main() -> None:
    with tempfile.TemporaryDirectory() as cache_dir:
        text = workflow_spec_json()
        spiff_element_units.cache_element_units_for_workflow(cache_dir, "claim", text)
        whole = len(json.dumps(json.loads(text), separators=(",", ":")))
        specs = Specs(cache_dir, "claim")
        workflow = run(specs, amount=800)

    print(f"{'loaded':<12}{'with':<16}{'bytes':>8}")
    for process_id, embedded, size in specs.loaded:
        print(f"{process_id:<12}{', '.join(embedded) or '-':<16}{size:>8,}")
    total = sum(size for _, _, size in specs.loaded)
    print(f"{'together':<28}{total:>8,}")
    print(f"{'the whole would have been':<28}{whole:>8,}")
    print(f"\nThe claim is settled: {workflow.data['transfer']}")
    print(
        f"Started with {specs.loaded[0][2] / whole:.0%} of the workflow, used {total / whole:.0%}."
    )


if __name__ == "__main__":
    main()
