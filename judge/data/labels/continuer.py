"""Continue a response that was begun: what Monte-Carlo labels ask of a policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from judge.backends.base import Chat, Reply, Sampling
from judge.backends.openai import OpenAIBackend, WireReply


@dataclass(frozen=True, slots=True)
class Begun:
    """A response that a policy goes on writing."""

    prompt: str
    """The user's turn."""
    prefix: str
    """The assistant's turn so far."""

    def chat(self) -> Chat:
        """The turns; the last one is not finished."""
        return [{"role": "user", "content": self.prompt}, {"role": "assistant", "content": self.prefix}]


@runtime_checkable
class Continuer(Protocol):
    """Writes responses to their end. One failed request does not fail the others: its `Reply` carries the error."""

    @property
    def name(self) -> str:
        """Names the policy and its runtime."""
        ...

    async def go_on(self, begun: Sequence[Begun], sampling: Sampling) -> list[Reply]:
        """One reply per begun response, in order, each with ``num_samples`` endings (without the prefix)."""
        ...

    async def aclose(self) -> None:
        """Release connections, threads and models. Safe to call twice."""
        ...


class OpenAIContinuer(OpenAIBackend):
    """A policy behind a vLLM or SGLang server, which continue an unfinished turn.

    A server that does not know ``continue_final_message`` may ignore it and begin a new turn: OpenAI's own API does,
    so it cannot be used here. For vLLM on this machine, start ``vllm serve`` and give its address.
    """

    async def go_on(self, begun: Sequence[Begun], sampling: Sampling) -> list[Reply]:
        """One reply per begun response, in order."""
        return await self.generate([each.chat() for each in begun], sampling)

    async def _post(self, body: dict[str, object]) -> WireReply:
        return await super()._post(body | {"add_generation_prompt": False, "continue_final_message": True})
