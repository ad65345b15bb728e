from collections.abc import Mapping
from typing import Any, Optional

def parents_come_first(tasks: Mapping[str, Any]) -> bool: ...
def with_subprocess(
    tasks: Mapping[str, Any], task_specs: Mapping[str, Any], subprocesses: dict[str, Any]
) -> tuple[list[tuple[str, Any]], Optional[tuple[str]]]: ...
