"""``sgpo-serve check``: what a configuration would serve, and everything that would keep it from serving."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry

from judge.errors import ConfigError, JudgeError
from judge.judges.base import Judge
from judge.registry import build_judge
from reward_server.app import load_token_counter
from reward_server.cache.build import build_store
from reward_server.cache.metrics import CacheMetrics
from reward_server.config import ServerConfig, load_config
from reward_server.edge.auth import KeyRing, check_exposure, load_keys
from reward_server.edge.descriptors import SPARE, raise_descriptor_limit, too_few_descriptors
from reward_server.edge.tracing import build_tracing
from reward_server.readiness import Readiness
from reward_server.running.process import judge_where, open_socket, override
from reward_server.running.worker_plan import check_workers


@dataclass(slots=True)
class Findings:
    """What was found: lines about the server, notes, and what must be mended."""

    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @contextmanager
    def problem(self) -> Iterator[None]:
        """Turn a refusal into a problem, and go on looking."""
        try:
            yield
        except (JudgeError, OSError) as error:
            self.problems.append(str(error))

    def report(self) -> str:
        """For people; a problem begins with ``problem:``."""
        marked = [*(f"note: {note}" for note in self.notes), *(f"problem: {problem}" for problem in self.problems)]
        verdict = f"{len(self.problems)} to mend" if self.problems else "this configuration can be served"
        return "\n".join([*self.lines, *marked, verdict]) + "\n"


def check(
    config_path: Path | None,
    *,
    host: str | None = None,
    port: int | None = None,
    judge: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Findings:
    """Look at everything that a start looks at, and ask the judge about a known solution once. Starts no server."""
    findings = Findings()
    try:
        config = override(load_config(config_path), host, port, judge)
    except JudgeError as error:
        findings.problems.append(str(error))
        return findings
    check_settings(config, environ, findings)
    check_judge(config, judge_where(config_path, judge), findings)
    return findings


def check_settings(config: ServerConfig, environ: Mapping[str, str], findings: Findings) -> None:
    """Everything but the judge."""
    server, limits, admission = config.server, config.limits, config.admission
    keys = KeyRing()
    with findings.problem():
        keys = load_keys(config.auth, environ)
    if not findings.problems:
        with findings.problem():
            check_exposure(server.host, keys, config.auth)
    looks: list[Callable[[], object]] = [
        lambda: check_workers(server.workers, config.judge),
        lambda: server.tokenizer and load_token_counter(server.tokenizer),
        lambda: check_shaping(config),
        lambda: build_tracing(config.tracing).close(),
        lambda: asyncio.run(open_cache(config, environ)),
    ]
    for look in looks:
        with findings.problem():
            look()
    try:
        open_socket(server.host, server.port).close()
    except ConfigError as error:
        # It may well be this very server that runs already.
        findings.notes.append(str(error))
    connections = admission.num_connections
    if too_few_descriptors(raise_descriptor_limit(connections), connections):
        findings.notes.append(f"fewer than {connections + SPARE} file descriptors (ulimit -Hn); see [admission]")
    if server.workers > 1 and config.cache.kind == "memory":
        findings.notes.append("each worker has its own cache in memory; [cache] kind = 'sqlite' or 'redis' is shared")
    findings.lines += [
        f"address: http://{server.host}:{server.port}, workers: {server.workers}",
        f"keys: {len(keys.keys)}" if keys.required else "keys: none asked for (this machine only)",
        f"admission: {admission.max_in_flight_requests} requests at a time, {admission.max_waiting_requests} in line",
        f"limits: {limits.max_body_bytes} bytes, {limits.max_groups} groups of {limits.max_responses} responses,"
        f" {limits.max_text_chars} characters and {limits.max_steps} steps each",
        f"cache: {config.cache.kind}",
        f"log: {config.logging.format}, traces: {config.tracing.endpoint or 'off'}",
    ]


def check_shaping(config: ServerConfig) -> None:
    """Counting tokens needs something that counts."""
    if config.shaping.length == "tokens" and config.server.tokenizer is None:
        raise ConfigError("[shaping] length = 'tokens' needs [server] tokenizer, the path of a tokenizer.json")


async def open_cache(config: ServerConfig, environ: Mapping[str, str]) -> None:
    """Open the verdict cache as a start would, and close it."""
    store = build_store(config.cache, environ, CacheMetrics(CollectorRegistry()))
    if store is not None:
        await store.aclose()


def check_judge(config: ServerConfig, where: str, findings: Findings) -> None:
    """Load the judge and ask it once."""
    with findings.problem():
        judge = build_judge(config.judge, where)
        started = time.perf_counter()
        fault = asyncio.run(ask_once(judge, config))
        elapsed_s = time.perf_counter() - started
        findings.lines.append(f"judge: {judge.judge_id}, {elapsed_s:.2f} s for one solution")
        if fault is not None:
            findings.problems.append(f"{where}: {fault}")


async def ask_once(judge: Judge, config: ServerConfig) -> str | None:
    """What is wrong with the judge, or None."""
    try:
        readiness = Readiness(
            judge,
            strict=config.judge.get("kind") == "rules",
            timeout_s=config.server.ready_timeout_s,
            cache_s=0,
        )
        return await readiness.fault()
    finally:
        await judge.aclose()
