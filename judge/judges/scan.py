r"""The scan: a language model decides about one step at a time, and the first wrong one ends it.

SGPO's own judge (arXiv 2505.11595): the model sees the problem, a reference solution if there is one, and the steps so
far, and says whether the last of these is right. A solution whose first error is step t costs t + 1 questions. The
paper does not print its prompt; this one is `judge/prompts/scan.txt`.

The open solutions of a batch are asked about together, one wave per step index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from judge.backends.base import Reply
from judge.judges.prompted import Decision, PromptedJudge, PromptedSettings, build_backend
from judge.prompting import SCAN_PROMPTS, scan_chat
from judge.types import NO_ERROR, Solution, Unscored, UnscoredReason, Usage, Verdict
from judge.verdict_parsing import parse_step_verdict


class ScanSettings(PromptedSettings):
    """Settings of the scan: one question per step. Of several samples per step a tie counts as wrong."""


@dataclass(slots=True)
class Scan:
    """One solution on its way."""

    solution: Solution
    result: Verdict | Unscored | None = None
    """None while steps are left to ask about."""
    confidence: float = 1.0
    """Product of the shares of the samples that agreed, over the steps so far."""
    usage: Usage = field(default_factory=Usage)
    latency_s: float = 0.0


class ScanJudge(PromptedJudge):
    """Asks a text backend about each step in turn, up to the first wrong one."""

    kind = "scan"
    version = 1
    prompts = SCAN_PROMPTS

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        """Judge every solution of the batch, in order.

        A solution that is known to be wrong, with every step found right, is unscored: no_error_found. A step whose
        reply fails ends the scan: what comes after it is not known to be the first error.
        """
        scans = [Scan(solution, self.refusal(solution)) for solution in map(self.shown, batch)]
        step = 0
        while waiting := [scan for scan in scans if scan.result is None]:
            chats = [scan_chat(scan.solution, step, self._clean) for scan in waiting]
            for scan, reply in zip(waiting, await self._backend.generate(chats, self._sampling), strict=True):
                self._take(scan, step, reply)
            step += 1
        return [scan.result for scan in scans if scan.result is not None]

    def _take(self, scan: Scan, step: int, reply: Reply) -> None:
        """Enter the reply about a step."""
        scan.usage += reply.usage
        scan.latency_s += reply.latency_s
        decision = self.decide(reply, partial(parse_step_verdict, step=step))
        if isinstance(decision, Unscored):
            message = f"step {step}: {decision.message}"
            scan.result = replace(decision, message=message, usage=scan.usage, latency_s=scan.latency_s)
            return
        scan.confidence *= decision.vote.share
        if decision.vote.first_error != NO_ERROR or step == len(scan.solution.steps) - 1:
            scan.result = self._end(scan, decision)

    def _end(self, scan: Scan, decision: Decision) -> Verdict | Unscored:
        """The answer, once a step is wrong or all are right."""
        num_steps = len(scan.solution.steps)
        found = decision.vote.first_error
        if found == NO_ERROR and scan.solution.known_wrong:
            message = f"all {num_steps} steps were found right, but the final answer is known to be wrong"
            unscored = self.unscored(UnscoredReason.NO_ERROR_FOUND, message, raw=decision.critique)
            return replace(unscored, usage=scan.usage, latency_s=scan.latency_s)
        return Verdict(
            first_error=None if found == NO_ERROR else found,
            judge_id=self.judge_id,
            # One sample says nothing about how sure the model is.
            confidence=scan.confidence if self._sampling.num_samples > 1 else None,
            critique=decision.critique if found != NO_ERROR else f"all {num_steps} steps were found right",
            usage=scan.usage,
            latency_s=scan.latency_s,
        )


def build_scan(settings: ScanSettings) -> ScanJudge:
    """The scan on the backend that its settings name.

    Raises:
        ConfigError: when the environment variable of the key is not set.
        ModelError: when a local model cannot be found.
    """
    return ScanJudge(build_backend(settings), settings)
