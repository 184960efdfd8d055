r"""What a generative critic learns from: the critic judge's own prompts, and replies that are written from labels.

A reply walks through the paragraphs up to the first wrong one, so that the model decides about one at a time, and ends
with the verdict that `judge.verdict_parsing.parse_verdict` reads. What a person wrote about the wrong step
(`Record.critique`: Mr-Ben has the annotators' reasons and corrections) becomes part of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from judge.backends.base import Message
from judge.prompting import critic_chat, neutralize
from judge.types import NO_ERROR, Record, Solution

Variants = Literal["cold", "known_wrong", "both"]
"""Which prompts a record with an error is asked with."""


@dataclass(frozen=True, slots=True)
class CriticExample:
    """One prompt and the reply to learn."""

    id: str
    """Of the record; a record may give two examples."""
    prompt: list[Message]
    completion: str


def build_examples(
    records: Iterable[Record], *, variants: Variants = "both", use_reference: bool = True
) -> tuple[list[CriticExample], Counter[str]]:
    """Examples from labelled records, in order, and how many records gave none, by reason.

    A record with an error is asked about cold, as known to be wrong, or both. It is not announced as wrong when its
    final answer is known to be right: that would be false. Without an error only the cold prompt fits.
    """
    examples: list[CriticExample] = []
    skipped: Counter[str] = Counter()
    for record in records:
        if record.label is None:
            skipped["unlabelled"] += 1
            continue
        if not record.steps:
            skipped["no steps"] += 1
            continue
        prompts = [known_wrong for known_wrong in (False, True) if fits(record, variants, known_wrong=known_wrong)]
        if not prompts:
            skipped["not for the known-wrong prompt"] += 1
        for known_wrong in prompts:
            prompt = critic_chat(solution(record, known_wrong=known_wrong, use_reference=use_reference))
            examples.append(CriticExample(record.id, prompt, completion(record)))
    return examples, skipped


def fits(record: Record, variants: Variants, *, known_wrong: bool) -> bool:
    """Whether a record is asked about with this prompt."""
    if not known_wrong:
        return variants != "known_wrong"
    return variants != "cold" and record.label != NO_ERROR and record.final_answer_correct is not True


def solution(record: Record, *, known_wrong: bool, use_reference: bool) -> Solution:
    """What the critic judge is shown of a record."""
    shown = Solution(
        problem=record.problem,
        steps=record.steps,
        reference_solution=record.reference_solution,
        reference_answer=record.reference_answer,
        known_wrong=known_wrong,
    )
    return shown if use_reference else replace(shown, reference_solution=None, reference_answer=None)


def completion(record: Record) -> str:
    r"""The reply for a record with a label.

    >>> print(completion(Record("1+1+1?", ("1+1=2", "2+1=4", "So 4."), label=1)))
    Paragraph 0 is correct.
    Paragraph 1 is wrong.
    <BLANKLINE>
    \boxed{1}
    """
    label = NO_ERROR if record.label is None else record.label
    num_right = len(record.steps) if label == NO_ERROR else label
    lines = [f"Paragraph {index} is correct." for index in range(num_right)]
    if label == NO_ERROR:
        lines.append("No paragraph contains an error.")
    else:
        critique = neutralize(record.critique or "").strip()
        lines.append(f"Paragraph {label} is wrong{f': {critique}' if critique else '.'}")
    return "\n".join([*lines, "", rf"\boxed{{{label}}}"])
