"""The vote: several judges at once, and the step with the most weight behind it.

```toml
[judge]
kind = "vote"

[[judge.members]]
kind = "rules"
weight = 2.0

[[judge.members]]
kind = "critic"
model = "Qwen/Qwen3-4B"
base_url = "http://127.0.0.1:8000/v1"
```

Every member names one step, or none for "no error", and gives it its weight. The heaviest step wins; of equals the
earliest, and "no error" counts as later than every step (as in the critic's own majority). A tie is stated in the
critique. A member without a verdict does not vote, nor does one that finds no error in a solution known to be wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from operator import add
from typing import Any, Final

from pydantic import Field, ValidationInfo, field_validator

from judge.judges.base import Judge
from judge.judges.nested import ask, build_nested, close
from judge.settings import Settings, parse_table
from judge.types import NO_ERROR, Solution, Unscored, UnscoredReason, Usage, Verdict
from judge.verdict_file import PASSING

VERSION: Final = 1
"""Changes whenever the same answers of the members may give another verdict."""


class VoteSettings(Settings):
    """The members, and how many of them must vote. Ties go to the earliest step."""

    members: tuple[dict[str, Any], ...] = Field(min_length=2, max_length=16)
    """Tables of judges: ``kind`` and that kind's settings, with those of `MemberSettings`."""
    min_votes: int = Field(default=1, ge=1)
    """With fewer members that vote the solution is unscored."""

    @field_validator("min_votes")
    @classmethod
    def _can_be_reached(cls, value: int, info: ValidationInfo) -> int:
        num_members = len(info.data.get("members", ()))
        if value > num_members > 0:
            raise ValueError(f"there are only {num_members} members")
        return value


class MemberSettings(Settings):
    """How much a member counts."""

    weight: float = Field(default=1.0, gt=0, le=1e6)


@dataclass(frozen=True, slots=True)
class Member:
    """One judge of a vote."""

    judge: Judge
    name: str
    weight: float


@dataclass(frozen=True, slots=True)
class Tally:
    """The weight behind each step that was named; `judge.types.NO_ERROR` stands for none."""

    weights: Mapping[int, Fraction]

    def leaders(self) -> list[int]:
        """The steps with the most weight, the earliest first."""
        most = max(self.weights.values())
        leaders = [step for step, weight in self.weights.items() if weight == most]
        return sorted(leaders, key=lambda step: (step == NO_ERROR, step))

    def share(self, step: int) -> float:
        """The weight behind a step, of all the weight that voted; in (0, 1]."""
        return float(self.weights[step] / sum(self.weights.values()))


class VoteJudge:
    """Asks all its members at the same time and counts."""

    def __init__(self, members: Sequence[Member], min_votes: int = 1) -> None:
        self._members = tuple(members)
        self._min_votes = min_votes

    @property
    def judge_id(self) -> str:
        """All members with their weights, and the least number of votes."""
        parts = "|".join(f"{member.weight:g}x{member.judge.judge_id}" for member in self._members)
        return f"vote@{VERSION}-min{self._min_votes}[{parts}]"

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        """Judge every solution of the batch, in order. The members work at the same time."""
        asked = [asyncio.ensure_future(ask(member.judge, batch)) for member in self._members]
        try:
            answers = await asyncio.gather(*asked)
        finally:
            for task in asked:
                task.cancel()  # when one failed, nobody waits for the others
        return [self._count(solution, [member[k] for member in answers]) for k, solution in enumerate(batch)]

    async def aclose(self) -> None:
        """Close all members."""
        await close([member.judge for member in self._members])

    def _count(self, solution: Solution, results: Sequence[Verdict | Unscored]) -> Verdict | Unscored:
        """One solution's verdict from its members' results."""
        usage = reduce(add, (result.usage for result in results), Usage())
        latency_s = max(result.latency_s for result in results)
        said = [f"{member.name}: {describe(result)}" for member, result in zip(self._members, results, strict=True)]
        votes = [votes_for(result, solution) for result in results]
        silent = [result for result, vote in zip(results, votes, strict=True) if vote is None]
        num_votes = len(votes) - len(silent)
        if num_votes < self._min_votes:
            rule = f"{num_votes} of {len(votes)} members voted, and min_votes = {self._min_votes}"
            message = f"{rule} ({'; '.join(said)})"
            return Unscored(shared_reason(silent), message, self.judge_id, usage=usage, latency_s=latency_s)
        tally = count_votes([(vote, member.weight) for vote, member in zip(votes, self._members, strict=True)])
        winner, *others = tally.leaders()
        tie = f"; a tie of {', '.join(map(step_name, (winner, *others)))}: the earliest wins" if others else ""
        return Verdict(
            first_error=None if winner == NO_ERROR else winner,
            judge_id=self.judge_id,
            confidence=tally.share(winner),
            critique="; ".join(said) + tie,
            usage=usage,
            latency_s=latency_s,
        )


def count_votes(votes: Sequence[tuple[int | None, float]]) -> Tally:
    """Add up weights; None does not vote. Exact, so that weights of 0.1 + 0.2 and 0.3 are a tie."""
    weights: dict[int, Fraction] = {}
    for step, weight in votes:
        if step is not None:
            weights[step] = weights.get(step, Fraction(0)) + Fraction(str(weight))
    return Tally(weights)


def votes_for(result: Verdict | Unscored, solution: Solution) -> int | None:
    """The step that a member names, `judge.types.NO_ERROR` for none; None when it does not vote."""
    if isinstance(result, Unscored) or (result.first_error is None and solution.known_wrong):
        return None
    return NO_ERROR if result.first_error is None else result.first_error


def shared_reason(results: Sequence[Verdict | Unscored]) -> UnscoredReason:
    """Why members did not vote: an outage if there was one, else what all of them say, else that there is no evidence.

    Args:
        results: of the members that did not vote.
    """
    reasons = {result.reason if isinstance(result, Unscored) else UnscoredReason.NO_ERROR_FOUND for result in results}
    passing = sorted(reasons & PASSING)
    if passing:
        return passing[0]
    return reasons.pop() if len(reasons) == 1 else UnscoredReason.NO_EVIDENCE


def describe(result: Verdict | Unscored) -> str:
    """What a member said, in a few words."""
    if isinstance(result, Unscored):
        return f"no vote ({result.reason.value})"
    return step_name(NO_ERROR if result.first_error is None else result.first_error)


def step_name(step: int) -> str:
    """A candidate's name."""
    return "no error" if step == NO_ERROR else f"step {step}"


def build_vote(settings: Mapping[str, object], where: str) -> VoteJudge:
    """The vote that a table describes.

    Raises:
        ConfigError: a wrong setting, here or in a member; the message names the member.
        ModelError: a member's model cannot be found.
    """
    parsed = parse_table(VoteSettings, settings, where)
    members = [build_member(table, f"{where}: members[{k}]") for k, table in enumerate(parsed.members)]
    return VoteJudge(members, parsed.min_votes)


def build_member(table: Mapping[str, object], where: str) -> Member:
    """One member; its table is the judge's, with the weight among it."""
    own = {key: value for key, value in table.items() if key in MemberSettings.model_fields}
    judge = build_nested({key: value for key, value in table.items() if key not in own}, where)
    return Member(judge, str(table["kind"]), parse_table(MemberSettings, own, where).weight)
