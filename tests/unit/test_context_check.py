"""Sequences that the model has no positions for are refused before the first step."""

from __future__ import annotations

import pytest
from transformers import GPT2Config, LlamaConfig

from sgpo_client.errors import ConfigError
from sgpo_client.rollout.build import check_context


@pytest.mark.parametrize(
    "config", [LlamaConfig(max_position_embeddings=200), GPT2Config(n_positions=200)], ids=["rotary", "learned"]
)
def test_the_longest_sequence_must_fit(config: LlamaConfig | GPT2Config) -> None:
    check_context(config, max_prompt_tokens=100, max_tokens=200)
    with pytest.raises(ConfigError, match=r"201 tokens, and the model reads 200; set rollout.max_prompt_tokens to 99"):
        check_context(config, max_prompt_tokens=100, max_tokens=201)
    with pytest.raises(ConfigError, match=r"reads 200; lower the responses' length"):
        check_context(config, max_prompt_tokens=10, max_tokens=300)
