"""The text of a saved state, and which specs it needs.

A state is what SpiffWorkflow's serializer writes, without `spec` and `subprocess_specs`. It has one
more top-level key, `spiff_element_units`:

    state_format    1
    process_id      the process that was started
    cache_key       the key of its workflow in the cache, or null
    digest          SHA-256 of the workflow's JSON
    externals       of each other workflow that processes came from: its cache_key and digest, by
                    the id of a process; only if there is one
    externals_unknown  true where processes may have come from other workflows and the workflow
                    that was saved did not know from which; else absent
    spec_changes    what the run added to specs (see `changes`): `spec` for that of the
                    process started, `subprocess_specs` for others; only if there is something
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any, Callable, Optional, Union

import orjson
from SpiffWorkflow.bpmn.specs.mixins.subworkflow_task import SubWorkflowTask

from ..core.cut import has_long_numbers
from ..errors import ElementUnitsError

HEADER = "spiff_element_units"
FORMAT = 1
_DECODER = json.JSONDecoder()


class StateError(ElementUnitsError):
    """The text is not a saved state, or the state is damaged."""


class ChangedWorkflow(StateError):
    """The state was saved with another version of the workflow."""


def parse(state: Union[str, bytes], decoder: Any) -> Any:
    """The saved run, with its header if it has one."""
    try:
        return decoded(unzipped(state), decoder)
    except (ValueError, RecursionError) as error:
        raise _not_json(error) from error


def decoded(text: Union[str, bytes], decoder: Any) -> Any:
    """What a decoder class reads in a text, `json.JSONDecoder` if None; errors are the decoder's.

    It is read by orjson, which is faster, where that gives the same.
    """
    if decoder in (None, json.JSONDecoder):
        try:
            if not has_long_numbers(text):
                return orjson.loads(text)
        except ValueError:  # NaN, for one, or a half of a surrogate pair
            pass
    return json.loads(text, cls=decoder)


def unzipped(state: Union[str, bytes]) -> Union[str, bytes]:
    """The text of a state, which may be compressed."""
    try:
        return gzip.decompress(state) if isinstance(state, bytes) and is_zipped(state) else state
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise _not_json(error) from error


def _not_json(error: Exception) -> StateError:
    return StateError(f"the state is not JSON: {error}; check that it was not cut off or changed")


def is_zipped(state: Union[str, bytes]) -> bool:
    """Whether a state is compressed, as by `serialize_json(workflow, use_gzip=True)`."""
    return isinstance(state, bytes) and state[:2] == b"\x1f\x8b"


def require_run(run: Any) -> None:
    """Raise StateError if this is not a saved run."""
    if not isinstance(run, dict):
        raise StateError(f"the state is a JSON {type(run).__name__}, not an object")
    for key, kind in (("tasks", dict), ("subprocesses", dict), ("root", str)):
        if not isinstance(run.get(key), kind):
            raise StateError(
                f'the state has no "{key}", which is in every state of SpecLoader.save and '
                "serialize_json; pass the text that one of them returned"
            )


def take_header(run: dict[str, Any]) -> Optional[dict[str, Any]]:
    """Remove the header from a run and return it; None if SpiffWorkflow wrote the state."""
    header = run.pop(HEADER, None)
    if header is None:
        spec = run.get("spec")
        if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
            raise StateError(
                f'the state has neither "{HEADER}" nor a "spec" with a name; pass the text that '
                "SpecLoader.save or serialize_json returned"
            )
        return None
    if not isinstance(header, dict) or header.get("state_format") != FORMAT:
        written = header.get("state_format") if isinstance(header, dict) else header
        raise StateError(
            f"the state's {HEADER}.state_format is {written!r}, but this version of "
            f"spiff-element-units reads {FORMAT}; resume it with the version that saved it"
        )
    for key in ("process_id", "digest"):
        if not isinstance(header.get(key), str):
            raise StateError(f"the state has no {HEADER}.{key}; check that it was not changed")
    return header


def named_workflow(state: Union[str, bytes, Mapping[str, Any]]) -> tuple[str, str]:
    """The cache key and the digest that a state tells, or the live piece of one.

    This reads the header alone where it comes first, as `save` writes it.

    Raises StateError if the state tells none.
    """
    header = state.get(HEADER) if isinstance(state, Mapping) else _header_in(state)
    if not isinstance(header, dict) or not isinstance(header.get("digest"), str):
        raise StateError(
            f'the state has no "{HEADER}" at its top level, so it does not say which workflow it '
            "is of; use loaders[cache_key], with the key that you store beside the state"
        )
    if not isinstance(header.get("cache_key"), str):
        raise StateError(
            "the state was saved with a workflow that was not opened from a cache; resume it with "
            "a SpecLoader of that workflow"
        )
    return header["cache_key"], header["digest"]


_BEFORE_HEADER = re.compile(rf'\s*{{\s*"{HEADER}"\s*:\s*')
_LIVE_PIECE = '{"checksum":"'


def _header_in(state: Union[str, bytes]) -> Any:
    if not isinstance(state, (str, bytes)):
        raise TypeError(f"state must be a str, bytes or a mapping, not {type(state).__name__}")
    text = unzipped(state)
    try:
        text = text if isinstance(text, str) else text.decode()
        found = _BEFORE_HEADER.match(text)
        if found is not None:
            return _DECODER.raw_decode(text, found.end())[0]
        run = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_json(error) from error
    if isinstance(run, dict) and text.startswith(_LIVE_PIECE):
        run = run.get("state")
    return run.get(HEADER) if isinstance(run, dict) else None


def needed_specs(
    run: dict[str, Any], spec: Any, process_id: str, spec_of: Callable[[str], Any]
) -> dict[str, Any]:
    """The specs of the subprocesses in a saved run, by process id.

    This visits the run in the order in which SpiffWorkflow restores it, and calls `spec_of` for
    each process that an element refers to.
    """
    needed: dict[str, Any] = {}
    subprocesses = dict(run["subprocesses"])
    waiting = [(process_id, spec, run)]
    while waiting:
        name, spec, process = waiting.pop()
        for task_id, task in process["tasks"].items():
            task_spec = _task_spec(spec, task["task_spec"], name)
            subprocess = subprocesses.pop(task_id, None)
            if subprocess is None:
                continue
            if not isinstance(task_spec, SubWorkflowTask):
                raise StateError(
                    f"the state has a subprocess at element {task_spec.name!r} of process "
                    f"{name!r}, but that element refers to no process; {_EARLIER}"
                )
            called = task_spec.spec
            if called not in needed:
                needed[called] = spec_of(called)
            waiting.append((called, needed[called], subprocess))
    return needed


def _task_spec(spec: Any, element_id: str, process_id: str) -> Any:
    task_spec = spec.task_specs.get(element_id)
    if task_spec is None:
        raise StateError(
            f"the state has a task of element {element_id!r} of process {process_id!r}, but the "
            f"process has no such element; {_EARLIER}"
        )
    return task_spec


_EARLIER = "resume it with the version of the workflow that it was saved with"
