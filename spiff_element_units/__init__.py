"""Start and resume SpiffWorkflow processes with only the process specs they need."""

from ._version import __version__
from .api import cache_element_units_for_workflow, workflow_from_cached_element_unit
from .cache.upkeep import (
    CachedWorkflow,
    CacheReport,
    DamagedPack,
    PruneReport,
    cache_keys,
    prune_cache,
    remove_cached_workflow,
    verify_cache,
)
from .diff import ElementDiff, FieldDiff, ProcessDiff, WorkflowDiff
from .errors import CacheError, CorruptPack, ElementUnitsError, InvalidWorkflowSpec, UnitNotFound
from .units import ElementUnits, Reference

__all__ = [
    "CacheError",
    "CacheReport",
    "CachedWorkflow",
    "CorruptPack",
    "DamagedPack",
    "ElementDiff",
    "ElementUnits",
    "ElementUnitsError",
    "FieldDiff",
    "InvalidWorkflowSpec",
    "ProcessDiff",
    "PruneReport",
    "Reference",
    "UnitNotFound",
    "WorkflowDiff",
    "__version__",
    "cache_element_units_for_workflow",
    "cache_keys",
    "prune_cache",
    "remove_cached_workflow",
    "verify_cache",
    "workflow_from_cached_element_unit",
]
