"""The two functions that are the library for most: cache a workflow, get a unit of it.

Both are safe to call from any number of threads and processes on one cache directory. Every
failure is an `ElementUnitsError`, which is a `ValueError`; an argument of the wrong type is a
`TypeError`.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, Union, overload

from .cache import directory
from .units import ElementUnits, decompose, digest_of, read_text


def _keyword_of_0_3_1(function: Callable[..., None]) -> Callable[..., None]:
    """Take `workflow_specs_json=` too, as 0.3.1 spelled it."""

    @functools.wraps(function)
    def taking_both(*args: Any, **kwargs: Any) -> None:
        if "workflow_specs_json" in kwargs and "workflow_spec_json" not in kwargs:
            kwargs["workflow_spec_json"] = kwargs.pop("workflow_specs_json")
        return function(*args, **kwargs)

    return taking_both


@overload
def cache_element_units_for_workflow(
    cache_dir: directory.CacheDir,
    cache_key: str,
    workflow_spec_json: Union[str, bytes],
    *,
    durable: bool = False,
) -> None: ...
@overload
def cache_element_units_for_workflow(
    cache_dir: directory.CacheDir,
    cache_key: str,
    *,
    workflow_specs_json: Union[str, bytes],
    durable: bool = False,
) -> None: ...
@_keyword_of_0_3_1
def cache_element_units_for_workflow(
    cache_dir: directory.CacheDir,
    cache_key: str,
    workflow_spec_json: Union[str, bytes],
    *,
    durable: bool = False,
) -> None:
    """Decompose a workflow and store it in `cache_dir` under `cache_key`.

    `cache_dir` is made where it is missing. `cache_key` is any string; a workflow cached under it
    before is replaced, and the same one is recognised. `workflow_spec_json` is the JSON text of a
    serialized workflow, `{"spec": {..}, "subprocess_specs": {..}, ..}`.

    With `durable`, what is cached outlives a power failure: file and directories are synced before
    this returns. Without, the key may be missing or damaged then (and is reported so).

    Raises InvalidWorkflowSpec where the text is not that, CacheError where it cannot be stored;
    what was cached before stays then.
    """
    text = read_text(workflow_spec_json)
    digest = digest_of(text)
    if not directory.holds(cache_dir, cache_key, digest, durable=durable):
        directory.publish(cache_dir, cache_key, decompose(text, digest), durable=durable)


def workflow_from_cached_element_unit(
    cache_dir: directory.CacheDir, cache_key: str, process_id: str, element_id: str
) -> str:
    """The unit that starts or resumes `process_id` at `element_id`, as JSON text.

    `element_id` is the process id itself (to start it), an element of the process, or a process or
    element that it leads to. Called processes that the unit does not need are left out; the
    application loads each when it is reached, as `(called process id, called process id)`.

    Raises UnitNotFound where the key is not cached, or the workflow has no such process or
    element; CorruptPack where what is stored is damaged; CacheError where it cannot be read.
    """
    return ElementUnits.open(cache_dir, cache_key).workflow(process_id, element_id)
