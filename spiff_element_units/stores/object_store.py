"""A store in an object store: S3 and what speaks S3, Google Cloud Storage, Azure.

obstore makes the requests, and repeats those that fail. An object store replaces an object whole or
not at all. It cannot delete an object on a condition: `delete` looks just before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, Optional

from ..cache.store import Stored
from ..errors import CacheError
from .failing import TIMEOUT, failing, missing

try:
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import from_url
except ImportError as error:
    raise ImportError(missing("ObjectStore", "obstore>=0.8", "object-store")) from error

_RETRIES = 3
# Parts of the messages that say that the bucket is missing, and not only the object.
_NO_PLACE = ("NoSuchBucket", "ContainerNotFound", "bucket does not exist")
_SECRET = ("secret", "key", "token", "password", "sas", "credential")
# obstore works with threads that a forked process does not have. It would wait for them for ever.
_process: list[int] = []


class ObjectStore:
    """A store in an object store of obstore: `ObjectStore(obstore.store.S3Store("bucket"))`.

    To keep everything below a prefix, give it to the store of obstore. Timeouts and the number of
    retries are those of that store.

    Several threads may use it. A process that was forked after its parent used any object store
    cannot: it gets a CacheError. Open the store in each worker, after the fork.
    """

    def __init__(self, objects: Any) -> None:
        self._objects = objects
        config = dict(getattr(objects, "config", None) or {})
        self._secrets = [
            str(value) for name, value in config.items() if any(map(name.lower().count, _SECRET))
        ]
        self._told = _told(objects, config)

    @classmethod
    def from_url(cls, url: str, config: dict[str, str], timeout: float = TIMEOUT) -> ObjectStore:
        """Open `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.

        `config` has obstore's names for its settings. Others come from the environment.
        """
        plain = any(value.startswith("http://") for value in config.values())
        options: dict[str, Any] = {
            "timeout": timedelta(seconds=timeout),
            "connect_timeout": timedelta(seconds=min(timeout, 5)),
        }
        if plain:
            options["allow_http"] = True
        retry = {
            "max_retries": _RETRIES,
            "retry_timeout": timedelta(seconds=2 * timeout),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=2),
                "base": 2,
            },
        }
        given: dict[str, Any] = {}
        if not url.startswith("memory:"):
            given = {"config": config, "client_options": options, "retry_config": retry}
        return cls(from_url(url, **given))

    def __str__(self) -> str:
        return self._told

    def __repr__(self) -> str:
        return f"<ObjectStore {self}>"

    def read(self, name: str, ranges: Sequence[tuple[int, int]]) -> Optional[list[bytes]]:
        with self._failing(f"read {name!r}"):
            try:
                if len(ranges) == 1:
                    ((start, length),) = ranges
                    found = obstore.get_range(self._objects, name, start=start, length=length)
                    return [bytes(found)]
                starts, lengths = zip(*ranges)
                parts = obstore.get_ranges(
                    self._objects, name, starts=list(starts), lengths=list(lengths)
                )
                return [bytes(part) for part in parts]
            except FileNotFoundError as error:
                if any(map(str(error).count, _NO_PLACE)):
                    raise
                return None

    def write(self, name: str, content: bytes) -> None:
        with self._failing(f"write {name!r}"):
            obstore.put(self._objects, name, content)

    def list_names(self, prefix: str) -> Iterator[Stored]:
        with self._failing(f"list {prefix!r}"):
            for page in obstore.list(self._objects, prefix.rstrip("/")):
                for one in page:
                    yield Stored(one["path"], one["size"], one["last_modified"].timestamp())

    def delete(self, name: str, modified: Optional[float] = None) -> bool:
        with self._failing(f"delete {name!r}"):
            try:
                found = obstore.head(self._objects, name)
                if modified is not None and found["last_modified"].timestamp() != modified:
                    return False
                obstore.delete(self._objects, name)
            except FileNotFoundError as error:
                if any(map(str(error).count, _NO_PLACE)):
                    raise
                return False
            return True

    def _failing(self, doing: str) -> AbstractContextManager[None]:
        """Raise what obstore raises as a CacheError."""
        process = os.getpid()
        if not _process:
            _process.append(process)
        elif _process[0] != process:
            raise CacheError(
                f"{self} cannot {doing}: this process was forked after its parent had used an "
                "object store; use object stores only in the forked processes"
            )
        return failing(self, doing, (BaseError, OSError, ValueError), self._secrets)


def _told(objects: Any, config: dict[str, Any]) -> str:
    """The store as a URL without credentials."""
    kinds = {"S3Store": "s3", "GCSStore": "gs", "AzureStore": "az", "MemoryStore": "memory"}
    kind = kinds.get(type(objects).__name__, type(objects).__name__)
    place = config.get("bucket") or config.get("container_name") or ""
    prefix = getattr(objects, "prefix", None)
    return f"{kind}://{place}" + (f"/{prefix}" if prefix else "")
