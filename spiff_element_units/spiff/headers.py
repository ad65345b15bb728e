"""The header of a state: which workflow it is of, and what the engine has added to its specs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import ElementUnitsError
from .changes import changes_in
from .changing import changes_while_running
from .mapping import SpecMapping
from .specs import Spec, SpecStore, label, plain
from .state import FINISHED, FORMAT
from .subprocesses import Subprocesses
from .versions import Telling, Versions, version


def header_of(loader: Any, workflow: Any) -> tuple[dict[str, Any], Telling]:
    """The header of a workflow's state, without what it says of versions; and that.

    Raises UnitNotFound, ElementUnitsError.
    """
    mapping = workflow.subprocess_specs
    process_id = plain(workflow.spec.name)
    own = loader._sources.own
    if isinstance(mapping, SpecMapping):
        if mapping.sources.own.digest != own.digest:
            raise ElementUnitsError(
                f"the workflow was started by the loader of {label(mapping.sources.own)}, and "
                f"this is the loader of {label(own)}; save it with the loader that started it"
            )
        process_id = mapping.process_id or process_id
    loader._require_process(process_id)
    header = {"state_format": FORMAT, "process_id": process_id, **version(own)}
    if isinstance(mapping, SpecMapping):
        externals = mapping.from_elsewhere()
        if externals:
            header["externals"] = externals
    elif loader._sources.resolves:
        header["externals_unknown"] = True
    changes = _changes(loader, workflow, process_id)
    if changes:
        header["spec_changes"] = changes
    return header, _telling(loader, workflow, process_id)


def _telling(loader: Any, workflow: Any, process_id: str) -> Telling:
    mapping = workflow.subprocess_specs
    decided = isinstance(mapping, SpecMapping)
    if not decided:
        mapping = loader.subprocess_specs(process_id)
    versions: Versions = mapping.versions
    digests = {process_id: loader._sources.own.process_digest(process_id)}
    for key, subprocess in _living(workflow.subprocesses):
        if key in versions.brought_back:
            _require_settled(subprocess, key)
            continue
        name = plain(subprocess.spec.name)
        if name not in digests:
            store = mapping.owner(name)
            if store is None and not decided:
                store = mapping.origins.decide(name)
            if store is not None:
                digests[name] = store.process_digest(name)
    telling = versions.telling(loader._sources.own, digests, mapping.owner)
    if not decided:
        telling.add_unknown(_with_other_specs(workflow, loader._serializer.registry.convert))
    return telling


def _with_other_specs(workflow: Any, convert: Any) -> Iterator[str]:
    """The subprocesses that ran on other specs than the workflow has under their names.

    In the copy of a workflow that has its specs in a dict, such as one from a pickle, these are
    what settled on earlier versions. The copy of a copy may have two objects of the same spec.
    """
    written: dict[int, Any] = {}

    def once(spec: Spec) -> Any:
        if id(spec) not in written:
            written[id(spec)] = convert(spec)
        return written[id(spec)]

    for key, subprocess in workflow.subprocesses.items():
        now, then = workflow.subprocess_specs.get(subprocess.spec.name), subprocess.spec
        if now is None or now is then or not _is_finished(subprocess):
            continue
        if once(now) != once(then):
            yield str(key)


def _changes(loader: Any, workflow: Any, process_id: str) -> dict[str, Any]:
    """The changes that the engine has made to the specs of a workflow."""
    convert = loader._serializer.registry.convert
    own = loader._sources.own
    changes: dict[str, Any] = {}
    if not own.keeps(process_id, workflow.spec):
        change = changes_in(workflow.spec, own.before(process_id), convert)
        if change:
            changes["spec"] = change
    mapping = workflow.subprocess_specs
    inner: dict[str, Any] = {}
    if isinstance(mapping, SpecMapping):
        inner.update(mapping.changes_to_make)
        changeable = mapping.changeable()
    else:
        changeable = _changeable(loader, mapping, process_id)
    for name, store, spec in changeable:
        change = changes_in(spec, store.before(name), convert)
        if change:
            inner[name] = change
    if inner:
        changes["subprocess_specs"] = inner
    return changes


def _changeable(
    loader: Any, specs: dict[str, Spec], process_id: str
) -> Iterator[tuple[str, SpecStore, Spec]]:
    """Like `SpecMapping.changeable`, for the specs in a dict."""
    changing = {plain(name): one for name, one in specs.items() if changes_while_running(one)}
    mapping = loader.subprocess_specs(process_id)
    if any(mapping.owner(name) is None for name in changing):
        for name in specs:  # this also finds the embedded subprocesses of called processes
            mapping.get(name)
    for name, spec in changing.items():
        store = mapping.owner(name)
        if store is not None:
            yield name, store, spec


def _living(subprocesses: Any) -> Iterable[tuple[Any, Any]]:
    return subprocesses.living() if isinstance(subprocesses, Subprocesses) else subprocesses.items()


def _require_settled(subprocess: Any, key: Any) -> None:
    if not _is_finished(subprocess):
        raise ElementUnitsError(
            f"subprocess {key} of process {subprocess.spec.name!r} settled on an earlier version "
            "of the workflow, and a reset made it run again; resume the last saved state with "
            "that version, reset it there, and migrate it then"
        )


def _is_finished(subprocess: Any) -> bool:
    return all(task.state & FINISHED for task in subprocess.tasks.values())
