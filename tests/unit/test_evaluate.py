"""What an evaluation writes down."""

from __future__ import annotations

from sgpo_client.evaluate import EvalResult, eval_row, merged, problems_digest
from sgpo_client.types import Problem


def problems(count: int) -> list[Problem]:
    return [Problem(str(index), f"{index} + 1?", str(index + 1)) for index in range(count)]


def test_the_ranks_answers_come_back_in_the_order_of_the_problems() -> None:
    answers = "110-01"
    for size in (1, 2, 3, 6, 8):
        shares = [EvalResult(answers[rank::size], num_tokens=rank, num_truncated=1) for rank in range(size)]
        whole = merged(shares)
        assert (whole.answers, whole.num_tokens, whole.num_truncated) == (answers, sum(range(size)), size)


def test_a_row_counts_what_could_be_checked() -> None:
    row = eval_row(4, EvalResult("110-0", num_tokens=50, num_truncated=1), problems(5))
    assert (row["step"], row["num_correct"], row["num_problems"], row["num_unscored"]) == (4, 2, 4, 1)
    assert (row["accuracy"], row["response_tokens_mean"], row["truncated_share"]) == (0.5, 10.0, 0.2)
    assert eval_row(4, EvalResult("--"), problems(2))["accuracy"] is None  # never 0


def test_the_digest_knows_texts_answers_and_order() -> None:
    one, other = problems(3), problems(3)
    assert problems_digest(one) == problems_digest(other)
    assert problems_digest(one[::-1]) != problems_digest(one)
    assert problems_digest([*one[:2], Problem("2", one[2].text, "7")]) != problems_digest(one)
