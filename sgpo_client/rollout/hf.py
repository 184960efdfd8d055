"""Batched sampling with transformers.

The sampler is a plain copy of the policy in the compute precision, beside the sharded one that is trained: `generate`
then runs without gathering shards at every token. After each optimiser step the weights are copied over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from sgpo_client.types import Rollout


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to sample; ``temperature`` 0 means greedy."""

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    batch_size: int = 64
    """Sequences decoded at once."""


class HFSampler:
    """Samples responses to tokenised prompts with `PreTrainedModel.generate`."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model = model.eval()
        self._tokenizer = tokenizer
        self._eos_ids = _eos_token_ids(model, tokenizer)
        # Many models bring a repetition penalty or top-k of their own, which `generate` would apply: responses would
        # then come from another distribution than the one that the loss takes their probabilities from.
        self.model.generation_config = GenerationConfig()

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def sample(self, prompts: Sequence[list[int]], params: SamplingParams, seed: int) -> list[Rollout]:
        """One response per prompt, in order. The same seed, weights and prompts give the same responses.

        Args:
            prompts: token ids of each prompt; repeat a prompt for several responses to it.
            seed: seeds torch's global generator, which `generate` draws from.
        """
        torch.manual_seed(seed)
        # Similar lengths share a batch: less padding. The order is restored below.
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        rollouts: dict[int, Rollout] = {}
        for start in range(0, len(order), params.batch_size):
            indices = order[start : start + params.batch_size]
            for index, rollout in zip(indices, self._sample_batch([prompts[i] for i in indices], params), strict=True):
                rollouts[index] = rollout
        return [rollouts[index] for index in range(len(prompts))]

    def _sample_batch(self, prompts: list[list[int]], params: SamplingParams) -> list[Rollout]:
        width = max(len(prompt) for prompt in prompts)
        pad = self._tokenizer.pad_token_id
        device = self.model.device
        input_ids = torch.tensor([[pad] * (width - len(p)) + p for p in prompts], device=device)  # (B, P)
        attention_mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
        choice = (
            {"do_sample": True, "temperature": params.temperature, "top_p": params.top_p, "top_k": 0}
            if params.temperature > 0
            else {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        )
        output = self.model.generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            max_new_tokens=params.max_new_tokens,
            pad_token_id=pad,
            eos_token_id=self._eos_ids,
            **choice,
        )
        return [self._rollout(prompt, row[width:]) for prompt, row in zip(prompts, output.tolist(), strict=True)]

    def _rollout(self, prompt: list[int], tokens: list[int]) -> Rollout:
        end = next((i for i, token in enumerate(tokens) if token in self._eos_ids), None)
        response = tokens if end is None else tokens[: end + 1]
        return Rollout(
            prompt_ids=prompt,
            response_ids=response,
            text=self._tokenizer.decode(response, skip_special_tokens=True).strip(),
            truncated=end is None,
        )


def _eos_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Every token that ends a response: the generation config's and the tokenizer's."""
    configured = model.generation_config.eos_token_id
    ids = set(configured if isinstance(configured, list) else [configured]) | {tokenizer.eos_token_id}
    return sorted(token for token in ids if token is not None)
