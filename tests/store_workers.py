"""Work of other processes with a store. They import this module, and no module with tests."""

from __future__ import annotations

import traceback
from typing import Any

from store_workflows import workflow

from spiff_element_units import CacheError, ElementUnits, UnitNotFound, prune_cache
from spiff_element_units.stores import open_store


def hammer(url: str, number: int, done: Any, stop: Any, results: Any) -> None:
    """Cache and read until told to stop. Each unit must come from one of the written workflows."""
    store: Any = open_store(url, timeout=2)
    texts = {ElementUnits.from_json(text).workflow("p2"): text for text in map(version, range(3))}
    try:
        while not stop.is_set():
            try:
                ElementUnits.from_json(version((done[number] + number) % 3)).save(store, "key")
                assert ElementUnits.open(store, "key").workflow("p2") in texts
                if number == 0:
                    prune_cache(store)
                done[number] += 1
            except CacheError:
                continue
            except UnitNotFound:
                if not url.startswith("redis"):  # which has nothing on disk here
                    raise
        results.put("")
    except BaseException:
        results.put(traceback.format_exc())


def version(number: int) -> str:
    return workflow(5, f"version {number}")
