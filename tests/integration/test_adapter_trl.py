"""The TRL adapter, called as TRL 1.16 calls reward functions (``GRPOTrainer._calculate_rewards``)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Literal

from sgpo_client.adapters.trl import TrlRewards, sgpo_rewards
from tests.integration.adapter_suite import AdapterSuite, Outcome, Row


class Logged:
    """TRL's two ways to log from a reward function."""

    def __init__(self) -> None:
        self.extra: dict[str, list[Any]] = {}
        self.metrics: dict[str, list[float]] = {}

    def log_extra(self, column: str, values: list[Any]) -> None:
        self.extra.setdefault(column, []).extend(values)

    def log_metric(self, name: str, value: float) -> None:
        self.metrics.setdefault(name, []).append(value)


def call(functions: TrlRewards, rows: Sequence[Row], logged: Logged) -> list[list[float | None]]:
    """All async functions under one gather, with the same lists."""
    prompts = [row.problem for row in rows]
    chats = not all(isinstance(prompt, str) for prompt in prompts)
    completions = [[{"role": "assistant", "content": row.text}] if chats else row.text for row in rows]
    columns: dict[str, Any] = {
        "answer": [row.answer for row in rows],
        "trainer_state": SimpleNamespace(global_step=3),
        "log_extra": logged.log_extra,
        "log_metric": logged.log_metric,
    }

    async def run() -> list[list[float | None]]:
        ids = [[1, 2]] * len(rows)
        calls = [each(prompts=prompts, completions=completions, completion_ids=ids, **columns) for each in functions]
        return list(await asyncio.gather(*calls))

    return asyncio.run(run())


class TrlDriver:
    failure: Literal["none", "raise"] = "none"
    joins = False
    mixed_sizes = True
    messages = True

    def ask(self, rows: Sequence[Row], url: str, **settings: Any) -> Outcome:
        rewards, accs = call(sgpo_rewards(url=url, **settings), rows, Logged())
        return Outcome(rewards, [None if acc is None else int(acc) for acc in accs])


class TestTrl(AdapterSuite):
    driver = TrlDriver()
