"""What the judges that prompt a language model share: settings, backend, limits and the reading of samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator

from judge.backends.base import PromptTooLong, Reply, Sampling, TextBackend
from judge.errors import BackendError, BackendTimeout
from judge.prompting import Clean, neutralize, prompts_digest
from judge.settings import Settings
from judge.steps import SEGMENTER_VERSION
from judge.types import Solution, Unscored, UnscoredReason, Usage
from judge.verdict_parsing import OffMenu, Vote, majority


class PromptedSettings(Settings):
    """Settings of a prompted judge and of the backend that runs its model."""

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
    """Replies per question; the majority decides."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    max_concurrency: int = Field(default=16, ge=1, le=1024)
    """Requests in flight at the endpoint (``openai``), or replies generated in one batch (``local``)."""
    timeout_s: float = Field(default=600.0, gt=0, le=3600)
    """``openai``: one attempt at one reply. ``local``: one batch of replies."""
    max_steps: int = Field(default=128, ge=1, le=4096)
    """Solutions with more steps are not judged."""
    max_chars: int = Field(default=60_000, ge=1, le=10_000_000)
    """Solutions with more characters, problem and reference included, are not judged."""
    use_reference: bool = True
    """Show the model the reference solution and the reference answer, where there are any."""

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


@dataclass(frozen=True, slots=True)
class Decision:
    """What the samples of one reply said together."""

    vote: Vote
    critique: str
    """The first sample that said so."""


class PromptedJudge:
    """Base of the judges that ask a text backend."""

    kind: ClassVar[str]
    version: ClassVar[int]
    """Counts up when parsing, voting or the making of the prompt changes."""
    prompts: ClassVar[tuple[str, ...]]
    """The prompt files that it uses."""

    def __init__(self, backend: TextBackend, settings: PromptedSettings, *, neutralized: bool = True) -> None:
        self._backend = backend
        self._settings = settings
        self._clean: Clean = neutralize if neutralized else str
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
            f"{self.kind}@{self.version}+{self._backend.name}+prompt-{prompts_digest(self.prompts)}+{SEGMENTER_VERSION}"
            f"+T{s.temperature:g}-n{s.num_samples}-max{s.max_tokens}-seed{s.seed}+limits{s.max_steps}x{s.max_chars}"
            f"{'' if s.use_reference else '+no-reference'}{'' if self._clean is neutralize else '+raw-steps'}"
        )

    def undefended(self) -> Self:
        """The same judge on the same backend with steps shown as they are, to measure what neutralising is worth.

        No setting leads here: a server cannot be configured to do without.
        """
        return type(self)(self._backend, self._settings, neutralized=False)

    async def aclose(self) -> None:
        """Close the backend."""
        await self._backend.aclose()

    def shown(self, solution: Solution) -> Solution:
        """What the model may see of a solution."""
        if self._settings.use_reference:
            return solution
        return dataclasses.replace(solution, reference_solution=None, reference_answer=None)

    def refusal(self, solution: Solution) -> Unscored | None:
        """Why a solution is not even asked about."""
        settings = self._settings
        if not solution.steps:
            return self.unscored(UnscoredReason.NO_STEPS, "the solution has no steps")
        if len(solution.steps) > settings.max_steps:
            message = f"{len(solution.steps)} steps, and max_steps = {settings.max_steps}"
            return self.unscored(UnscoredReason.TOO_LONG, message)
        texts = (solution.problem, solution.reference_solution or "", solution.reference_answer or "", *solution.steps)
        num_chars = sum(map(len, texts))
        if num_chars > settings.max_chars:
            return self.unscored(
                UnscoredReason.TOO_LONG, f"{num_chars} characters, and max_chars = {settings.max_chars}"
            )
        return None

    def decide(self, reply: Reply, parse: Callable[[str], int]) -> Decision | Unscored:
        """Count the votes. Samples that cannot be read do not vote; when none can, there is no decision.

        Args:
            parse: from a sample's text to a step or `judge.types.NO_ERROR`; raises `OffMenu`.

        Returns:
            The decision; or `Unscored` with what this reply alone cost.
        """
        if reply.error is not None:
            return self.unscored(reason_for(reply.error), str(reply.error), reply)
        votes: list[int] = []
        supporters: dict[int, str] = {}
        faults: list[str] = []
        for generation in reply.generations:
            try:
                vote = parse(generation.text)
            except OffMenu as fault:
                cut = " (cut off at max_tokens)" if generation.finish_reason == "length" else ""
                faults.append(f"{fault}{cut}")
                continue
            votes.append(vote)
            supporters.setdefault(vote, generation.text)
        if not votes:
            return self.unscored(UnscoredReason.PARSE_ERROR, faults[0], reply, reply.generations[0].text)
        winner = majority(votes)
        return Decision(winner, supporters[winner.first_error])

    def unscored(
        self, reason: UnscoredReason, message: str, reply: Reply | None = None, raw: str | None = None
    ) -> Unscored:
        """No verdict, and what it cost."""
        usage, latency_s = (reply.usage, reply.latency_s) if reply else (Usage(), 0.0)
        return Unscored(reason, message, self.judge_id, raw, usage, latency_s)


def reason_for(error: BackendError) -> UnscoredReason:
    """The typed reason for a backend's failure."""
    if isinstance(error, BackendTimeout):
        return UnscoredReason.JUDGE_TIMEOUT
    if isinstance(error, PromptTooLong):
        return UnscoredReason.TOO_LONG
    return UnscoredReason.JUDGE_UNAVAILABLE


def build_backend(settings: PromptedSettings) -> TextBackend:
    """The backend that the settings name.

    Raises:
        ConfigError: when the environment variable of the key is not set.
        ModelError: when a local model cannot be found.
    """
    if settings.backend == "openai":
        from judge.backends.openai import OpenAIBackend

        return OpenAIBackend(
            base_url=settings.base_url,
            model=settings.model,
            api_key_env=settings.api_key_env,
            timeout_s=settings.timeout_s,
            max_concurrency=settings.max_concurrency,
        )
    from judge.backends.local import LocalBackend

    return LocalBackend(settings.model, batch_size=settings.max_concurrency, timeout_s=settings.timeout_s)
