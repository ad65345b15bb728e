"""`open_store`: a store from a URL, as it is written in a configuration file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Union
from urllib.parse import parse_qsl, unquote, urlsplit

from ..cache.store import Store
from ..errors import ElementUnitsError
from .failing import TIMEOUT, reason_of, without_credentials

_OBJECTS = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "memory")
_DATABASES = ("postgresql", "mysql", "mariadb", "sqlite")
_REDIS = {"redis": "redis", "rediss": "rediss", "unix": "unix"}
_VALKEY = {"valkey": "redis", "valkeys": "rediss"}
KNOWN = (
    "a path, file://, s3://, gs://, az://, postgresql://, mysql://, mariadb://, sqlite://, "
    "redis://, rediss://, valkey:// or memory://"
)


def is_url(text: str) -> bool:
    """Whether a text is a URL and not a path."""
    scheme, found, _ = text.partition("://")
    return bool(found) and scheme.replace("+", "").replace("-", "").isalnum() and len(scheme) > 1


def open_store(
    url: Union[str, os.PathLike[str]], *, timeout: float = TIMEOUT
) -> Union[Store, Path]:
    """Return what a URL names, for use in the place of a cache directory.

    - A path, or `file:///path`: the directory, as a `Path`. It is the default for one machine.
    - `s3://bucket/prefix?region=eu-west-1&endpoint=http://..`, `gs://bucket/prefix`,
      `az://container/prefix`: an object store. The query has obstore's settings, and the
      environment has those that are not in it, such as `AWS_SECRET_ACCESS_KEY`.
    - `postgresql://user:password@host/database`, `mysql://..`, `mariadb://..`, `sqlite:///file.db`:
      a database, as SQLAlchemy's URLs. `postgresql+psycopg2://` chooses another driver.
    - `redis://:password@host:6379/0`, `rediss://` (TLS), `valkey://`: Redis or Valkey.
    - `memory://`: the memory of this process, for tests.

    `timeout` is the time in seconds that the store has for one request. A request that fails is
    repeated up to three times, with growing pauses.

    This does not connect to the store. Raises ElementUnitsError for another URL, and ImportError if
    the library for the store is not installed.
    """
    text = os.fspath(url)
    if not is_url(text):
        return Path(text)
    parts = urlsplit(text)
    kind = parts.scheme.partition("+")[0]
    told = without_credentials(text, [])
    try:
        if kind == "file":
            if parts.netloc not in ("", "localhost"):
                raise ElementUnitsError(
                    f"{told!r} names another machine; write a path of this one with three slashes, "
                    "as in file:///var/cache/units"
                )
            return Path(unquote(parts.path))
        if kind in _OBJECTS:
            if not parts.netloc and kind != "memory":
                raise ElementUnitsError(
                    f"{told!r} names no bucket; write it behind the two slashes, as in "
                    "s3://bucket/prefix"
                )
            from .object_store import ObjectStore  # noqa: PLC0415 - needs obstore

            config = dict(parse_qsl(parts.query))
            place = parts._replace(query="").geturl() if parts.netloc else "memory:///"
            return ObjectStore.from_url(place, config, timeout)
        if kind in _DATABASES:
            from .sql_store import SqlStore  # noqa: PLC0415 - needs SQLAlchemy

            return SqlStore.from_url(text, timeout)
        if kind in _REDIS or kind in _VALKEY:
            from .redis_store import RedisStore  # noqa: PLC0415 - needs redis-py

            scheme = {**_REDIS, **_VALKEY}[kind]
            return RedisStore.from_url(f"{scheme}{text[len(kind) :]}", timeout)
    except (ImportError, ElementUnitsError):
        raise
    except Exception as error:
        reason = reason_of(error, [parts.password or ""])
        raise ElementUnitsError(f"cannot open the store {told!r}: {reason}") from None
    raise ElementUnitsError(f"{told!r} names no store that is known; it must be {KNOWN}")
