"""The defences, applied to a group: who is not judged at all, and what the verdicts on the others are worth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from cachetools import LRUCache

from judge.defences import Credit, DefenceSettings, Examined, credit, typical_length
from judge.shaping import LengthUnit, rts, step_lengths
from reward_server.cpu_pool import CpuPool
from reward_server.outcomes import Failure
from reward_server.reading import Read, Steps, read_texts
from reward_server.solutions import covered, in_chunks, too_many_steps

CountTokens = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Part:
    """One response that may be judged."""

    steps: tuple[str, ...]
    examined: Examined


@dataclass(frozen=True, slots=True)
class Reading:
    """One response before it is judged."""

    cut: Steps
    part: Part | Failure
    """Or why it is not judged."""


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
    """Reads responses beside the event loop, and measures groups. What was read lately is kept, for retries.

    Args:
        settings: which defences are on.
        pool: does the work.
        count_tokens: number of tokens of a text; only the unit ``tokens`` needs it.
        kept_chars: characters of texts whose reading is kept; 0 keeps none.
    """

    def __init__(
        self,
        settings: DefenceSettings,
        pool: CpuPool,
        count_tokens: CountTokens | None,
        kept_chars: int = 20_000_000,
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._count_tokens = count_tokens
        self._kept: LRUCache[tuple[str, str, int | None], Reading] = LRUCache(
            kept_chars, getsizeof=lambda reading: covered(reading.cut)
        )

    async def read(
        self, problem: str, texts: Mapping[int, str], deadline: float, max_steps: int | None = None
    ) -> dict[int, Reading | None]:
        """What is known of responses before they are judged, by index; None for those not done by ``deadline``.

        Args:
            max_steps: a response of more steps is not judged.
        """
        found = {index: self._kept.get((problem, text, max_steps)) for index, text in texts.items()}
        missing = [index for index, kept in found.items() if kept is None]
        read = partial(read_texts, problem=problem, settings=self._settings, max_steps=max_steps)
        done = await in_chunks(self._pool, [texts[index] for index in missing], deadline, read)
        for index, result in zip(missing, done, strict=True):
            if result is not None:
                found[index] = reading = reading_of(result, max_steps)
                if covered(reading.cut) + len(problem) <= self._kept.maxsize // 100:
                    self._kept[problem, texts[index], max_steps] = reading
        return found

    async def measure(
        self, problem: str, reference: str | None, parts: Mapping[int, Part], unit: LengthUnit, deadline: float
    ) -> Measures:
        """Lengths of the steps of a group's wrong responses, and the usual length of a solution to its problem."""
        reference_part = None
        if reference is not None and self._settings.enabled and self._settings.length_neutral:
            reading = (await self.read(problem, {0: reference}, deadline))[0]
            reference_part = reading.part if reading is not None and isinstance(reading.part, Part) else None
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


def reading_of(read: Read, max_steps: int | None) -> Reading:
    """The same with the reason where it is not to be judged."""
    if read.examined is None:
        return Reading(read.steps, too_many_steps(len(read.steps), max_steps))
    return Reading(read.steps, Part(tuple(step.text for step in read.steps), read.examined))
