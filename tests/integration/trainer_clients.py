"""The trainers' own clients as far as they talk to a reward server, written again from what they do.

Their pauses between tries are shortened; time-outs, numbers of tries, and what they make of a reply are theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp

PAUSE_S = 0.05
PROMPT = "<|im_start|>user\nWhat is 40 + 2?<|im_end|>\n<|im_start|>assistant\n"


async def openrlhf_post(url: str, data: dict[str, Any], tries: int = 5) -> Any:
    """One session a try, 180 s, every status but 2xx tried again."""
    timeout = aiohttp.ClientTimeout(total=180)
    for _ in range(tries):
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, json=data) as response:
                response.raise_for_status()
                return await response.json()
        except Exception:
            await asyncio.sleep(PAUSE_S)
    raise RuntimeError("Request error for 5 times")


async def openrlhf_execute(url: str, response: str, label: Any, prompt: str = PROMPT) -> dict[str, Any]:
    """A rollout's end: the special tokens stay in the query; a failure leaves reward None."""
    output: dict[str, Any] = {"reward": None, "scores": None, "extra_logs": {}}
    try:
        data = {"query": [prompt + response + "<|im_end|>"], "prompts": [prompt], "labels": [label]}
        info = await openrlhf_post(url, data)
        scores = info.get("scores")
        output.update(
            reward=info.get("rewards"),
            scores=info.get("rewards") if scores is None else scores,
            extra_logs=info.get("extra_logs") or {},
        )
    except Exception:
        return output
    return output


def openrlhf_tensors(outputs: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """What training makes of rollouts: the first one's keys, and every value a number (``torch.tensor([value])``)."""
    info = []
    for output in outputs:
        values = {"reward": output["reward"], "score": output["scores"]} | output["extra_logs"]
        row = {}
        for key, value in values.items():
            [number] = value
            assert type(number) in (int, float), f"torch.tensor cannot take {number!r}"
            row[key] = float(number)
        info.append(row)
    return {key: [row[key] for row in info] for key in info[0]}


def keeps_group(scores: Sequence[float], low: float = 0.0, high: float = 1.0) -> bool:
    """OpenRLHF's dynamic filtering."""
    return low < sum(scores) / len(scores) < high


async def slime_remote_rm(session: aiohttp.ClientSession, url: str, sample: dict[str, Any], tries: int = 10) -> Any:
    """One session for all, every status but 2xx tried again; at the end it raises."""
    payload = {"prompt": sample["prompt"], "response": sample["response"], "label": sample["label"]}
    for attempt in range(tries):
        try:
            async with session.post(url, json=payload) as response:
                response.raise_for_status()
                return await response.json()
        except Exception:
            if attempt + 1 >= tries:
                raise
            await asyncio.sleep(PAUSE_S)
    return None


def slime_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64), timeout=aiohttp.ClientTimeout(total=120))


def slime_reward(reply: Any, reward_key: str | None) -> float:
    """``Sample.get_reward_value``."""
    value = reply[reward_key] if reward_key else reply
    assert type(value) in (int, float)
    return float(value)


def nemo_body(response: str, task: int, rollout: int, **fields: Any) -> dict[str, Any]:
    """What an agent posts to ``/verify``: the row of the data set with the policy's reply."""
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": response, "annotations": []}],
    }
    return {
        "responses_create_params": {"input": [{"role": "user", "content": "What is 40 + 2?"}], "temperature": 1.0},
        "response": {"id": "resp_1", "object": "response", "model": "policy", "output": [message]},
        "question": "What is 40 + 2?",
        "expected_answer": "42",
        "_ng_task_index": task,
        "_ng_rollout_index": rollout,
    } | fields


async def nemo_verify(session: aiohttp.ClientSession, base_url: str, body: dict[str, Any]) -> dict[str, Any]:
    """No time-out; a status that is not 2xx ends the rollout."""
    async with session.post(f"{base_url}/verify", json=body) as response:
        response.raise_for_status()
        reply: dict[str, Any] = await response.json()
        return reply


def nemo_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(), cookie_jar=aiohttp.DummyCookieJar())


def nemo_is_result(reply: dict[str, Any]) -> bool:
    """False for what the collector writes to its file of failures."""
    return reply.get("_ng_failure_class") is None
