"""The rules judge: its verdicts, and its precision on real solutions."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judge.judges.base import Judge
from judge.judges.rules import RulesJudge, RulesSettings
from judge.steps import SEGMENTER_VERSION
from judge.types import NO_ERROR, Solution, Unscored, UnscoredReason, Verdict

JUDGE = RulesJudge()


def solution(*steps: str, known_wrong: bool = False, problem: str = "How many?") -> Solution:
    return Solution(problem=problem, steps=steps, known_wrong=known_wrong)


@pytest.mark.parametrize("known_wrong", [True, False])
def test_first_contradicted_step_is_the_first_error(known_wrong: bool) -> None:
    verdict = JUDGE.judge_one(
        solution("3 + 4 = 7", "She has x eggs.", "7 * 2 = 15", "15 + 1 = 17", known_wrong=known_wrong)
    )
    assert isinstance(verdict, Verdict)
    assert verdict.first_error == 2
    assert verdict.critique == "step 2: 7 * 2 = 15, should be 14"
    assert verdict.step_error_probs is None
    assert verdict.judge_id == JUDGE.judge_id


def test_asked_cold_a_solution_whose_equations_hold_has_no_error() -> None:
    verdict = JUDGE.judge_one(solution("3 + 4 = 7", "So the answer is 7."))
    assert isinstance(verdict, Verdict)
    assert verdict.first_error is None


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (solution("3 + 4 = 7", "7 * 2 = 14", known_wrong=True), UnscoredReason.NO_EVIDENCE),
        (solution("The answer is 7.", "2x + 3 = 9"), UnscoredReason.NO_EVIDENCE),
        (solution("The answer is 7.", known_wrong=True), UnscoredReason.NO_EVIDENCE),
        (solution("3 + 4 = 12", problem="What is 3 + 4 in base 5?"), UnscoredReason.NO_EVIDENCE),
        (solution(), UnscoredReason.NO_STEPS),
        (solution("1" * 200_001), UnscoredReason.TOO_LONG),
    ],
)
def test_without_a_contradiction_nothing_is_guessed(case: Solution, reason: UnscoredReason) -> None:
    unscored = JUDGE.judge_one(case)
    assert isinstance(unscored, Unscored)
    assert unscored.reason is reason
    assert unscored.message


async def test_batch_keeps_length_and_order() -> None:
    batch = [solution("1 + 1 = 3"), solution(), solution("1 + 1 = 2"), solution("2 + 2 = 4", "1 + 1 = 5")]
    judge: Judge = RulesJudge(RulesSettings())
    results = await judge.judge(batch)
    await judge.aclose()
    assert [getattr(result, "first_error", "unscored") for result in results] == [0, "unscored", None, 1]
    assert await judge.judge([]) == []


def test_judge_id_names_rules_and_segmenter() -> None:
    assert JUDGE.judge_id == f"rules@2+{SEGMENTER_VERSION}"


@pytest.mark.parametrize("shape", ["1+1=2. ", "1=", "("])
def test_hostile_response_of_100_000_characters_is_judged_in_linear_time(shape: str) -> None:
    text = (shape * 100_000)[:100_000]
    for steps in ((text,), tuple(text[start : start + 1000] for start in range(0, 100_000, 1000))):
        started = time.process_time()
        JUDGE.judge_one(solution(*steps))
        assert time.process_time() - started < 20  # below 1 s on an idle machine; backtracking takes minutes


# Precision on real data. The bounds leave the references' own slips ("10 x 1,248 = 11,480") room.


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _first_error(problem: str, steps: list[str]) -> int | None:
    return getattr(JUDGE.judge_one(Solution(problem, tuple(steps), known_wrong=True)), "first_error", None)


def test_gsm8k_reference_solutions_are_hardly_ever_accused(data_dir: Path) -> None:
    rows = list(_lines(data_dir / "gsm8k" / "train.jsonl.gz"))[::5]
    accused = [row for row in rows if _first_error(row["question"], row["answer"].splitlines()) is not None]
    assert len(rows) > 1400
    assert len(accused) < 0.003 * len(rows)


@pytest.mark.parametrize(("subset", "min_found"), [("gsm8k", 10), ("math", 25)])
def test_processbench_errors_are_found_and_correct_solutions_left_alone(
    data_dir: Path, subset: str, min_found: int
) -> None:
    rows = json.loads(gzip.decompress((data_dir / "processbench" / f"{subset}.json.gz").read_bytes()))
    found = [(row["label"], _first_error(row["problem"], row["steps"])) for row in rows]
    on_correct = [index for label, index in found if label == NO_ERROR]
    assert sum(index is not None for index in on_correct) < 0.01 * len(on_correct)
    on_wrong = [(label, index) for label, index in found if label != NO_ERROR]
    assert sum(label == index for label, index in on_wrong) >= min_found
    assert sum(index is not None and index < label for label, index in on_wrong) <= 0.01 * len(on_wrong)
