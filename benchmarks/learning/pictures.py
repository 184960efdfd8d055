"""The pictures of the page, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.learning.arms import BASELINES
from benchmarks.learning.bernoulli import ExactUpdate
from benchmarks.learning.figures import EVERY_PREFIX, GRPO, NOISE, PAPER, PREFIX, SKILLS, STD, seeds
from benchmarks.learning.noise import PROCESSBENCH
from benchmarks.learning.runs import Result
from benchmarks.learning.summary import finished, gain
from benchmarks.learning.tables import judge_name
from benchmarks.learning.task import Task
from benchmarks.learning.training import RunSpec

Results = Mapping[str, Result]
NUM_STEPS, GROUP_SIZE = 6, 8


def draw_all(results: Results, folder: Path, names: Sequence[str]) -> None:
    """Write the pictures of these names."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    mpl.rcParams.update(
        {"svg.fonttype": "none", "svg.hashsalt": "learning", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}
    )
    for name in names:
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        PICTURES[name](figure.subplots(1, 2), results)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def curves(axes: Any, runs: Sequence[Result], label: str, name: str) -> None:
    """The mean over seeds and a band of one standard error, over the sampled tokens in thousands."""
    if not runs:
        return
    length = min(len(run.curve[name]) for run in runs)
    values = np.array([np.convolve(run.curve[name][:length], np.ones(3) / 3, mode="valid") for run in runs])
    values = values[:, ::2]
    tokens = np.array(runs[0].curve["tokens"][:length])[2::2] / 1000
    mean, error = values.mean(0), values.std(0, ddof=1 if len(runs) > 1 else 0) / np.sqrt(len(runs))
    axes.fill_between(tokens, mean - error, mean + error, alpha=0.2, linewidth=0)
    axes.plot(tokens, mean, label=label, linewidth=1.3)
    axes.set_xlabel("sampled tokens, thousands")


def legend(axes: Any, size: int) -> None:
    """The names of the curves, where there are any."""
    if axes.lines:
        axes.legend(fontsize=size)


def accuracy(axes: Any, results: Results) -> None:
    """All arms, oracle, mostly all-negative groups."""
    for arm in (*BASELINES, PAPER, STD, PREFIX, EVERY_PREFIX):
        runs = finished(seeds(RunSpec(arm)), results)
        curves(axes[0], runs, arm.name, "accuracy")
        curves(axes[1], runs, arm.name, "progress")
    axes[0].set_title("accuracy")
    axes[1].set_title("right steps before the first error")
    legend(axes[0], 6)


def share(axes: Any, results: Results) -> None:
    """SGPO with a ProcessBench-like judge, GRPO, at each skill."""
    for skill in SKILLS:
        for side, arm, judge in ((0, GRPO, RunSpec(GRPO).judge), (1, PREFIX, PROCESSBENCH)):
            axes[side].set_ylim(0, 1)
            curves(
                axes[side],
                finished(seeds(RunSpec(arm, Task(skill=skill), judge)), results),
                f"skill {skill:g}",
                "accuracy",
            )
    axes[0].set_title("GRPO: accuracy")
    axes[1].set_title("SGPO (noisy judge): accuracy")
    legend(axes[0], 7)


def noise(axes: Any, results: Results) -> None:
    """What each judge brings over GRPO."""
    grpo = seeds(RunSpec(GRPO))
    for side, name in enumerate(("accuracy", "progress")):
        found = [gain(seeds(RunSpec(PREFIX, judge=judge)), grpo, results, name) for judge in NOISE]
        known = [(row, value) for row, value in enumerate(found) if value.num]
        axes[side].errorbar(
            [value.mean for _, value in known],
            [-row for row, _ in known],
            xerr=[[value.mean - value.low for _, value in known], [value.high - value.mean for _, value in known]],
            fmt="o",
            markersize=3,
        )
        axes[side].axvline(0, color="black", linewidth=0.8)
        axes[side].set_yticks(
            [-row for row in range(len(NOISE))], [judge_name(judge) for judge in NOISE] if side == 0 else []
        )
    axes[0].set_title("accuracy less GRPO's")
    axes[1].set_title("right steps less GRPO's")


def dynamics(axes: Any, results: Results) -> None:
    """The exact companion; needs no runs."""
    del results
    skills = torch.linspace(0.25, 0.97, 25, dtype=torch.float64)
    for arm in (GRPO, BASELINES[1], PAPER, STD, PREFIX):
        exact = ExactUpdate(arm, NUM_STEPS, GROUP_SIZE)
        growth = [
            exact.path(torch.full((NUM_STEPS,), float(skill), dtype=torch.float64).logit(), 1, 0.0)[1][0]
            for skill in skills
        ]
        axes[0].loglog(skills**NUM_STEPS, np.maximum(growth, 1e-7), label=arm.name)
        success, _ = exact.path(torch.full((NUM_STEPS,), 0.4, dtype=torch.float64).logit(), 150, 3.0)
        axes[1].plot(success, label=arm.name)
    axes[0].set_xlabel("success probability")
    axes[0].set_title("growth rate of log success")
    axes[1].set_xlabel("expected updates")
    axes[1].set_title("success probability from 0.004")
    axes[1].legend(fontsize=7)


PICTURES: Mapping[str, Callable[[Any, Results], None]] = {
    "accuracy": accuracy,
    "share": share,
    "noise": noise,
    "dynamics": dynamics,
}
