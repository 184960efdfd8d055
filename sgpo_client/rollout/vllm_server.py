"""Sampling with a vLLM server; its weights are pushed by vLLM's own weight-update protocol."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Coroutine, Generator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any, TypeVar
from urllib.parse import urlsplit

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sgpo_client.errors import SamplerError
from sgpo_client.ranks.agreement import together
from sgpo_client.ranks.distributed import World, broadcast_object
from sgpo_client.ranks.fsdp import full_parameters
from sgpo_client.rollout.sampler import Sampler, SamplingParams
from sgpo_client.rollout.vllm_http import VllmHttp
from sgpo_client.rollout.vllm_params import make_rollout, request_params
from sgpo_client.rollout.weight_stream import local_address, offered
from sgpo_client.settings.rollout import VllmTable
from sgpo_client.types import Rollout

logger = logging.getLogger(__name__)

T = TypeVar("T")
_POLL_S = 0.5
_ATTEMPTS = 5


class VllmServerSampler(Sampler):
    """Samples with a vLLM server that all ranks share.

    Rank 0 keeps the pushed weights, so that a server that was started anew gets them again; every response says
    which weights it is from, and one from others is sampled once more.

    Args:
        table: where the server is.
        tokenizer: the policy's.
        ends: tokens that end a response.
        dtype: in which weights are sent.
        world: rank 0 pushes.
    """

    def __init__(
        self,
        table: VllmTable,
        tokenizer: PreTrainedTokenizerBase,
        ends: Sequence[int],
        dtype: torch.dtype,
        world: World,
    ) -> None:
        self._table = table
        self._tokenizer = tokenizer
        self._ends = list(ends)
        self._dtype = dtype
        self._world = world
        self._weights: dict[str, torch.Tensor] = {}
        self._version = ""
        self._one_push = asyncio.Lock()
        self._stack = ExitStack()
        self._runner = self._stack.enter_context(asyncio.Runner())
        self.http = VllmHttp(table.url, table.deadline_s)
        self.run(self.http.__aenter__())
        self._stack.callback(lambda: self.run(self.http.__aexit__(None, None, None)))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for ``work`` in the sampler's event loop."""
        return self._runner.run(work)

    def stream(
        self, prompts: Sequence[list[int]], params: SamplingParams, seed: int
    ) -> Generator[tuple[int, Rollout], None, None]:
        """See `Sampler.stream`. Requests go on at the server while the caller is busy with a response."""
        loop = self._runner.get_loop()
        slots = asyncio.Semaphore(params.batch_size)
        pending = {
            loop.create_task(self._respond(slots, index, prompt, params, seed)) for index, prompt in enumerate(prompts)
        }
        done: set[asyncio.Task[tuple[int, Rollout]]] = set()
        try:
            while pending:
                done, pending = self.run(_first_of(pending))
                for task in done:
                    yield task.result()
        finally:
            self.run(_cancelled(done | pending))

    def load_weights(self, policy: PreTrainedModel) -> None:
        """See `Sampler.load_weights`. Every rank returns when the server has the new weights."""
        for name, value in full_parameters(policy, self._dtype):
            if self._world.is_main:
                self._weights[name] = value.to("cpu", copy=True).contiguous()
        self._version = broadcast_object(secrets.token_hex(8))
        together(lambda: self.run(self._push()) if self._world.is_main else None)

    def close(self) -> None:
        """Close the connections; the server goes on."""
        self._stack.close()

    async def _respond(
        self, slots: asyncio.Semaphore, index: int, prompt: list[int], params: SamplingParams, seed: int
    ) -> tuple[int, Rollout]:
        body = {"token_ids": prompt, "sampling_params": request_params(params, self._ends, seed, index)}
        async with slots:
            for _ in range(_ATTEMPTS):
                reply = await self.http.call("POST", "/inference/v1/generate", body)
                choice = reply["choices"][0]
                versions = {span["version"] for span in choice.get("weight_versions") or []}
                if versions <= {self._version} and choice["finish_reason"] in ("stop", "length"):
                    break
                await self._have_weights()
            else:
                raise SamplerError(
                    f"vLLM at {self._table.url}: {_ATTEMPTS} times in a row a response was given up "
                    f"({choice['finish_reason']!r}) or from other weights than those pushed ({sorted(versions)}); does "
                    "another trainer use this server?"
                )
        logprobs = [entry["logprob"] for entry in choice["logprobs"]["content"]] if params.logprobs else None
        return index, make_rollout(self._tokenizer, prompt, choice["token_ids"], logprobs, choice["finish_reason"])

    async def _have_weights(self) -> None:
        """Return when the server has the present weights: one that was started anew gets them from rank 0."""
        try:
            async with asyncio.timeout(self._table.deadline_s):
                while await self._served_version() != self._version:
                    if self._world.is_main:
                        await self._push()
                    else:
                        await asyncio.sleep(_POLL_S)
        except TimeoutError:  # rank 0 has its responses already and is not here to push
            raise SamplerError(
                f"vLLM at {self._table.url} was started anew and did not get its weights back within "
                f"{self._table.deadline_s:g} s (rollout.vllm.deadline_s)"
            ) from None

    async def _served_version(self) -> object:
        return (await self.http.call("GET", "/weight_info")).get("weight_version")

    async def _push(self) -> None:
        """Push the kept weights; once more when the server was started anew in between."""
        async with self._one_push:
            for attempts_left in (2, 1, 0):
                if await self._served_version() == self._version:
                    return
                try:
                    await self._push_once()
                except SamplerError:
                    if not attempts_left:
                        raise

    async def _push_once(self) -> None:
        parts = urlsplit(self._table.url)
        host = self._table.trainer_host or local_address(parts.hostname or "", parts.port or 80)
        # Paused, the server samples nothing: what another rank asks meanwhile is given up there, and asked again.
        await self.http.call("POST", "/pause?mode=abort")
        with offered(self._weights, host) as offer:
            await self.http.call("POST", "/init_weight_transfer_engine", {"init_info": {}})
            await self.http.call("POST", "/start_weight_update")
            await self.http.call("POST", "/update_weights", {"update_info": asdict(offer)})
        await self.http.call("POST", "/finish_weight_update", {"weight_version": self._version})
        await self.http.call("POST", "/reset_prefix_cache")  # keys and values of the old weights
        await self.http.call("POST", "/resume")
        logger.debug("pushed %d weights to %s", len(self._weights), self._table.url)


async def _first_of(tasks: set[asyncio.Task[T]]) -> tuple[set[asyncio.Task[T]], set[asyncio.Task[T]]]:
    """The finished tasks, at least one, and the others."""
    return await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def _cancelled(tasks: set[asyncio.Task[T]]) -> None:
    """End the tasks; what they raised is forgotten."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
