"""From the table ``[cache]`` to a store that works, or a reason why the server must not start."""

from __future__ import annotations

from collections.abc import Mapping

from judge.errors import ConfigError
from reward_server.cache.base import VerdictStore
from reward_server.cache.guarded import GuardedStore
from reward_server.cache.memory import MemoryStore
from reward_server.cache.metrics import CacheMetrics
from reward_server.cache.rows import RowStore
from reward_server.cache.seal import Seal
from reward_server.cache.settings import CacheSettings
from reward_server.cache.sqlite import SqliteRows, check_sqlite
from reward_server.cache.tiered import TieredStore

MIN_SECRET_CHARS = 16
BUSY_SHARE = 0.8
"""Part of the time-out that a write waits for another process; the rest is for the write."""


def build_store(settings: CacheSettings, environ: Mapping[str, str], metrics: CacheMetrics) -> VerdictStore | None:
    """The store that the settings ask for; None for ``kind = "off"``.

    Raises:
        ConfigError: when file, Redis or secret cannot be had, naming the setting.
    """
    if settings.kind == "off":
        return None
    memory = MemoryStore(settings.max_entries, settings.max_bytes, metrics)
    if settings.kind == "memory":
        return memory
    seal = Seal(load_secret(settings.secret_env, environ))
    return TieredStore(memory, GuardedStore(build_rows(settings, environ), seal, metrics, settings.timeout_s))


def build_rows(settings: CacheSettings, environ: Mapping[str, str]) -> RowStore:
    """The file or the Redis, after it has been tried once."""
    if settings.kind == "sqlite":
        assert settings.path is not None, "the settings refuse this"
        check_sqlite(settings.path, settings.file_max_bytes)
        return SqliteRows(settings.path, settings.file_max_bytes, settings.timeout_s * BUSY_SHARE)
    url = environ.get(settings.redis_url_env, "")
    if not url:
        raise ConfigError(
            f"[cache] kind = 'redis' needs a URL in ${settings.redis_url_env} (or in the variable that"
            " redis_url_env names), such as redis://127.0.0.1:6379/0"
        )
    try:
        from reward_server.cache.redis import RedisRows, check_redis, connect
    except ModuleNotFoundError:
        raise ConfigError("[cache] kind = 'redis' needs the package redis; install it with pip install redis") from None
    check_redis(url, settings.redis_url_env, settings.namespace)
    return RedisRows(connect(url, settings.timeout_s), settings.namespace, settings.ttl_s)


def load_secret(variable: str, environ: Mapping[str, str]) -> bytes:
    """The secret that signs rows; empty where none is set.

    Raises:
        ConfigError: when it is too short to be one.
    """
    secret = environ.get(variable, "")
    if secret and len(secret) < MIN_SECRET_CHARS:
        raise ConfigError(
            f"${variable}: a secret needs at least {MIN_SECRET_CHARS} characters; `openssl rand -hex 32` makes one"
        )
    return secret.encode()
