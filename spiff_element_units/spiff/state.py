"""The text of a saved state, and which specs it needs.

A state is what SpiffWorkflow's serializer writes, without `spec` and `subprocess_specs`. It has one
more top-level key, `spiff_element_units`:

    state_format    1
    process_id      the process that was started
    cache_key       the key of its workflow in the cache, or null
    digest          SHA-256 of the workflow's JSON
    externals       of each other workflow that processes came from: its cache_key and digest, by
                    the id of a process; only if there is one
    processes, earlier, moved  on which versions of the workflow the instance ran (see `versions`)
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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Callable, Optional, Union

import orjson
from SpiffWorkflow.bpmn.specs.mixins.subworkflow_task import SubWorkflowTask
from SpiffWorkflow.exceptions import SpiffWorkflowException
from SpiffWorkflow.util.task import TaskState

from ..core.cut import has_long_numbers
from ..core.run import with_subprocess
from ..errors import ElementUnitsError
from .encoding import dumps

HEADER = "spiff_element_units"
FORMAT = 1
State = Union[str, bytes, Mapping[str, Any]]
_DECODER = json.JSONDecoder()


class StateError(ElementUnitsError):
    """The text is not a saved state, or the state or one of its pieces is damaged or missing."""


class ChangedWorkflow(StateError):
    """The instance is in a process that is not the same in this version of the workflow.

    `comparison` is a StateComparison. It says what has changed, and whether the instance can be
    migrated.
    """

    comparison: Any = None


def parse(state: Union[str, bytes], decoder: Any) -> Any:
    """The saved run, with its header if it has one."""
    try:
        return decoded(unzipped(state), decoder)
    except (ValueError, RecursionError) as error:
        raise _not_json(error) from error


def decoded(text: Union[str, bytes], decoder: Any) -> Any:
    """The text decoded by a decoder class, `json.JSONDecoder` if None. Raises its errors.

    Where orjson gives the same result, it is used because it is faster.
    """
    if decoder in (None, json.JSONDecoder):
        try:
            if not has_long_numbers(text):
                return orjson.loads(text)
        except ValueError:  # for example NaN, or one half of a surrogate pair
            pass
    return json.loads(text, cls=decoder)


def text_of(state: State, serializer: Any) -> Union[str, bytes]:
    """The text of a state. Every function that takes a state gets its text from here.

    A mapping is written as JSON, so that the workflow shares nothing with it. Values that are not
    JSON are written as the serializer writes them.

    Raises StateError if a mapping cannot be written, and TypeError.
    """
    if isinstance(state, (str, bytes)):
        return state
    require_state(state)
    return _written(state, serializer)


def require_state(state: Any) -> None:
    """Raise TypeError if this has none of the types of a state."""
    if not isinstance(state, (str, bytes, Mapping)):
        raise TypeError(f"state must be str, bytes or a mapping, not {type(state).__name__}")


def _written(state: Mapping[str, Any], serializer: Any) -> str:
    run = dict(state)
    # The serializer's `to_dict` does not write the version, and rows need not keep it.
    run.setdefault(serializer.VERSION_KEY, serializer.VERSION)
    # Since 3.2, `_encoder_cls` is the encoder that the serializer uses.
    encoder = getattr(serializer, "_encoder_cls", serializer.json_encoder_cls)
    try:
        return dumps(run, encoder)
    except (TypeError, ValueError, RecursionError) as error:
        raise StateError(
            f"the state cannot be written as JSON: {error}; pass what SpecLoader.to_dict or the "
            "serializer's to_dict returned, or what JSON decodes to"
        ) from error


def unzipped(state: Union[str, bytes]) -> Union[str, bytes]:
    """The text of a state, which may be compressed."""
    try:
        return gzip.decompress(state) if isinstance(state, bytes) and is_zipped(state) else state
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise _not_json(error) from error


def _not_json(error: Exception) -> StateError:
    return StateError(f"the state is not JSON: {error}; check that it was not cut off or changed")


def not_restored(what: str, error: Exception) -> StateError:
    """The error for a part of a state, `what`, that the serializer failed to restore."""
    return StateError(
        f"{what} cannot be restored ({type(error).__name__}: {error}); check that it was not "
        "changed, and that the serializer is the one that saved it"
    )


# What a serializer raises for a state that was changed, or that another one wrote.
NOT_RESTORED = (LookupError, TypeError, ValueError, AttributeError)


@contextmanager
def damage_told(what: str) -> Iterator[None]:
    """Raise StateError, "the state cannot be `what`", for what a damaged state makes code raise."""
    try:
        yield
    except (ElementUnitsError, SpiffWorkflowException):
        raise
    except NOT_RESTORED as error:
        raise StateError(
            f"the state cannot be {what} ({type(error).__name__}: {error}); check that it was not "
            "changed"
        ) from error


def is_zipped(state: Union[str, bytes]) -> bool:
    """Whether a state is compressed, as by `serialize_json(workflow, use_gzip=True)`."""
    return isinstance(state, bytes) and state[:2] == b"\x1f\x8b"


def require_run(run: Any) -> None:
    """Raise StateError if this is not a saved run."""
    if not isinstance(run, dict):
        raise StateError(
            f"the state is a JSON {type(run).__name__}, not an object; pass the text that "
            "SpecLoader.save or serialize_json returned"
        )
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
        if not has_spec(run):
            raise StateError(
                f'the state has neither "{HEADER}" nor a "spec" with a name, so it does not say '
                "which process it is; pass the state that SpecLoader.save or serialize_json "
                "returned, or pass the id of the process as process_id="
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
    entries = header.get("earlier", [])
    if entries != [] and not _is_list_of_dicts(entries):
        raise StateError(
            f"the state's {HEADER}.earlier is not a list of versions; check that it was not changed"
        )
    for entry in (header, *entries):
        for key in ("processes", "externals"):
            if not isinstance(entry.get(key, {}), dict):
                raise StateError(
                    f"the state's {HEADER}.{key} is not an object; check that it was not changed"
                )
    return header


def _is_list_of_dicts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def has_spec(run: Mapping[str, Any]) -> bool:
    """Whether a run contains the spec of its process, as SpiffWorkflow writes it."""
    spec = run.get("spec")
    return isinstance(spec, dict) and isinstance(spec.get("name"), str)


def named_workflow(state: State) -> tuple[str, str]:
    """The cache key and the digest that a state tells, or the live piece of one.

    If the header comes first, as `save` writes it, this reads only the header.

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
    run: dict[str, Any], spec: Any, process_id: str, spec_of: Callable[[str, str], Any]
) -> None:
    """Restore the specs of the subprocesses in a saved run.

    This visits the run in the order in which SpiffWorkflow restores it, and calls `spec_of` with
    the id of each subprocess and the name of its process.
    """
    subprocesses = dict(run["subprocesses"])
    waiting = [(process_id, spec, run)]
    while waiting:
        name, spec, process = waiting.pop()
        found, unknown = with_subprocess(process["tasks"], spec.task_specs, subprocesses)
        for task_id, task_spec in found:
            if not isinstance(task_spec, SubWorkflowTask):
                raise StateError(
                    f"the state has a subprocess at element {task_spec.name!r} of process "
                    f"{name!r}, but that element refers to no process; {_EARLIER}"
                )
            called = task_spec.spec
            waiting.append((called, spec_of(task_id, called), subprocesses.pop(task_id)))
        if unknown is not None:
            raise no_element(unknown[0], name)


FINISHED = int(TaskState.FINISHED_MASK)


def settled_in(run: dict[str, Any]) -> dict[str, str]:
    """The settled subprocesses in a saved run: the names of their processes, by their ids.

    A subprocess is settled if it is completed, its tasks are finished, and those below it are
    settled.
    """
    subprocesses = run["subprocesses"]
    caller_of = {task: key for key, one in subprocesses.items() for task in one["tasks"]}
    unsettled = with_callers(
        [key for key, one in subprocesses.items() if not _is_finished(one)], caller_of
    )
    return {key: one["spec"] for key, one in subprocesses.items() if key not in unsettled}


def name_processes(run: dict[str, Any]) -> None:
    """Write the name of its process into each subprocess, as SpiffWorkflow does since 3.0.

    A state of SpiffWorkflow 2 does not have them, also when it is migrated. There, the task spec of
    the caller says which process a subprocess runs.
    """
    subprocesses, specs = run["subprocesses"], run.get("subprocess_specs") or {}
    if all("spec" in one for one in subprocesses.values()):
        return
    found = [(run["tasks"], run["spec"])]
    while found:
        tasks, spec = found.pop()
        for key in tasks.keys() & subprocesses.keys():
            name = spec["task_specs"][tasks[key]["task_spec"]]["spec"]
            subprocesses[key].setdefault("spec", name)
            found.append((subprocesses[key]["tasks"], specs[name]))


def with_callers(keys: list[Any], caller_of: dict[Any, Any]) -> set[Any]:
    """Some subprocesses, their callers, the callers of these, and so on."""
    found: set[Any] = set()
    while keys:
        key = keys.pop()
        if key not in found:
            found.add(key)
            keys.extend([caller_of[key]] if key in caller_of else ())
    return found


def _is_finished(subprocess: dict[str, Any]) -> bool:
    return bool(subprocess.get("completed", True)) and all(
        task["state"] & FINISHED for task in subprocess["tasks"].values()
    )


def no_element(element_id: str, process_id: str) -> StateError:
    """The error for a task of an element that its process does not have."""
    return StateError(
        f"the state has a task of element {element_id!r} of process {process_id!r}, but the "
        f"process has no such element; {_EARLIER}"
    )


_EARLIER = "resume it with the version of the workflow that it was saved with"
