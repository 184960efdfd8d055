"""What vLLM in the process and vLLM as a server are asked, and what they give, in the same words."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from transformers import PreTrainedTokenizerBase

from sgpo_client.rollout.hf import response_text
from sgpo_client.rollout.sampler import SamplingParams
from sgpo_client.types import Rollout

LOGPROBS_MODE: Final = "processed_logprobs"
"""vLLM's name for log-probabilities under the distribution that a token is drawn from, with temperature and top-p."""


def request_params(params: SamplingParams, ends: Sequence[int], seed: int, index: int) -> dict[str, Any]:
    """Arguments of vLLM's ``SamplingParams`` for the prompt at ``index``. Nothing is left to a model's own defaults."""
    return {
        "n": 1,
        "max_tokens": params.max_new_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": _request_seed(seed, index),
        "stop_token_ids": list(ends),
        "logprobs": 0 if params.logprobs else None,
        "detokenize": False,
    }


def make_rollout(
    tokenizer: PreTrainedTokenizerBase,
    prompt: list[int],
    tokens: list[int],
    logprobs: list[float] | None,
    finish_reason: str | None,
) -> Rollout:
    """A response from its tokens and the reason why vLLM ended it: ``stop`` or ``length``."""
    return Rollout(
        prompt_ids=prompt,
        response_ids=tokens,
        text=response_text(tokenizer, tokens),
        truncated=finish_reason == "length",
        logprobs=logprobs,
    )


def _request_seed(seed: int, index: int) -> int:
    """A seed in [0, 2**31) for one of the prompts."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{index}".encode()).digest()[:4], "big") >> 1
