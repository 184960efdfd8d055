"""avg@k and maj@k by value: by hand, against all ways to break a tie, and against the exact bootstrap distribution."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import pytest

from eval.metrics import Sampling
from eval.policy.measures import average, majority, mean_interval, summarise
from eval.policy.samples import Failure, SampleRow
from eval.policy.votes import cast_votes
from judge.answers import AnswerChecker, AnswerFailure, AnswerItem


def majority_by_every_tie_break(answers: Sequence[str | None], right: str) -> Fraction:
    """Each most frequent answer is tried as the winner."""
    counts = Counter(answer for answer in answers if answer is not None)
    winners = [answer for answer in counts if counts[answer] == max(counts.values())]
    return Fraction(sum(winner == right for winner in winners), len(winners)) if winners else Fraction(0)


def votes_of(answers: Sequence[str | None]) -> list[int | None]:
    return [None if answer is None else answers.index(answer) for answer in answers]


@pytest.mark.parametrize(
    ("answers", "avg", "maj"),
    [
        (["7", "7", "8"], 2 / 3, 1.0),
        (["8", "7", "8"], 1 / 3, 0.0),
        (["7", "8"], 0.5, 0.5),
        (["7", "8", "9"], 1 / 3, 1 / 3),
        (["8", "9", "8", "9", "7", "7"], 1 / 3, 1 / 3),
        (["8", "8", "9", "9", "7"], 1 / 5, 0.0),
        (["7", None, None], 1 / 3, 1.0),
        (["8", "7", None, "7"], 0.5, 1.0),
        ([None, None], 0.0, 0.0),
        (["7"], 1.0, 1.0),
    ],
)
def test_by_hand(answers: list[str | None], avg: float, maj: float) -> None:
    correct = [answer == "7" for answer in answers]
    assert average(correct) == pytest.approx(avg, abs=1e-15)
    assert majority(votes_of(answers), correct) == pytest.approx(maj, abs=1e-15)


def test_the_majority_is_the_mean_over_all_tie_breaks() -> None:
    rng = random.Random(0)
    seen = set()
    for _ in range(500):
        answers = [rng.choice(["7", "8", "9", None]) for _ in range(rng.randint(1, 8))]
        expected = majority_by_every_tie_break(answers, "7")
        seen.add(expected)
        assert majority(votes_of(answers), [answer == "7" for answer in answers]) == pytest.approx(float(expected))
    assert seen == {Fraction(0), Fraction(1, 3), Fraction(1, 2), Fraction(1)}


def test_what_is_not_known_is_not_wrong() -> None:
    assert average([True, None, False, None]) == 0.5
    assert average([None, None]) is None
    assert majority([None, None], [None, None]) is None
    assert majority([None, 1, None], [None, True, False]) == 1.0


def test_the_interval_has_the_quantiles_of_the_bootstrap() -> None:
    """The mean of n draws from n zeros and ones is binomial: its quantiles are known without drawing."""
    from scipy.stats import binom

    values = [1.0] * 30 + [0.0] * 70
    found = mean_interval(values, Sampling(num_samples=4000, level=0.9))
    assert found == mean_interval(values, Sampling(num_samples=4000, level=0.9))
    exact = [quantile / 100 for quantile in binom.ppf([0.05, 0.95], 100, 0.3)]
    assert found == pytest.approx(exact, abs=0.0101)
    assert mean_interval([0.25, 0.25], Sampling()) == [0.25, 0.25]
    assert mean_interval([0.25], Sampling()) is None
    assert mean_interval(values, Sampling(num_samples=0)) is None


def rows_of(problem: str, outcomes: Sequence[bool | Failure], votes: Sequence[int | None]) -> list[SampleRow]:
    return [
        SampleRow(
            problem=problem,
            sample=index,
            text="t",
            finish_reason="" if outcome is Failure.POLICY_UNAVAILABLE else "stop",
            answer=None if vote is None else "a",
            correct=outcome if isinstance(outcome, bool) else None,
            vote=vote,
            failure=outcome if isinstance(outcome, Failure) else None,
            prompt_tokens=1.5,
            completion_tokens=0.5,
            seconds=0.25,
        )
        for index, (outcome, vote) in enumerate(zip(outcomes, votes, strict=True))
    ]


def test_the_summary_by_hand() -> None:
    problems = [
        rows_of("a", [True, False], [0, 1]),
        rows_of("b", [False, False], [0, 0]),
        rows_of("c", [True, Failure.OUTCOME_ERROR], [0, None]),
        rows_of("d", [Failure.POLICY_UNAVAILABLE] * 2, [None, None]),
        rows_of("e", [False, False], [None, None]),
    ]
    summary = summarise(problems, Sampling())
    assert summary["avg_at_k"] == pytest.approx((0.5 + 0 + 1 + 0) / 4)
    assert summary["maj_at_k"] == pytest.approx((0.5 + 0 + 1 + 0) / 4)
    assert summary["k"] == 2
    assert (summary["num_problems"], summary["num_unscored_problems"], summary["num_failed_problems"]) == (5, 1, 1)
    assert (summary["num_samples"], summary["num_unscored_samples"]) == (10, 3)
    assert summary["unscored_samples"] == {"outcome_error": 1, "policy_unavailable": 2}
    assert summary["num_without_answer"] == 3  # e's two, and the one that could not be checked
    assert summary["usage"] == {"prompt_tokens": 15, "completion_tokens": 5}
    assert summary["seconds"] == 2.5
    low, high = summary["intervals"]["avg_at_k"]
    assert 0 <= low < summary["avg_at_k"] < high <= 1


def test_nothing_known_at_all() -> None:
    summary = summarise([rows_of("d", [Failure.POLICY_UNAVAILABLE], [None])], Sampling())
    assert (summary["avg_at_k"], summary["maj_at_k"], summary["intervals"]["avg_at_k"]) == (None, None, None)


async def test_votes_by_real_math_verify() -> None:
    texts = [
        r"It is \boxed{0.5}.",
        r"\boxed{\frac{2}{3}}",
        r"The answer is 1/2.",
        "I do not know.",
        r"\boxed{2/3}",
        r"\boxed{7}",
    ]
    checker = AnswerChecker(timeout_s=60)
    outcomes = await checker.check([AnswerItem(text, r"\frac{1}{2}") for text in texts])
    assert outcomes == [True, False, True, False, False, False]
    assert await cast_votes(texts, outcomes, checker) == [0, 1, 0, None, 1, 5]
    await checker.aclose()


class PairsChecker:
    """Knows which answers are equal; some pairs cannot be compared."""

    def __init__(self, equal: set[tuple[str, str]]) -> None:
        self.equal = equal

    async def check(self, items: Sequence[AnswerItem]) -> list[bool | AnswerFailure]:
        return [
            AnswerFailure("hangs") if "99" in item.response else (item.response, item.reference) in self.equal
            for item in items
        ]


async def test_classes_are_defined_by_order_where_equality_is_not_transitive() -> None:
    checker = PairsChecker({("2", "1"), ("3", "2"), ("4", "3")})  # 3 equals 2, but not 1
    failure = AnswerFailure("slow")
    votes = await cast_votes(["1", "2", "3", "4", "99", "5"], [False] * 5 + [failure], checker)
    assert votes == [0, 0, 2, 2, 4, None]
    assert await cast_votes(["8", "9", "10"], [True, False, True], checker) == [0, 1, 0]
