"""The two functions that most applications need: one caches a workflow, one gets a unit of it.

Any number of threads and processes may call both at the same time, with the same cache directory.
Every failure is an `ElementUnitsError`, which is a `ValueError`. An argument of the wrong type is
a `TypeError`.
"""

from __future__ import annotations

import functools
from typing import Any, Callable, Union, overload

from .cache import places
from .cache.store import Place
from .units import ElementUnits, decompose, digest_of, read_text


def _keyword_of_0_3_1(function: Callable[..., None]) -> Callable[..., None]:
    """Also accept the keyword `workflow_specs_json`, its name in 0.3.1."""

    @functools.wraps(function)
    def taking_both(*args: Any, **kwargs: Any) -> None:
        if "workflow_specs_json" in kwargs and "workflow_spec_json" not in kwargs:
            kwargs["workflow_spec_json"] = kwargs.pop("workflow_specs_json")
        return function(*args, **kwargs)

    return taking_both


@overload
def cache_element_units_for_workflow(
    cache_dir: Place,
    cache_key: str,
    workflow_spec_json: Union[str, bytes],
    *,
    durable: bool = False,
) -> None: ...
@overload
def cache_element_units_for_workflow(
    cache_dir: Place,
    cache_key: str,
    *,
    workflow_specs_json: Union[str, bytes],
    durable: bool = False,
) -> None: ...
@_keyword_of_0_3_1
def cache_element_units_for_workflow(
    cache_dir: Place,
    cache_key: str,
    workflow_spec_json: Union[str, bytes],
    *,
    durable: bool = False,
) -> None:
    """Split a workflow into its processes and store it in `cache_dir` under `cache_key`.

    `workflow_spec_json` is the JSON text of a serialized workflow,
    `{"spec": {..}, "subprocess_specs": {..}, ..}`, as `str` or as UTF-8 `bytes`. `cache_key` is any
    string. If another workflow is cached under the key, it is replaced. If the same workflow is
    cached, it is not written again. `cache_dir` is created if it does not exist.

    With `durable`, the file and its directories are synced to disk before this function returns.
    Without it, the cached workflow may be missing or damaged after a power failure. The library
    then reports this as an error.

    Raises InvalidWorkflowSpec if the text is not a serialized workflow, and CacheError if the
    workflow cannot be stored. A workflow that was cached before is then still there.
    """
    text = read_text(workflow_spec_json)
    digest = digest_of(text)
    if not places.holds(cache_dir, cache_key, digest, durable=durable):
        places.publish(cache_dir, cache_key, decompose(text, digest), durable=durable)


def workflow_from_cached_element_unit(
    cache_dir: Place, cache_key: str, process_id: str, element_id: str
) -> str:
    """Return the unit that starts or resumes `process_id` at `element_id`, as JSON text.

    `element_id` is the process id itself, to start the process; or an element of the process; or
    a process that the process leads to, or an element of such a process. The unit does not contain
    called processes that have not started. When the engine reaches the call of one, get its unit
    with its process id as both arguments.

    Raises UnitNotFound if the key is not cached or the workflow has no such process or element,
    CorruptPack if the file is damaged, and CacheError if the file cannot be read.
    """
    return ElementUnits.open(cache_dir, cache_key).workflow(process_id, element_id)
