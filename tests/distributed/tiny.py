"""A tiny random policy and examples for it, the same in every process."""

from __future__ import annotations

import random

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel

from sgpo_client.types import Example

VOCABULARY = 64


def tiny_model(*, tied: bool = True, seed: int = 0, hidden_size: int = 32) -> PreTrainedModel:
    """Two layers; weights large enough that attention and probabilities are far from uniform."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden_size,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.3,
        tie_word_embeddings=tied,
    )
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32).train()


def equal_weights(_: Example) -> float:
    """The weight of every token in a loss that is a plain sum."""
    return 1.0


def make_examples(count: int, *, seed: int = 0, old_logprobs: bool = False) -> list[Example]:
    """Random examples of very different lengths and advantages of both signs."""
    rng = random.Random(seed)

    def tokens(low: int, high: int) -> list[int]:
        return [rng.randrange(VOCABULARY) for _ in range(rng.randint(low, high))]

    examples = []
    for _ in range(count):
        prompt, response = tokens(1, 12), tokens(1, 20)
        old = [rng.uniform(-6, -1) for _ in response] if old_logprobs else None
        advantages = [rng.uniform(-2, 2)] * len(response)
        examples.append(Example(prompt, response, advantages, old_logprobs=old))
    return examples
