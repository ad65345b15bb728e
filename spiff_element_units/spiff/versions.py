"""Which versions of its workflow an instance has run on.

A state contains the digest of each process that the instance has been in. With it, another version
of the workflow can find out whether these processes are the same there. Settled subprocesses do not
change when the instance continues on another version. Therefore the state also names the earlier
versions, and says which subprocesses settled on which version. The header of a state (see `state`)
contains for this:

    processes   {process id: its digest, as `ElementUnits.process_digest` gives it}
    earlier     the earlier versions, oldest first; only if one of the processes has changed since.
                Each has cache_key, digest, processes and externals, like the header, and settled:
                [task id, ..] of the subprocesses that settled on it. If the instance is in pieces,
                the list with a piece has the number of its version in `earlier` instead
    moved       [{"from": version, "to": version, "when": ISO 8601}, ..]; only after a migration
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable, NamedTuple, Optional

from .sources import SpecSources
from .specs import Spec, SpecStore
from .state import StateError

Ids = Callable[[], Iterable[str]]
Owner = Callable[[str], Optional[SpecStore]]


class WorkflowVersion(NamedTuple):
    """A version of a workflow: its key in the cache, and the digest of its JSON.

    `cache_key` is None if the workflow was not cached. `digest` is None for the specs in a state
    that SpiffWorkflow's `serialize_json` wrote.
    """

    cache_key: Optional[str]
    digest: Optional[str]

    @classmethod
    def told(cls, entry: dict[str, Any]) -> WorkflowVersion:
        """The version that a header names."""
        return cls(entry.get("cache_key"), entry.get("digest"))

    def __str__(self) -> str:
        if self.digest is None:
            return "the specs in the state"
        cached = "" if self.cache_key is None else f" cached as {self.cache_key!r}"
        return f"the version{cached} with digest {self.digest}"


def version(store: SpecStore) -> dict[str, Any]:
    """What a state says about a workflow."""
    return {"cache_key": store.units.cache_key, "digest": store.digest}


def place(header: dict[str, Any], process_id: str) -> dict[str, Any]:
    """What a header says about the workflow that a process came from."""
    found: dict[str, Any] = header.get("externals", {}).get(process_id, header)
    return found


class Versions:
    """The versions that one instance has run on. Only one thread may use it at a time.

    `header` is that of the state that the instance was resumed from, None if it was started. A
    state of `serialize_json` has an empty one. `settled` gives the ids of the subprocesses that had
    settled then, and `names` the names of their processes, or None if nobody knows them. Both are
    called only if they are needed. `is_same` tells whether a process still is what it was when the
    state was saved.
    """

    def __init__(
        self,
        header: Optional[dict[str, Any]] = None,
        settled: Ids = tuple,
        names: Callable[[], Optional[Iterable[str]]] = tuple,
        is_same: Optional[Callable[[str, SpecStore], bool]] = None,
    ) -> None:
        self._header = header
        self._settled = settled
        self._names = names
        self._is_same = is_same
        self._earlier: list[dict[str, Any]] = [] if header is None else header.get("earlier", [])
        self.moved: list[dict[str, Any]] = [] if header is None else header.get("moved", [])
        self._numbers: dict[str, int] = {}  # of subprocesses that settled on an earlier version
        self._before: Optional[dict[str, Optional[str]]] = None
        self.brought_back: set[Any] = set()  # the keys of those restored with an earlier spec
        for number, one in enumerate(self._earlier):
            self._numbers.update(dict.fromkeys(one.get("settled", ()), number))

    def copy(self) -> Versions:
        """For a copy of the instance."""
        made = Versions(self._header, self._settled, self._names, self._is_same)
        made.moved = self.moved
        made._numbers = dict(self._numbers)
        made.brought_back = set(self.brought_back)
        return made

    def note(self, subprocess_id: str, number: int) -> None:
        """Remember on which version a subprocess settled, as the list says that has its piece."""
        if number < len(self._earlier):
            self._numbers[subprocess_id] = number

    def spec_then(
        self, subprocess_id: str, name: str, now: Optional[SpecStore], sources: SpecSources
    ) -> Optional[Spec]:
        """The spec that a settled subprocess ran on; None if it is the one that runs now.

        Raises StateError if that version is not there.
        """
        if self._header is None:
            return None
        if now is not None and not now.has(name):
            now = None
        number = self._numbers.get(subprocess_id)
        if number is None:
            then = self._header
            same = now is not None and self._is_same is not None and self._is_same(name, now)
        else:
            then = self._earlier[number]
            wanted = then.get("processes", {}).get(name)
            same = now is not None and now.process_digest(name) == wanted
        if same:
            return None
        where = place(then, name)
        store = sources.earlier(where.get("cache_key"), where.get("digest"), where is then)
        if store is not None and store.has(name):
            return store.for_calls(name).spec(name)
        raise StateError(
            f"the settled subprocess {subprocess_id} ran on process {name!r} of "
            f"{WorkflowVersion.told(where)}, which is not there any more, and the process has "
            "changed since; to look into it, keep that version in the cache under its key"
        )

    def telling(self, own: SpecStore, processes: dict[str, str], owner: Owner) -> Telling:
        """What a state says now.

        `processes` has the digests of the processes that the instance is in. `owner` gives the
        workflow that a process comes from now.
        """
        header = self._header
        if header is None:
            return Telling(processes, [], {}, self.moved)
        if self._before is None:
            self._before = self._processes_then(owner)
        before = self._before
        if before is None and header.get("digest") == own.digest:
            return Telling(None, self._earlier, self._numbers, self.moved)
        if before is not None and not self._has_changed(before, processes, own):
            return Telling({**before, **processes}, self._earlier, self._numbers, self.moved)
        last = {
            "cache_key": header.get("cache_key"),
            "digest": header.get("digest"),
            "processes": {name: digest for name, digest in (before or {}).items() if digest},
        }
        if "externals" in header:
            last["externals"] = header["externals"]
        numbers = {**dict.fromkeys(self._settled(), len(self._earlier)), **self._numbers}
        return Telling(processes, [*self._earlier, last], numbers, self.moved)

    def _processes_then(self, owner: Owner) -> Optional[dict[str, Optional[str]]]:
        """The digests of the processes of the state; None of one that has changed since."""
        assert self._header is not None
        if "processes" in self._header:
            return dict(self._header["processes"])
        names = self._names()
        if names is None:
            return None
        found: dict[str, Optional[str]] = {}
        for name in names:
            now = owner(name)
            same = now is not None and now.has(name) and self._is_same and self._is_same(name, now)
            found[name] = now.process_digest(name) if now is not None and same else None
        return found

    def _has_changed(
        self, before: dict[str, Optional[str]], processes: dict[str, str], own: SpecStore
    ) -> bool:
        """Whether one of the processes that the instance was in is another one now."""
        assert self._header is not None
        externals = self._header.get("externals", {})
        unchanged = self._header.get("digest") == own.digest
        if unchanged and before == processes:
            return False
        for name, digest in before.items():
            now = processes.get(name)
            if now is None and digest is not None and (unchanged or name in externals):
                continue
            if now is None and own.has(name):
                now = own.process_digest(name)
            if now is None or now != digest:
                return True
        return False


class Telling:
    """What a state says about the versions of its instance."""

    def __init__(
        self,
        processes: Optional[dict[str, Any]],
        earlier: list[dict[str, Any]],
        numbers: dict[str, int],
        moved: list[dict[str, Any]],
    ) -> None:
        self._processes = processes
        self._earlier = earlier
        self._numbers = numbers
        self._moved = moved

    @property
    def has_earlier(self) -> bool:
        """Whether there is an earlier version."""
        return bool(self._earlier)

    def add(self, numbers: Callable[[int], dict[str, int]]) -> None:
        """Add the subprocesses of earlier versions that are in pieces apart."""
        self._numbers = {**self._numbers, **numbers(len(self._earlier))}

    def add_unknown(self, subprocess_ids: Iterable[str]) -> None:
        """Add subprocesses that settled on a version which nobody knows."""
        numbers = dict.fromkeys(subprocess_ids, len(self._earlier))
        if numbers:
            self._earlier = [*self._earlier, {"cache_key": None, "digest": None}]
            self._numbers = {**self._numbers, **numbers}

    def number(self, subprocess_id: str) -> int:
        """The number of the version that a settled subprocess ran on."""
        return self._numbers.get(subprocess_id, len(self._earlier))

    def header(self, in_text: bool) -> dict[str, Any]:
        """The part of the header. `in_text` if all settled subprocesses are in one text with it."""
        told: dict[str, Any] = {}
        if self._processes is not None:
            told["processes"] = self._processes
        if self._earlier:
            told["earlier"] = with_settled(self._earlier, self._numbers if in_text else {})
        if self._moved:
            told["moved"] = self._moved
        return told


def with_settled(earlier: list[dict[str, Any]], numbers: dict[str, int]) -> list[dict[str, Any]]:
    """The entries of `earlier`, with the subprocesses that settled on each."""
    ids: list[list[str]] = [[] for _ in earlier]
    for subprocess_id, number in numbers.items():
        ids[number].append(subprocess_id)
    bare = ({key: value for key, value in one.items() if key != "settled"} for one in earlier)
    return [{**one, "settled": found} if found else one for one, found in zip(bare, ids)]
