"""Problem sets for policies: every upstream schema, the real files, and what is wrong with a row."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from eval.policy.problems import PROBLEM_SETS, Problem, digest, get_problem_set, load_problems
from eval.policy.references import as_latex
from judge.answers import AnswerChecker, AnswerItem
from judge.errors import ConfigError, DataError


def load(tmp_path: Path, name: str, *rows: dict[str, Any]) -> list[Problem]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_problems(PROBLEM_SETS[name], str(path))


@pytest.mark.parametrize(
    ("name", "row", "answer"),
    [
        ("gsm8k", {"question": "q", "answer": "a <<1+1=2>>\n#### 1,234"}, "1234"),
        ("gsm8k", {"question": "q", "answer": "#### 3\n#### -7"}, "-7"),
        ("math500", {"problem": "q", "answer": r"\frac{1}{2}", "unique_id": "u"}, r"\frac{1}{2}"),
        ("aime24", {"problem": "q", "answer": "025", "solution": r"\boxed{9}"}, "025"),
        ("aime24", {"problem": "q", "solution": r"\boxed{9} or \boxed{25}"}, "25"),
        ("amc23", {"question": "q", "answer": 27.0}, "27"),
        ("amc23", {"question": "q", "answer": 0.5}, "0.5"),
        ("minerva", {"problem": "q", "solution": r"$\boxed{-1./3} \mathrm{~m}$"}, "-1/3"),
        ("minerva", {"question": "q", "answer": "3.3e-10"}, r"3.3 \times 10^{-10}"),
        ("olympiadbench", {"question": "q", "final_answer": ["$69$,$84$"]}, "69,84"),
        ("olympiadbench", {"question": "q", "final_answer": ["$a$", "$b$"], "answer": "no"}, "a, b"),
    ],
)
def test_the_answer_of_every_schema(tmp_path: Path, name: str, row: dict[str, Any], answer: str) -> None:
    [problem] = load(tmp_path, name, row)
    assert (problem.text, problem.answer) == ("q", answer)


@pytest.mark.parametrize(
    ("name", "file", "number", "first", "last"),
    [
        ("gsm8k", "gsm8k/test.jsonl.gz", 1319, ("gsm8k-1", "18"), ("gsm8k-1319", "14")),
        (
            "math500",
            "math/math500.jsonl.gz",
            500,
            ("test/precalculus/807.json", r"\left( 3, \frac{\pi}{2} \right)"),
            None,
        ),
        ("aime24", "policy_benchmarks/aime24.jsonl.gz", 30, ("60", "204"), ("89", "902")),
        ("amc23", "policy_benchmarks/amc23.jsonl.gz", 40, ("0", "27"), ("49", "8")),
        ("minerva", "policy_benchmarks/minerva_math.jsonl.gz", 272, ("0", "1.6"), ("271", "10.1")),
        ("olympiadbench", "policy_benchmarks/olympiadbench.jsonl.gz", 675, ("1606", "2"), None),
    ],
)
def test_real_files_whole(
    data_dir: Path, name: str, file: str, number: int, first: tuple[str, str], last: tuple[str, str] | None
) -> None:
    problems = load_problems(PROBLEM_SETS[name], str(data_dir / file))
    assert len(problems) == number
    assert (problems[0].id, problems[0].answer) == first
    assert last is None or (problems[-1].id, problems[-1].answer) == last
    assert not any("$" in problem.answer.replace(r"\$", "") for problem in problems if name == "olympiadbench")


@pytest.mark.parametrize(
    ("said", "reference", "right"),
    [
        (r"\boxed{4.5 \cdot 10^{33}}", "4.5e33", True),
        (r"\boxed{5 \times 10^{-10}}", "3.3e-10", False),
        (r"\boxed{\arcsin\frac{10}{13}}", "np.arcsin(10/13)", True),
        (r"\boxed{-\frac{3}{2}}", "-3./2", True),
    ],
)
async def test_computer_notation_is_compared_as_people_write(said: str, reference: str, right: bool) -> None:
    checker = AnswerChecker(timeout_s=60)
    assert await checker.check([AnswerItem(said, as_latex(reference))]) == [right]
    await checker.aclose()


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("gsm8k", {"question": "q", "answer": "18"}, "'answer' does not end with '#### ANSWER'"),
        ("gsm8k", {"problem": " ", "answer": "#### 1"}, "no text in 'problem' or 'question' (fields: problem, answer)"),
        ("math500", {"problem": "q", "solution": "no box"}, r"neither 'answer' nor a \boxed{} in 'solution'"),
        ("amc23", {"question": "q", "answer": True}, "'answer' = True is neither"),
        ("amc23", {"question": "q", "answer": float("inf")}, "'answer' = inf is neither"),
        ("olympiadbench", {"question": "q", "final_answer": "2"}, "'final_answer' is not a list of texts"),
        ("olympiadbench", {"question": "q", "final_answer": []}, "'final_answer' is not a list of texts"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, name: str, row: dict[str, Any], said: str) -> None:
    good = {"question": "q", "answer": "#### 1", "final_answer": ["1"]} | ({} if name == "gsm8k" else {"answer": "1"})
    with pytest.raises(DataError, match=r"rows.jsonl: row 2: ") as caught:
        load(tmp_path, name, good, row)
    assert said in str(caught.value)
    assert name in str(caught.value)


def test_other_bad_input(tmp_path: Path) -> None:
    row = {"question": "q", "answer": "1", "id": 7}
    with pytest.raises(DataError, match="row 2: the id '7' was used already"):
        load(tmp_path, "amc23", row, row)
    with pytest.raises(DataError, match=r"rows\.jsonl: holds no problems"):
        load(tmp_path, "amc23")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(DataError, match="expected an object with named fields, found int"):
        load_problems(PROBLEM_SETS["amc23"], str(tmp_path / "list.json"))
    with pytest.raises(DataError, match=r"none\.jsonl: no such file"):
        load_problems(PROBLEM_SETS["amc23"], str(tmp_path / "none.jsonl"))
    with pytest.raises(
        ConfigError, match="--benchmark olympiad_bench: no such problem set; did you mean 'olympiadbench'"
    ):
        get_problem_set("olympiad_bench")


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    rows = [{"question": "q", "answer": 1.0, "id": 1}, {"question": "r", "answer": 2.0, "id": 2}]
    plain = load(tmp_path, "amc23", *rows)
    packed = tmp_path / "packed.json.gz"
    packed.write_bytes(gzip.compress(json.dumps(rows).encode()))
    assert digest(load_problems(PROBLEM_SETS["amc23"], str(packed))) == digest(plain)
    assert digest(load(tmp_path, "amc23", rows[0], rows[1] | {"answer": 3.0})) != digest(plain)
