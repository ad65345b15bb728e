"""Decides whether a process is still the same as when a state was saved.

It compares the digest of the process now with the digest in the state, or with the digest in the
version that the state was saved with. A state of `serialize_json` contains its specs. Those are
compared with the specs now, including what the engine has changed in them.
"""

from __future__ import annotations

import json
from functools import cache, partial
from typing import Any, Callable, Optional, Union

from .changes import apply, changes_in_json
from .pieces import CutPieces, StoredPieces
from .sources import SpecSources
from .specs import SpecStore
from .state import settled_in
from .versions import Versions, place

Pieces = Union[CutPieces, StoredPieces, None]
StoreThen = Callable[[dict[str, Any], bool], Optional[SpecStore]]


class Sameness:
    """Compares processes with those of a state that has a header, or None.

    If `same_version` is true, a process is the same only in the same version of its workflow. The
    state of a workflow that no loader started does not say the versions of other workflows.
    """

    def __init__(
        self,
        own: SpecStore,
        sources: SpecSources,
        header: Optional[dict[str, Any]],
        same_version: bool,
    ) -> None:
        self.own = own
        self._sources = sources
        self.header = header
        self._same_version = same_version

    def is_same(self, saved: Callable[[], Any], name: str, now: SpecStore) -> bool:
        """Whether a process is unchanged. `saved` returns the state, which may contain its spec."""
        if self.header is not None:
            return not self.differs(name, now)
        run = saved()
        spec = (run.get("subprocess_specs") or {}).get(name)
        return spec is None or self.is_as_saved(name, now, spec, run)

    def differs(self, name: str, now: SpecStore, store_then: Optional[StoreThen] = None) -> bool:
        """Whether a process has changed, or may have changed, since the state was saved.

        `store_then` finds the version of a workflow that a state names.
        """
        assert self.header is not None
        where = place(self.header, name)
        if now.digest == where["digest"]:
            return False
        unknown = now.digest != self.own.digest and self._is_silent(where)
        if self._same_version and not unknown:
            return True
        then = self.header.get("processes", {}).get(name)
        if then is None and unknown:
            return False
        if then is None:
            store = (store_then or self._store_then)(where, where is self.header)
            if store is None or not store.has(name):
                return True
            then = store.process_digest(name)
        return not now.has(name) or now.process_digest(name) != then

    def _is_silent(self, where: dict[str, Any]) -> bool:
        """Whether the state does not say which other workflow a process came from.

        The states after it do not say it either for pieces that nobody has opened.
        """
        assert self.header is not None
        unnamed = where is self.header and where["digest"] == self.own.digest
        return unnamed or "externals_unknown" in self.header

    def _store_then(self, where: dict[str, Any], own: bool) -> Optional[SpecStore]:
        store: Optional[SpecStore] = self._sources.earlier(
            where.get("cache_key"), where.get("digest"), own
        )
        return store

    def is_as_saved(
        self, name: str, store: SpecStore, saved: dict[str, Any], run: dict[str, Any]
    ) -> bool:
        """Whether a process equals its spec in a state of `serialize_json`, with engine changes."""
        if saved == store.decoded(name):
            return True
        spec = store.restore(name)
        try:
            change = changes_in_json(saved, spec, store.before(name), run, store.registry.convert)
        except (LookupError, TypeError, AttributeError):
            return False
        apply(change, spec, store.registry)
        serializer = self._sources.serializer
        written = json.dumps(store.registry.convert(spec), cls=serializer.json_encoder_cls)
        return bool(json.loads(written, cls=serializer.json_decoder_cls) == saved)


def versions_of(same: Sameness, run: dict[str, Any], pieces: Pieces) -> Versions:
    """What is known about the versions that a run was on."""
    header = same.header
    if pieces is not None:
        saved = cache(pieces.head)
        return Versions(
            header or {}, pieces.ids, pieces.process_names, partial(same.is_same, saved)
        )
    if header is not None and header["digest"] == same.own.digest:
        return Versions(header, is_same=partial(same.is_same, dict))
    settled = settled_in(run)
    kept = {key: run.get(key) for key in ("tasks", "subprocess_specs")} if settled else {}
    return Versions(
        header or {},
        lambda: settled,
        lambda: set(settled.values()),
        partial(same.is_same, lambda: kept),
    )
