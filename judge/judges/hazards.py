"""What the trained judges have in common: scores of all steps in, a decoded verdict out.

A scorer (a probe, a classifier, features) gives every step ``P(wrong | all before right)``; this judge checks the
limits, runs the scorer in a thread of its own, calibrates and decodes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from pydantic import Field

from judge.calibration import Decoding
from judge.judge_folder import Manifest
from judge.settings import Settings
from judge.steps import SEGMENTER_VERSION
from judge.types import Solution, Unscored, UnscoredReason, Usage, Verdict

VERSION: Final = 1
"""Counts up when scoring or decoding changes for the same folder."""


class TrainedSettings(Settings):
    """Settings of every judge that ``sgpo-judge train`` makes, apart from the critic."""

    folder: str = Field(min_length=1)
    """The judge's folder."""
    model: str = ""
    """Where the base model lies; empty for the name that the judge was trained with."""
    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1``; ``auto`` takes a GPU where there is one."""
    dtype: str = "auto"
    """float32, bfloat16 or float16; ``auto`` is bfloat16 on a GPU and float32 elsewhere."""
    token_budget: int = Field(default=4096, ge=1)
    """Padded tokens in one forward."""
    max_tokens: int = Field(default=4096, ge=1)
    """A solution with more tokens, its problem included, is not judged: too_long."""
    max_steps: int = Field(default=256, ge=1)
    """A solution with more steps is not judged: too_long."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """Overrules the judge's own threshold for solutions of unknown outcome."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Raw hazards of one solution's steps."""

    probs: tuple[float, ...]
    """[num_steps], each in [0, 1]."""
    num_tokens: int = 0
    reasons: tuple[str, ...] = ()
    """[num_steps] what made each step's score; empty where the scorer cannot say."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a scorer does not score a solution."""

    reason: UnscoredReason
    message: str


def too_long(num_tokens: int, max_tokens: int) -> Refused:
    """A solution of more tokens than the judge reads."""
    return Refused(UnscoredReason.TOO_LONG, f"{num_tokens} tokens, and max_tokens = {max_tokens}")


def decoding_of(manifest: Manifest, settings: TrainedSettings) -> Decoding:
    """The folder's decoding, with the threshold of the settings where there is one."""
    if settings.threshold is None:
        return manifest.decoding
    return manifest.decoding.model_copy(update={"threshold": settings.threshold})


def judge_id_of(kind: str, digest: str, settings: TrainedSettings) -> str:
    """All that can change a verdict."""
    overruled = "" if settings.threshold is None else f"+threshold{settings.threshold:g}"
    return f"{kind}@{VERSION}+{digest}+{SEGMENTER_VERSION}+{settings.dtype}{overruled}"


class Scorer(Protocol):
    """Scores all steps of each solution; blocking."""

    def score(self, batch: Sequence[Solution]) -> list[Scores | Refused]:
        """One result per solution, in order. Every solution has at least one step."""
        ...


class HazardJudge:
    """A judge on top of a scorer."""

    def __init__(self, scorer: Scorer, decoding: Decoding, judge_id: str, max_steps: int) -> None:
        self._scorer = scorer
        self._decoding = decoding
        self._judge_id = judge_id
        self._max_steps = max_steps
        # One thread: two forwards at a time would only compete for the same cores or the same GPU.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="judge")

    @property
    def judge_id(self) -> str:
        """Kind, folder digest (weights, base model, calibration), segmenter, and a threshold that was overruled."""
        return self._judge_id

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        """Judge every solution of the batch, in order."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._judge, list(batch))

    async def aclose(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False)

    def _judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        started = time.perf_counter()
        refusals = [self._refusal(solution) for solution in batch]
        asked = [solution for solution, refusal in zip(batch, refusals, strict=True) if refusal is None]
        scored = iter(self._scorer.score(asked) if asked else ())
        results = [next(scored) if refusal is None else refusal for refusal in refusals]
        # The batch is one computation: every solution of it waited that long.
        latency_s = time.perf_counter() - started
        return [self._result(s, r, latency_s) for s, r in zip(batch, results, strict=True)]

    def _refusal(self, solution: Solution) -> Refused | None:
        if not solution.steps:
            return Refused(UnscoredReason.NO_STEPS, "the solution has no steps")
        if len(solution.steps) > self._max_steps:
            message = f"{len(solution.steps)} steps, and max_steps = {self._max_steps}"
            return Refused(UnscoredReason.TOO_LONG, message)
        return None

    def _result(self, solution: Solution, scored: Scores | Refused, latency_s: float) -> Verdict | Unscored:
        if isinstance(scored, Refused):
            return Unscored(scored.reason, scored.message, self._judge_id, latency_s=latency_s)
        hazards, decoded = self._decoding.decode(scored.probs, known_wrong=solution.known_wrong)
        usage = Usage(prompt_tokens=scored.num_tokens, calls=1)
        if solution.known_wrong and decoded.first_error is None:
            message = "every step has an error probability of 0"
            return Unscored(UnscoredReason.NO_ERROR_FOUND, message, self._judge_id, usage=usage, latency_s=latency_s)
        return Verdict(
            first_error=decoded.first_error,
            judge_id=self._judge_id,
            step_error_probs=hazards,
            expected_rts=decoded.expected_rts,
            confidence=decoded.confidence,
            critique=_critique(scored, decoded.first_error),
            usage=usage,
            latency_s=latency_s,
        )


def _critique(scored: Scores, first_error: int | None) -> str | None:
    """Why this step."""
    if first_error is None or not scored.reasons:
        return None
    return f"step {first_error}: {scored.reasons[first_error]}"
