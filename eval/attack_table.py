"""What each attack gained: pure functions of the lines of an attack log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np

from eval.attack_log import ORIGINAL, AttackRow, Key
from eval.bootstrap import Floats, SumStatistic, interval, make_clusters, ratio, resample, take
from eval.defences import BOTH, Defences
from judge.shaping import Shaping, shaped_reward

Unit = Literal["steps", "characters"]
UNITS: Final[tuple[Unit, ...]] = ("steps", "characters")
SAME: Final = 1e-9
"""A smaller change of the reward is none."""


def attack_table(
    rows: Iterable[AttackRow], shaping: Shaping, num_samples: int = 1000, seed: int = 0
) -> dict[str, dict[str, dict[str, Any]]]:
    """By attack, defences (``on``, ``off``) and unit of length: what `compare` says.

    Args:
        rows: originals and attacked responses, one line for each key.
        shaping: from RTS to reward.
        num_samples: of the bootstrap over problems.
        seed: of the bootstrap.
    """
    known = {row.key: row for row in rows}
    names = dict.fromkeys(key.attack for key in known if key.attack != ORIGINAL)
    return {
        name: {
            defences: {unit: compare(_pairs(known, name, defences), shaping, unit, num_samples, seed) for unit in UNITS}
            for defences in BOTH
        }
        for name in names
    }


def originals(rows: Iterable[AttackRow], shaping: Shaping) -> dict[str, dict[str, Any]]:
    """By defences: how many responses are scored as they are, and their mean reward."""
    found: dict[str, dict[str, Any]] = {}
    for defences in BOTH:
        values = [_reward(row, shaping, "steps") for row in rows if row.key[1:] == (ORIGINAL, defences)]
        scored = [value for value in values if value is not None]
        found[defences] = {
            "num_responses": len(values),
            "num_unscored": len(values) - len(scored),
            "mean_reward": float(np.mean(scored)) if scored else None,
        }
    return found


def compare(
    pairs: Sequence[tuple[AttackRow, AttackRow]], shaping: Shaping, unit: Unit, num_samples: int, seed: int
) -> dict[str, Any]:
    """The reward after an attack against the reward before, over the responses that have both.

    Args:
        pairs: each response as it is and attacked.
        shaping: from RTS to reward.
        unit: in which the RTS is counted.
        num_samples: of the bootstrap over problems.
        seed: of the bootstrap.
    """
    rewards = [(_reward(before, shaping, unit), _reward(after, shaping, unit)) for before, after in pairs]
    scored = [
        (after - before, pair[0].problem)
        for pair, (before, after) in zip(pairs, rewards, strict=True)
        if before is not None and after is not None
    ]
    changes = take(change for change, _ in scored)
    clusters = make_clusters([problem for _, problem in scored])
    columns = np.column_stack([np.ones(len(scored)), changes, changes > SAME, changes < -SAME])
    statistic = SumStatistic(columns, clusters, _figures)
    samples = resample({"": statistic}, clusters.num, num_samples, seed)[""] if clusters.num > 1 else {}
    figures = statistic.point() if scored else dict.fromkeys(_figures(np.zeros(4)), None)
    return {
        **figures,
        "intervals": {name: interval(samples[name]) if name in samples else None for name in figures},
        "num_pairs": len(pairs),
        "num_scored": len(scored),
        "num_original_unscored": sum(before is None for before, _ in rewards),
        "num_became_unscored": sum(before is not None and after is None for before, after in rewards),
        "num_became_scored": sum(before is None and after is not None for before, after in rewards),
    }


def format_table(attacks: Mapping[str, Mapping[str, Any]]) -> str:
    """The ``attacks`` of a summary for people, RTS in steps.

    For each attack, with defences on and off: the mean change in reward, the share of responses that gained, the
    number of responses that this is the mean of, and how many lost their score.
    """
    head = f"{'':26}" + "".join(f"{'defences ' + defences:<34}" for defences in BOTH)
    columns = f"{'attack':<22}{'':4}" + f"{'change':>8}{'gained':>8}{'n':>6}{'unscored':>10}  " * len(BOTH)
    lines = [head.rstrip(), columns.rstrip()]
    for name, found in attacks.items():
        cells = "".join(_cells(found[defences]["steps"]) for defences in BOTH)
        lines.append(f"{name:<22}{found['code']:<4}{cells}".rstrip())
    return "\n".join(lines)


def _cells(found: Mapping[str, Any]) -> str:
    change, gained = found["mean_change"], found["gained"]
    shown = "-" if change is None else f"{change:+.3f}"
    share = "-" if gained is None else f"{100 * gained:.0f}%"
    return f"{shown:>8}{share:>8}{found['num_scored']:>6}{found['num_became_unscored']:>10}  "


def _pairs(known: Mapping[Key, AttackRow], attack: str, defences: Defences) -> list[tuple[AttackRow, AttackRow]]:
    attacked = [row for key, row in known.items() if key.attack == attack and key.defences == defences]
    return [(known[Key(row.id, ORIGINAL, defences)], row) for row in attacked]


def _reward(row: AttackRow, shaping: Shaping, unit: Unit) -> float | None:
    rts = row.rts_steps if unit == "steps" else row.rts_characters
    return None if rts is None else shaped_reward(rts, shaping)


def _figures(sums: Floats) -> dict[str, Floats]:
    count, change, gained, lost = np.moveaxis(sums, -1, 0)
    return {"mean_change": ratio(change, count), "gained": ratio(gained, count), "lost": ratio(lost, count)}
