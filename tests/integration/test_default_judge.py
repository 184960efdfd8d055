"""The trained judge in the box."""

import asyncio
import json
from pathlib import Path

import pytest

from judge.data.sources import load_source
from judge.registry import DEFAULT_FOLDER, build_judge, judge_table
from judge.types import Solution, Unscored, Verdict

pytestmark = pytest.mark.slow


def judge_all(model: Path, batch: list[Solution]) -> list[Verdict | Unscored]:
    judge = build_judge({**judge_table("default"), "model": str(model), "device": "cpu"})
    try:
        return asyncio.run(judge.judge(batch))
    finally:
        asyncio.run(judge.aclose())


def test_it_is_small_and_knows_nothing_of_the_machine_that_made_it() -> None:
    files = [path for path in DEFAULT_FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 2_000_000
    manifest = json.loads((DEFAULT_FOLDER / "judge.json").read_text())
    assert manifest["base"]["name"] == "smollm2-135m-instruct"
    paths = [source["path"] for source in manifest["training"]["data"]["sources"]]
    assert not any(path.startswith("/") for path in paths)
    card = (DEFAULT_FOLDER / "README.md").read_text()
    measured = manifest["metrics"]["evaluation"]
    assert {"processbench-gsm8k", "processbench-math"} <= set(measured)
    for name, figures in measured.items():
        assert f"| evaluation: {name}: f1 | {figures['f1']:.4g} |" in card


def test_it_judges_real_solutions_alone_and_together_alike(smollm2: Path, data_dir: Path) -> None:
    records = load_source("processbench", str(data_dir / "processbench" / "gsm8k.json.gz")).records
    # Two rows of one problem share its prefix.
    by_problem: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        by_problem.setdefault(record.problem, []).append(index)
    pair = next(rows for rows in by_problem.values() if len(rows) > 1)
    chosen = [records[index] for index in (*pair, 0)]
    batch = [Solution(r.problem, r.steps, known_wrong=r.final_answer_correct is False) for r in chosen]
    together = judge_all(smollm2, batch)
    for solution, verdict in zip(batch, together, strict=True):
        [alone] = judge_all(smollm2, [solution])
        assert isinstance(alone, Verdict)
        assert isinstance(verdict, Verdict)
        assert alone.first_error == verdict.first_error
        assert alone.step_error_probs == pytest.approx(verdict.step_error_probs, abs=1e-3)
        assert solution.known_wrong <= (verdict.first_error is not None)


def test_the_packaged_model_is_the_one_it_was_made_for() -> None:
    judge = build_judge({**judge_table("default"), "device": "cpu"})
    [verdict] = asyncio.run(
        judge.judge([Solution("What is 3 * 4 - 2?", ("3 * 4 = 13", "13 - 2 = 11"), known_wrong=True)])
    )
    asyncio.run(judge.aclose())
    assert isinstance(verdict, Verdict)
    assert verdict.critique is not None
