"""Batched sampling with transformers. Imports torch: load it only where a local model runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from judge.backends.base import Sampling


@dataclass(frozen=True, slots=True)
class Continuation:
    """What one row was continued with."""

    text: str
    num_tokens: int
    finish_reason: str


class GumbelNoise(LogitsProcessor):  # type: ignore[misc, unused-ignore]
    """Turns arg max into sampling: arg max of logits / temperature + Gumbel noise is a draw from the softmax.

    transformers draws a whole batch from one global stream; here every row has its own.
    """

    def __init__(self, temperature: float, seeds: Sequence[int]) -> None:
        self._temperature = temperature
        self._streams = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, _input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Shapes: ``scores`` [rows, vocabulary]."""
        noise = torch.stack([torch.empty(scores.shape[1]).exponential_(generator=g) for g in self._streams])
        return scores.float() / self._temperature - noise.log().to(scores.device)


class GiveUp(StoppingCriteria):  # type: ignore[misc, unused-ignore]
    """Stops every row once ``give_up`` says so, and remembers it."""

    def __init__(self, give_up: Callable[[], bool]) -> None:
        self._give_up = give_up
        self.gave_up = False

    def __call__(self, input_ids: torch.Tensor, _scores: torch.Tensor, **_kwargs: object) -> torch.Tensor:
        """One flag per row."""
        self.gave_up = self.gave_up or self._give_up()
        return torch.full((input_ids.shape[0],), self.gave_up, device=input_ids.device)


def continue_rows(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    sampling: Sampling,
    give_up: Callable[[], bool],
) -> list[Continuation] | None:
    """Continue each prompt (token ids) up to the model's end token; None when ``give_up`` came first."""
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    longest = max(map(len, prompts))
    input_ids = torch.full((len(prompts), longest), pad_id)
    mask = torch.zeros_like(input_ids)
    for row, prompt in enumerate(prompts):
        input_ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    stopper = GiveUp(give_up)
    noise = [GumbelNoise(sampling.temperature, seeds)] if sampling.temperature > 0 else []
    with torch.inference_mode():
        output = model.generate(
            input_ids=input_ids.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=sampling.max_tokens,
            pad_token_id=pad_id,
            logits_processor=LogitsProcessorList(noise),
            stopping_criteria=StoppingCriteriaList([stopper]),
            # The checkpoint's own sampling defaults must not apply.
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
        )
    if stopper.gave_up:
        return None
    return [continuation(model, tokenizer, ids) for ids in output[:, longest:].tolist()]


def continuation(model: Any, tokenizer: Any, ids: Sequence[int]) -> Continuation:
    """Cut the row at its first end token."""
    ends = model.generation_config.eos_token_id
    stop_ids = set(ends if isinstance(ends, list) else [ends])
    length = next((position for position, token in enumerate(ids) if token in stop_ids), None)
    if length is None:
        return Continuation(tokenizer.decode(ids, skip_special_tokens=True), len(ids), "length")
    return Continuation(tokenizer.decode(ids[:length], skip_special_tokens=True), length + 1, "stop")
