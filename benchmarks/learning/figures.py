"""Which runs each figure is made of. Runs that two figures share are done once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from benchmarks.learning.arms import BASELINES, Arm, sgpo
from benchmarks.learning.noise import PROCESSBENCH, Judge
from benchmarks.learning.task import Task
from benchmarks.learning.training import RunSpec

SEEDS = range(5)
ORACLE = Judge()
GRPO = BASELINES[0]
PAPER = sgpo("SGPO", credit="response")
PREFIX = sgpo("SGPO, prefix credit", credit="prefix")
EVERY_PREFIX = sgpo("SGPO, every wrong response, prefix credit", groups="every_wrong", credit="prefix")
STD = sgpo("SGPO, scale std", scale="std", credit="response")

PREFIX_STD = sgpo("prefix credit, scale std", credit="prefix", scale="std")

SKILLS: Sequence[float] = (0.92, 0.85, 0.72, 0.62, 0.5, 0.4)
"""Per-step skill before RL, from mostly mixed groups to mostly all-negative ones."""
LONG = 4 * RunSpec.tokens
MIDDLE = Task(skill=0.62)
NOISE: Sequence[Judge] = (
    ORACLE,
    *(Judge("moved", rate) for rate in (0.25, 0.5, 0.75)),
    PROCESSBENCH,
    Judge("early", 0.5),
    Judge("late", 0.5),
    Judge("blind", 0.5),
)
VARIANTS: Sequence[Arm] = (
    GRPO,
    PREFIX,
    EVERY_PREFIX,
    PREFIX_STD,
    sgpo("prefix credit, scale std_floor 0.25", credit="prefix", scale="std_floor", scale_value=0.25),
    sgpo("prefix credit, scale constant 0.25", credit="prefix", scale="constant", scale_value=0.25),
    sgpo("prefix credit, cap 0.25", shaping={"cap": 0.25}, credit="prefix"),
    sgpo("prefix credit, cap 0.9", shaping={"cap": 0.9}, credit="prefix"),
    sgpo("prefix credit, quantum 0.125", credit="prefix", quantum=0.125),
    sgpo("prefix credit, beta 4, gamma 0.25", shaping={"beta": 4.0, "gamma": 0.25}, credit="prefix"),
    PAPER,
    sgpo("prefix credit, normalize std", {"normalize": "std"}, credit="prefix"),
    sgpo("prefix credit, suffix_penalty 0.1", credit="prefix", suffix_penalty=0.1),
    sgpo("prefix credit, weight 1 to 0", credit="prefix", weight=1.0, weight_end=0.0, schedule="linear"),
)
"""Of the comparison of settings: one thing at a time is changed."""


def seeds(spec: RunSpec) -> list[RunSpec]:
    """The spec with each seed."""
    return [replace(spec, seed=seed) for seed in SEEDS]


def accuracy() -> list[RunSpec]:
    """All arms where some 95% of the groups start all-negative; GRPO also for four times the tokens."""
    arms = (PAPER, PREFIX, *BASELINES, EVERY_PREFIX, STD)
    return [spec for run in (*map(RunSpec, arms), RunSpec(GRPO, tokens=LONG)) for spec in seeds(run)]


def noise() -> list[RunSpec]:
    """The judge's quality, on the task of `accuracy`."""
    return [spec for judge in NOISE for spec in seeds(RunSpec(PREFIX, judge=judge))]


def share() -> list[RunSpec]:
    """The share of all-negative groups, with a ProcessBench-like judge."""
    return [
        spec
        for skill in SKILLS
        for arm, judge in ((GRPO, ORACLE), (PREFIX, PROCESSBENCH))
        for spec in seeds(RunSpec(arm, Task(skill=skill), judge))
    ]


def settings() -> list[RunSpec]:
    """One setting at a time, with a ProcessBench-like judge where four in five groups start all-negative."""
    return [spec for arm in VARIANTS for spec in variant(arm)]


def variant(arm: Arm) -> list[RunSpec]:
    """The runs of an arm in `settings`."""
    return seeds(RunSpec(arm, MIDDLE, ORACLE if arm is GRPO else PROCESSBENCH, tokens=RunSpec.tokens // 2))


def hacking() -> list[RunSpec]:
    """A free form: the policy may stop early and write steps that claim nothing. Answers to guess, and not."""
    undefended = replace(PREFIX, name="SGPO, prefix credit, no defences", defended=False)
    easy, hard = (Task(length=4, modulus=modulus, free_form=True) for modulus in (5, 199))
    pairs = ((easy, GRPO), (easy, EVERY_PREFIX), (hard, undefended), (hard, PREFIX))
    return [spec for task, arm in pairs for spec in seeds(RunSpec(arm, task, tokens=RunSpec.tokens // 4))]


def rates() -> list[RunSpec]:
    """Lower learning rates, since a noisy gradient may want one; the lowest also for four times the tokens."""
    low = RunSpec(GRPO, lr=1.25e-4)
    long = (replace(low, tokens=LONG), replace(low, arm=PREFIX, judge=PROCESSBENCH, tokens=LONG))
    return [spec for run in (RunSpec(GRPO, lr=2.5e-4), low, *long) for spec in seeds(run)]


FIGURES: Mapping[str, Callable[[], list[RunSpec]]] = {
    "accuracy": accuracy,
    "noise": noise,
    "share": share,
    "settings": settings,
    "hacking": hacking,
    "rates": rates,
}
