"""The problem sets of the SGPO paper's table, from a file in their upstream schema or from the hub."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from eval.policy.references import after_hashes, listed, stated_or_boxed
from judge.data.items import Item, read_items
from judge.errors import ConfigError, DataError

TEXT_FIELDS: Final = ("problem", "question")
ID_FIELDS: Final = ("unique_id", "id", "idx")


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem that a policy is asked.

    >>> Problem(id="gsm8k-1", text="1 + 1?", answer="2").answer
    '2'
    """

    id: str
    text: str
    answer: str


@dataclass(frozen=True, slots=True)
class ProblemSet:
    """A benchmark for policies."""

    name: str
    description: str
    hub: str
    """``owner/name[:config][#split]``: read when no path is given."""
    answer: Callable[[Mapping[str, Any]], str]
    """The reference answer in a row; raises ``ValueError`` naming the field."""


PROBLEM_SETS: Final[Mapping[str, ProblemSet]] = {
    one.name: one
    for one in (
        ProblemSet("gsm8k", "GSM8K test, 1319 word problems", "openai/gsm8k:main#test", after_hashes),
        ProblemSet("math500", "MATH-500, 500 of MATH's test", "HuggingFaceH4/MATH-500#test", stated_or_boxed),
        ProblemSet("aime24", "AIME 2024, 30 problems", "HuggingFaceH4/aime_2024#train", stated_or_boxed),
        ProblemSet("amc23", "AMC 12 of 2023, 40 problems", "math-ai/amc23#test", stated_or_boxed),
        ProblemSet(
            "minerva", "Minerva, 272 problems of university courses", "math-ai/minervamath#test", stated_or_boxed
        ),
        ProblemSet(
            "olympiadbench",
            "OlympiadBench, 674 mathematics problems in English",
            "Hothan/OlympiadBench:OE_TO_maths_en_COMP#train",
            listed,
        ),
    )
}


def get_problem_set(name: str) -> ProblemSet:
    """The set of this name.

    Raises:
        ConfigError: for an unknown name, with the closest known one.
    """
    if name not in PROBLEM_SETS:
        matches = difflib.get_close_matches(name.lower(), PROBLEM_SETS, n=1)
        hint = f"did you mean '{matches[0]}'?" if matches else f"known: {', '.join(PROBLEM_SETS)}"
        raise ConfigError(f"--benchmark {name}: no such problem set; {hint}")
    return PROBLEM_SETS[name]


def load_problems(problem_set: ProblemSet, path: str) -> list[Problem]:
    """All problems of a file (JSON, JSON lines or Parquet, plain or gzipped) or of a hub data set.

    Raises:
        DataError: no such file, or a row that cannot be used, with its number and field.
        ConfigError: a package is missing that this kind of file needs.
    """
    return read_problems(problem_set, read_items(path), path)


def read_problems(problem_set: ProblemSet, items: Iterable[Item], where: str) -> list[Problem]:
    """Check and convert every row. None is left out: a score over fewer problems is another score.

    Raises:
        DataError: naming the row and the field.
    """
    problems: dict[str, Problem] = {}
    for number, item in enumerate(items, start=1):
        try:
            problem = _problem(problem_set, item.value, default_id=f"{problem_set.name}-{number}")
        except ValueError as fault:
            raise DataError(f"{item.where}: {fault}; a row of {problem_set.name} is expected") from None
        if problem.id in problems:
            raise DataError(f"{item.where}: the id '{problem.id}' was used already; every problem needs its own")
        problems[problem.id] = problem
    if not problems:
        raise DataError(f"{where}: holds no problems")
    return list(problems.values())


def digest(problems: Sequence[Problem]) -> str:
    """SHA-256 over ids, texts and answers: the same for a file, its gzipped form and the same rows of the hub."""
    return hashlib.sha256(json.dumps([asdict(problem) for problem in problems]).encode()).hexdigest()


def _problem(problem_set: ProblemSet, fields: object, default_id: str) -> Problem:
    if not isinstance(fields, dict):
        raise ValueError(f"expected an object with named fields, found {type(fields).__name__}")
    texts = [text for name in TEXT_FIELDS if isinstance(text := fields.get(name), str) and text.strip()]
    if not texts:
        names = " or ".join(f"'{name}'" for name in TEXT_FIELDS)
        raise ValueError(f"no text in {names} (fields: {', '.join(map(str, fields)) or 'none'})")
    stated_id = next((fields[name] for name in ID_FIELDS if fields.get(name) is not None), default_id)
    return Problem(str(stated_id), texts[0].strip(), problem_set.answer(fields))
