r"""The critic: a language model reads problem and numbered steps and names the first wrong one in ``\boxed{i}``.

Follows ProcessBench's conventions (arXiv 2412.06559): paragraphs counted from 0, -1 for "no error". Deviation: a
solution that is known to be wrong is announced as such, and -1 is not offered.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from judge.backends.base import Reply
from judge.judges.critic_folder import check_critic_folder
from judge.judges.prompted import PromptedJudge, PromptedSettings, build_backend
from judge.prompting import CRITIC_PROMPTS, critic_chat
from judge.types import NO_ERROR, Solution, Unscored, Verdict
from judge.verdict_parsing import parse_verdict


class CriticSettings(PromptedSettings):
    """Settings of the critic: one question per solution."""


class CriticJudge(PromptedJudge):
    """Asks a text backend for the first wrong step, once or by a vote of several samples."""

    kind = "critic"
    version = 1
    prompts = CRITIC_PROMPTS

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        """Judge every solution of the batch, in order."""
        solutions = [self.shown(solution) for solution in batch]
        refused = [self.refusal(solution) for solution in solutions]
        asked = [solution for solution, refusal in zip(solutions, refused, strict=True) if refusal is None]
        chats = [critic_chat(solution, self._clean) for solution in asked]
        replies = iter(await self._backend.generate(chats, self._sampling))
        return [
            self._verdict(solution, next(replies)) if refusal is None else refusal
            for solution, refusal in zip(solutions, refused, strict=True)
        ]

    def _verdict(self, solution: Solution, reply: Reply) -> Verdict | Unscored:
        parse = partial(parse_verdict, num_steps=len(solution.steps), known_wrong=solution.known_wrong)
        decision = self.decide(reply, parse)
        if isinstance(decision, Unscored):
            return decision
        winner = decision.vote
        return Verdict(
            first_error=None if winner.first_error == NO_ERROR else winner.first_error,
            judge_id=self.judge_id,
            # One sample says nothing about how sure the model is.
            confidence=winner.share if len(reply.generations) > 1 else None,
            critique=decision.critique,
            usage=reply.usage,
            latency_s=reply.latency_s,
        )


def build_critic(settings: CriticSettings) -> CriticJudge:
    """The critic on the backend that its settings name.

    Raises:
        ConfigError: when the environment variable of the key is not set.
        ModelError: when a local model cannot be found, or is a trained critic of another version.
    """
    if settings.backend == "local":
        check_critic_folder(Path(settings.model))
    return CriticJudge(build_backend(settings), settings)
