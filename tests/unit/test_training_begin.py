"""What a trained judge is measured on: problems that it did not see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from judge.data.training_set import DataSettings, DataSource
from judge.errors import ConfigError, DataError
from judge.records import write_records
from judge.train.begin import begin
from judge.types import Record


def problems(first: int, last: int) -> list[Record]:
    return [
        Record(f"What is {n} + {n}?", ("Add.", f"{2 * n + label}"), label=1 if label else -1, id=f"{n}-{label}")
        for n in range(first, last)
        for label in (0, 1)
    ]


@pytest.fixture
def settings(tmp_path: Path) -> DataSettings:
    write_records(problems(0, 100), tmp_path / "train.jsonl")
    return DataSettings(sources=(DataSource(source="records", path=str(tmp_path / "train.jsonl")),))


def evaluation(folder: Path, records: list[Record], limit: int | None = None) -> tuple[DataSource, ...]:
    write_records(records, folder / "new.v2.jsonl")
    return (DataSource(source="records", path=str(folder / "new.v2.jsonl"), limit=limit),)


def test_training_problems_and_rows_without_a_label_are_left_out(tmp_path: Path, settings: DataSettings) -> None:
    shouted = [replace(record, problem=record.problem.upper()) for record in problems(90, 100)]
    unlabelled = [replace(problems(200, 201)[0], label=None, id="x")]
    sources = evaluation(tmp_path, [*shouted, *problems(95, 110), *unlabelled])
    begun = begin(settings, sources, tmp_path / "out")
    assert {name: [r.id for r in records] for name, records in begun.evaluation.items()} == {
        "records-new": [r.id for r in problems(100, 110)]
    }
    assert begun.output.is_absolute()


def test_a_limit_draws_whole_problems(tmp_path: Path, settings: DataSettings) -> None:
    begun = begin(settings, evaluation(tmp_path, problems(100, 150), limit=7), tmp_path / "out")
    drawn = begun.evaluation["records-new"]
    assert len(drawn) == 14
    assert len({record.problem for record in drawn}) == 7
    assert drawn != problems(100, 107)


def test_nothing_to_measure_is_refused(tmp_path: Path, settings: DataSettings) -> None:
    with pytest.raises(ConfigError, match=r"\[\[evaluation\]\] .*new\.v2\.jsonl: no labelled row of a problem"):
        begin(settings, evaluation(tmp_path, problems(0, 10)), tmp_path / "out")


def test_what_cannot_end_well_does_not_begin(tmp_path: Path, settings: DataSettings) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    with pytest.raises(ConfigError, match="holds no judge"):
        begin(settings, (), tmp_path / "full")
    with pytest.raises(DataError, match="calibration"):
        begin(settings.model_copy(update={"calibration_share": 0.0}), (), tmp_path / "out")
