"""Which answers count as right: written cases, hostile ones and real solutions."""

from __future__ import annotations

import gzip
import json
import time
from itertools import pairwise
from unittest import mock

import pytest_asyncio

from judge.answers import AnswerChecker, AnswerFailure, AnswerItem


@pytest_asyncio.fixture
async def checker():
    checker = AnswerChecker(timeout_s=30)
    yield checker
    await checker.aclose()


CASES = [
    (r"\boxed{18}", "18", True),
    (r"\boxed{18.00}", "18", True),
    (r"\boxed{$18.00}", "18", True),
    (r"\boxed{\$1,800}", "1800", True),
    (r"\boxed{018}", "18", True),
    (r"\boxed{50\%}", "50", True),
    (r"\boxed{50%}", "0.5", True),
    (r"\boxed{x=3}", "3", True),
    (r"\boxed{3}", "x=3", True),
    (r"\boxed{3 \text{ apples}}", "3", True),
    (r"\boxed{3 apples}", "3", True),
    (r"\boxed{\frac{1}{2}}", "0.5", True),
    (r"\boxed{\dfrac12}", "1/2", True),
    (r"\boxed{0.5}", r"\frac{1}{2}", True),
    (r"\boxed{(1,2)}", "(1,2)", True),
    (r"\boxed{( 1, 2 )}", "(1,2)", True),
    (r"\boxed{2\sqrt{3}}", r"\sqrt{12}", True),
    (r"\boxed{(x+1)^2}", "x^2+2x+1", True),
    (r"\boxed{Evelyn}", r"\text{Evelyn}", True),
    (r"\boxed{C}", r"\text{(C)}", True),
    ("The answer is 3 apples.", "3", True),
    ("The answer is 1/2.", r"\frac{1}{2}", True),
    ("So we get 18.", "18", True),
    ("#### 1,800", "1800", True),
    (r"\boxed{17}", "18", False),
    (r"\boxed{-18}", "18", False),
    (r"\boxed{180}", "18", False),
    (r"\boxed{18.01}", "18", False),
    (r"\boxed{18, 19}", "18", False),
    (r"\boxed{18 \text{ or } 19}", "18", False),
    (r"\boxed{(2,1)}", "(1,2)", False),
    (r"\boxed{x+1}", "x+2", False),
    (r"\boxed{18x}", "18", False),
    (r"\boxed{3 thousand}", "3", False),
    (r"\boxed{}", "18", False),
    (r"\boxed{18} is not it, \boxed{17} is", "18", False),
    ("The answer is 18 or 19.", "18", False),
    ("The answer is 18, 19, 20, 21.", "18", False),
    ("", "18", False),
    ("18" + " and so on" * 1000, "18", False),
    *[
        (text, reference, False)
        for text in (
            ":",
            ".",
            "Solution",
            "Thought process:",
            "Let's solve this problem step by step.",
            "{",
            r"\boxed{:}",
        )
        for reference in ("18", "x+1", r"\text{east}")
    ],
]


async def test_right_and_wrong_answers(checker):
    results = await checker.check([AnswerItem(response, reference) for response, reference, _ in CASES])
    wrong = [(case, result) for case, result in zip(CASES, results, strict=True) if result is not case[2]]
    assert not wrong


HOSTILE = [
    "9**9**9**9",
    r"\boxed{9**9**9**9}",
    r"\boxed{9^{9^{9^{9}}}}",
    r"\boxed{99999999!}",
    r"\boxed{" + "{" * 2000 + "1" + "}" * 2000 + "}",
    r"\boxed{" + "(" * 400 + "1" + ")" * 400 + "}",
    r"\boxed{" + r"\frac{1}{" * 100 + "1" + "}" * 100 + "}",
    r"\boxed{" * 20_000,
    "9" * 100_000,
    "#### 1" + " " * 3900 + "!",
    "answer is " * 10_000,
    "$" * 100_000,
    "\n" * 100_000,
    "The answer is \x00 18\x00",
    "\ud800 \\boxed{\ud800 18}",
    r"\boxed{__import__('os').system('true')}",
]


async def test_hostile_responses_are_never_right_and_never_raise():
    checker = AnswerChecker(timeout_s=2)
    try:
        started = time.monotonic()
        results = await checker.check([AnswerItem(text, "17") for text in HOSTILE])
        assert time.monotonic() - started < 90
        assert [r for r in results if r is not False and not isinstance(r, AnswerFailure)] == []
        # The checker still works.
        assert await checker.check([AnswerItem(r"\boxed{\frac{2}{4}}", "1/2")]) == [True]
    finally:
        await checker.aclose()


async def test_a_worker_compares_the_same_answers_once(checker, monkeypatch):
    asked = []
    ask = checker._ask

    async def counting(answer, reference):
        asked.append((answer, reference))
        return await ask(answer, reference)

    monkeypatch.setattr(checker, "_ask", counting)
    first, other = AnswerItem(r"\boxed{(x+1)^2}", "x^2+2x+1"), AnswerItem(r"\boxed{(x+2)^2}", "x^2+2x+1")
    assert await checker.check([first]) == [True]
    again = AnswerItem(r"In other words: \boxed{(x+1)^2}", "x^2+2x+1")
    assert await checker.check([again, other]) == [True, False]
    assert len(asked) == 2


async def test_a_failed_comparison_is_tried_again(checker, monkeypatch):
    failed = AnswerFailure("the process died")
    replies = [failed, True]
    monkeypatch.setattr(checker, "_ask", mock.AsyncMock(side_effect=replies))
    item = AnswerItem(r"\boxed{(x+1)^2}", "x^2+2x+1")
    assert [await checker.check([item]) for _ in range(3)] == [[failed], [True], [True]]


async def test_agrees_with_the_outcome_labels_of_real_solutions(checker, data_dir):
    items, labels = [], []
    with gzip.open(data_dir / "gsm8k" / "model_solutions.jsonl.gz", "rt") as file:
        for _, line in zip(range(100), file, strict=False):
            row = json.loads(line)
            for model in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
                items.append(AnswerItem(row[model]["solution"], row["ground_truth"].rsplit("A:", 1)[1]))
                labels.append(row[model]["is_correct"])
    results = await checker.check(items)
    agreeing = sum(result is label for result, label in zip(results, labels, strict=True))
    assert agreeing / len(labels) > 0.99


async def test_real_references_and_solutions_are_right(checker, data_dir):
    with gzip.open(data_dir / "math" / "math500.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file][:100]
    boxed = await checker.check([AnswerItem(rf"So \boxed{{{row['answer']}}}.", row["answer"]) for row in rows])
    prose = await checker.check([AnswerItem(f"The answer is ${row['answer']}$.", row["answer"]) for row in rows])
    solutions = await checker.check([AnswerItem(row["solution"], row["answer"]) for row in rows])
    others = await checker.check([AnswerItem(row["solution"], f"{other['answer']}+7") for row, other in pairwise(rows)])
    assert all(result is True for result in boxed)
    assert all(result is True for result in prose)
    assert all(result is True for result in solutions)
    assert sum(result is True for result in others) <= 1
