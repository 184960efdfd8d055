"""Compares vLLM's greedy responses with transformers' before and after weights are handed over; prints JSON.

A process of its own: vLLM changes the process that it runs in. ``python -m tests.integration.vllm_program MODEL [URL]``
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from typing import Any

import torch

from sgpo_client.config import parse_config
from sgpo_client.model import load_policy, load_tokenizer
from sgpo_client.ranks import distributed
from sgpo_client.rollout.build import make_sampler
from sgpo_client.rollout.hf import HFSampler
from sgpo_client.rollout.sampler import Sampler, SamplingParams

QUESTIONS = ("The capital of France is", "2 + 2 =", "Ann has 3 bags of 4 apples.\nShe eats 2.")


def main(model: str, url: str = "") -> None:
    engine: dict[str, Any] = {"engine": "vllm", "vllm": {"kv_cache_gb": 0.5}}
    if url:
        engine = {"engine": "vllm_server", "vllm": {"url": url, "deadline_s": 240}}
    config = parse_config(
        {
            "model": {"name": model, "dtype": "float32"},
            "data": {"source": "reasoning_gym", "name": "gsm_symbolic", "num_problems": 1},
            "rollout": {"max_prompt_tokens": 64, "max_new_tokens": 32, "batch_size": 8, **engine},
            "eval": {"max_new_tokens": 32},
        },
        "vllm_program",
    )
    tokenizer, policy = load_tokenizer(model), load_policy(model, torch.float32)
    prompts = [tokenizer(question)["input_ids"] for question in QUESTIONS for _ in range(2)]
    with ExitStack() as stack:
        world = distributed.init()
        stack.callback(distributed.shutdown)
        sampler = stack.enter_context(make_sampler(config, policy, tokenizer, world, torch.float32))
        plain = HFSampler(load_policy(model, torch.float32), tokenizer)
        found = {"steps": []}
        for step in range(3):
            if step:
                move(policy, step)
            for each in (sampler, plain):
                each.load_weights(policy)
            found["steps"].append(compare(sampler, plain, prompts))
        found |= sampled(sampler, prompts)
    sys.stdout.write(json.dumps(found) + "\n")


@torch.no_grad()
def move(policy: torch.nn.Module, seed: int) -> None:
    """Change every weight by a few percent of its spread."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in policy.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.add_(noise * (0.05 * parameter.std() if parameter.numel() > 1 else 0.0))


def compare(sampler: Sampler, plain: Sampler, prompts: list[list[int]]) -> dict[str, Any]:
    params = SamplingParams(max_new_tokens=16, temperature=0, batch_size=8, logprobs=True)
    theirs, ours = (each.sample(prompts, params, seed=0) for each in (sampler, plain))
    pairs = [
        (a, b)
        for x, y in zip(theirs, ours, strict=True)
        for a, b in zip(x.logprobs or [], y.logprobs or [], strict=True)
    ]
    return {
        "texts": [rollout.text for rollout in theirs],
        "same": [
            x.response_ids == y.response_ids and x.truncated == y.truncated for x, y in zip(theirs, ours, strict=True)
        ],
        "apart": max(abs(a - b) for a, b in pairs),
    }


def sampled(sampler: Sampler, prompts: list[list[int]]) -> dict[str, Any]:
    params = SamplingParams(max_new_tokens=16, temperature=1.0, top_p=0.9, batch_size=8, logprobs=True)
    first, again, other = (sampler.sample(prompts, params, seed) for seed in (1, 1, 2))
    left = sampler.stream(prompts, params, seed=3)
    next(left)
    left.close()
    return {
        "repeats": first == again,
        "seeds_differ": first != other,
        "members_differ": first[0].response_ids != first[1].response_ids,
        "after_giving_up": [rollout.response_ids for rollout in sampler.sample(prompts, params, 1)]
        == [rollout.response_ids for rollout in first],
        "logprobs_fit": all(
            len(rollout.logprobs or []) == len(rollout.response_ids) and max(rollout.logprobs or [1.0]) <= 0
            for rollout in first
        ),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
