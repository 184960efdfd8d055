"""Where a judge runs and how its calls are put together, decided from its table.

What computes on this machine gets a process of its own: a model would stop the event loop, and even the rules, pure
Python in a thread, held it for 50 to 120 ms at a time. What only waits (remote models, scripted judges) stays here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from judge.judges.base import Judge
from judge.judges.nested import TABLE_KEYS
from judge.registry import build_judge
from reward_server.batching import Batcher, Places, TokenBudgetBatcher
from reward_server.config import ServerConfig
from reward_server.engine.breaker import Breaker, BreakerJudge
from reward_server.engine.judge_calls import JudgeCaller
from reward_server.engine.judge_process import ProcessJudge
from reward_server.metrics import Metrics
from reward_server.running.worker_plan import runs_a_model

PATIENCE: Final = 0.5
"""A call that has not ended after this share of the longest request counts as failed when it is given up."""


def place_judge(config: ServerConfig, where: str) -> Judge:
    """The judge of a configuration, here or in a process of its own.

    Raises:
        JudgeError: when it cannot be built.
    """
    settings = config.judge_process
    in_process = settings.run_in == "process" or (settings.run_in == "auto" and computes_here(config.judge))
    if not in_process:
        return build_judge(config.judge, where)
    return ProcessJudge(config.judge, where, settings, config.logging)


def guard(judge: Judge, config: ServerConfig, metrics: Metrics) -> BreakerJudge:
    """The judge behind its breaker, both in the metrics."""
    breaker = Breaker(config.breaker.failures, config.breaker.reset_s)
    metrics.engine.watch_breaker(lambda: breaker.state)
    if isinstance(judge, ProcessJudge):
        judge.on_restart = metrics.engine.restarts.inc
        judge.on_retry = metrics.engine.retried.labels(why="died").inc
    return BreakerJudge(judge, breaker, PATIENCE * config.server.request_timeout_s)


def build_batcher(judge: Judge, config: ServerConfig, metrics: Metrics) -> Batcher:
    """The way to a judge: batches under a token budget for models of our own, places for all others."""
    call, settings = JudgeCaller(judge, metrics), config.batching
    if all(runs_a_model(table) for table in innermost(config.judge)):
        return TokenBudgetBatcher(
            call,
            metrics.engine,
            lambda: judge.judge_id,
            max_batch_tokens=settings.max_batch_tokens,
            max_batch_items=settings.max_batch_items,
            max_queued_items=settings.max_queued_items,
        )
    return Places(
        call,
        metrics.engine,
        lambda: judge.judge_id,
        max_calls=config.server.max_concurrent_judge_calls,
        max_batch_items=settings.max_batch_items,
        max_queued_items=settings.max_queued_items,
    )


def computes_here(table: Mapping[str, Any]) -> bool:
    """Whether a judge, or one within it, computes on this machine.

    >>> computes_here({"kind": "rules"}), computes_here({"kind": "critic", "backend": "openai"})
    (True, False)
    """
    return any(runs_a_model(inner) or inner.get("kind") == "rules" for inner in innermost(table))


def innermost(table: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The tables of judges that hold no others: the table itself, unless it is a cascade or a vote."""
    inner = [each for key in TABLE_KEYS if isinstance(table.get(key), list | tuple) for each in table[key]]
    if not inner:
        yield table
    for each in inner:
        if isinstance(each, Mapping):
            yield from innermost(each)
