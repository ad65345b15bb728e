"""Run SpiffWorkflow on element units: start, save and resume without the whole workflow.

    loader = SpecLoader(ElementUnits.open(cache_dir, cache_key), serializer)
    workflow = loader.start("Process_id", script_engine=engine)
    workflow.do_engine_steps()
    state = loader.save(workflow)
    workflow = loader.resume(state, script_engine=engine)

The workflow executes exactly like one that is made from the full JSON. But a process spec is
restored only when the engine needs it, and a saved state contains no specs. This needs
SpiffWorkflow 3.0 or later, which the extra `[spiff]` installs.

Create one `SpecLoader` per cache key and keep it for the life of the worker. It keeps the specs
that it has restored, which makes the next start and resume fast.
"""

try:
    from SpiffWorkflow.bpmn.util.subworkflow import BpmnSubWorkflow as _  # noqa: F401 - since 3.0
except ImportError as error:
    raise ImportError(
        "spiff_element_units.spiff needs SpiffWorkflow 3.0 or later: "
        "pip install 'SpiffWorkflow>=3.0,<4'"
    ) from error

from .comparison import ElementComparison, ProcessComparison, StateComparison
from .deployments import Deployments
from .events import Event
from .external import MissingProcess
from .loader import SpecLoader
from .loaders import SpecLoaders
from .mapping import SpecMapping
from .model_files import ModelFiles
from .pieces import StatePieces
from .round_trip import RoundTripError, check_round_trip
from .splitting import DamagedPiece
from .state import ChangedWorkflow, StateError
from .state_info import StateInfo
from .summary import StateSummary, compare_all
from .versions import WorkflowVersion
from .waiting import (
    CorrelationProperty,
    HumanTask,
    Waiting,
    WaitingMessage,
    WaitingSignal,
    WaitingTask,
    WaitingTimer,
)

__all__ = [
    "ChangedWorkflow",
    "CorrelationProperty",
    "DamagedPiece",
    "Deployments",
    "ElementComparison",
    "Event",
    "HumanTask",
    "MissingProcess",
    "ModelFiles",
    "ProcessComparison",
    "RoundTripError",
    "SpecLoader",
    "SpecLoaders",
    "SpecMapping",
    "StateComparison",
    "StateError",
    "StateInfo",
    "StatePieces",
    "StateSummary",
    "Waiting",
    "WaitingMessage",
    "WaitingSignal",
    "WaitingTask",
    "WaitingTimer",
    "WorkflowVersion",
    "check_round_trip",
    "compare_all",
]
