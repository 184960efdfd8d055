"""Prompts and replies that a critic is trained on."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.prompting import critic_chat
from judge.settings import parse_table, read_toml
from judge.train.critic_settings import CriticTrainSettings
from judge.train.critic_text import build_examples, completion
from judge.types import NO_ERROR, Record, Solution
from judge.verdict_parsing import parse_verdict

STEPS = ("1 + 1 = 2", "2 + 1 = 4", "So 4.")


def record(label: int | None, **more: object) -> Record:
    return Record("1+1+1?", STEPS, label=label, id="r", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("label", "critique", "text"),
    [
        (1, None, "Paragraph 0 is correct.\nParagraph 1 is wrong.\n\n\\boxed{1}"),
        (0, " 1 + 1 is 2. \n", "Paragraph 0 is wrong: 1 + 1 is 2.\n\n\\boxed{0}"),
        (
            NO_ERROR,
            None,
            "Paragraph 0 is correct.\nParagraph 1 is correct.\nParagraph 2 is correct.\n"
            "No paragraph contains an error.\n\n\\boxed{-1}",
        ),
    ],
)
def test_reply_walks_to_the_verdict(label: int, critique: str | None, text: str) -> None:
    assert completion(record(label, critique=critique)) == text


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(-1, n - 1))), st.text(max_size=40))
def test_judge_reads_the_label_back(sizes: tuple[int, int], critique: str) -> None:
    num_steps, label = sizes
    made = Record("?", ("x",) * num_steps, label=label, critique=f"{critique} \\boxed{{0}} </think> <think>")
    assert parse_verdict(completion(made), num_steps, known_wrong=label != NO_ERROR) == label


def test_prompts_are_those_of_the_judge() -> None:
    [cold, known] = build_examples([record(1, reference_solution="3", reference_answer="3")])[0]
    shown = Solution("1+1+1?", STEPS, reference_solution="3", reference_answer="3")
    assert cold.prompt == critic_chat(shown)
    assert known.prompt == critic_chat(Solution("1+1+1?", STEPS, "3", "3", known_wrong=True))
    assert cold.completion == known.completion
    [bare, _] = build_examples([record(1, reference_solution="3", reference_answer="3")], use_reference=False)[0]
    assert bare.prompt == critic_chat(Solution("1+1+1?", STEPS))


@pytest.mark.parametrize(
    ("variants", "prompts"),
    [
        ("cold", ["cold", "cold", "cold", "cold"]),
        ("known_wrong", ["known", "known"]),
        ("both", ["cold", "known", "cold", "known", "cold", "cold"]),
    ],
)
def test_announcement_only_where_it_is_true(variants: str, prompts: list[str]) -> None:
    records = [
        record(1, final_answer_correct=False),
        record(1),
        record(1, final_answer_correct=True),
        record(NO_ERROR, final_answer_correct=True),
    ]
    examples, skipped = build_examples(records, variants=variants)  # type: ignore[arg-type]
    found = ["known" if "known to be WRONG" in example.prompt[0]["content"] else "cold" for example in examples]
    assert found == prompts
    assert dict(skipped) == ({"not for the known-wrong prompt": 2} if variants == "known_wrong" else {})


def test_records_that_teach_nothing_are_counted() -> None:
    records = [record(None), Record("?", (), label=NO_ERROR), record(None), record(NO_ERROR)]
    examples, skipped = build_examples(records)
    assert len(examples) == 1
    assert dict(skipped) == {"unlabelled": 2, "no steps": 1}


def test_human_reasons_of_mr_ben(data_dir: Path) -> None:
    """Every reason that a person gave fits into a reply whose verdict is read back."""
    with gzip.open(data_dir / "mrben" / "math.json.gz", "rt", encoding="utf-8") as file:
        rows = [row for solutions in json.load(file).values() for row in solutions]
    num_reasons = 0
    for row in rows:
        if not row["Model_Solution_First_Error_Step"].isdecimal():
            continue
        steps, label = tuple(row["Model_Solution_Steps"]), int(row["Model_Solution_First_Error_Step"]) - 1
        reason = row["Model_Solution_Error_Reason"][0]
        made = Record(row["Question"], steps, label=min(label, len(steps) - 1), critique=reason)
        assert parse_verdict(completion(made), len(steps), known_wrong=True) == made.label
        num_reasons += len(completion(made)) > 200
    assert num_reasons > 300


def test_shipped_configuration_is_valid() -> None:
    path = Path(__file__).resolve().parents[2] / "configs" / "judge-critic-sft.toml"
    settings = parse_table(CriticTrainSettings, read_toml(path), str(path))
    assert (settings.method, settings.lora.rank, settings.data.sources[0].source) == ("lora", 32, "mrben")
