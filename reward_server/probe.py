"""``sgpo-serve probe``: posts one small group to a running server as a trainer would, and shows what the trainer sees.

Four wrong responses to one problem, each in a request of its own and all at the same time, with the group's id and size
where that trainer can put them. Exit status: 0 when each got a reward, 1 when one did not, 2 for a wrong command line.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp

from reward_server.dialects.base import DIALECT_PREFIXES

PROBLEM: Final = "Tom has 3 bags with 4 apples each. He eats 2 apples. How many apples are left?"
ANSWER: Final = "10"
RESPONSES: Final = (
    "There are 3 + 4 = 7 apples in the bags.\nHe eats 2 of them: 7 - 2 = 5.\nThe answer is 5.",
    "There are 3 * 4 = 12 apples in the bags.\nHe eats 2 of them: 12 - 2 = 11.\nThe answer is 11.",
    "There are 3 * 4 = 13 apples in the bags.\nHe eats 2 of them: 13 - 2 = 11.\nThe answer is 11.",
    "There are 3 * 4 = 12 apples in the bags.\nHe eats 2 of them: 12 - 2 = 10.\nSo 10 + 1 = 12 is the answer: 12.",
)
PROMPT: Final = f"<|im_start|>user\n{PROBLEM}<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True, slots=True)
class Trainer:
    """What one trainer sends, how it reads the reply, and what it does about a failure."""

    path: str
    body: Callable[[str, int, str], dict[str, Any]]
    """Of a response, its index and a name for the group."""
    query: dict[str, str]
    reward: Callable[[Any], float]
    on_failure: str


def openrlhf_body(response: str, _: int, group: str) -> dict[str, Any]:
    """A sample as OpenRLHF posts it, with a struct column as its label."""
    label = {"answer": ANSWER, "question": PROBLEM, "id": group, "group_size": len(RESPONSES)}
    return {"query": [f"{PROMPT}{response}<|im_end|>"], "prompts": [PROMPT], "labels": [label]}


def slime_body(response: str, _: int, group: str) -> dict[str, Any]:
    """A sample as slime posts it; the group can only be told by prompt, label and the size in the URL."""
    return {"prompt": f"<|im_start|>user\n({group}) {PROBLEM}<|im_end|>\n", "response": response, "label": ANSWER}


def nemo_gym_body(response: str, index: int, group: str) -> dict[str, Any]:
    """A rollout as NeMo-Gym's agents post it."""
    content = [{"type": "output_text", "text": response, "annotations": []}]
    return {
        "responses_create_params": {"input": [{"role": "user", "content": PROBLEM}]},
        "response": {"output": [{"type": "message", "role": "assistant", "content": content}]},
        "question": PROBLEM,
        "expected_answer": ANSWER,
        "_ng_task_index": int(group, 16),
        "_ng_rollout_index": index,
    }


def nemo_gym_reward(reply: Any) -> float:
    """A rollout with a failure class is none that counts."""
    if reply.get("_ng_failure_class") is not None:
        raise ValueError(f"_ng_failure_class {reply['_ng_failure_class']}: {reply.get('_ng_failure_judge_error')}")
    return float(reply["reward"])


SIZE: Final = {"group_size": str(len(RESPONSES))}
TRAINERS: Final = {
    "openrlhf": Trainer(
        DIALECT_PREFIXES[0],
        openrlhf_body,
        {},
        lambda reply: float(reply["rewards"][0]),
        "OpenRLHF tries 5 times, 1 s apart; then the sample has no reward and training stops.",
    ),
    "slime": Trainer(
        DIALECT_PREFIXES[1],
        slime_body,
        SIZE,
        lambda reply: float(reply if isinstance(reply, (int, float)) else reply["score"]),
        "slime tries 10 times with growing pauses; then the rollout stops.",
    ),
    "nemo_gym": Trainer(
        f"{DIALECT_PREFIXES[2]}/verify",
        nemo_gym_body,
        SIZE,
        nemo_gym_reward,
        "NeMo-Gym keeps such a rollout out of its results; another status than 200 ends the rollout.",
    ),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one request."""

    reward: float | None
    shown: str


async def probe(dialect: str, url: str, key: str | None, timeout_s: float) -> list[Seen]:
    """Post the group; one finding for each response, in order. A failed request is a finding, not an exception."""
    trainer, group = TRAINERS[dialect], secrets.token_hex(4)
    query = trainer.query | ({} if key is None else {"key": key})
    target = url.rstrip("/") + trainer.path + (f"?{urlencode(query)}" if query else "")

    async def post(session: aiohttp.ClientSession, index: int, response: str) -> Seen:
        try:
            async with session.post(target, json=trainer.body(response, index, group)) as reply:
                text = (await reply.text())[:2000]
                if reply.status != 200:
                    return Seen(None, f"HTTP {reply.status}: {text}")
                return Seen(trainer.reward(await reply.json()), text)
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, IndexError, TypeError) as error:
            # The address is left out: it may hold the key.
            said = str(error) if isinstance(error, ValueError) else ""
            return Seen(None, f"{type(error).__name__} {said}".strip())

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s)) as session:
        return list(await asyncio.gather(*(post(session, index, text) for index, text in enumerate(RESPONSES))))


def report(dialect: str, findings: Sequence[Seen]) -> str:
    """What to print."""
    lines = [
        f"{index}  {seen.reward if seen.reward is not None else '-'}  {seen.shown}"
        for index, seen in enumerate(findings)
    ]
    rewards = [seen.reward for seen in findings if seen.reward is not None]
    if len(rewards) < len(findings):
        lines.append(f"{len(findings) - len(rewards)} of {len(findings)} got no reward. {TRAINERS[dialect].on_failure}")
    elif len(set(rewards)) > 1:
        lines.append("Every response got a reward, and the rewards differ: this all-negative group would teach.")
    else:
        lines.append(
            "Every response got the same reward: this group would teach nothing. See 'judge_failed' and 'fell_back'."
        )
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="sgpo-serve probe", description="Post a small group as a trainer would.")
    parser.add_argument("--dialect", required=True, choices=sorted(TRAINERS), help="the trainer to be")
    parser.add_argument("--url", required=True, help="the server's base URL, such as http://127.0.0.1:8100")
    parser.add_argument("--key-env", metavar="NAME", help="environment variable with the key; it is sent in the URL")
    parser.add_argument("--timeout", type=float, default=180.0, metavar="SECONDS", help="per request")
    args = parser.parse_args(argv)
    key = None
    if args.key_env is not None:
        key = os.environ.get(args.key_env)
        if not key:
            parser.error(f"--key-env {args.key_env}: no such variable, or it is empty")
    if not args.url.startswith(("http://", "https://")):
        parser.error("--url: must begin with http:// or https://")
    findings = asyncio.run(probe(args.dialect, args.url, key, args.timeout))
    sys.stdout.write(report(args.dialect, findings))
    return 0 if all(seen.reward is not None for seen in findings) else 1
