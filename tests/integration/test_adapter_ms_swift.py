"""The ms-swift adapter, called as ms-swift 4.6.0 calls its reward classes (``compute_rewards_per_func``)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from sgpo_client.adapters.ms_swift import read, sgpo_orms
from sgpo_client.errors import DataError
from tests.integration.adapter_suite import BASE, A, AdapterSuite, B, Outcome, Row, expected, group, url_of
from tests.integration.http_server import running

NAMES = ("sgpo", "sgpo_accuracy", "sgpo_fallback")


def chat(row: Row) -> list[dict[str, Any]]:
    prompt = row.problem if isinstance(row.problem, list) else [{"role": "user", "content": row.problem}]
    return [*prompt, {"role": "assistant", "content": row.text}]


class SwiftDriver:
    failure: Literal["none", "raise", "outcome"] = "outcome"
    joins = False
    mixed_sizes = True
    messages = True

    def ask(self, rows: Sequence[Row], url: str, **settings: Any) -> Outcome:
        orms = sgpo_orms(url=url, **settings)
        functions = [orms[name](args=None) for name in NAMES]
        names = {each: f"prompt_{index}" for index, each in enumerate(dict.fromkeys(row.uid for row in rows))}
        columns: dict[str, Any] = {
            "trainer_state": None,
            "messages": [chat(row) for row in rows],
            "prompt_id": [names[row.uid] for row in rows],
            "request_id": [f"chatcmpl-{index}" for index in range(len(rows))],
            "is_truncated": [False] * len(rows),
            "solution": [row.answer for row in rows],
        }
        completions = [row.text for row in rows]

        async def run() -> list[list[float | None]]:
            assert all(asyncio.iscoroutinefunction(function.__call__) for function in functions)
            return list(await asyncio.gather(*(function(completions, **columns) for function in functions)))

        rewards, accs, fallbacks = asyncio.run(run())
        extras = [{"sgpo_fallback": each} for each in fallbacks if each is not None]
        return Outcome(rewards, [None if acc is None else int(acc) for acc in accs], extras)


class TestMsSwift(AdapterSuite):
    driver = SwiftDriver()


def test_siblings_may_stand_apart() -> None:
    """``prompt_id`` says what belongs together, wherever it stands in the batch."""
    with running(BASE) as server:
        rows = [*group(A), *group(A, uid="q2", problem="6 * 7?"), *group(B), *group(B, uid="q2", problem="6 * 7?")]
        rewards = SwiftDriver().ask(rows, url_of(server)).rewards
        first, second = expected(server, [A, B]), expected(server, [A, B], "6 * 7?")
        assert rewards == [first[0], second[0], first[1], second[1]]


@pytest.mark.parametrize("name", ["images", "videos", "audios", "tools"])
def test_a_row_with_more_than_text_is_refused(name: str) -> None:
    rows = group(A, B)
    columns = {"messages": [chat(row) for row in rows], "solution": ["42", "42"]}
    completions = [row.text for row in rows]
    with pytest.raises(DataError, match=f"ms-swift: row 1 of the batch has something in its column '{name}'"):
        read(completions, columns | {name: [None, ["x.png"]]}, "solution")
    for nothing in ([None, None], [[], "[]"], None):
        assert len(read(completions, columns | {name: nothing}, "solution")) == 2


@pytest.mark.parametrize("role", ["tool_call", "tool_response", "tool"])
def test_a_chat_with_tools_is_refused(role: str) -> None:
    [row] = group(A)
    messages = [*chat(row)[:-1], {"role": role, "content": "2"}, chat(row)[-1]]
    with pytest.raises(DataError, match=r"ms-swift: messages\[0\]: holds tool calls"):
        read([row.text], {"messages": [messages], "solution": ["42"]}, "solution")


def test_in_ms_swifts_own_reward_loop() -> None:
    algorithm = pytest.importorskip("swift.rl_core.grpo_algorithm")
    data = pytest.importorskip("swift.rl_core.data")
    import torch

    with running(BASE) as server:
        orms = sgpo_orms(url=url_of(server))
        samples = [
            data.GRPOSample(messages=chat(row), extra={"solution": "42"}, prompt_id="prompt_0") for row in group(A, B)
        ]
        found = algorithm.compute_rewards_per_func(samples, [orms[name]() for name in NAMES], [], torch.device("cpu"))
        rewards = expected(server, [A, B])
        samples[1].images = ["x.png"]
        with pytest.raises(DataError, match="row 1 of the batch has something in its column 'images'"):
            algorithm.compute_rewards_per_func(samples, [orms["sgpo"]()], [], torch.device("cpu"))
    assert found[:, 0].tolist() == pytest.approx(rewards)
    assert found[:, 1:].tolist() == [[0, 0], [0, 0]]
