"""A policy in this process, by transformers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judge.backends.base import Generation, PromptTooLong, Reply, Sampling
from judge.backends.local import pick_device, row_seed
from judge.data.labels.continuer import Begun
from judge.errors import ModelError
from judge.models import find_model, load_model
from judge.types import Usage


@dataclass(slots=True)
class _Ending:
    """One ending to sample."""

    index: int
    """Of the begun response."""
    ids: tuple[int, ...]
    seed: int


@dataclass(slots=True)
class _Partial:
    """What a begun response has got so far."""

    generations: list[Generation] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    latency_s: float = 0.0


class LocalContinuer:
    """Continues with a causal language model, batched over responses and samples; loads it at the first request.

    Every sample has a random stream of its own, seeded from the begun response: what else is in the batch changes an
    ending only by rounding.
    """

    def __init__(self, model: str, *, batch_size: int = 32) -> None:
        """Find the model's files.

        Args:
            model: a checkpoint folder, a hub id or a packaged name; it needs a chat template.
            batch_size: endings generated at once.

        Raises:
            ModelError: when there is no such model, or no torch to run it.
        """
        self._files = find_model(model)
        self._device, self._dtype = pick_device()
        label = Path(model).resolve().name if Path(model).exists() else model
        self._name = f"local:{label}@{self._files.digest()}-{self._dtype}"
        self._batch_size = batch_size
        self._stop = threading.Event()
        self._loaded: tuple[Any, Any] | None = None

    @property
    def name(self) -> str:
        """The model's name, a digest of its files, and the number format."""
        return self._name

    async def go_on(self, begun: Sequence[Begun], sampling: Sampling) -> list[Reply]:
        """One reply per begun response, in order.

        Raises:
            ModelError: when the model cannot be loaded, or has no chat template.
        """
        try:
            return await asyncio.to_thread(self._go_on, list(begun), sampling)
        except asyncio.CancelledError:
            self._stop.set()
            raise

    async def aclose(self) -> None:
        """Stop generating and drop the model."""
        self._stop.set()
        self._loaded = None

    def _go_on(self, begun: list[Begun], sampling: Sampling) -> list[Reply]:
        from judge.backends.decoding import continue_rows

        model, tokenizer = self._model()
        limit = model.config.max_position_embeddings - sampling.max_tokens
        prompts = [begun_ids(tokenizer, each) for each in begun]
        partial = [_Partial() for _ in begun]
        endings = [
            _Ending(index, ids, row_seed(each.chat(), sampling, sample))
            for index, (each, ids) in enumerate(zip(begun, prompts, strict=True))
            for sample in range(sampling.num_samples if len(ids) <= limit else 0)
        ]
        # Prompts of similar length share a batch, so little of it is padding.
        endings.sort(key=lambda ending: (-len(ending.ids), ending.index))
        for start in range(0, len(endings), self._batch_size):
            batch = endings[start : start + self._batch_size]
            started = time.monotonic()
            done = continue_rows(
                model, tokenizer, [e.ids for e in batch], [e.seed for e in batch], sampling, self._stop.is_set
            )
            for ending, text in zip(batch, done or (), strict=done is not None):
                mine = partial[ending.index]
                mine.generations.append(Generation(text.text, text.finish_reason))
                mine.usage += Usage(len(ending.ids), text.num_tokens, 1)
                mine.latency_s += time.monotonic() - started
        return [
            Reply(tuple(mine.generations), mine.usage, latency_s=mine.latency_s)
            if len(ids) <= limit
            else Reply(error=PromptTooLong(f"{len(ids)} + max_tokens {sampling.max_tokens} tokens do not fit"))
            for mine, ids in zip(partial, prompts, strict=True)
        ]

    def _model(self) -> tuple[Any, Any]:
        """Model and tokenizer, loaded when first needed."""
        if self._loaded is None:
            model, tokenizer = load_model(self._files, self._dtype)
            self._loaded = model.to(self._device), tokenizer
        return self._loaded


def begun_ids(tokenizer: Any, begun: Begun) -> tuple[int, ...]:
    """Token ids of the chat up to the end of the prefix; the assistant's turn is left open."""
    if not tokenizer.chat_template:
        raise ModelError("the policy has no chat template; give an instruction-tuned model")
    encoded = tokenizer.apply_chat_template(list(begun.chat()), continue_final_message=True, return_dict=True)
    return tuple(encoded["input_ids"])
