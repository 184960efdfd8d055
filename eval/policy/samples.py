"""``samples.jsonl``: one line per sampled response, which a killed run goes on from."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from eval.row_file import whole_rows, write_rows

logger = logging.getLogger(__name__)


class Failure(StrEnum):
    """Why nothing is known of a sample. It is not a wrong answer."""

    POLICY_UNAVAILABLE = "policy_unavailable"
    """The policy did not answer: the problem is asked again when the run is resumed."""
    TOO_LONG = "too_long"
    """Prompt and ``max_tokens`` do not fit into the policy's context."""
    OUTCOME_ERROR = "outcome_error"
    """The answer could not be checked (time-out or crash of the checker)."""


class SampleRow(BaseModel):
    """One response to one problem."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    problem: str
    """The problem's id."""
    sample: int
    """0 .. k - 1."""
    text: str = ""
    finish_reason: str = ""
    """``length`` when the response was cut off."""
    answer: str | None = None
    """The final answer that was found in the text."""
    correct: bool | None = None
    """None when nothing is known (see ``failure``)."""
    vote: int | None = None
    """The first sample of this problem with an equal answer; None without an answer or with a failure."""
    failure: Failure | None = None
    message: str | None = None
    prompt_tokens: float = 0.0
    """This sample's share of its problem's tokens."""
    completion_tokens: float = 0.0
    seconds: float = 0.0
    """This sample's share of the wall-clock time."""


def resume_samples(path: Path, num_samples: int) -> dict[str, list[SampleRow]]:
    """The samples of the finished problems. The file is left with exactly these.

    A problem with fewer than ``num_samples`` samples (the run was killed, a line is damaged) or whose policy did not
    answer is taken out: it is asked again, with the same seeds.
    """
    groups = by_problem(whole_rows(path, SampleRow))
    finished = {problem: samples for problem, samples in groups.items() if _is_finished(samples, num_samples)}
    write_rows(path, [row for samples in finished.values() for row in samples])
    return finished


def by_problem(rows: Iterable[SampleRow]) -> dict[str, list[SampleRow]]:
    """Samples of each problem, in order."""
    groups: defaultdict[str, list[SampleRow]] = defaultdict(list)
    for row in rows:
        groups[row.problem].append(row)
    return {problem: sorted(samples, key=lambda row: row.sample) for problem, samples in groups.items()}


def policy_failed(samples: Sequence[SampleRow]) -> bool:
    """True when the policy did not answer at all."""
    return any(row.failure is Failure.POLICY_UNAVAILABLE for row in samples)


def _is_finished(samples: Sequence[SampleRow], num_samples: int) -> bool:
    return [row.sample for row in samples] == list(range(num_samples)) and not policy_failed(samples)
