"""From settings to a store: what is refused at start, and that the message names the setting."""

from __future__ import annotations

import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from judge.errors import ConfigError
from judge.settings import parse_table
from judge.types import Verdict
from reward_server.cache.base import VerdictStore
from reward_server.cache.build import build_store
from reward_server.cache.memory import MemoryStore
from reward_server.cache.metrics import CacheMetrics
from reward_server.cache.settings import USED_BY, CacheSettings
from reward_server.cache.tiered import TieredStore

SECRET = "a secret that is long enough"


def settings(**table: Any) -> CacheSettings:
    return parse_table(CacheSettings, table, "[cache]")


def build(environ: dict[str, str] | None = None, **table: Any) -> VerdictStore | None:
    return build_store(settings(**table), environ or {}, CacheMetrics(CollectorRegistry()))


def test_the_default_is_memory_and_off_is_nothing() -> None:
    assert isinstance(build(), MemoryStore)
    assert build(kind="off") is None


def test_every_setting_says_which_kinds_read_it() -> None:
    assert set(USED_BY) | {"kind"} == set(CacheSettings.model_fields)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"kind": "disk"}, ["kind", "'sqlite'"]),
        ({"kind": "sqlite"}, ["needs 'path'"]),
        ({"path": "x.db"}, ["'path' has no effect", "'memory'", "'sqlite'"]),
        ({"kind": "sqlite", "path": "x.db", "ttl_s": 5}, ["'ttl_s' has no effect", "'redis'"]),
        ({"kind": "off", "max_entries": 5}, ["'max_entries' has no effect"]),
        ({"max_entry": 5}, ["max_entry", "did you mean 'max_entries'"]),
        ({"max_entries": 0}, ["max_entries"]),
        ({"kind": "redis", "namespace": "a:b"}, ["namespace"]),
        ({"kind": "redis", "timeout_s": float("nan")}, ["timeout_s"]),
    ],
)
def test_settings_that_make_no_sense(table: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(**table)
    assert [word for word in words if word not in str(caught.value)] == []


def other_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE something (x)")
    connection.close()


def other_version(path: Path) -> None:
    build(kind="sqlite", path=path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda path: path.write_text("verdicts, and a text that is long enough" * 50), "not an SQLite file"),
        (other_database, "an SQLite file of something else"),
        (other_version, "of version 7, and this server writes version 1"),
        (lambda path: path.mkdir(), "is a folder"),
    ],
)
def test_a_file_that_is_something_else_is_refused_and_left_alone(tmp_path: Path, prepare: Any, words: str) -> None:
    path = tmp_path / "verdicts.db"
    prepare(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(ConfigError) as caught:
        build(kind="sqlite", path=path)
    assert f"[cache] path = '{path}'" in str(caught.value)
    assert words in str(caught.value)
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[cache\] path = .*its folder does not exist"):
        build(kind="sqlite", path=tmp_path / "missing" / "verdicts.db")


def test_a_folder_that_nobody_can_write_into() -> None:
    # /proc refuses everybody, the superuser too.
    with pytest.raises(ConfigError, match=r"\[cache\] path = '/proc/verdicts.db': the file cannot be opened"):
        build(kind="sqlite", path=Path("/proc/verdicts.db"))


def test_redis_without_a_url_names_the_variable() -> None:
    with pytest.raises(ConfigError, match=r"\$OTHER.*redis://"):
        build(kind="redis", redis_url_env="OTHER")


@pytest.mark.parametrize("url", ["localhost:6379", "http://u:hunter2@localhost/0", "redis://u:hunter2@127.0.0.1:1/0"])
def test_redis_that_cannot_be_reached_names_the_variable_and_never_the_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build({"SGPO_REDIS_URL": url}, kind="redis")
    assert "$SGPO_REDIS_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_short_secret_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\$SGPO_CACHE_SECRET: a secret needs") as caught:
        build({"SGPO_CACHE_SECRET": "tiny"}, kind="sqlite", path=tmp_path / "v.db")
    assert "tiny" not in str(caught.value)


async def test_a_file_is_made_and_shared_by_servers_with_the_same_secret(tmp_path: Path) -> None:
    found = {}
    for name, secret in (("one", SECRET), ("two", SECRET), ("three", ""), ("four", SECRET + "?")):
        store = build({"SGPO_CACHE_SECRET": secret}, kind="sqlite", path=tmp_path / "v.db", timeout_s=60)
        assert isinstance(store, TieredStore)
        if name == "one":
            await store.put_many({"k": Verdict(1, "j")})
        [found[name]] = await store.get_many(["k"])
        await store.aclose()
    assert [each is not None for each in found.values()] == [True, True, False, False]


async def test_the_file_is_for_the_servers_user_only(tmp_path: Path) -> None:
    store = build(kind="sqlite", path=tmp_path / "v.db", timeout_s=60)
    assert store is not None
    await store.put_many({"k": Verdict(1, "j")})
    modes = {each.name: each.stat().st_mode & 0o777 for each in os.scandir(tmp_path)}
    assert set(modes) == {"v.db", "v.db-wal", "v.db-shm"}
    assert set(modes.values()) == {0o600}
    await store.aclose()


async def test_servers_that_start_together_make_one_file(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def start(_: int) -> VerdictStore | None:
        together.wait(60)
        return build(kind="sqlite", path=tmp_path / "v.db", timeout_s=60)

    with ThreadPoolExecutor(8) as threads:
        stores = list(threads.map(start, range(8)))
    for number, store in enumerate(stores):
        assert store is not None
        await store.put_many({str(number): Verdict(number, "j")})
    for store in stores:
        assert store is not None
        assert await store.get_many([str(n) for n in range(8)]) == [Verdict(n, "j") for n in range(8)]
        await store.aclose()


def test_a_file_that_another_process_never_lets_go_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "v.db"
    build(kind="sqlite", path=path)
    monkeypatch.setattr("reward_server.cache.sqlite.START_TIMEOUT_S", 0.2)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(ConfigError, match="another process holds the file"):
        build(kind="sqlite", path=path)
    holder.execute("ROLLBACK")
    build(kind="sqlite", path=path)
    holder.close()
