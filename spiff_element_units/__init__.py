"""Start and resume SpiffWorkflow processes with only the process specs they need."""

from ._version import __version__
from .api import cache_element_units_for_workflow, workflow_from_cached_element_unit
from .errors import CacheError, CorruptPack, ElementUnitsError, InvalidWorkflowSpec, UnitNotFound
from .units import ElementUnits, Reference

__all__ = [
    "CacheError",
    "CorruptPack",
    "ElementUnits",
    "ElementUnitsError",
    "InvalidWorkflowSpec",
    "Reference",
    "UnitNotFound",
    "__version__",
    "cache_element_units_for_workflow",
    "workflow_from_cached_element_unit",
]
