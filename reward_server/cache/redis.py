"""Rows in Redis, for servers on many machines. Redis bounds its memory itself (``maxmemory``); rows expire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import redis
from redis import asyncio as async_redis
from redis import exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from judge.errors import ConfigError
from reward_server.cache.metrics import FaultKind, Tier
from reward_server.cache.rows import CacheFault

ROW_VERSION: Final = 1
"""Part of every key: servers of different versions share a Redis without reading each other's rows."""
START_TIMEOUT_S: Final = 5.0
MAX_CONNECTIONS: Final = 32
CHUNK: Final = 1000
"""Keys of one command: Redis does nothing else meanwhile."""
FAULTS: Final[tuple[tuple[type[Exception], FaultKind, str], ...]] = (
    (exceptions.TimeoutError, "timeout", "Redis did not answer in time"),
    (exceptions.ReadOnlyError, "read_only", "this Redis is a replica and cannot be written"),
    (exceptions.OutOfMemoryError, "full", "Redis is out of memory; give it maxmemory-policy allkeys-lru"),
    (exceptions.AuthenticationError, "unreachable", "Redis refused the user name or the password"),
    (exceptions.ConnectionError, "unreachable", "Redis cannot be reached"),
)


class RedisRows:
    """A `RowStore` in Redis. Connects at first use.

    Args:
        client: from `connect`, or a stand-in.
        namespace: first part of every key.
        ttl_s: rows expire after so many seconds.
    """

    tier: Tier = "redis"
    size = None

    def __init__(self, client: async_redis.Redis, namespace: str, ttl_s: int) -> None:
        self._client = client
        self._prefix = f"{namespace}:verdict:{ROW_VERSION}:"
        self._ttl_s = ttl_s

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """One entry for each key, in order."""
        rows: list[bytes | None] = []
        try:
            for start in range(0, len(keys), CHUNK):
                found = await self._client.mget([self._prefix + key for key in keys[start : start + CHUNK]])
                rows += [row if isinstance(row, bytes) else None for row in found]
        except (exceptions.RedisError, OSError) as error:
            raise as_fault(error) from None
        return rows

    async def write(self, rows: Mapping[str, bytes]) -> None:
        """Keep rows; Redis has them when this returns."""
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for key, row in rows.items():
                    pipeline.set(self._prefix + key, row, ex=self._ttl_s)
                await pipeline.execute()
        except (exceptions.RedisError, OSError) as error:
            raise as_fault(error) from None

    async def aclose(self) -> None:
        """Close all connections."""
        try:
            await self._client.aclose()
        except (exceptions.RedisError, OSError) as error:
            raise as_fault(error) from None


def as_fault(error: Exception) -> CacheFault:
    """What the error means to an operator; without its message, which may hold an address."""
    for known, kind, advice in FAULTS:
        if isinstance(error, known):
            return CacheFault(kind, advice)
    return CacheFault("other", f"Redis failed ({type(error).__name__})")


def connect(url: str, timeout_s: float) -> async_redis.Redis:
    """A client that gives up rather than trying again: the caller has a judge to ask instead."""
    pool = async_redis.BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=timeout_s,
        **no_patience(timeout_s),
        retry=AsyncRetry(NoBackoff(), 0),
    )
    return async_redis.Redis.from_pool(pool)


def check_redis(url: str, variable: str, namespace: str) -> None:
    """Write a row to Redis, once, and forget it.

    Raises:
        ConfigError: when that does not work; it names the variable, never the URL, which may hold a password.
    """
    try:
        client = redis.Redis.from_url(url, **no_patience(START_TIMEOUT_S), retry=Retry(NoBackoff(), 0))
    except ValueError:
        raise ConfigError(f"${variable}: not a URL of Redis; give redis://HOST:PORT/0, rediss:// or unix://") from None
    try:
        client.set(f"{namespace}:start", b"1", ex=1)
    except (exceptions.RedisError, OSError) as error:
        raise ConfigError(f"[cache] kind = 'redis' with the URL in ${variable}: {as_fault(error)}") from None
    finally:
        client.close()


def no_patience(timeout_s: float) -> dict[str, Any]:
    """Time-outs for connecting and for each answer."""
    return {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
