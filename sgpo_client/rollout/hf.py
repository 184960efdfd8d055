"""Batched sampling with transformers.

The sampler is a plain copy of the policy in the compute precision, beside the sharded one that is trained: decoding
then runs without gathering shards at every token. After each optimiser step the weights are copied over.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from sgpo_client.ranks.fsdp import copy_weights
from sgpo_client.rollout.attention import use_decode_attention
from sgpo_client.rollout.decode import decode
from sgpo_client.rollout.sampler import Sampler, SamplingParams
from sgpo_client.types import Rollout


class HFSampler(Sampler):
    """Samples responses to tokenised prompts with a model of the transformers library.

    Each token is drawn with a random number of its own, so a response depends on seed, weights and the prompt's
    position, and on the batch that it shares only by rounding. What a model brings of a repetition penalty or top-k of
    its own is not applied: responses would then come from another distribution than the one that the loss takes their
    probabilities from.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model = model.eval()
        use_decode_attention(model)
        self._tokenizer = tokenizer
        self._ends = eos_token_ids(model.generation_config, tokenizer)

    def stream(
        self, prompts: Sequence[list[int]], params: SamplingParams, seed: int
    ) -> Generator[tuple[int, Rollout], None, None]:
        """See `Sampler.stream`. Responses to the same prompt are decoded side by side, so a group is finished early."""
        uniform = torch.rand(
            len(prompts), params.max_new_tokens, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
        )
        # Similar lengths share a batch: less padding.
        order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), prompts[index]))
        for start in range(0, len(order), params.batch_size):
            indices = order[start : start + params.batch_size]
            batch = [prompts[index] for index in indices]
            pad_id = self._tokenizer.pad_token_id
            for response in decode(self.model, batch, params, uniform[indices], self._ends, pad_id):
                yield (
                    indices[response.row],
                    Rollout(
                        prompt_ids=batch[response.row],
                        response_ids=response.tokens,
                        text=response_text(self._tokenizer, response.tokens),
                        truncated=not response.ended,
                        logprobs=response.logprobs if params.logprobs else None,
                    ),
                )

    def load_weights(self, policy: PreTrainedModel) -> None:
        """See `Sampler.load_weights`."""
        copy_weights(policy, self.model)


def response_text(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int]) -> str:
    """The response as the reward server reads it: without special tokens and white space around it."""
    text: str = tokenizer.decode(token_ids, skip_special_tokens=True)
    return text.strip()


def eos_token_ids(generation: GenerationConfig, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Every token that ends a response: the generation config's and the tokenizer's."""
    configured = generation.eos_token_id
    ids = set(configured if isinstance(configured, list) else [configured]) | {tokenizer.eos_token_id}
    return sorted(token for token in ids if token is not None)
