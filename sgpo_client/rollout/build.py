"""From ``[rollout]`` to a sampler."""

from __future__ import annotations

import torch
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from sgpo_client.config import TrainConfig
from sgpo_client.errors import ConfigError
from sgpo_client.model import load_policy
from sgpo_client.ranks.agreement import together
from sgpo_client.ranks.distributed import World
from sgpo_client.rollout.hf import HFSampler, eos_token_ids
from sgpo_client.rollout.sampler import Sampler


def make_sampler(
    config: TrainConfig, policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, world: World, dtype: torch.dtype
) -> Sampler:
    """The configured sampler; every rank must call it. Its weights are those of the policy after `load_weights`.

    Args:
        config: of the run.
        policy: its configuration and its end-of-sequence tokens are looked at.
        tokenizer: of the policy.
        world: this rank among all.
        dtype: of the sampler's weights.

    Raises:
        ConfigError: when vLLM is not installed, the server serves another model, or prompt and response together may be
            longer than the model reads.
        SamplerError: when the server stays away.
    """
    table = config.rollout
    ends = eos_token_ids(policy.generation_config, tokenizer)
    max_tokens = table.max_prompt_tokens + max(table.max_new_tokens, config.eval.max_new_tokens)
    check_context(policy.config, table.max_prompt_tokens, max_tokens)
    # Each engine is imported where it is used: neither an HTTP client nor vLLM is needed for the others.
    if table.engine == "vllm":
        from sgpo_client.rollout.vllm_local import VllmSampler, start_engine

        engine = together(lambda: start_engine(config.model.name, table, max_tokens, dtype, world))
        return VllmSampler(engine, tokenizer, ends, dtype)
    if table.engine == "vllm_server":
        from sgpo_client.rollout.vllm_check import check_server
        from sgpo_client.rollout.vllm_server import VllmServerSampler

        sampler = VllmServerSampler(table.vllm, tokenizer, ends, dtype, world)
        together(lambda: sampler.run(check_server(sampler.http, table.vllm.url, policy.config, tokenizer, max_tokens)))
        return sampler
    return HFSampler(together(lambda: load_policy(config.model.name, dtype)).to(world.device), tokenizer)


def check_context(config: PretrainedConfig, max_prompt_tokens: int, max_tokens: int) -> None:
    """Refuse sequences that the model has no positions for: it would fail in the middle of a run, or write nonsense.

    Args:
        config: of the model.
        max_prompt_tokens: longest prompt.
        max_tokens: longest prompt with the longest response.
    """
    context = getattr(config, "max_position_embeddings", None)
    if context is not None and max_tokens > context:
        longest = context - (max_tokens - max_prompt_tokens)
        advice = f"set rollout.max_prompt_tokens to {longest} or less, or lower" if longest > 0 else "lower"
        raise ConfigError(
            f"prompts of up to {max_prompt_tokens} tokens (rollout.max_prompt_tokens) and responses of up to "
            f"{max_tokens - max_prompt_tokens} (rollout.max_new_tokens, eval.max_new_tokens) are {max_tokens} tokens, "
            f"and the model reads {context}; {advice} the responses' length"
        )
