"""Injected errors on real GSM8K rows: the label is exact, the answer is wrong, and everything is counted.

The texts are read here by a parser of their own, which knows nothing of `judge.arithmetic`.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from judge.data.labels.inject import Injected, InjectSettings, drawn_order, inject
from judge.data.labels.kinds import ErrorKind
from judge.errors import ConfigError
from judge.final_answer import final_answer
from judge.judges.rules import RulesJudge
from judge.settings import parse_table, read_toml
from judge.types import Record, Solution, Verdict

MARK = re.compile(r"<<([^<>]*)>>")
PLAIN = {"merge": 0.0, "answers": {"sentence": 1.0}}
ROWS = 250


@pytest.fixture(scope="module")
def gsm8k(data_dir: Path) -> list[Record]:
    """Every 29th row of GSM8K's training problems."""
    with gzip.open(data_dir / "gsm8k" / "train.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file][:: 7473 // ROWS][:ROWS]
    records = []
    for number, row in enumerate(rows):
        solution, _, answer = row["answer"].rpartition("\n####")
        steps = tuple(line for line in solution.split("\n") if line.strip())
        records.append(
            Record(row["question"], steps, reference_answer=answer.strip(), source="gsm8k", id=f"train-{number}")
        )
    return records


@pytest.fixture(scope="module")
def marked(gsm8k: list[Record]) -> Injected:
    """Two errors a row, with calculator marks."""
    return inject(gsm8k, InjectSettings(per_solution=2, keep_marks=True, **PLAIN))


@pytest.fixture(scope="module")
def default(gsm8k: list[Record]) -> Injected:
    return inject(gsm8k, InjectSettings())


def wrong_ones(injected: Injected, gsm8k: list[Record]) -> list[tuple[str, Record, Record]]:
    """Kind, injected record and the row it came from."""
    by_id = {record.id: record for record in gsm8k}
    pairs = [(r.source.split(":")[1], r, by_id[r.id.rsplit("-", 1)[0]]) for r in injected.records]
    return [pair for pair in pairs if pair[0] != "correct"]


def number(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace("$", ""))


def computed(expression: str) -> Fraction | None:
    """Value of a mark's left side, by Python's own grammar; None where it holds anything but numbers and signs."""
    plain = expression.replace(",", "").replace(" ", "").replace("$", "")
    plain = re.sub(r"(?<![\d.])0+(?=\d)", "", plain)
    if not re.fullmatch(r"[0-9.+*/()%-]+", plain):
        return None
    plain = re.sub(r"([0-9.]+)%", r"(\1/100)", plain)
    try:
        return Fraction(eval(re.sub(r"(\d+\.?\d*|\.\d+)", r"Fraction('\1')", plain), {"Fraction": Fraction}))
    except (SyntaxError, TypeError, ZeroDivisionError):
        return None


def test_the_label_is_the_first_step_that_differs(marked: Injected, gsm8k: list[Record]) -> None:
    pairs = wrong_ones(marked, gsm8k)
    assert len(pairs) > ROWS
    for kind, record, original in pairs:
        assert record.label is not None
        label = record.label
        steps, right = list(record.steps[:-1]), list(original.steps)
        if kind == ErrorKind.SKIPPED_STEP:
            assert len(steps) == len(right) - 1
            dropped = next(i for i in range(len(right)) if i >= len(steps) or steps[i] != right[i])
            assert dropped <= label
            del right[dropped]
        assert len(steps) == len(right)
        assert steps[:label] == right[:label], (kind, record)
        assert steps[label] != right[label], (kind, record)


def test_the_answer_is_wrong_and_follows_from_the_error(marked: Injected, gsm8k: list[Record]) -> None:
    num_checked = 0
    for kind, record, original in wrong_ones(marked, gsm8k):
        assert record.final_answer_correct is False
        answer = final_answer("\n".join(record.steps))
        assert answer is not None
        assert original.reference_answer is not None
        assert number(answer) != number(original.reference_answer), record
        marks = [(i, *m.rsplit("=", 1)) for i, step in enumerate(record.steps) for m in MARK.findall(step) if "=" in m]
        # Every calculation but a wrong_arithmetic's own holds, as far as the original's did.
        for step, left, right in marks:
            value, said = computed(left), number(right)
            if value is None or (kind == ErrorKind.WRONG_ARITHMETIC and step == record.label):
                continue
            num_checked += 1
            assert abs(value - said) < Fraction(1, 10 ** len(right.partition(".")[2])), (kind, left, right, record)
    assert num_checked > 2 * ROWS


def test_a_wrong_result_is_carried_on(marked: Injected, gsm8k: list[Record]) -> None:
    """Behind the error, the right result that it replaced is used nowhere any more."""
    num_used = 0
    for kind, record, original in wrong_ones(marked, gsm8k):
        if kind != ErrorKind.WRONG_ARITHMETIC or record.label is None:
            continue
        pairs = list(
            zip(MARK.findall(original.steps[record.label]), MARK.findall(record.steps[record.label]), strict=False)
        )
        changed = [(old.rsplit("=", 1)[1], new.rsplit("=", 1)[1]) for old, new in pairs if old != new]
        if not changed:
            continue
        old, new = changed[0]
        later = original.steps[record.label + 1 :]
        now = record.steps[record.label + 1 : -1]
        for before, after in zip(later, now, strict=True):
            if re.search(rf"(?<![\d.]){re.escape(old)}(?![\d.])", before):
                num_used += 1
                assert not re.search(rf"<<(?:[^<>=]*[^\d.])?{re.escape(old)}[^\d.<>][^<>]*=", after), (old, new, record)
    assert num_used > 20


def test_rules_find_the_wrong_arithmetic_where_the_label_is(gsm8k: list[Record]) -> None:
    """They read about nine in ten; what they name is never before the label."""
    settings = InjectSettings(kinds={ErrorKind.WRONG_ARITHMETIC: 1.0}, correct_share=0.0)
    records = inject(gsm8k, settings).records
    rules, found = RulesJudge(), Counter[str]()
    for record in records:
        verdict = rules.judge_one(Solution(record.problem, record.steps))
        named = verdict.first_error if isinstance(verdict, Verdict) else None
        found["none" if named is None else "right" if named == record.label else "other"] += 1
    assert found["other"] == 0, found
    assert found["right"] > 0.7 * len(records), found


def test_rules_find_nothing_in_the_other_kinds(marked: Injected, gsm8k: list[Record]) -> None:
    rules = RulesJudge()
    for kind, record, _ in wrong_ones(marked, gsm8k):
        if kind != ErrorKind.WRONG_ARITHMETIC:
            verdict = rules.judge_one(Solution(record.problem, record.steps))
            assert not isinstance(verdict, Verdict) or verdict.first_error is None, (kind, record, verdict)


def test_right_solutions_are_the_originals(marked: Injected, gsm8k: list[Record]) -> None:
    by_id = {record.id: record for record in gsm8k}
    right = [record for record in marked.records if record.label == -1]
    assert len(right) == marked.report.num_correct > 0
    for record in right:
        assert record.steps[:-1] == by_id[record.id.removesuffix("-correct")].steps
        assert record.final_answer_correct


def test_marks_are_gone_by_default_and_steps_vary(default: Injected, gsm8k: list[Record]) -> None:
    assert not any("<<" in step for record in default.records for step in record.steps)
    by_id = {record.id: record for record in gsm8k}
    num_merged = sum(len(r.steps) < len(by_id[r.id.rsplit("-", 1)[0]].steps) for r in default.records)
    assert num_merged > 0.2 * len(default.records)
    endings = Counter("box" if "\\boxed" in r.steps[-1] else r.steps[-1][:4] for r in default.records)
    assert endings["box"] > 0.2 * len(default.records)
    assert endings["####"] > 0.05 * len(default.records)


def test_the_same_whatever_else_is_in_the_input(default: Injected, gsm8k: list[Record]) -> None:
    backwards = inject(reversed(gsm8k[:60]), InjectSettings()).records
    ids = {record.id for record in gsm8k[:60]}
    assert set(backwards) == {r for r in default.records if r.id.rsplit("-", 1)[0] in ids}
    assert backwards != inject(reversed(gsm8k[:60]), InjectSettings(seed=1)).records


def test_ids_are_unique_and_every_row_is_counted(marked: Injected, gsm8k: list[Record]) -> None:
    report = marked.report
    assert len({record.id for record in marked.records}) == len(marked.records)
    sources = {record.id.rsplit("-", 1)[0] for record in marked.records if record.label != -1}
    assert report.num_read == len(gsm8k) == len(sources) + report.unusable.total() + report.not_injectable
    assert len(marked.records) == report.injected.total() + report.num_correct
    assert report.unusable.total() < 0.15 * len(gsm8k)
    assert report.not_injectable < 0.15 * len(gsm8k)


def test_several_errors_of_a_row_differ(marked: Injected) -> None:
    texts = [(record.problem, record.steps) for record in marked.records]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_only_the_kinds_that_are_asked_for(kind: ErrorKind, gsm8k: list[Record]) -> None:
    weights = dict.fromkeys(ErrorKind, 0.0) | {kind: 0.5}
    report = inject(gsm8k[:80], InjectSettings(kinds=weights, correct_share=0.0)).report
    assert set(report.injected) == {kind.value}
    assert report.num_correct == 0


def test_kinds_are_drawn_in_proportion() -> None:
    weights = {ErrorKind.WRONG_ARITHMETIC: 3.0, ErrorKind.WRONG_OPERAND: 1.0, ErrorKind.UNIT_SLIP: 0.0}
    rng = random.Random(0)
    first = Counter(drawn_order(weights, rng)[0] for _ in range(4000))
    assert set(first) == {ErrorKind.WRONG_ARITHMETIC, ErrorKind.WRONG_OPERAND}
    assert abs(first[ErrorKind.WRONG_OPERAND] - 1000) < 4 * (4000 * 0.25 * 0.75) ** 0.5


def test_the_mix_that_comes_out_is_near_the_one_asked_for(default: Injected) -> None:
    """Units apart, which few problems convert; and the easy kinds take up what had no room for another."""
    common = {kind: default.report.injected[kind.value] for kind in ErrorKind if kind != ErrorKind.UNIT_SLIP}
    shares = {kind: count / sum(common.values()) for kind, count in common.items()}
    assert default.report.injected[ErrorKind.UNIT_SLIP] > 0
    assert all(abs(share - 0.2) < 0.12 for share in shares.values()), shares


UNUSABLE = [
    ({"label": 0}, "not a right solution"),
    ({"final_answer_correct": False}, "not a right solution"),
    ({"reference_answer": None}, "no number as reference answer"),
    ({"reference_answer": "x + 1"}, "no number as reference answer"),
    ({"reference_answer": "8"}, "answer is no result of a calculation"),
    ({"steps": ("She has seven eggs.",)}, "no calculation that can be read"),
    ({"steps": ("First 2 + 2 = 5.", "She has 3 + 4 = 7 eggs.")}, "arithmetic of the solution is wrong"),
]


@pytest.mark.parametrize(("fields", "reason"), UNUSABLE)
def test_unusable_rows_are_counted(fields: dict[str, object], reason: str) -> None:
    base: dict[str, object] = {"steps": ("She has 3 + 4 = 7 eggs.",), "reference_answer": "7"}
    record = Record(problem="She has 3 and 4 eggs.", **(base | fields))  # type: ignore[arg-type]
    injected = inject([record], InjectSettings())
    assert injected.report.unusable == {reason: 1}
    assert injected.records == []


def test_a_row_without_room_is_counted() -> None:
    """No conversion, so no unit slip."""
    record = Record("She has 3 and 4 eggs.", ("She has 3 + 4 = 7 eggs.",), reference_answer="7", id="eggs")
    injected = inject([record], InjectSettings(kinds={ErrorKind.UNIT_SLIP: 1.0}, correct_share=1.0, **PLAIN))
    assert injected.report.not_injectable == 1
    assert [(r.id, r.label, r.steps) for r in injected.records] == [
        ("eggs-correct", -1, ("She has 3 + 4 = 7 eggs.", "The answer is 7."))
    ]


def test_generated_solutions() -> None:
    """reasoning-gym's worked solutions have no marks: the prose is read."""
    reasoning_gym = pytest.importorskip("reasoning_gym")
    task = reasoning_gym.create_dataset("gsm_symbolic", seed=0, size=60)
    records = [
        Record(row["question"], tuple(row["metadata"]["answer_cot"].split("\n")), id=str(number))
        for number, row in enumerate(task)
    ]
    report = inject(records, InjectSettings(correct_share=0.0)).report
    assert report.injected.total() > 0.6 * len(records), report


def test_math_style() -> None:
    steps = (
        r"There are $3 \times 4 = 12$ edges.",
        r"With 5 more, $12 + 5 = 17$.",
        r"Half of it is \boxed{8.5}, as 17/2 = 8.5.",
    )
    record = Record("Find it for 3, 4 and 5.", steps, reference_answer="8.5", id="m")
    settings = InjectSettings(kinds={ErrorKind.WRONG_OPERATION: 1.0}, per_solution=3, correct_share=0.0, merge=0.0)
    seen = {record.steps[:3] for record in inject([record], settings).records}
    assert (
        r"There are $3 + 4 = 7$ edges.",
        r"With 5 more, $7 + 5 = 12$.",
        r"Half of it is \boxed{6}, as 12/2 = 6.",
    ) in seen


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kinds": {"wrong_sum": 1.0}}, "wrong_sum"),
        ({"kinds": {}}, "one of them above 0"),
        ({"kinds": {"unit_slip": 0.0}}, "one of them above 0"),
        ({"merge": 1.5}, "merge"),
        ({"rate": 1}, "unknown key 'rate'"),
    ],
)
def test_wrong_settings(table: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_table(InjectSettings, table, "[inject]")


def test_the_shipped_config_holds_the_defaults() -> None:
    path = Path(__file__).resolve().parents[2] / "configs" / "inject.toml"
    assert parse_table(InjectSettings, read_toml(path)["inject"], str(path)) == InjectSettings()
