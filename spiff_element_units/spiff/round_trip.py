"""Checks that specs survive the serializer: all that a parser has put into them comes back.

A converter that leaves out an attribute goes unnoticed until an instance needs it, and then the
instance behaves differently from one that was started from the parsed model. The check converts and
restores each spec, as caching and loading do, and compares the objects.

Three things do not count as lost: who is subscribed to the events of a task spec, which the engine
connects itself; the text of an input entry of a decision table, which SpiffWorkflow's own converter
leaves out and nothing reads; and a tuple that comes back as a list.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, Union

from SpiffWorkflow.dmn.specs.model import InputEntry
from SpiffWorkflow.util.event import Event

from ..errors import ElementUnitsError
from .specs import Serializer, Spec

_LONGEST = 80  # characters of a value in a message
_CONNECTIONS = (Event,)
_NOT_READ = {(InputEntry, "text")}


class RoundTripError(ElementUnitsError):
    """A spec does not survive the serializer.

    `process_id` is the id of its process. `element_id` is the name of the task spec; None for an
    attribute of the process spec itself. `attribute` is what is lost, such as "timer_definition" or
    "event_definition.name"; None if the whole spec cannot be converted or restored.
    """

    def __init__(
        self,
        message: str,
        process_id: Optional[str],
        element_id: Optional[str] = None,
        attribute: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.process_id = process_id
        self.element_id = element_id
        self.attribute = attribute


def check_round_trip(
    specs: Union[Spec, Iterable[Optional[Spec]], Mapping[str, Optional[Spec]]],
    serializer: Serializer,
) -> None:
    """Check that specs survive a serializer.

    `specs` is what SpiffWorkflow's parser returns: a `BpmnProcessSpec`, several of them, or a dict
    of them by process id. None in place of a spec is passed over. `serializer` is your own
    `BpmnWorkflowSerializer`. Each spec is converted to JSON text, restored, and compared with what
    it was. Nothing is changed.

    Raises RoundTripError for the first attribute of the first task spec that is lost.
    """
    for spec in _each(specs):
        if spec is not None:
            _check(spec, serializer)


def _each(specs: Any) -> Iterable[Any]:
    if hasattr(specs, "task_specs"):
        return [specs]
    return specs.values() if isinstance(specs, Mapping) else specs


def _check(spec: Spec, serializer: Serializer) -> None:
    name = spec.name
    restored = _restored(spec, serializer)
    comparison = _Comparison(spec)
    for element_id, task_spec in spec.task_specs.items():
        other = restored.task_specs.get(element_id)
        if other is None:
            raise RoundTripError(
                f"the serializer loses {type(task_spec).__name__} {element_id!r} of process "
                f"{name!r}; let the converter of {type(spec).__name__} keep all task specs",
                name,
                element_id,
            )
        lost = comparison.lost(task_spec, other)
        if lost is not None:
            raise _error(lost, task_spec, name, element_id)
    lost = comparison.lost(spec, restored)
    if lost is not None:
        raise _error(lost, spec, name, None)


def _restored(spec: Spec, serializer: Serializer) -> Spec:
    try:
        encoder = getattr(serializer, "json_encoder_cls", None)
        text = json.dumps(serializer.to_dict(spec), cls=encoder)
        restored = serializer.from_dict(json.loads(text, cls=serializer.json_decoder_cls))
        restored.task_specs.items()
    except Exception as error:  # a converter may raise anything
        raise RoundTripError(
            f"the serializer cannot convert process {spec.name!r} and restore it "
            f"({type(error).__name__}: {error}); register a converter for each of your classes",
            spec.name,
        ) from error
    return restored


_Lost = tuple[str, str]  # an attribute, and what has become of it


def _error(lost: _Lost, owner: Any, name: str, element_id: Optional[str]) -> RoundTripError:
    attribute, how = lost
    kind = type(owner).__name__
    what = repr(attribute) if attribute else "the class"
    where = "" if element_id is None else f"{kind} {element_id!r} of "
    return RoundTripError(
        f"the serializer loses {what} of {where}process {name!r}: {how}; let the converter of "
        f"{kind} write it and restore it",
        name,
        element_id,
        attribute or "__class__",
    )


class _Comparison:
    """Compares a spec and its task specs with what was restored of them."""

    def __init__(self, spec: Spec) -> None:
        # A task spec refers to its spec and to other task specs, which are compared by themselves.
        self._by_themselves = {id(spec), *map(id, spec.task_specs.values())}
        self._seen: set[tuple[int, int]] = set()

    def lost(self, before: Any, after: Any) -> Optional[_Lost]:
        """The first attribute that is lost; None if there is none."""
        if type(before) is not type(after):
            return "", f"it is a {type(before).__name__}, and comes back as {_short(after)}"
        for attribute, value in vars(before).items():
            if (type(before), attribute) in _NOT_READ or isinstance(value, _CONNECTIONS):
                continue
            if attribute not in vars(after):
                return attribute, f"it is {_short(value)}, and is missing afterwards"
            found = self._differ(value, vars(after)[attribute], attribute)
            if found is not None:
                return found
        return None

    def _differ(  # noqa: PLR0911 - one for each kind of value
        self, before: Any, after: Any, path: str
    ) -> Optional[_Lost]:
        if id(before) in self._by_themselves:
            same = type(before) is type(after) and before.name == after.name
            return None if same else _changed(before, after, path)
        if before is after or (id(before), id(after)) in self._seen:
            return None
        if not isinstance(before, (Mapping, list, tuple)) and not hasattr(before, "__dict__"):
            return None if _same(before, after) else _changed(before, after, path)
        # Attributes are compared even if a class compares its objects: an event definition is
        # equal to another one of its name.
        self._seen.add((id(before), id(after)))
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            return self._dicts_differ(before, after, path)
        if isinstance(before, (list, tuple)) and isinstance(after, (list, tuple)):
            return self._lists_differ(before, after, path)
        if type(before) is type(after) and hasattr(before, "__dict__"):
            found = self.lost(before, after)
            return found and (f"{path}.{found[0]}", found[1])
        return _changed(before, after, path)

    def _dicts_differ(
        self, before: Mapping[Any, Any], after: Mapping[Any, Any], path: str
    ) -> Optional[_Lost]:
        for key, value in before.items():
            where = f"{path}[{key!r}]"
            if key not in after:
                return where, f"it is {_short(value)}, and is missing afterwards"
            found = self._differ(value, after[key], where)
            if found is not None:
                return found
        return None

    def _lists_differ(
        self, before: Sequence[Any], after: Sequence[Any], path: str
    ) -> Optional[_Lost]:
        if len(before) != len(after):
            return _changed(before, after, path)
        for at, (one, other) in enumerate(zip(before, after)):
            found = self._differ(one, other, f"{path}[{at}]")
            if found is not None:
                return found
        return None


def _same(before: Any, after: Any) -> bool:
    if type(before) is not type(after):
        return False
    return bool(before == after) or (_is_nan(before) and _is_nan(after))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _changed(before: Any, after: Any, path: str) -> _Lost:
    return path, f"it is {_short(before)}, and {_short(after)} afterwards"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
