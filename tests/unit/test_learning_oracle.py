"""The study's oracle and its noise, by value."""

from __future__ import annotations

import pytest
import torch

from benchmarks.learning.noise import PROCESSBENCH, Judge, name_first_errors, verdict_distribution
from benchmarks.learning.oracle import Truth, inspect
from benchmarks.learning.sampling import Sample
from benchmarks.learning.task import Task, right_values

FIXED = Task(length=3, modulus=7, num_operations=4)
FREE = Task(length=3, modulus=7, num_operations=4, free_form=True)
PROMPT = [7, 9, 8, 3]
"""Of both tasks: +1, *2, +6 (modulo 7) on 3, so 4, 1, 0."""


def _inspect(task: Task, *responses: list[int]) -> Truth:
    width = task.max_response_tokens
    tokens = torch.tensor([response + [task.end] * (width - len(response)) for response in responses])
    mask = torch.tensor([[place < len(response) for place in range(width)] for response in responses])
    prompts = torch.tensor([PROMPT] * len(responses))
    return inspect(task, Sample(prompts, tokens, torch.zeros(tokens.shape), mask))


def test_the_chain_is_arithmetic() -> None:
    prompts = torch.tensor([PROMPT, [10, 10, 7, 6]])
    assert right_values(FIXED, prompts).tolist() == [[(3 + 1) % 7, 8 % 7, (1 + 6) % 7], [18 % 7, 12 % 7, 6]]


def test_the_first_error_is_the_first_value_that_does_not_follow() -> None:
    truth = _inspect(FIXED, [4, 1, 0], [5, 3, 2], [4, 2, 1], [4, 1, 5], [4, 2, 0])
    assert truth.correct.tolist() == [True, False, False, False, True]
    assert truth.first_error.tolist() == [3, 0, 1, 2, 1]
    assert truth.progress.tolist() == pytest.approx([1, 0, 1 / 3, 2 / 3, 1 / 3])
    # Values that follow from a wrong one are no further slips; the last response made two that cancel out.
    assert truth.slips.tolist()[1] == [True, False, False]
    assert truth.slips.tolist()[4] == [False, True, True]


def test_free_form_pads_stops_and_skips() -> None:
    end, talk = FREE.end, FREE.no_claim
    truth = _inspect(
        FREE,
        [talk, 4, talk, 1, 0, end],  # right, with padding
        [4, 1, end],  # stops early: its last value is not the answer
        [0, end],  # the answer alone: right, but the first step does not follow
        [4, 1, 0, 0, end],  # a value too many, though the answer's
        [4, 1, 0, 6, end],  # one too many, as if the last operation were due again
        [talk, 4, talk, talk, talk, talk, talk],  # never ends
        [end],
    )
    assert truth.correct.tolist() == [True, False, True, True, False, False, False]
    assert truth.num_steps.tolist() == [5, 2, 1, 4, 4, 7, 0]
    assert truth.num_claims.tolist() == [3, 2, 1, 4, 4, 1, 0]
    assert truth.first_error.tolist() == [5, 1, 0, 3, 3, 1, 0]
    assert truth.claims_before.tolist()[0][:6] == [0, 0, 1, 1, 2, 3]
    assert truth.progress.tolist() == pytest.approx([1, 2 / 3, 0, 1, 1, 1 / 3, 0])


LABELS = torch.arange(4)
COUNTS = torch.full((4,), 4)


@pytest.mark.parametrize(
    ("judge", "rows"),
    [
        (Judge("moved", 0.6), {0: [0.4, 0.2, 0.2, 0.2], 2: [0.2, 0.2, 0.4, 0.2]}),
        (Judge("early", 0.6), {0: [1, 0, 0, 0], 2: [0.3, 0.3, 0.4, 0]}),
        (Judge("late", 0.6), {0: [0.4, 0.2, 0.2, 0.2], 3: [0, 0, 0, 1]}),
        (Judge("near", 0.7, decay=0.5), {0: [0.3, 0.4, 0.2, 0.1], 1: [0.28, 0.3, 0.28, 0.14]}),
        (Judge(), {1: [0, 1, 0, 0]}),
    ],
)
def test_verdicts_have_their_distribution(judge: Judge, rows: dict[int, list[float]]) -> None:
    found = verdict_distribution(judge, LABELS, COUNTS, width=6)
    for row, expected in rows.items():
        assert found[row].tolist() == pytest.approx([*expected, 0, 0])


def test_the_processbench_like_judge_is_like_it() -> None:
    steps, half = torch.arange(8), 0.5 ** torch.arange(8.0)
    distribution = verdict_distribution(PROCESSBENCH, steps, torch.full((8,), 8), width=8)
    rts_error = (distribution * (steps - steps.unsqueeze(1)).abs() / 8).sum(1)
    assert distribution.diagonal().tolist() == pytest.approx([0.45] * 8)
    # Labels spread evenly, and those of a policy with a skill of one half.
    assert rts_error.mean().item() == pytest.approx(0.16, abs=0.01)
    assert (rts_error * half / half.sum()).sum().item() == pytest.approx(0.176, abs=0.01)


def test_named_steps_follow_the_kind() -> None:
    truth = _inspect(FIXED, *[[4, 2, 1]] * 4000)
    prompts, generator = torch.tensor([PROMPT] * 4000), torch.Generator().manual_seed(0)

    def named(judge: Judge) -> list[int | None]:
        return name_first_errors(judge, FIXED, prompts, truth, generator)

    assert set(named(Judge())) == {1}
    moved = named(Judge("moved", 0.5))
    assert [moved.count(step) / 4000 for step in (0, 1, 2)] == pytest.approx([0.25, 0.5, 0.25], abs=0.03)
    lost = named(Judge("unscored", 0.3))
    assert set(lost) == {1, None}
    assert lost.count(None) / 4000 == pytest.approx(0.3, abs=0.03)
    # The slip is at operation 2, "*2": a judge that checks nothing names the last step.
    assert set(named(Judge("blind", 1.0))) == {2}
    assert set(named(Judge("blind", 0.25))) == {1}
