"""The study's runs: learning for real on a tiny task, the log that goes on where it stopped, the figures of runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.learning import figures, runs
from benchmarks.learning.arms import Arm, sgpo
from benchmarks.learning.report import fill, write_report
from benchmarks.learning.runs import Result, key_of, read_results, run_missing, thin
from benchmarks.learning.sampling import draw, response_logprobs, sample
from benchmarks.learning.summary import estimate, gain, reach, tokens_to
from benchmarks.learning.tables import TABLES
from benchmarks.learning.task import Task, draw_prompts
from benchmarks.learning.training import RunSpec, train
from benchmarks.learning.warmup import operation_skills, step_distribution, warm_policy

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = Task(length=3, modulus=5, num_operations=2, skill=0.6)
SPEC = RunSpec(sgpo("SGPO", credit="prefix"), TINY, tokens=4 * 96, num_groups=4)


@pytest.fixture(autouse=True)
def _few_warm_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "warm_policy", lambda task, seed, folder: warm_policy(task, seed, folder, steps=5))


def test_a_tiny_figure_runs_and_goes_on(tmp_path: Path) -> None:
    specs = [SPEC, replace(SPEC, seed=1), replace(SPEC, arm=Arm("DAPO", {"name": "dapo"}))]
    first = list(run_missing(specs[:2], tmp_path))
    assert [result.curve["tokens"] for result in first] == [[96, 192, 288, 384]] * 2
    log = tmp_path / "runs.jsonl"
    with log.open("a") as file:
        file.write('{"spec": {"cut off by a ki')
    again = list(run_missing(specs, tmp_path))
    assert [result.spec["arm"]["name"] for result in again] == ["DAPO"]
    assert set(read_results(log)) == {key_of(spec) for spec in specs}
    assert list(run_missing(specs, tmp_path)) == []


def test_equal_specs_make_equal_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (next(run_missing([SPEC], tmp_path / name)).curve for name in "ab")
    assert one == two
    # The same warm policy: the seed of the sampling alone makes the difference.
    monkeypatch.setattr(runs, "warm_policy", lambda task, _, folder: warm_policy(task, 0, folder, steps=5))
    assert next(run_missing([replace(SPEC, seed=1)], tmp_path / "a")).curve != one


def test_warm_policy_has_its_skills_and_rl_improves_it(tmp_path: Path) -> None:
    policy = warm_policy(TINY, 0, tmp_path, steps=150)
    generator = torch.Generator().manual_seed(0)
    drawn = sample(policy, TINY, draw_prompts(TINY, 500, generator), 8, generator)
    before = torch.cat([drawn.prompts[:, -1:], drawn.tokens[:, :-1]], 1)
    operations = drawn.prompts[:, :-1] - TINY.modulus
    right = drawn.tokens == TINY.results[operations, before]
    for operation, skill in enumerate(operation_skills(TINY, 0).tolist()):
        # The part of the errors that is spread over all values holds the right one, too.
        expected = skill + (1 - skill) / 2 / TINY.modulus
        assert right[operations == operation].float().mean().item() == pytest.approx(expected, abs=0.06)
    rows = list(train(replace(SPEC, tokens=40 * 768, num_groups=32, lr=3e-3), policy))
    assert sum(row["accuracy"] for row in rows[-5:]) / 5 > sum(row["accuracy"] for row in rows[:5]) / 5 + 0.2


def test_targets_of_the_warm_up() -> None:
    found = step_distribution(TINY, torch.tensor([0.6, 0.2]), torch.tensor([0, 1]), torch.tensor([4, 3]))
    # +1 on 4 gives 0, the value beside it is 1; *2 on 3 gives 1, beside it 2.
    assert found[0, :5].tolist() == pytest.approx([0.64, 0.24, 0.04, 0.04, 0.04])
    assert found[1, :5].tolist() == pytest.approx([0.08, 0.28, 0.48, 0.08, 0.08])


def test_sampling_draws_from_the_policy(tmp_path: Path) -> None:
    probabilities = torch.tensor([0.5, 0.0, 0.2, 0.3])
    drawn = draw(probabilities.log().expand(20_000, 4), torch.Generator().manual_seed(0))
    assert drawn.flatten().bincount(minlength=4).div(20_000).tolist() == pytest.approx([0.5, 0, 0.2, 0.3], abs=0.015)
    for task in (TINY, replace(TINY, free_form=True)):
        policy, generator = warm_policy(task, 0, tmp_path, steps=5), torch.Generator().manual_seed(0)
        batch = sample(policy, task, draw_prompts(task, 8, generator), 4, generator)
        # The cache of keys and values gives what a whole forward pass gives.
        again = response_logprobs(policy, task, batch)
        assert torch.allclose(again, batch.logprobs, atol=1e-5)
        assert task.allowed[batch.tokens].all()


def _result(accuracy: list[float], seed: int = 0) -> tuple[str, Result]:
    spec = replace(SPEC, seed=seed)
    curve = {"accuracy": accuracy, "tokens": [100.0 * (place + 1) for place in range(len(accuracy))]}
    return key_of(spec), Result(json.loads(key_of(spec)), 1.0, curve)


def test_figures_of_runs() -> None:
    # Student's t for 4 degrees of freedom is 2.776.
    five = estimate([1, 2, 3, 4, 5])
    assert (five.mean, five.low, five.high) == pytest.approx((3, 3 - 2.776 * 0.7071, 3 + 2.776 * 0.7071), abs=1e-3)
    texts = [estimate([1.0, 2.0, 3.0][:num]).text(2) for num in range(4)]
    assert texts == ["–", "1.00", "1.50 (-4.85 to 7.85)", "2.00 (-0.48 to 4.48)"]
    slow, fast = _result([0.0] * 6 + [0.4] * 4), _result([0.0] * 3 + [0.3] * 7, seed=1)
    assert (tokens_to(slow[1], 0.2), tokens_to(fast[1], 0.2), tokens_to(slow[1], 0.5)) == (800, 600, None)
    specs = [SPEC, replace(SPEC, seed=1), replace(SPEC, seed=2)]
    assert reach(specs[:2], dict([slow, fast]), 0.2) == "1k (2 of 2)"
    assert gain(specs[1:], specs[:1], dict([slow, fast])).num == 0
    never = _result([0.0] * 10, seed=2)
    assert reach(specs, dict([slow, never, fast]), 0.5) == "not reached (0 of 3)"
    assert thin([{"x": float(value)} for value in range(5)], 3) == {"x": [0.5, 2.5, 4.0]}


def _log_of(folder: Path, names: Sequence[str]) -> None:
    """A log in which these figures' runs are finished."""
    names_of_curves = ("accuracy", "sound", "progress", "steps", "no_claim", "short")
    curve = {name: [0.25, 0.25, 0.5, 0.5, 0.5, 0.5] for name in names_of_curves}
    curve |= {"all_negative": [0.9] * 6, "tokens": [1000.0 * (each + 1) for each in range(6)]}
    lines = {key_of(spec): spec for name in names for spec in figures.FIGURES[name]()}
    rows = ({"spec": json.loads(key), "seconds": 1.0, "curve": curve} for key in lines)
    (folder / "runs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.slow
def test_the_page_is_filled(tmp_path: Path) -> None:
    assert fill("<!-- a --> old <!-- end --> b <!-- c --><!-- end -->", {"a": "1", "c": "2"}) == (
        "<!-- a -->\n1\n<!-- end --> b <!-- c -->\n2\n<!-- end -->"
    )
    page = tmp_path / "learning.md"
    page.write_text("".join(f"<!-- {name} -->old {name}<!-- end -->" for name in TABLES))
    _log_of(tmp_path, ["settings"])
    write_report(tmp_path, page)
    assert [name for name in TABLES if f"old {name}" not in page.read_text()] == ["settings"]
    assert [file.name for file in (tmp_path / "learning").iterdir()] == ["dynamics.svg"], "which needs no runs"
    _log_of(tmp_path, [*figures.FIGURES])
    write_report(tmp_path, page)
    assert "old" not in page.read_text()
    assert "| SGPO, prefix credit | 0.417 " in page.read_text()
    assert {file.name for file in (tmp_path / "learning").iterdir()} == {
        "accuracy.svg",
        "share.svg",
        "noise.svg",
        "dynamics.svg",
    }


def test_figures_share_their_runs() -> None:
    for make in figures.FIGURES.values():
        keys = [key_of(spec) for spec in make()]
        assert len(set(keys)) == len(keys)
        assert {spec.seed for spec in make()} == set(figures.SEEDS)
