"""A backend that recites: for tests of what stands on top of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from judge.backends.base import Chat, Generation, Reply, Sampling
from judge.errors import BackendError
from judge.types import Usage

Script = Callable[[Chat, int], str | BackendError]
"""Chat and sample index in, reply or error out."""


class ScriptedBackend:
    """Answers from a list (in turn, from the start again at its end) or from a function.

    >>> import asyncio
    >>> backend = ScriptedBackend(["first", "second"])
    >>> [reply] = asyncio.run(backend.generate([[{"role": "user", "content": "?"}]], Sampling(num_samples=2)))
    >>> [generation.text for generation in reply.generations]
    ['first', 'second']
    """

    def __init__(self, script: Sequence[str | BackendError] | Script) -> None:
        self._script = script
        self._turn = 0
        self.chats: list[Chat] = []
        """Every chat that was asked, in order."""

    @property
    def name(self) -> str:
        """Constant: two scripts are not told apart."""
        return "scripted"

    async def generate(self, chats: Sequence[Chat], sampling: Sampling) -> list[Reply]:
        """Recite one reply per chat; usage counts one token per word."""
        return [self._reply(chat, sampling) for chat in chats]

    async def aclose(self) -> None:
        """Nothing to release."""

    def _reply(self, chat: Chat, sampling: Sampling) -> Reply:
        self.chats.append(chat)
        texts = [self._next(chat, sample) for sample in range(sampling.num_samples)]
        said = [text for text in texts if isinstance(text, str)]
        usage = Usage(
            prompt_tokens=sum(len(message["content"].split()) for message in chat),
            completion_tokens=sum(len(text.split()) for text in said),
            calls=len(texts),
        )
        for text in texts:
            if isinstance(text, BackendError):
                return Reply(usage=usage, error=text)
        return Reply(tuple(Generation(text) for text in said), usage)

    def _next(self, chat: Chat, sample: int) -> str | BackendError:
        if callable(self._script):
            return self._script(chat, sample)
        text = self._script[self._turn % len(self._script)]
        self._turn += 1
        return text
