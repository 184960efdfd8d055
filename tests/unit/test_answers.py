from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

import psutil
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from math_verify import parse, verify

from judge.answers import AnswerChecker, AnswerFailure, AnswerItem
from judge.errors import BackendError
from judge.final_answer import final_answer, quick_match, reference_answer

HANGS = AnswerItem(r"\boxed{9^{9^{9^{9}}} + x}", "18+x")


@pytest_asyncio.fixture
async def checker():
    checker = AnswerChecker(timeout_s=30)
    yield checker
    await checker.aclose()


def workers():
    """The processes of answer checks that this process started."""
    found = []
    for child in psutil.Process().children():
        try:
            if any("answer_worker" in part for part in child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue  # ended meanwhile
    return found


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("", None),
        ("I do not know.", None),
        (r"\boxed{17} or rather \boxed{18}", "18"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\boxed{18}}", "18"),
        (r"It is \boxed{18}. The answer is 17. #### 16", "18"),
        (r"So \boxed{18 and no end", None),
        (r"\boxed{}", None),
        ("Steps: 3 + 4\n#### 1,800", "1,800"),
        ("#### Step 2: compute\nSo it is 5.\n#### $18.00", "$18.00"),
        ("#### 18 dollars.", "18"),
        ("#### Step 2: add 3 and 4.", "4"),
        ("The answer is 18. Let me check: 5 + 3 = 8.", "18"),
        ("**Final Answer:** **18**", "18"),
        ("The final answer to the question is: $18$.", "18"),
        ("Answer:\n18", "18"),
        ("The answer is that she has 18 eggs left for 3 friends.", "18"),
        ("The answer is 5 + 13 = 18 apples.", "18"),
        ("The answer is $x = \\frac{1}{2}$ of the 3 pies.", "x = \\frac{1}{2}"),
        ("The answer is (1, 2).", "(1, 2)"),
        ("The answer is Evelyn.", "Evelyn"),
        ("The answer is 18 or 19.", None),
        ("The answer is either 18 apples or perhaps 19.", None),
        ("The answer is 18, 19, 20.", None),
        ("She makes 9 * 2 = $<<9*2=18>>18 every day.\nA: 18", "18"),
        ("So she pays $18/hour.", "$18"),
        ("It was 17.\nNow it is **18**.", "18"),
        ("We get \\(x = 3\\) eggs.", "x = 3"),
        ("It costs $17 and then $18 more.", "$18"),
        ("It drops to −5 degrees", "-5"),
        (r"The answer is \boxed{18", None),
        ("5 " * 10_000 + "18", "18"),
        ("18" + " so" * 4000, None),
    ],
)
def test_where_the_final_answer_is(response, expected):
    assert final_answer(response) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("18", "18"),
        ("$18$", "18"),
        ("2 + 3 = <<2+3=5>>5\n#### 1,800", "1,800"),
        (r"so \boxed{x+1}.", "x+1"),
        (r"\text{Evelyn}", r"\text{Evelyn}"),
        (" \n", None),
        ("---", None),
    ],
)
def test_the_answer_in_a_reference(reference, expected):
    assert reference_answer(reference) == expected


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


numbers = st.builds(
    lambda sign, currency, number, comma, zeros: sign + currency + (f"{number:,}" if comma else str(number)) + zeros,
    st.sampled_from(["", "-", "+"]),
    st.sampled_from(["", "$", r"\$"]),
    st.integers(0, 2000) | st.integers(0, 10**9),
    st.booleans(),
    st.sampled_from(["", ".0", ".00", ".5", ".25"]),
)


@settings(deadline=None, max_examples=60)
@given(numbers, numbers)
def test_the_short_cut_never_says_right_where_math_verify_says_wrong(answer, reference):
    for other in (reference, answer.replace("$", "").replace("\\", ""), answer.replace(",", "")):
        if quick_match(answer, other):
            assert verify(parse(rf"\boxed{{{other}}}"), parse(rf"\boxed{{{answer}}}"))


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("1,800.00", "1800", True),
        ("18", "19", False),
        ("x+1", "x+1", True),
        ("18.5", "18.50", True),
        ("18.5", "18.6", None),
        ("50%", "50", None),
        ("1/2", "0.5", None),
        ("1,80", "180", None),
        ("--5", "5", None),
        ("-$5", "-5", True),
    ],
)
def test_the_short_cut_leaves_the_rest_to_math_verify(answer, reference, expected):
    assert quick_match(answer, reference) is expected


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


async def test_a_reference_without_content_is_a_failure_not_a_wrong_answer():
    checker = AnswerChecker()
    (result,) = await checker.check([AnswerItem("The answer is 18.", " ")])
    assert isinstance(result, AnswerFailure)
    assert "reference" in result.message
    assert not workers()
    await checker.aclose()


async def test_a_time_out_fails_one_item_only():
    checker = AnswerChecker(timeout_s=2)
    try:
        right = AnswerItem(r"\boxed{\frac{2}{4}}", "1/2")
        wrong = AnswerItem(r"\boxed{\frac{3}{4}}", "1/2")
        first, failed, last = await checker.check([right, HANGS, wrong])
        assert (first, last) == (True, False)
        assert isinstance(failed, AnswerFailure)
        assert "longer than 2 s" in failed.message
    finally:
        await checker.aclose()
    assert not workers()


async def until_busy(process):
    """Wait until the worker works on an item that does not end."""
    before = process.cpu_times().user
    while process.cpu_times().user < before + 0.3:  # noqa: ASYNC110 - another process has no event to wait for
        await asyncio.sleep(0.02)


async def test_a_worker_that_dies_fails_its_item_only():
    checker = AnswerChecker(timeout_s=60)
    try:
        await checker.warm_up()
        (process,) = workers()
        pending = asyncio.create_task(checker.check([HANGS, AnswerItem(r"\boxed{\frac{2}{4}}", "1/2")]))
        await until_busy(process)
        os.kill(process.pid, signal.SIGSEGV)
        failed, right = await pending
        assert isinstance(failed, AnswerFailure)
        assert "died" in failed.message
        assert right is True
    finally:
        await checker.aclose()


async def test_a_cancelled_item_does_not_answer_for_the_next():
    checker = AnswerChecker(timeout_s=60)
    try:
        await checker.warm_up()
        (process,) = workers()
        pending = asyncio.create_task(checker.check([HANGS]))
        await until_busy(process)
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending
        items = [AnswerItem(r"\boxed{\frac{2}{4}}", "1/2"), AnswerItem(r"\boxed{\frac{3}{4}}", "1/2")]
        assert await checker.check(items) == [True, False]
    finally:
        await checker.aclose()


async def test_concurrent_callers_each_get_their_own_answers():
    checker = AnswerChecker(timeout_s=60, num_workers=2)
    try:
        batches = [[AnswerItem(rf"\boxed{{\frac{{{n}}}{{7}}}}", f"{m}/7") for n in range(1, 6)] for m in range(1, 6)]
        results = await asyncio.gather(*(checker.check(batch) for batch in batches))
        assert results == [[n == m for n in range(1, 6)] for m in range(1, 6)]
        assert len(workers()) == 2
    finally:
        await checker.aclose()
    assert not workers()


async def test_closing_ends_items_in_flight_and_leaves_no_process():
    checker = AnswerChecker(timeout_s=60)
    starting = asyncio.create_task(checker.check([HANGS, HANGS]))
    while not workers():  # noqa: ASYNC110 - nothing tells that a process is being started
        await asyncio.sleep(0.01)
    await checker.aclose()
    assert not workers()
    assert all(isinstance(result, AnswerFailure) for result in await starting)
    await checker.aclose()
    (late,) = await checker.check([AnswerItem(r"\boxed{x}", "y")])
    assert isinstance(late, AnswerFailure)
    assert "closed" in late.message
    assert not workers()


async def test_a_worker_that_cannot_start_is_an_error_that_says_so(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    checker = AnswerChecker()
    with pytest.raises(BackendError, match="answer check"):
        await checker.warm_up()
    (result,) = await checker.check([AnswerItem(r"\boxed{x}", "y")])
    assert isinstance(result, AnswerFailure)
    await checker.aclose()


PARENT = r"""
import asyncio, os, signal
from judge.answers import AnswerChecker, AnswerItem

async def main():
    checker = AnswerChecker(timeout_s=2)
    await checker.warm_up()
    print(next(iter(checker._workers))._process.pid, flush=True)
    await asyncio.gather(checker.check([AnswerItem(r"\boxed{9^{9^{9^{9}}} + x}", "18+x")]), die())

async def die():
    await asyncio.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_a_worker_does_not_outlive_a_killed_parent():
    parent = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, text=True, timeout=60)
    assert parent.returncode == -signal.SIGKILL, parent.stderr
    pid = int(parent.stdout)
    deadline = time.monotonic() + 60  # its CPU time is limited to a few seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.1)


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
