"""transformers in this process, for small models and machines without an inference server.

Generation runs in one worker thread, so the event loop stays free. Every sample has its own random stream, seeded from
the chat itself: what else is in the batch changes a reply only by rounding.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge.backends.base import Chat, Generation, PromptTooLong, Reply, Sampling, is_begun
from judge.devices import resolve
from judge.errors import BackendTimeout, ModelError
from judge.models import find_model, load_model
from judge.types import Usage


@dataclass(frozen=True, slots=True)
class Row:
    """One sample to generate."""

    chat_index: int
    prompt_ids: tuple[int, ...]
    seed: int


class LocalBackend:
    """Generates with a causal language model; loads it at the first request."""

    def __init__(self, model: str, *, batch_size: int = 16, timeout_s: float = 600.0) -> None:
        """Find the model's files.

        Args:
            model: a checkpoint folder, a hub id or a packaged name.
            batch_size: samples generated at once.
            timeout_s: for one batch.

        Raises:
            ModelError: when there is no such model, or no torch to run it.
        """
        self._files = find_model(model)
        device, dtype = resolve("auto", "auto")
        self._device, self._dtype = str(device), str(dtype).removeprefix("torch.")
        label = Path(model).resolve().name if Path(model).exists() else model
        self._name = f"local:{label}@{self._files.digest()}-{self._dtype}"
        self._batch_size = batch_size
        self._timeout_s = timeout_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="generate")
        self._stop = threading.Event()
        self._loaded: tuple[Any, Any] | None = None

    @property
    def name(self) -> str:
        """The model's name, a digest of its files, and the number format."""
        return self._name

    async def generate(self, chats: Sequence[Chat], sampling: Sampling) -> list[Reply]:
        """One reply per chat, in order. Calls wait for each other.

        Raises:
            ModelError: when the model cannot be loaded.
        """
        if not chats:
            return []
        cancelled = threading.Event()
        work = functools.partial(self._generate, list(chats), sampling, cancelled)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            cancelled.set()  # nobody waits for the thread any more

    async def aclose(self) -> None:
        """Stop generating and drop the model."""
        self._stop.set()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._loaded = None

    def _generate(self, chats: list[Chat], sampling: Sampling, cancelled: threading.Event) -> list[Reply]:
        """Runs in the worker thread."""
        model, tokenizer = self._model()
        replies: list[Reply] = [Reply()] * len(chats)
        rows: list[Row] = []
        for index, chat in enumerate(chats):
            ids = chat_ids(tokenizer, chat)
            limit = model.config.max_position_embeddings
            if len(ids) + sampling.max_tokens > limit:
                message = f"prompt of {len(ids)} + max_tokens {sampling.max_tokens} > {limit} tokens of context"
                replies[index] = Reply(error=PromptTooLong(message))
            else:
                rows += [Row(index, ids, row_seed(chat, sampling, k)) for k in range(sampling.num_samples)]
        # Prompts of similar length share a batch, so little of it is padding.
        rows.sort(key=lambda row: (-len(row.prompt_ids), row.chat_index))
        for start in range(0, len(rows), self._batch_size):
            self._generate_batch(rows[start : start + self._batch_size], sampling, cancelled, replies)
        return replies

    def _model(self) -> tuple[Any, Any]:
        """Model and tokenizer, loaded when first needed."""
        if self._loaded is None:
            model, tokenizer = load_model(self._files, self._dtype)
            self._loaded = model.to(self._device), tokenizer
        return self._loaded

    def _generate_batch(
        self, rows: Sequence[Row], sampling: Sampling, cancelled: threading.Event, replies: list[Reply]
    ) -> None:
        """Generate the rows together and add them to the replies of their chats."""
        from judge.backends.decoding import Continuation, continue_rows

        start = time.monotonic()
        continuations: list[Continuation] | None = continue_rows(
            *self._model(),
            [row.prompt_ids for row in rows],
            [row.seed for row in rows],
            sampling,
            give_up=lambda: self._stop.is_set() or cancelled.is_set() or time.monotonic() - start > self._timeout_s,
        )
        latency_s = time.monotonic() - start
        for position, row in enumerate(rows):
            reply = replies[row.chat_index]
            spent = Usage(prompt_tokens=len(row.prompt_ids), calls=1)
            if continuations is None:
                error = reply.error or BackendTimeout(f"no reply within timeout_s = {self._timeout_s:g}")
                replies[row.chat_index] = Reply((), reply.usage + spent, error, reply.latency_s + latency_s)
                continue
            done = continuations[position]
            spent += Usage(completion_tokens=done.num_tokens)
            generations = (*reply.generations, Generation(done.text, done.finish_reason))
            replies[row.chat_index] = Reply(
                () if reply.error else generations, reply.usage + spent, reply.error, reply.latency_s + latency_s
            )


def chat_ids(tokenizer: Any, chat: Chat) -> tuple[int, ...]:
    """Token ids of the chat, up to where the assistant goes on."""
    if not tokenizer.chat_template:
        raise ModelError("the model has no chat template; give an instruction-tuned model")
    turn = {"continue_final_message": True} if is_begun(chat) else {"add_generation_prompt": True}
    encoded = tokenizer.apply_chat_template(list(chat), return_dict=True, **turn)
    return tuple(encoded["input_ids"])


def row_seed(chat: Chat, sampling: Sampling, sample: int) -> int:
    """Seed of one sample's random stream: from the chat, the seed and the sample's number."""
    key = json.dumps([list(chat), sampling.seed, sample])
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1
