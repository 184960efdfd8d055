"""The decoding loop: each distinct prompt is read once, finished rows leave the batch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import torch
from transformers import PreTrainedModel

from sgpo_client.rollout.cache import make_cache
from sgpo_client.rollout.choice import choose
from sgpo_client.rollout.sampler import SamplingParams


class Decoded(NamedTuple):
    """A finished response."""

    row: int
    tokens: list[int]
    """[R] with the token that ended it."""
    logprobs: list[float]
    """[R]"""
    ended: bool
    """False when it was cut off at the token limit."""


class _Batch:
    """The rows that are still decoded."""

    def __init__(self, model: PreTrainedModel, prompts: Sequence[list[int]], pad_id: int) -> None:
        self._model = model
        self._cache = make_cache(model.config)
        self.rows = list(range(len(prompts)))
        distinct = list(dict.fromkeys(map(tuple, prompts)))
        width = max(map(len, distinct))
        device = model.device
        self._mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in distinct], device=device)
        positions = (self._mask.cumsum(dim=1) - 1).clamp(min=0)
        input_ids = torch.tensor([[pad_id] * (width - len(p)) + list(p) for p in distinct], device=device)
        self.logits = self._forward(input_ids, positions)
        self._next_position = positions[:, -1:] + 1
        place = {prompt: index for index, prompt in enumerate(distinct)}
        self._select(torch.tensor([place[tuple(prompt)] for prompt in prompts], device=device))

    def step(self, tokens: torch.Tensor) -> None:
        """Append one token to each row and compute the logits of the next."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=1)
        self.logits = self._forward(tokens[:, None], self._next_position)
        self._next_position = self._next_position + 1

    def keep(self, places: list[int]) -> None:
        """Go on with the rows at these places of the batch."""
        self.rows = [self.rows[place] for place in places]
        self._select(torch.tensor(places, device=self._mask.device))

    def _select(self, places: torch.Tensor) -> None:
        self._cache.batch_select_indices(places)
        self._mask, self._next_position = self._mask[places], self._next_position[places]
        self.logits = self.logits[places]

    def _forward(self, input_ids: torch.Tensor, position_ids: torch.Tensor) -> torch.Tensor:
        """[B, V] logits behind the last of these tokens."""
        last_only = {"logits_to_keep": 1} if self._model._supports_logits_to_keep() else {}
        output = self._model(
            input_ids=input_ids,
            attention_mask=self._mask,
            position_ids=position_ids,
            past_key_values=self._cache,
            use_cache=True,
            **last_only,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits


@torch.no_grad()  # type: ignore[untyped-decorator]
def decode(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    params: SamplingParams,
    uniform: torch.Tensor,
    ends: Collection[int],
    pad_id: int,
) -> Iterator[Decoded]:
    """Decode all prompts as one batch; yields each response when it is finished.

    Args:
        model: a causal language model with a cache.
        prompts: [B][P], at least one.
        params: ``batch_size`` is not looked at.
        uniform: [B, max_new_tokens] float64 in [0, 1), what each token is drawn with.
        ends: tokens that end a response.
        pad_id: any token; it is masked.
    """
    batch = _Batch(model, prompts, pad_id)
    tokens: list[list[int]] = [[] for _ in prompts]
    logprobs: list[list[float]] = [[] for _ in prompts]
    done: set[int] = set()
    for column in range(params.max_new_tokens):
        drawn = uniform[batch.rows, column].to(batch.logits.device)
        chosen, chosen_logprobs = choose(batch.logits, drawn, params.temperature, params.top_p)
        for row, token, logprob in zip(batch.rows, chosen.tolist(), chosen_logprobs.tolist(), strict=True):
            if row in done:
                continue
            tokens[row].append(token)
            logprobs[row].append(logprob)
            ended = token in ends
            if ended or column == params.max_new_tokens - 1:
                done.add(row)
                yield Decoded(row, tokens[row], logprobs[row], ended)
        if len(done) == len(prompts):
            return
        going = [place for place, row in enumerate(batch.rows) if row not in done]
        if 8 * (len(batch.rows) - len(going)) >= len(batch.rows):  # rarely enough that copying the cache pays
            batch.keep(going)
            chosen = chosen[going]
        batch.step(chosen)
