"""The verl adapter, called as verl 0.9.1's reward loop calls a reward manager: one response at a time, all at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from sgpo_client.adapters.verl import SgpoScorer, reward_row
from sgpo_client.errors import ConfigError
from tests.integration.adapter_suite import BASE, IMPATIENT, RIGHT, TOWER, AdapterSuite, Outcome, Row, group, url_of
from tests.integration.http_server import running
from tests.unit.service_calls import Counting, scripted


def fields(row: Row, **changes: Any) -> dict[str, Any]:
    """The item's ``non_tensor_batch``."""
    prompt = row.problem if isinstance(row.problem, list) else [{"role": "user", "content": row.problem}]
    return {
        "uid": row.uid,
        "raw_prompt": prompt,
        "data_source": "openai/gsm8k",
        "reward_model": {"style": "rule", "ground_truth": row.answer},
        "extra_info": {"index": 0, "split": "train"},
    } | changes


def columns(infos: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """What verl makes of the extra keys: those of the first sample, for all."""
    return {key: [info[key] for info in infos] for key in infos[0]}


class VerlDriver:
    failure: Literal["none", "raise", "outcome"] = "raise"
    joins = True
    mixed_sizes = False
    messages = True

    def ask(self, rows: Sequence[Row], url: str, **settings: Any) -> Outcome:
        [size] = set(Counter(row.uid for row in rows).values())

        async def run() -> list[dict[str, Any]]:
            scorer = SgpoScorer({"url": url} | settings, size)
            return list(await asyncio.gather(*(scorer.score(reward_row(fields(row), row.text)) for row in rows)))

        replies = asyncio.run(run())
        infos = [reply["reward_extra_info"] for reply in replies]
        assert columns(infos)["score"] == [reply["reward_score"] for reply in replies]
        return Outcome([reply["reward_score"] for reply in replies], [int(info["acc"]) for info in infos], infos)


class TestVerl(AdapterSuite):
    driver = VerlDriver()


def test_validation_is_correctness_and_asks_no_judge() -> None:
    judge = Counting(scripted())
    with running(BASE, judge=judge) as server:
        scorer = SgpoScorer({"url": url_of(server)}, 8)
        [row] = group("Line 0 is WRONG here.")
        reply = asyncio.run(scorer.score(reward_row(fields(row, extra_info={"split": "test"}), row.text)))
    assert (reply["reward_score"], judge.asked) == (0.0, [])


def test_answer_that_cannot_be_compared_counts_as_wrong_in_a_validation() -> None:
    with running(BASE | IMPATIENT) as server:
        scorer = SgpoScorer({"url": url_of(server)}, 8)
        rows = [reward_row(fields(row, extra_info={"split": "test"}), row.text) for row in group(TOWER, RIGHT)]
        replies = [asyncio.run(scorer.score(row)) for row in rows]
    assert [reply["reward_score"] for reply in replies] == [0.0, 1.0]
    infos = [reply["reward_extra_info"] for reply in replies]
    assert [(info["acc"], info["sgpo_fallback"], info["sgpo_unscored"]) for info in infos] == [(0, 1, 1), (1, 0, 0)]


def test_row_without_uid_or_messages_is_refused() -> None:
    [row] = group("x")
    scorer = SgpoScorer({"url": "http://127.0.0.1:9"}, 2)
    with pytest.raises(ConfigError, match="without uid"):
        asyncio.run(scorer.score(reward_row(fields(row, uid=None), row.text)))
    with pytest.raises(ConfigError, match="return_raw_chat"):
        reward_row({"uid": "q"}, "x")


def test_no_reward_at_all_is_no_choice() -> None:
    with pytest.raises(ConfigError, match="on_unscored = 'none'"):
        SgpoScorer({"on_unscored": "none"}, 2)


def test_in_verls_own_reward_loop() -> None:
    """verl loads the manager by its import path, and hands it a real ``DataProto``."""
    pytest.importorskip("verl")
    from tests.integration.verl_loop import run_loop

    with running(BASE) as server:
        rows = group("Line 0 is fine here.\nLine 1 is WRONG here.", "Line 0 is WRONG here.\nLine 1 is fine here.")
        replies = run_loop(rows, url_of(server))
        expected = VerlDriver().ask(rows, url_of(server)).rewards
    assert [reply["reward_score"] for reply in replies] == expected
