"""What prompted judges and rollouts ask of a text generator, whatever runs the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypedDict, runtime_checkable

from judge.errors import BackendError
from judge.types import Usage


class Message(TypedDict):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


Chat = Sequence[Message]
"""One request: the turns so far; the model writes the next one. A last turn of the assistant is not finished: the model
goes on with it (its text is not repeated in the reply)."""


def is_begun(chat: Chat) -> bool:
    """Whether the assistant's turn has begun already."""
    return bool(chat) and chat[-1]["role"] == "assistant"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to generate: ``num_samples`` continuations of at most ``max_tokens`` tokens each, all drawn from ``seed``."""

    num_samples: int = 1
    temperature: float = 0.0
    max_tokens: int = 2048
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Generation:
    """One continuation."""

    text: str
    finish_reason: str = "stop"
    """``length`` when it was cut off at `Sampling.max_tokens`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one chat: all the samples that were asked for, or an error.

    `usage` counts what was spent even when there is an error.
    """

    generations: tuple[Generation, ...] = ()
    usage: Usage = field(default_factory=Usage)
    error: BackendError | None = None
    latency_s: float = 0.0


class PromptTooLong(BackendError):
    """The chat and the tokens to generate do not fit into the model's context."""


@runtime_checkable
class TextBackend(Protocol):
    """Generates text. One failed chat does not fail the others: its `Reply` carries the error."""

    @property
    def name(self) -> str:
        """Names the model and its runtime for the judge's id, e.g. ``openai:Qwen/Qwen3-4B``."""
        ...

    async def generate(self, chats: Sequence[Chat], sampling: Sampling) -> list[Reply]:
        """One reply per chat, in order."""
        ...

    async def aclose(self) -> None:
        """Release connections, threads and models. Safe to call twice."""
        ...
