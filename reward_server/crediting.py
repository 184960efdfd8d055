"""The defences, applied to a group: who is not judged at all, and what the verdicts on the others are worth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cachetools import LRUCache

from judge.defences import Credit, DefenceSettings, Examined, credit, examine, typical_length
from judge.shaping import LengthUnit, rts, step_lengths
from reward_server.solutions import Segmenter, Steps

CountTokens = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Part:
    """One response that may be judged."""

    text: str
    steps: tuple[str, ...]
    examined: Examined


@dataclass(frozen=True, slots=True)
class Measures:
    """What the shares of a group are counted with."""

    lengths: Mapping[int, Sequence[int]]
    """[num_steps] length of each step, by the response's index in the group."""
    typical: float | None
    """The usual length of a solution to the problem."""
    by_steps: bool
    """True when the lengths are steps."""

    def plain(self, index: int, first_error: int) -> float:
        """The share before any defence, in [0, 1)."""
        return rts(first_error, self.lengths[index])

    def defended(self, index: int, part: Part, first_error: int) -> Credit:
        """The share that the reward is made of."""
        lengths = None if self.by_steps else self.lengths[index]
        return credit(part.examined, first_error, lengths, self.typical)


class Crediting:
    """Examines responses beside the event loop, and measures groups.

    Args:
        settings: which defences are on.
        segmenter: whose thread does the work.
        count_tokens: number of tokens of a text; only the unit ``tokens`` needs it.
        kept_chars: characters of texts whose examination is kept, for retries; 0 keeps none.
    """

    def __init__(
        self,
        settings: DefenceSettings,
        segmenter: Segmenter,
        count_tokens: CountTokens | None,
        kept_chars: int = 10_000_000,
    ) -> None:
        self._settings = settings
        self._segmenter = segmenter
        self._count_tokens = count_tokens
        self._kept: LRUCache[tuple[str, str], tuple[int, Examined]] = LRUCache(
            kept_chars, getsizeof=lambda kept: kept[0]
        )

    async def examine(
        self, problem: str, texts: Mapping[int, str], steps: Mapping[int, Steps], deadline: float
    ) -> dict[int, Part | None]:
        """What is known of responses before they are judged, by index; None for those not done by ``deadline``."""
        cuts = {index: tuple(step.text for step in cut) for index, cut in steps.items()}
        found = {index: self._kept.get((problem, texts[index])) for index in cuts}
        missing = [index for index, kept in found.items() if kept is None]
        done = await self._segmenter.run_all(
            lambda index: examine(texts[index], cuts[index], problem, self._settings), missing, deadline
        )
        parts: dict[int, Part | None] = {}
        for index, result in zip(missing, done, strict=True):
            if result is not None:
                self._keep(problem, texts[index], result)
                found[index] = (0, result)
        for index, kept in found.items():
            parts[index] = None if kept is None else Part(texts[index], cuts[index], kept[1])
        return parts

    async def measure(
        self, problem: str, reference: str | None, parts: Mapping[int, Part], unit: LengthUnit, deadline: float
    ) -> Measures:
        """Lengths of the steps of a group's wrong responses, and the usual length of a solution to its problem."""
        reference_part = None
        if reference is not None and self._settings.enabled and self._settings.length_neutral:
            [steps] = await self._segmenter.segment_all([reference], deadline)
            if steps is not None:
                reference_part = (await self.examine(problem, {0: reference}, {0: steps}, deadline))[0]
        if unit == "tokens":
            return await asyncio.to_thread(self._measure, reference_part, parts, unit)
        return self._measure(reference_part, parts, unit)

    def _measure(self, reference: Part | None, parts: Mapping[int, Part], unit: LengthUnit) -> Measures:
        lengths = {index: step_lengths(part.steps, unit, self._count_tokens) for index, part in parts.items()}
        by_steps = unit == "steps"
        if not (self._settings.enabled and self._settings.length_neutral):
            return Measures(lengths, None, by_steps)
        effective = [
            part.examined.effective(None if by_steps else lengths[index])
            for index, part in parts.items()
            if not part.examined.is_floored
        ]
        if reference is None:
            return Measures(lengths, typical_length(effective), by_steps)
        own = None if by_steps else step_lengths(reference.steps, unit, self._count_tokens)
        return Measures(lengths, typical_length(effective, reference.examined.effective(own)), by_steps)

    def _keep(self, problem: str, text: str, result: Examined) -> None:
        size = len(problem) + len(text) + 1
        if size <= self._kept.maxsize // 100:
            self._kept[problem, text] = (size, result)
