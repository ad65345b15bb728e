"""What a state says about itself, without restoring it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .piece_texts import is_piece
from .serializing import Serializing
from .state import HEADER, State, has_spec, take_header, unzipped
from .versions import WorkflowVersion


@dataclass(frozen=True)
class StateInfo:
    """What a state says about itself.

    `process_id` is the process that was started; None if the state does not say it. `version` is
    the version of the workflow that the state was saved with; None if the state does not say it.

    `processes` contains the digest of each process that the instance is or was in, as
    `ElementUnits.process_digest` gives it, by process id. `externals` contains the versions of the
    workflows that processes came from, if they came from others than the workflow of `version`.
    `earlier` are the versions that settled subprocesses ran on, oldest first, if their processes
    have changed since. These three are empty if the state does not say it.

    `serializer_version` is the version of SpiffWorkflow's serializer that wrote the state; None if
    a mapping does not have it. `has_specs` is True for a state of `serialize_json`, which contains
    its specs. `is_live_piece` is True for the live piece of an instance in pieces.
    """

    process_id: Optional[str]
    version: Optional[WorkflowVersion]
    processes: Mapping[str, str] = field(default_factory=dict)
    externals: Mapping[str, WorkflowVersion] = field(default_factory=dict)
    earlier: tuple[WorkflowVersion, ...] = ()
    serializer_version: Optional[str] = None
    has_specs: bool = False
    is_live_piece: bool = False


def info_of(serializing: Serializing, serializer: Any, state: State) -> StateInfo:
    """What a state says. Raises StateError."""
    run = serializing.run_of(state)
    told: dict[str, Any] = {
        "serializer_version": run.get(serializer.VERSION_KEY),
        "has_specs": has_spec(run),
        "is_live_piece": isinstance(state, (str, bytes)) and is_piece(unzipped(state)),
    }
    header = take_header(run) if HEADER in run else None
    if header is None:
        return StateInfo(run["spec"]["name"] if told["has_specs"] else None, None, **told)
    return StateInfo(
        header["process_id"],
        WorkflowVersion.told(header),
        dict(header.get("processes", {})),
        {name: WorkflowVersion.told(one) for name, one in header.get("externals", {}).items()},
        tuple(map(WorkflowVersion.told, header.get("earlier", []))),
        **told,
    )
