"""What a report is made of: worst verdicts, heat map, groups of runs, tables; by hand-made rows."""

from __future__ import annotations

from typing import Any

import pytest

from eval.benchmarks.base import benchmarks
from eval.log import LogRow
from eval.metrics import Sampling, measure
from eval.report.cases import cases, clip, rts_error, worst
from eval.report.folders import AttackSummary, JudgeRun, JudgeSummary
from eval.report.groups import Group, make_groups
from eval.report.heat import heat_map
from eval.report.signal_tables import attack_table
from eval.report.table import Cell, share_cell
from eval.report.tables import DETAILS, details_table, headline_table, part_tables
from eval.report.words import GLOSSARY, MEANINGS, NAMES, WORDS
from judge.types import Record

Answer = tuple[int, int | None, int]
"""Label, prediction, number of steps."""


def row(name: str, label: int, prediction: int | None, num_steps: int, confidence: float | None = None) -> LogRow:
    return LogRow(id=name, label=label, prediction=prediction, num_steps=num_steps, confidence=confidence)


def run_of(answers: list[Answer], name: str = "a", **changes: Any) -> JudgeRun:
    """A run whose summary comes from `eval.metrics`."""
    rows = tuple(row(f"r{number}", *answer) for number, answer in enumerate(answers))
    blank: dict[str, Any] = {
        "benchmark": "processbench",
        "path": "data/gsm8k.json",
        "data_digest": "d",
        "judge_id": f"{name}@1",
        "known_wrong": False,
        "num_failed": 0,
        "unscored": {},
        "headline": ["f1", "error_acc", "correct_acc"],
        "by_subset": {},
        "by_length": {},
        "confusion": {},
        "reliability": [],
        "thresholds": None,
        "fidelity": None,
        "seconds": 1.0,
        "usage": {},
    }
    judged = JudgeRun(name, JudgeSummary.model_construct(**blank), rows).judged()
    measured = measure(judged, sampling=Sampling(num_samples=50))
    found = measured.whole | {"by_subset": measured.by_subset, "by_length": measured.by_length}
    return JudgeRun(name, JudgeSummary.model_validate(blank | found | changes), rows)


ANSWERS: list[Answer] = [(2, 2, 5), (1, -1, 4), (0, None, 3), (-1, -1, 4), (-1, 0, 4), (3, 1, 5)]


@pytest.mark.parametrize(
    ("label", "prediction", "num_steps", "error"),
    [
        (2, 2, 5, 0.0),
        (1, 3, 4, 0.5),
        (-1, 0, 3, 1.0),
        (0, -1, 3, 1.0),
        (4, -1, 5, 0.2),
        (-1, -1, 2, 0.0),
        (0, 7, 2, 1.0),
    ],
)
def test_the_error_of_the_rts(label: int, prediction: int, num_steps: int, error: float) -> None:
    assert rts_error(row("r", label, prediction, num_steps)) == pytest.approx(error)


def test_the_worst_come_first_and_the_surest_of_equals() -> None:
    rows = [
        row("near", 1, 2, 10),
        row("unsure", -1, 0, 3, 0.4),
        row("right", 1, 1, 3, 0.99),
        row("sure", 0, -1, 3, 0.9),
        row("unscored", 0, None, 3),
        row("half", 1, 3, 4),
        row("silent", -1, 0, 5),
    ]
    assert [each.id for each in worst(rows)] == ["sure", "unsure", "silent", "half", "near"]
    assert [each.id for each in worst(rows, count=2)] == ["sure", "unsure"]
    with pytest.raises(ValueError, match="'unscored' is unscored"):
        rts_error(rows[4])


def test_a_case_is_coloured_by_the_label_and_marked_by_the_judge() -> None:
    record = Record(problem="p\t1", steps=("a", "b", "c\x1b[0m", "d"), label=2, id="x")
    [case] = cases([row("x", 2, 1, 4), row("gone", 0, 1, 4), row("y", 0, 1, 3)], {"x": record, "y": record})
    assert [(block.number, block.colour, block.is_found) for block in case.blocks] == [
        (0, "right", False),
        (1, "right", True),
        (2, "first-error", False),
        (3, "after", False),
    ]
    assert (case.truth, case.answer, case.distance, case.problem) == ("step 2", "step 1", 0.25, "p 1")
    assert case.blocks[2].text == "c\\x1b[0m"
    [right] = cases([row("x", -1, 3, 4)], {"x": record})
    assert [block.colour for block in right.blocks] == ["right"] * 4
    assert clip("x" * 1510).endswith("… (10 characters are not shown)")


def test_the_heat_map_counts_every_row_once() -> None:
    found = heat_map(run_of([*ANSWERS, (1, 1, 4), (14, 13, 20), (12, 12, 20)]))
    assert found.columns == ("none", "0", "1", "2", "3", "12+", "unscored")
    counts = {name: [cell.count for cell in cells] for name, _, cells in found.rows}
    assert counts == {
        "none": [1, 1, 0, 0, 0, 0, 0],
        "0": [0, 0, 0, 0, 0, 0, 1],
        "1": [1, 0, 1, 0, 0, 0, 0],
        "2": [0, 0, 0, 1, 0, 0, 0],
        "3": [0, 0, 1, 0, 0, 0, 0],
        "12+": [0, 0, 0, 0, 0, 2, 0],
    }
    assert [total for _, total, _ in found.rows] == [2, 1, 2, 1, 1, 2]
    assert [cell.share for cell in found.rows[2][2]] == [0.5, 0, 0.5, 0, 0, 0, 0]
    hits = [
        (name, column)
        for name, _, cells in found.rows
        for column, cell in zip(found.columns, cells, strict=True)
        if cell.is_right
    ]
    assert hits == [(name, name) for name in counts]
    beyond = heat_map(run_of([(0, 0, 2), (1, 2, 2), (1, 99, 2)]))
    assert beyond.columns == ("0", "1", "not there")
    assert [cell.count for cell in beyond.rows[1][2]] == [0, 0, 2]
    assert "unscored" not in heat_map(run_of([(0, 0, 2)])).columns


def test_runs_on_the_same_rows_are_compared() -> None:
    same = [run_of(ANSWERS, "a"), run_of([(label, 0, steps) for label, _, steps in ANSWERS], "b")]
    others = [
        run_of(ANSWERS[:3], "fewer"),
        run_of(ANSWERS, "told", known_wrong=True),
        run_of(ANSWERS, "x", data_digest="e"),
    ]
    groups = make_groups([same[0], *others, same[1]])
    assert [[run.name for run in group.runs] for group in groups] == [["a", "b"], ["fewer"], ["told"], ["x"]]
    assert groups[0].title == "processbench: gsm8k.json, 6 rows"
    assert groups[2].title == "processbench: gsm8k.json, 6 rows, judges know that the answer is wrong"


def test_the_headline_has_the_summarys_figures_and_the_baselines() -> None:
    run = run_of(ANSWERS, unscored={"parse_error": 1})
    table = headline_table(Group((run,)))
    assert table.columns == ("judge", "F1", "error accuracy", "correct accuracy", "unscored")
    line = table.lines[0]
    # Of 4 with an error 1 is found, of 2 without one 1: 2 * 1/4 * 1/2 / (3/4) = 1/3.
    assert [cell.text for cell in line.cells] == ["33.3%", "25.0%", "50.0%", "1"]
    assert (line.name, line.note, line.cells[3].note) == ("a", "a@1", "1 parse error")
    low, value, high = line.cells[0].bar or (0, 0, 0)
    assert low <= value == run.summary.figure("f1") <= high
    assert [(each.name, each.is_baseline) for each in table.lines[1:]] == [
        ("each step wrong at random, best rate", True),
        ("always the same step, the best one", True),
        ("never an error", True),
    ]
    assert [cell.text for cell in table.lines[3].cells[:3]] == ["0.0%", "0.0%", "100.0%"]


def test_details_have_the_fitted_threshold() -> None:
    fitted = {"fitted_on_few": {"f1": 0.5, "sd": 0.05, "num_rows": 20, "draws": 100}}
    runs = (run_of(ANSWERS, "a", thresholds=fitted), run_of(ANSWERS, "b"))
    table = details_table(Group(runs))
    assert table is not None
    assert table.columns[-1] == "F1 fitted on 20"
    assert [line.cells[-1] for line in table.lines] == [Cell("50.0%", "± 5.0"), Cell("–")]
    # Named steps of the 4 with an error: 2 of 2, none of 1, nothing of 0, 1 of 3.
    figures = {name: cell.text for name, cell in zip(table.columns[1:], table.lines[0].cells, strict=True)}
    assert figures["within one step"] == "25.0%"
    assert figures["errors noticed"] == "50.0%"
    assert figures["mean offset"] == "-1.00"


def test_the_page_explains_every_headline_and_detail() -> None:
    names = {name for each in benchmarks().values() for name in (*each.headline, *(f"mean_{n}" for n in each.averaged))}
    assert {"f1", "mr_score", "prm_score", "mean_mistake_acc", "step_auroc"} <= names
    for name in names | set(DETAILS):
        assert NAMES[name] in GLOSSARY, name
    assert len(GLOSSARY) == len(MEANINGS) + len(WORDS)  # no two figures are called the same


def test_parts_say_which_figure_they_have() -> None:
    [by_length] = part_tables(Group((run_of([*ANSWERS, (7, 7, 9)]),)))
    assert [(line.name, line.note) for line in by_length.lines] == [
        ("1-3", "error accuracy"),
        ("4-5", ""),
        ("9-12", "error accuracy"),
    ]
    # 4-5: of 3 with an error 1, of 2 without one 1: 2 * 1/3 * 1/2 / (5/6) = 0.4.
    assert [line.cells[0].text for line in by_length.lines] == ["0.0%", "40.0%", "100.0%"]
    assert [(line.cells[2].text, line.cells[3].text) for line in by_length.lines] == [
        ("1", "1"),
        ("5", "3"),
        ("1", "1"),
    ]
    assert by_length.lines[2].cells[0].note == ""  # one row has no interval


def test_an_attack_that_pays_stands_out() -> None:
    def state(change: float | None, bounds: list[float] | None, lost: int = 0) -> dict[str, Any]:
        figures = {"mean_change": change, "gained": 0.5, "num_scored": 8, "num_became_unscored": lost}
        return {"steps": figures | {"intervals": {"mean_change": bounds}}}

    attacks = {
        "pays": {"code": "A1", "summary": "s", "on": state(0.1, [0.05, 0.2]), "off": state(0.1, [-0.05, 0.2])},
        "master_key": {"code": "A2", "summary": "", "on": state(None, None, 2), "off": state(-0.1, None)},
    }
    original = {"mean_reward": 0.25}
    summary = AttackSummary(benchmark="b", judge_id="j", originals={"on": original, "off": original}, attacks=attacks)
    table = attack_table("run", summary)
    assert [cell.is_bad for cell in table.lines[0].cells] == [True, False, False, False, False, False]
    assert [line.name for line in table.lines] == ["A1 pays", "A2 master key"]
    assert table.lines[0].cells[0] == Cell("+0.100", "0.050 to 0.200", is_bad=True)
    assert [cell.text for cell in table.lines[1].cells] == ["–", "50%", "8", "-0.100", "50%", "8"]
    assert table.lines[1].cells[2].note == "2 became unscored"
    assert "0.250 with defences on" in table.caption


def test_a_share_without_value_or_interval() -> None:
    assert share_cell(None, [0.1, 0.2], bar=True) == Cell("–", "10.0 to 20.0")
    assert share_cell(0.5) == Cell("50.0%")
