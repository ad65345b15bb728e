"""The errors and messages for what the compiled modules find wrong.

The core raises a `Fault` with plain values. Every call of the core that may raise one is followed
by

    except Fault as fault:
        raise in_words(fault) from fault.__cause__

so that users get an `ElementUnitsError`, with the cause that the core gave.
"""

from __future__ import annotations

from typing import Optional

from .core.fault import Fault
from .errors import CorruptPack, ElementUnitsError, InvalidWorkflowSpec

INVALID = {
    "surrogate": "the workflow is not JSON: a lone surrogate at character {character}",
    "not JSON": "the workflow is not JSON: {scanned}{reason}",
    "no object": 'the workflow must be an object, {{"spec": {{..}}, "subprocess_specs": {{..}}}}',
    "long text": "the workflow is larger than 4 GiB, which is the limit",
    "long ids": "the ids of process {process!r} are larger than 4 GiB, which is the limit",
    "no specs": 'the workflow has no "{field}"; expected {{"spec": {{..}}, '
    '"subprocess_specs": {{..}}}}, as SpiffWorkflow\'s serializer writes it',
    "subprocess_specs": "subprocess_specs must be an object, not {found}; write {{}} if there are "
    "no subprocesses",
    "no field": '{place} has no "{field}" ({expected}); serialize the workflow with '
    "SpiffWorkflow again",
    "field": "{place}.{field} must be {expected}, not {found}",
    "spec": "{place} must be an object, not {found}",
    "trigger": "{place}.trigger_specs must contain strings, not {found}",
}
"""Faults of a text. `place` is the process or its task spec, and `found` is a JSON type."""

DAMAGE = {
    "magic": "it is not a pack",
    "short header": "its header is cut short",
    "header checksum": "the checksum of its header is wrong",
    "size": "it has {size} bytes, and should have {length} and a header",
    "key": "its cache key is not UTF-8",
    "parts": "its parts do not fit",
    "checksum": "the checksum of its part at byte {byte} is wrong",
    "overlap": "parts of it overlap",
    "part": "a part of {length} bytes at byte {byte} is outside the file",
    "part length": "its part at byte {byte} has another length",
    "index": "it has no process {index}",
    "entry": "the entry of process {index} does not fit",
    "short record": "the record of process {index} is cut short",
    "other record": "the record of process {index} belongs to another process",
    "record": "the record of process {index} does not fit",
    "run": "the run of process {index} does not fit",
    "gaps": "the run of process {index} has gaps",
    "short spec": "the spec of process {index} is cut short",
    "ASCII": "the spec of process {index} is not ASCII",
    "UTF-8": "a spec in it is not UTF-8",
    "name": "a name in it does not fit",
    "name UTF-8": "a name in it is not UTF-8",
    "targets": "the targets of an element do not fit",
    "roster": "its roster does not fit",
    "reference": "a reference in it has an unknown kind",
    "lists": "its lists have gaps or overlap",
    "place": "process {index} does not follow the part before it",
    "end": "it does not end with its last process",
    "spec JSON": "the spec of process {process!r} is not JSON",
    "tail JSON": "the members beside its specs are not JSON",
    "no process": "its directory lacks process {process!r}",
}
"""Faults of a pack."""

OTHER_FORMAT = "has pack format {found}, but this version reads format {reads}"

_EXPECTED = {"task_specs": "an object", "trigger_specs": "an array of strings"}
_TYPES = {
    '"': "a string",
    "{": "an object",
    "[": "an array",
    "n": "null",
    "t": "a boolean",
    "f": "a boolean",
}


def in_words(fault: Fault) -> ElementUnitsError:
    """The error for a fault."""
    values = fault.values
    if fault.kind == "format":
        told = OTHER_FORMAT.format_map(values)
        return CorruptPack(f"{values['pack']} {told}; cache the workflow again")
    if fault.kind in DAMAGE:
        told = DAMAGE[fault.kind].format_map(values)
        return CorruptPack(f"{values['pack']} is damaged ({told}); cache the workflow again")
    said = {**values, "reason": fault.__cause__}
    if fault.kind == "not JSON":
        said["scanned"] = _scanned(values["field"], values["process"])
    elif fault.kind in ("no field", "field", "spec", "trigger"):
        said["place"] = _place(values["process"], values.get("task"))
        said["expected"] = _EXPECTED.get(values.get("field", ""), "a string")
    if "found" in values:
        said["found"] = _TYPES.get(chr(values["found"]), "a number")
    return InvalidWorkflowSpec(INVALID[fault.kind].format_map(said))


def _place(process: Optional[str], task: Optional[str]) -> str:
    """The place of a process spec or of one of its task specs. The root has no key."""
    spec = "spec" if process is None else f'subprocess_specs["{process}"]'
    return spec if task is None else f'{spec}.task_specs["{task}"]'


def _scanned(field: Optional[str], process: Optional[str]) -> str:
    """The place in the text where it is wrong, if its keys could be read."""
    if field is None:
        return ""
    return f"in {field}, " if process is None else f'in {field}["{process}"], '
