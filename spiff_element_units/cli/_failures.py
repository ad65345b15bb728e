"""The bad files of a call of `cache`: each is named once, with all that depends on it."""

from __future__ import annotations

import sys
from typing import Any, Optional

from ._app import PROGRAM
from ._output import count, escaped, one_line, shown

NOT_EXECUTABLE = "no process in the BPMN files is executable; set isExecutable to true"

_NAMED = 3  # workflows that a line names


class _Failed:
    """A file, or a process in it, and the roots of the workflows that are not cached for it."""

    def __init__(self, path: str, process_id: Optional[str], reason: str) -> None:
        self.path = path
        self.process_id = process_id
        self.reason = reason
        self.workflows: list[str] = []


class Failures:
    """What cannot be cached, and why."""

    def __init__(self) -> None:
        self._failed: dict[tuple[str, Optional[str], str], _Failed] = {}

    def add(self, path: str, error: Exception, root: Optional[str] = None) -> None:
        """Remember an error. `root` is that of the workflow that is not cached for it.

        `path` is the file that was read, unless the error says which file or process is to blame.
        """
        blamed = getattr(error, "path", None) or path
        process_id = getattr(error, "process_id", None)
        reason = getattr(error, "reason", None)
        if reason is None:
            reason = getattr(error, "strerror", None) or str(error)
            process_id = root
        reason = one_line(reason)
        key = (blamed, process_id, reason)
        failed = self._failed.setdefault(key, _Failed(*key))
        if root is not None and root not in failed.workflows:
            failed.workflows.append(root)

    @property
    def files(self) -> int:
        """The number of bad files."""
        return len({failed.path for failed in self._failed.values()})

    @property
    def workflows(self) -> int:
        """The number of workflows that are not cached."""
        return sum(len(failed.workflows) for failed in self._failed.values())

    def described(self) -> list[dict[str, Any]]:
        """For `--json`: an object for each file or process."""
        return [
            {
                "file": one.path,
                "process": one.process_id or "",
                "reason": one.reason,
                "workflows": one.workflows,
            }
            for one in self._failed.values()
        ]

    def tell(self) -> None:
        """Print a line on stderr for each bad file."""
        by_file: dict[str, list[_Failed]] = {}
        for failed in self._failed.values():
            by_file.setdefault(failed.path, []).append(failed)
        sys.stdout.flush()
        for path, some in by_file.items():
            reasons = "; ".join(_reason(one) for one in some)
            waiting = dict.fromkeys(root for one in some for root in one.workflows)
            others = [root for root in waiting if root not in {one.process_id for one in some}]
            lost = f"; not cached for it: {_named(others)}" if others else ""
            named = "" if repr(path) in reasons else f"{escaped(path)}: "
            print(f"{PROGRAM}: {named}{reasons}{lost}", file=sys.stderr)


def _reason(failed: _Failed) -> str:
    if failed.process_id is None:
        return failed.reason
    return f"process {shown(failed.process_id)}: {failed.reason}"


def _named(workflows: list[str]) -> str:
    """A list of roots for people, cut if it is long."""
    named = ", ".join(map(shown, workflows[:_NAMED]))
    rest = len(workflows) - _NAMED
    return named if rest <= 0 else f"{named} and {count(rest, 'more workflow')}"
