"""Stores: where several machines keep one cache without a common disk.

Pass a store wherever the library takes a cache directory:

    store = open_store("postgresql://app@db/app")
    cache_element_units_for_workflow(store, "claim-7", workflow_spec_json)
    units = ElementUnits.open(store, "claim-7")

`open_store` makes one of a URL, for configuration files. `ObjectStore`, `SqlStore` and `RedisStore`
take what your application has already: an object store of obstore, an engine of SQLAlchemy, a
client of redis-py. `CachedStore` keeps what was read in a local directory. `Store` says what a
store of your own must do, and `spiff_element_units.stores.testing` checks that it does.

Each adapter needs a library, which an extra installs: `[object-store]`, `[sql]`, `[redis]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..cache.cached_store import CachedStore
from ..cache.store import Store, Stored
from .opening import open_store

if TYPE_CHECKING:
    from .object_store import ObjectStore
    from .redis_store import RedisStore
    from .sql_store import SqlStore

__all__ = [
    "CachedStore",
    "ObjectStore",
    "RedisStore",
    "SqlStore",
    "Store",
    "Stored",
    "open_store",
]

_MODULES = {"ObjectStore": "object_store", "RedisStore": "redis_store", "SqlStore": "sql_store"}


def __getattr__(name: str) -> Any:
    """Import an adapter, and the library that it needs, when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
