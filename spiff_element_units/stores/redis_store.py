"""A store in Redis or Valkey.

Each name is one string. A hash lists them all, with size and time, so that a list does not walk
through all keys of the server. A script writes both in one step, with the time of the server.

All keys begin with `{prefix}`: in a cluster they are on one node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Optional

from ..cache.store import Stored
from ..errors import ElementUnitsError
from .failing import TIMEOUT, failing, missing

try:
    import redis
    from redis.backoff import ExponentialBackoff
    from redis.retry import Retry
except ImportError as error:
    raise ImportError(missing("RedisStore", "redis>=5.1", "redis")) from error

_RETRIES = 3
_WRITE = """
local now = redis.call('TIME')
redis.call('SET', KEYS[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], #ARGV[2] .. ' ' .. now[1] .. ' ' .. now[2])
"""
_DELETE = """
local found = redis.call('HGET', KEYS[2], ARGV[1])
if not found or (ARGV[2] ~= '' and string.match(found, ' (.*)') ~= ARGV[2]) then
    return 0
end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('UNLINK', KEYS[1])
return 1
"""


class RedisStore:
    """A store in Redis 5 or later, or Valkey: `RedisStore(redis.Redis(..))`.

    The client must not decode responses. Its timeouts and retries are its own. All keys begin with
    the prefix.

    Configure the server to keep what it has (`maxmemory-policy noeviction`). If it drops a pack,
    reading it raises CorruptPack until the workflow is cached again.

    Several threads may use it, and you can use it after a fork.
    """

    def __init__(self, client: Any, prefix: str = "element-units") -> None:
        self._client = client
        self._prefix = prefix
        self._index = f"{{{prefix}}}:names"
        self._write = client.register_script(_WRITE)
        self._delete = client.register_script(_DELETE)
        pool = getattr(client, "connection_pool", None)
        # A client of a cluster has no pool of its own.
        settings = dict(getattr(pool, "connection_kwargs", {"host": "cluster"}))
        self._secrets = [str(settings.get("password") or "")]
        if settings.get("decode_responses"):
            raise ElementUnitsError(
                "RedisStore needs a client that returns bytes; make a client of its own, with "
                "decode_responses=False"
            )
        self._told = _told(settings)

    @classmethod
    def from_url(cls, url: str, timeout: float = TIMEOUT) -> RedisStore:
        """Open `redis://host:6379/0`, `rediss://` (TLS) or `unix://path?db=0`."""
        return cls(
            redis.Redis.from_url(
                url,
                socket_timeout=timeout,
                socket_connect_timeout=min(timeout, 5),
                retry=Retry(ExponentialBackoff(cap=1, base=0.1), _RETRIES),
                retry_on_error=[redis.ConnectionError, redis.TimeoutError],
            )
        )

    def __str__(self) -> str:
        return self._told

    def __repr__(self) -> str:
        return f"<RedisStore {self}>"

    def read(self, name: str, ranges: Sequence[tuple[int, int]]) -> Optional[list[bytes]]:
        key = self._key(name)
        with self._failing(f"read {name!r}"):
            if len(ranges) == 1:
                ((start, length),) = ranges
                found = [self._client.getrange(key, start, start + length - 1)]
            else:
                with self._client.pipeline(transaction=False) as pipe:
                    for start, length in ranges:
                        pipe.getrange(key, start, start + length - 1)
                    found = pipe.execute()
        # Redis returns an empty range if it has no such key. What is stored is never empty.
        return found if any(found) else None

    def write(self, name: str, content: bytes) -> None:
        with self._failing(f"write {name!r}"):
            self._write(keys=[self._key(name), self._index], args=[name, content])

    def list_names(self, prefix: str) -> Iterator[Stored]:
        with self._failing(f"list {prefix!r}"):
            # A scan may return a name twice.
            found = dict(self._client.hscan_iter(self._index, match=f"{prefix}*", count=1000))
        for name, told in found.items():
            size, seconds, micros = map(int, told.split())
            yield Stored(name.decode(), size, seconds + micros / 10**6)

    def delete(self, name: str, modified: Optional[float] = None) -> bool:
        at = ""
        if modified is not None:
            seconds, micros = divmod(round(modified * 10**6), 10**6)
            at = f"{seconds} {micros}"
        with self._failing(f"delete {name!r}"):
            return bool(self._delete(keys=[self._key(name), self._index], args=[name, at]))

    def _key(self, name: str) -> str:
        return f"{{{self._prefix}}}:{name}"

    def _failing(self, doing: str) -> AbstractContextManager[None]:
        """Raise what redis-py raises as a CacheError."""
        return failing(self, doing, (redis.RedisError, OSError), self._secrets)


def _told(settings: dict[str, Any]) -> str:
    """The server as a URL without credentials."""
    if "path" in settings:
        return f"unix://{settings['path']}"
    host, port = settings.get("host", "localhost"), settings.get("port", 6379)
    return f"redis://{host}:{port}/{settings.get('db') or 0}"
