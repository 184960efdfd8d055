"""The tables of the page, in Markdown, from the log of the runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from benchmarks.learning.figures import (
    FIGURES,
    GRPO,
    LONG,
    NOISE,
    PREFIX,
    SKILLS,
    VARIANTS,
    seeds,
    variant,
)
from benchmarks.learning.noise import PROCESSBENCH, Judge
from benchmarks.learning.runs import Result, key_of
from benchmarks.learning.summary import ends, estimate, finished, gain, reach, start
from benchmarks.learning.task import Task
from benchmarks.learning.training import RunSpec

Results = Mapping[str, Result]


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def by_seed(figure: str) -> list[list[RunSpec]]:
    """The runs of a figure, those that differ in their seed only together."""
    groups = groupby(FIGURES[figure](), key=lambda spec: key_of(spec).replace(f'"seed": {spec.seed}', ""))
    return [list(group) for _, group in groups]


def judge_name(judge: Judge) -> str:
    """As in the tables."""
    if judge.rate == 0:
        return "oracle"
    return "ProcessBench-like" if judge == PROCESSBENCH else f"{judge.kind} {judge.rate:g}"


def accuracy(results: Results) -> str:
    """Ends and tokens to targets of all arms."""
    rows = [
        [
            specs[0].arm.name,
            judge_name(specs[0].judge) if specs[0].arm.groups != "none" else "",
            f"{specs[0].tokens // 1000}k",
            ends(specs, results).text(),
            ends(specs, results, "progress").text(2),
            reach(specs, results, 0.03),
            reach(specs, results, 0.1),
        ]
        for specs in by_seed("accuracy")
    ]
    return markdown(["arm", "judge", "tokens", "accuracy at the end", "right steps", "tokens to 0.03", "to 0.1"], rows)


def share(results: Results) -> str:
    """SGPO with a ProcessBench-like judge against GRPO, over the share of all-negative groups."""
    rows = []
    for skill in SKILLS:
        grpo = seeds(RunSpec(GRPO, Task(skill=skill)))
        ours = seeds(RunSpec(PREFIX, Task(skill=skill), PROCESSBENCH))
        first = estimate([start(run, "all_negative") for run in finished(grpo, results)])
        rows.append(
            [
                f"{skill:g}",
                f"{first.mean:.0%}",
                ends(grpo, results).text(),
                ends(ours, results).text(),
                gain(ours, grpo, results).text(sign=True),
                reach(grpo, results, 0.5),
                reach(ours, results, 0.5),
            ]
        )
    head = [
        "skill",
        "all-negative at the start",
        "GRPO",
        "SGPO",
        "SGPO - GRPO",
        "GRPO: tokens to 0.5",
        "SGPO: tokens to 0.5",
    ]
    return markdown(head, rows)


def noise(results: Results) -> str:
    """Judges of all qualities against GRPO, which needs none."""
    grpo = seeds(RunSpec(GRPO))
    rows = []
    for judge in NOISE:
        prefix = seeds(RunSpec(PREFIX, judge=judge))
        rows.append(
            [
                judge_name(judge),
                str(len(finished(prefix, results))),
                ends(prefix, results).text(),
                ends(prefix, results, "progress").text(2),
                gain(prefix, grpo, results).text(sign=True),
                gain(prefix, grpo, results, "progress").text(2, sign=True),
            ]
        )
    head = [
        "judge",
        "seeds",
        "accuracy",
        "right steps",
        "accuracy - GRPO's",
        "right steps - GRPO's",
    ]
    return markdown(head, rows)


def settings(results: Results) -> str:
    """Single settings against prefix credit with the defaults."""
    default = variant(PREFIX)
    rows = []
    for arm in VARIANTS:
        specs = variant(arm)
        difference = "" if arm is PREFIX else gain(specs, default, results).text(sign=True)
        rows.append([arm.name, ends(specs, results).text(), reach(specs, results, 0.05), difference])
    return markdown(["arm", "accuracy at the end", "tokens to 0.05", "less prefix credit's"], rows)


def hacking(results: Results) -> str:
    """What the policy does with its freedom."""
    names = ("accuracy", "sound", "progress", "steps", "no_claim", "short")
    rows = []
    for specs in by_seed("hacking"):
        runs = finished(specs, results)
        modulus = specs[0].task.modulus
        changes = [
            f"{estimate([start(run, name) for run in runs]).mean:.2f} → {ends(specs, results, name).text(2)}"
            for name in names
        ]
        rows.append([f"{modulus}", specs[0].arm.name, *(changes if runs else "–" * len(names))])
    head = [
        "modulus",
        "arm",
        "accuracy",
        "right all through",
        "right steps",
        "steps",
        "share of no-claim steps",
        "too short",
    ]
    return markdown(head, rows)


def rates(results: Results) -> str:
    """Learning rates."""
    runs = [
        *by_seed("rates"),
        seeds(RunSpec(GRPO)),
        seeds(RunSpec(GRPO, tokens=LONG)),
        seeds(RunSpec(PREFIX)),
    ]
    rows = [
        [
            specs[0].arm.name,
            judge_name(specs[0].judge) if specs[0].arm.groups != "none" else "",
            f"{specs[0].lr:g}",
            f"{specs[0].tokens // 1000}k",
            ends(specs, results).text(),
            ends(specs, results, "progress").text(2),
            reach(specs, results, 0.1),
        ]
        for specs in sorted(runs, key=lambda specs: (specs[0].arm.name, specs[0].lr, specs[0].tokens))
    ]
    return markdown(["arm", "judge", "learning rate", "tokens", "accuracy at the end", "right steps", "to 0.1"], rows)


def count(results: Results) -> str:
    """How much was run."""
    wanted = {key_of(spec) for specs in FIGURES.values() for spec in specs()}
    done = [results[key] for key in wanted if key in results]
    hours = sum(run.seconds for run in done) / 3600
    tokens = sum(run.curve["tokens"][-1] for run in done)
    return f"{len(done)} of {len(wanted)} runs, {tokens / 1e6:.0f} million sampled tokens, {hours:.1f} hours on a core."


TABLES = {
    "accuracy": accuracy,
    "share": share,
    "noise": noise,
    "settings": settings,
    "hacking": hacking,
    "rates": rates,
    "count": count,
}
