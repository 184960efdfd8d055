"""The cascade: cheap judges first. A judge that is sure answers; what it is unsure of goes to the next one.

```toml
[judge]
kind = "cascade"

[[judge.stages]]
kind = "rules"
trust_without_confidence = true

[[judge.stages]]
kind = "critic"
model = "Qwen/Qwen3-4B"
base_url = "http://127.0.0.1:8000/v1"
```

A stage is sure of a verdict whose confidence reaches its ``min_confidence``. A verdict without confidence, as the rules
give, counts as sure when the stage has ``trust_without_confidence`` and the verdict names a wrong step: that such a
judge found nothing is no evidence of a right solution. The last stage's answer stands, whatever it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import Field

from judge.errors import ConfigError
from judge.judges.base import Judge
from judge.judges.nested import ask, build_nested, close
from judge.settings import Settings, parse_table
from judge.types import Solution, Unscored, Usage, Verdict

VERSION: Final = 1
"""Changes whenever the same answers of the stages may give another verdict."""


class CascadeSettings(Settings):
    """The stages, the cheapest first."""

    stages: tuple[dict[str, Any], ...] = Field(min_length=2, max_length=16)
    """Tables of judges: ``kind`` and that kind's settings, with those of `StageSettings`."""


class StageSettings(Settings):
    """When a stage answers. Not for the last stage, which always does."""

    min_confidence: float = Field(default=0.8, ge=0, le=1)
    """A verdict with at least this confidence is sure."""
    trust_without_confidence: bool = False
    """A verdict that names a wrong step and gives no confidence is sure."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One judge of a cascade."""

    judge: Judge
    name: str
    rule: StageSettings
    """Means nothing in the last stage."""

    def sure(self, result: Verdict | Unscored) -> bool:
        """Whether this result ends the cascade."""
        if isinstance(result, Unscored):
            return False
        if result.confidence is None:
            return self.rule.trust_without_confidence and result.first_error is not None
        return result.confidence >= self.rule.min_confidence


@dataclass(frozen=True, slots=True)
class StageCount:
    """What one stage has done since the cascade was made."""

    name: str
    num_asked: int = 0
    num_answered: int = 0
    """Results of this stage that stood; for the last stage all of them."""


class CascadeJudge:
    """Asks its stages in turn, each about what is still open."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = tuple(stages)
        self._counts = [StageCount(stage.name) for stage in stages]

    @property
    def judge_id(self) -> str:
        """All stages, and when each of them answers."""
        *early, last = self._stages
        parts = [
            f"{stage.judge.judge_id}:sure-{stage.rule.min_confidence:g}"
            f"{'-trusted' if stage.rule.trust_without_confidence else ''}"
            for stage in early
        ]
        return f"cascade@{VERSION}[{'|'.join([*parts, last.judge.judge_id])}]"

    @property
    def counts(self) -> tuple[StageCount, ...]:
        """What each stage has done so far."""
        return tuple(self._counts)

    def summary(self) -> str:
        """The share that was escalated, for people: how many solutions each stage was asked about and answered."""
        total = self._counts[0].num_asked
        escalated = total - self._counts[0].num_answered
        share = f"{escalated / total:.1%}" if total else "nothing"
        stages = ", ".join(f"{count.name} answered {count.num_answered} of {count.num_asked}" for count in self._counts)
        return f"cascade: {share} escalated beyond the first stage ({stages})"

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        """Judge every solution of the batch, in order.

        A result carries the cascade's id, the name of the stage that gave it, and what all stages cost together.
        """
        results: dict[int, Verdict | Unscored] = {}
        spent = [(Usage(), 0.0)] * len(batch)
        waiting = list(range(len(batch)))
        for number, stage in enumerate(self._stages):
            is_last = number == len(self._stages) - 1
            answers = await ask(stage.judge, [batch[index] for index in waiting])
            left = []
            for index, answer in zip(waiting, answers, strict=True):
                usage, latency_s = spent[index]
                spent[index] = (usage + answer.usage, latency_s + answer.latency_s)
                if is_last or stage.sure(answer):
                    results[index] = self._signed(answer, stage.name, *spent[index])
                else:
                    left.append(index)
            self._count(number, num_asked=len(waiting), num_answered=len(waiting) - len(left))
            waiting = left
        return [results[index] for index in range(len(batch))]

    async def aclose(self) -> None:
        """Close all stages."""
        await close([stage.judge for stage in self._stages])

    def _signed(self, answer: Verdict | Unscored, name: str, usage: Usage, latency_s: float) -> Verdict | Unscored:
        """The answer of a stage as the cascade's own."""
        if isinstance(answer, Unscored):
            message = f"{name}: {answer.message}"
            return replace(answer, message=message, judge_id=self.judge_id, usage=usage, latency_s=latency_s)
        critique = f"{name}: {answer.critique or '(no critique)'}"
        return replace(answer, critique=critique, judge_id=self.judge_id, usage=usage, latency_s=latency_s)

    def _count(self, number: int, *, num_asked: int, num_answered: int) -> None:
        """Batches may run at the same time, but on one event loop: nothing comes between reading and writing."""
        count = self._counts[number]
        self._counts[number] = replace(
            count, num_asked=count.num_asked + num_asked, num_answered=count.num_answered + num_answered
        )


def build_cascade(settings: Mapping[str, object], where: str) -> CascadeJudge:
    """The cascade that a table describes.

    Raises:
        ConfigError: a wrong setting, here or in a stage; the message names the stage.
        ModelError: a stage's model cannot be found.
    """
    tables = parse_table(CascadeSettings, settings, where).stages
    last = len(tables) - 1
    return CascadeJudge([build_stage(table, number, last, where) for number, table in enumerate(tables)])


def build_stage(table: Mapping[str, object], number: int, last: int, where: str) -> Stage:
    """One stage; its table is the judge's, with the rule among it."""
    here = f"{where}: stages[{number}]"
    rule = {key: value for key, value in table.items() if key in StageSettings.model_fields}
    if rule and number == last:
        raise ConfigError(f"{here}: the last stage's answer always stands; take out {', '.join(rule)}")
    judge = build_nested({key: value for key, value in table.items() if key not in rule}, here)
    return Stage(judge, f"stage {number} ({table['kind']})", parse_table(StageSettings, rule, here))
