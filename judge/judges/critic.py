r"""The critic: a language model reads problem and numbered steps and names the first wrong one in ``\boxed{i}``.

Follows ProcessBench's conventions (arXiv 2412.06559): paragraphs counted from 0, -1 for "no error". Deviation: a
solution that is known to be wrong is announced as such, and -1 is not offered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from judge.backends.base import PromptTooLong, Reply, Sampling, TextBackend
from judge.errors import BackendError, BackendTimeout
from judge.prompting import critic_chat, prompts_digest
from judge.settings import Settings
from judge.steps import SEGMENTER_VERSION
from judge.types import NO_ERROR, Solution, Unscored, UnscoredReason, Verdict
from judge.verdict_parsing import OffMenu, majority, parse_verdict

VERSION: Final = 1
"""Counts up when parsing, voting or the making of the prompt changes."""


class CriticSettings(Settings):
    """Settings of the critic and of the backend that runs its model."""

    backend: Literal["openai", "local"] = "openai"
    """``openai``: an endpoint that speaks OpenAI's chat completions. ``local``: transformers in this process."""
    model: str = Field(min_length=1)
    """Name of the model at the endpoint; for ``local`` a checkpoint folder, a hub id or a packaged name."""
    base_url: str = Field(default="", validate_default=True)
    """``openai`` only: address of the endpoint with its version, e.g. ``http://127.0.0.1:8000/v1``."""
    api_key_env: str = ""
    """``openai`` only: NAME of the environment variable that holds the key; empty for none."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    max_tokens: int = Field(default=2048, ge=1, le=131_072)
    """Length of one reply, thoughts included."""
    num_samples: int = Field(default=1, ge=1, le=64)
    """Replies per solution; the majority decides."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    max_concurrency: int = Field(default=16, ge=1, le=1024)
    """Requests in flight at the endpoint (``openai``), or replies generated in one batch (``local``)."""
    timeout_s: float = Field(default=600.0, gt=0, le=3600)
    """``openai``: one attempt at one reply. ``local``: one batch of replies."""
    max_steps: int = Field(default=128, ge=1, le=4096)
    """Solutions with more steps are not judged."""
    max_chars: int = Field(default=60_000, ge=1, le=10_000_000)
    """Solutions with more characters, problem and reference included, are not judged."""

    @field_validator("base_url")
    @classmethod
    def _url_fits_backend(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("backend") == "local":
            if value:
                raise ValueError("backend 'local' has no base_url; leave it out or set backend = 'openai'")
        elif not value.startswith(("http://", "https://")) or "@" in value:
            raise ValueError(
                "backend 'openai' needs the endpoint's address, e.g. http://127.0.0.1:8000/v1 (keys go in api_key_env)"
            )
        return value

    @field_validator("api_key_env")
    @classmethod
    def _key_fits_backend(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("backend") == "local":
            raise ValueError("backend 'local' has no key; leave it out or set backend = 'openai'")
        return value

    @field_validator("num_samples")
    @classmethod
    def _votes_must_differ(cls, value: int, info: ValidationInfo) -> int:
        if value > 1 and info.data.get("temperature") == 0:
            raise ValueError("at temperature 0 all samples are the same; set temperature above 0 or num_samples = 1")
        return value


class CriticJudge:
    """Asks a text backend for the first wrong step, once or by a vote of several samples."""

    def __init__(self, backend: TextBackend, settings: CriticSettings) -> None:
        self._backend = backend
        self._settings = settings
        self._sampling = Sampling(
            num_samples=settings.num_samples,
            temperature=settings.temperature,
            max_tokens=settings.max_tokens,
            seed=settings.seed,
        )

    @property
    def judge_id(self) -> str:
        """Model, prompt files, segmenter, sampling and limits."""
        s = self._settings
        return (
            f"critic@{VERSION}+{self._backend.name}+prompt-{prompts_digest()}+{SEGMENTER_VERSION}"
            f"+T{s.temperature:g}-n{s.num_samples}-max{s.max_tokens}-seed{s.seed}+limits{s.max_steps}x{s.max_chars}"
        )

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        """Judge every solution of the batch, in order."""
        refused = [self._refusal(solution) for solution in batch]
        asked = [solution for solution, refusal in zip(batch, refused, strict=True) if refusal is None]
        replies = iter(await self._backend.generate([critic_chat(solution) for solution in asked], self._sampling))
        return [
            self._verdict(solution, next(replies)) if refusal is None else refusal
            for solution, refusal in zip(batch, refused, strict=True)
        ]

    async def aclose(self) -> None:
        """Close the backend."""
        await self._backend.aclose()

    def _refusal(self, solution: Solution) -> Unscored | None:
        """Why a solution is not even asked about."""
        settings = self._settings
        if not solution.steps:
            return self._unscored(UnscoredReason.NO_STEPS, "the solution has no steps")
        if len(solution.steps) > settings.max_steps:
            message = f"{len(solution.steps)} steps, and max_steps = {settings.max_steps}"
            return self._unscored(UnscoredReason.TOO_LONG, message)
        texts = (solution.problem, solution.reference_solution or "", solution.reference_answer or "", *solution.steps)
        num_chars = sum(map(len, texts))
        if num_chars > settings.max_chars:
            return self._unscored(
                UnscoredReason.TOO_LONG, f"{num_chars} characters, and max_chars = {settings.max_chars}"
            )
        return None

    def _verdict(self, solution: Solution, reply: Reply) -> Verdict | Unscored:
        """Count the votes. Samples that cannot be read do not vote; when none can, there is no verdict."""
        if reply.error is not None:
            return self._unscored(reason_for(reply.error), str(reply.error), reply)
        votes: list[int] = []
        supporters: dict[int, str] = {}
        faults: list[str] = []
        for generation in reply.generations:
            try:
                vote = parse_verdict(generation.text, len(solution.steps), known_wrong=solution.known_wrong)
            except OffMenu as fault:
                cut = " (cut off at max_tokens)" if generation.finish_reason == "length" else ""
                faults.append(f"{fault}{cut}")
                continue
            votes.append(vote)
            supporters.setdefault(vote, generation.text)
        if not votes:
            raw = reply.generations[0].text
            return self._unscored(UnscoredReason.PARSE_ERROR, faults[0], reply, raw)
        winner = majority(votes)
        return Verdict(
            first_error=None if winner.first_error == NO_ERROR else winner.first_error,
            judge_id=self.judge_id,
            # One sample says nothing about how sure the model is.
            confidence=winner.share if len(reply.generations) > 1 else None,
            critique=supporters[winner.first_error],
            usage=reply.usage,
            latency_s=reply.latency_s,
        )

    def _unscored(
        self, reason: UnscoredReason, message: str, reply: Reply | None = None, raw: str | None = None
    ) -> Unscored:
        reply = reply or Reply()
        return Unscored(reason, message, self.judge_id, raw, reply.usage, reply.latency_s)


def reason_for(error: BackendError) -> UnscoredReason:
    """The typed reason for a backend's failure."""
    if isinstance(error, BackendTimeout):
        return UnscoredReason.JUDGE_TIMEOUT
    if isinstance(error, PromptTooLong):
        return UnscoredReason.TOO_LONG
    return UnscoredReason.JUDGE_UNAVAILABLE


def build_critic(settings: CriticSettings) -> CriticJudge:
    """The critic on the backend that its settings name.

    Raises:
        ConfigError: when the environment variable of the key is not set.
        ModelError: when a local model cannot be found.
    """
    if settings.backend == "openai":
        from judge.backends.openai import OpenAIBackend

        return CriticJudge(
            OpenAIBackend(
                base_url=settings.base_url,
                model=settings.model,
                api_key_env=settings.api_key_env,
                timeout_s=settings.timeout_s,
                max_concurrency=settings.max_concurrency,
            ),
            settings,
        )
    from judge.backends.local import LocalBackend

    local = LocalBackend(settings.model, batch_size=settings.max_concurrency, timeout_s=settings.timeout_s)
    return CriticJudge(local, settings)
