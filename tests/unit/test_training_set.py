"""From settings to a split training set with its report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from judge.data.problem_text import problem_key
from judge.data.training_set import DataSettings, DataSource, TrainingSet, load_training_set
from judge.errors import ConfigError, DataError
from judge.records import write_records
from judge.settings import parse_table
from judge.types import Record


def write(folder: Path, name: str, records: list[Record]) -> DataSource:
    write_records(records, folder / name)
    return DataSource(source="records", path=str(folder / name))


def problems(count: int, start: int = 0) -> list[Record]:
    """Two solutions of each problem, one wrong."""
    return [
        Record(f"What is {n} + {n}?", ("Add.", f"{2 * n + label}"), label=1 if label else -1, id=f"{n}-{label}")
        for n in range(start, start + count)
        for label in (0, 1)
    ]


def all_records(data: TrainingSet) -> list[Record]:
    return [*data.train, *data.validation, *data.calibration]


def test_no_problem_is_in_two_parts_and_nothing_is_lost(tmp_path: Path) -> None:
    one = write(tmp_path, "one.jsonl", problems(200))
    # The same problems, written in another way and in another file, go to the same parts.
    shouted = [Record(r.problem.upper(), ("Other.",), label=0, id=r.id) for r in problems(100)]
    two = write(tmp_path, "two.jsonl", shouted)
    data = load_training_set(DataSettings(sources=(one, two), seed=3))
    keys = [{problem_key(r.problem) for r in part} for part in (data.train, data.validation, data.calibration)]
    assert len(set().union(*keys)) == sum(map(len, keys)) == 200
    assert len(all_records(data)) == 600
    assert len({record.id for record in all_records(data)}) == 600
    report = json.loads(json.dumps(data.report))
    assert [source["used"] for source in report["sources"]] == [400, 200]
    assert report["sizes"]["train"] == {
        "records": len(data.train),
        "problems": len(keys[0]),
        "with_error": sum(record.label != -1 for record in data.train),
    }
    assert sum(size["problems"] for size in report["sizes"].values()) == 200


def test_a_source_that_must_not_calibrate_goes_to_validation_with_its_problems(tmp_path: Path) -> None:
    whole = write(tmp_path, "whole.jsonl", problems(100))
    begun = write(tmp_path, "begun.jsonl", [Record(r.problem, r.steps[:1], -1, id=r.id) for r in problems(60)])
    plain = load_training_set(DataSettings(sources=(whole, begun)))
    data = load_training_set(DataSettings(sources=(whole, begun.model_copy(update={"calibrate": False}))))
    kept = {problem_key(record.problem) for record in data.calibration}
    moved = {problem_key(record.problem) for record in plain.calibration} - kept
    assert kept
    assert moved == {problem_key(r.problem) for r in plain.calibration} & {problem_key(r.problem) for r in problems(60)}
    assert moved <= {problem_key(record.problem) for record in data.validation}
    assert data.train == plain.train


def test_problems_stay_where_they_are_when_data_is_added(tmp_path: Path) -> None:
    few = load_training_set(DataSettings(sources=(write(tmp_path, "few.jsonl", problems(150)),)))
    many = load_training_set(DataSettings(sources=(write(tmp_path, "many.jsonl", problems(300)),)))
    for part in ("train", "validation", "calibration"):
        assert {r.problem for r in getattr(few, part)} <= {r.problem for r in getattr(many, part)}


def test_a_limit_samples_whole_problems(tmp_path: Path) -> None:
    source = write(tmp_path, "one.jsonl", problems(300)).model_copy(update={"limit": 100})
    data = load_training_set(DataSettings(sources=(source,)))
    assert len(all_records(data)) == 200
    assert len({record.problem for record in all_records(data)}) == 100
    assert {record.problem for record in all_records(data)} != {record.problem for record in problems(100)}
    [said] = json.loads(json.dumps(data.report))["sources"]
    assert (said["kept"], said["not_sampled"], said["used"]) == (600, 400, 200)


def test_the_digest_names_records_and_split(tmp_path: Path) -> None:
    source = write(tmp_path, "one.jsonl", problems(100))
    first = load_training_set(DataSettings(sources=(source,)))
    assert first.digest == load_training_set(DataSettings(sources=(source,))).digest
    assert len(bytes.fromhex(first.digest)) == 6
    other_seed = load_training_set(DataSettings(sources=(source,), seed=1))
    changed = problems(100)
    changed[7] = Record(changed[7].problem, changed[7].steps, label=0, id=changed[7].id)
    other_label = load_training_set(DataSettings(sources=(write(tmp_path, "two.jsonl", changed),)))
    assert len({first.digest, other_seed.digest, other_label.digest}) == 3
    # The same records in the same order, in parts of another name.
    shares = ({"validation_share": 0.5, "calibration_share": 0}, {"validation_share": 0, "calibration_share": 0.5})
    moved = [load_training_set(DataSettings(sources=(source,), **share)) for share in shares]
    assert moved[0].validation == moved[1].calibration
    assert moved[0].digest != moved[1].digest


def test_rows_without_a_label_are_counted(tmp_path: Path) -> None:
    records = [*problems(100), Record("Unlabelled?", ("a",), id="x")]
    data = load_training_set(DataSettings(sources=(write(tmp_path, "one.jsonl", records),)))
    assert len(all_records(data)) == 200
    [said] = json.loads(json.dumps(data.report))["sources"]
    assert (said["unlabelled"], said["not_sampled"], said["used"]) == (1, 0, 200)
    only = DataSettings(sources=(write(tmp_path, "two.jsonl", records[-1:]),))
    with pytest.raises(ConfigError, match=r"data\.sources\.0 \(records, .*two\.jsonl\): no row has a label"):
        load_training_set(only)


def test_contradictory_labels_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    disputed = [
        Record("What is 1 + 1?", ("Add.", "3"), label=1, id="a"),
        Record("What is 1 + 1?", ("Add.", "3", "So 3."), label=2, id="b"),
        Record("What is 1 + 1?", ("Add.", "3", "So 4."), label=-1, id="c"),
        Record("What is 1 + 1?", ("Subtract.",), label=0, id="d"),
    ]
    data = load_training_set(DataSettings(sources=(write(tmp_path, "d.jsonl", [*problems(50, 10), *disputed]),)))
    assert data.report["contradictory_steps"] == 1
    assert "1 steps are right by one label and wrong by another" in caplog.text
    assert "step 1 of 'What is 1 + 1?'" in caplog.text


def test_empty_parts_are_refused(tmp_path: Path) -> None:
    source = write(tmp_path, "one.jsonl", problems(2))
    with pytest.raises(ConfigError, match=r"no problem fell into the \w+ part \(2 in all\); raise data\.\w+_share"):
        load_training_set(DataSettings(sources=(source,), validation_share=0.001))
    data = load_training_set(DataSettings(sources=(source,), validation_share=0, calibration_share=0))
    assert (len(data.train), data.validation, data.calibration) == (4, [], [])
    with pytest.raises(ConfigError, match="no problem fell into the train part"):
        load_training_set(DataSettings(sources=(source,), validation_share=0.999, calibration_share=0))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"sources": []}, "'sources'"),
        ({"sources": [{"source": "records"}]}, "'sources.0.path' is missing"),
        ({"sources": [{"source": "records", "path": "x", "limit": 0}]}, "'sources.0.limit' = 0"),
        ({"sources": [{"source": "records", "path": "x"}], "validation_share": 1}, "'validation_share' = 1"),
        (
            {"sources": [{"source": "records", "path": "x"}], "validation_share": 0.5, "calibration_share": 0.5},
            "must leave something to train on",
        ),
        ({"sources": [{"source": "records", "path": "x"}], "sede": 1}, "unknown key 'sede'; did you mean 'seed'"),
    ],
)
def test_wrong_settings(table: dict[str, object], message: str) -> None:
    # A TOML array arrives as a list.
    with pytest.raises(ConfigError, match=message):
        parse_table(DataSettings, table, "judge.toml [data]")


def test_a_missing_file_and_an_unknown_source() -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: no such file"):
        load_training_set(DataSettings(sources=(DataSource(source="records", path="none.jsonl"),)))
    with pytest.raises(ConfigError, match="unknown data source 'record'; did you mean 'records'"):
        load_training_set(DataSettings(sources=(DataSource(source="record", path="none.jsonl"),)))


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    write_records(problems(100), tmp_path / "one.jsonl")
    code = (
        "import sys, judge.commands.data\n"
        "from judge.data.training_set import *\n"
        "load_training_set(DataSettings(sources=(DataSource(source='records', path=sys.argv[1]),)))\n"
        "heavy = ('torch', 'transformers', 'datasets', 'sklearn', 'pyarrow', 'numpy', 'rich')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "one.jsonl")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
