"""The scripted judge: says what its settings tell it to, for tests and demonstrations."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
from collections.abc import Sequence
from typing import Final, Literal

from pydantic import Field

from judge.errors import BackendError
from judge.settings import Settings
from judge.steps import SEGMENTER_VERSION
from judge.types import Solution, Unscored, UnscoredReason, Verdict

VERSION: Final = 1
DEFAULT_PATTERN: Final = "WRONG"


class ScriptedSettings(Settings):
    """What to say. Without any setting, the first step that contains ``WRONG`` is the first error."""

    first_error: int | None = Field(default=None, ge=0)
    """The first error of every solution that has so many steps."""
    pattern: str = ""
    """The first step that contains this text is the first error; empty: ``WRONG``. `first_error` goes first."""
    say: Literal["script", "hash"] = "script"
    """``hash``: the first error is a digest of problem and steps, modulo their number, and the critique is that digest:
    whoever gets another solution's verdict notices. The settings above mean nothing then."""
    delay_s: float = Field(default=0.0, ge=0)
    """How long a batch takes, in seconds."""
    block_s: float = Field(default=0.0, ge=0)
    """How long a batch holds the whole event loop, as careless judges do, in seconds."""
    fail: Literal["", "unscored", "raise", "bug", "die"] = ""
    """``unscored``: every solution is judge_unavailable; ``raise``: the judge raises `BackendError`; ``bug``: it raises
    something that no judge should; ``die``: its process is killed."""
    fail_on: str = ""
    """Only batches with this text in a step fail; empty: all of them."""


class ScriptedJudge:
    """A judge without judgement: deterministic, with delays and failures on request."""

    def __init__(self, settings: ScriptedSettings | None = None) -> None:
        self._settings = settings or ScriptedSettings()
        script = self._settings.model_dump_json(exclude={"delay_s", "block_s"})
        self._digest = hashlib.sha256(script.encode()).hexdigest()[:8]

    @property
    def judge_id(self) -> str:
        """Version, a digest of what it is told to say, and the segmenter."""
        return f"scripted@{VERSION}-{self._digest}+{SEGMENTER_VERSION}"

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        """Judge every solution, in order.

        Raises:
            BackendError: with ``fail = "raise"``; retryable, as an outage is.
            RuntimeError: with ``fail = "bug"``.
        """
        await asyncio.sleep(self._settings.delay_s)
        if self._settings.block_s:
            time.sleep(self._settings.block_s)  # noqa: ASYNC251
        if any(self._fails(solution) for solution in batch):
            self._fail()
        return [self._judge_one(solution) for solution in batch]

    async def aclose(self) -> None:
        """Nothing to release."""

    def _fails(self, solution: Solution) -> bool:
        """Whether this solution is one of those that the judge fails on."""
        marked = any(self._settings.fail_on in step for step in solution.steps)
        return bool(self._settings.fail) and (marked or not self._settings.fail_on)

    def _fail(self) -> None:
        match self._settings.fail:
            case "raise":
                raise BackendError("the scripted judge was told to fail (judge setting 'fail')", retryable=True)
            case "bug":
                raise RuntimeError("the scripted judge was told to fail (judge setting 'fail')")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)

    def _judge_one(self, solution: Solution) -> Verdict | Unscored:
        if self._settings.fail == "unscored" and self._fails(solution):
            message = "the scripted judge was told to be unavailable (judge setting 'fail')"
            return Unscored(UnscoredReason.JUDGE_UNAVAILABLE, message, self.judge_id)
        if not solution.steps:
            return Unscored(UnscoredReason.NO_STEPS, "the response has no steps", self.judge_id)
        if self._settings.say == "hash":
            digest = solution_digest(solution)
            return Verdict(int(digest, 16) % len(solution.steps), self.judge_id, critique=digest)
        found = self._find(solution.steps)
        if found is None and solution.known_wrong:
            message = "the script marks no step of a response that is known to be wrong"
            return Unscored(UnscoredReason.NO_ERROR_FOUND, message, self.judge_id)
        return Verdict(found, self.judge_id, critique=None if found is None else f"step {found} is wrong: scripted")

    def _find(self, steps: Sequence[str]) -> int | None:
        index = self._settings.first_error
        if index is not None:
            return index if index < len(steps) else None
        pattern = self._settings.pattern or DEFAULT_PATTERN
        return next((position for position, step in enumerate(steps) if pattern in step), None)


def solution_digest(solution: Solution) -> str:
    """64 hex digits of SHA-256 over problem and steps."""
    return hashlib.sha256("\0".join((solution.problem, *solution.steps)).encode("utf-8", "surrogatepass")).hexdigest()
