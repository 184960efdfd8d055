"""The human label with noise put in: what the figures of a judge are worth.

Two kinds of noise. ``moved``: the label names another step of the same response, drawn uniformly. ``flipped``: it says
that there is no error, which on a wrong response is no score at all. Each response has one draw a seed, used at every
rate, so that the labels that are wrong at a low rate are wrong at a higher one too and the curve is smooth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import numpy as np

from eval.bootstrap import Floats, Ints

NoiseKind = Literal["moved", "flipped"]

WORTH: Final[Mapping[NoiseKind, tuple[str, ...]]] = {
    "moved": ("rts_mae", "tau_b", "sign_agreement", "cosine", "cosine_pooled"),
    "flipped": ("sign_agreement", "cosine", "cosine_pooled", "signal_share"),
}
"""The figures that each kind of noise makes worse. (Moved labels give signal, if a wrong one; flipped ones leave the
RTS of the others as it is.)"""
LOWER_IS_BETTER: Final = frozenset({"rts_mae", "sign_opposite"})


def noisy_rts(labels: Ints, num_steps: Ints, kind: NoiseKind, rates: Sequence[float], seed: int) -> list[Floats]:
    """The RTS of noisy labels, one array [N] for each rate; NaN where the label was flipped to "no error".

    Args:
        labels: [N] first wrong step, from 0.
        num_steps: [N] at least 1; the label of a response of one step has nowhere to move.
        kind: see the module.
        rates: share of the labels that are changed, each in [0, 1].
        seed: of the one draw.
    """
    rng = np.random.default_rng(seed)
    draw = rng.random(len(labels))
    other = rng.integers(0, np.maximum(num_steps - 1, 1))
    other = np.where(num_steps > 1, other + (other >= labels), labels)
    changed = np.full(len(labels), np.nan) if kind == "flipped" else other / num_steps
    return [np.where(draw < rate, changed, labels / num_steps) for rate in rates]


def noise_curve(
    labels: Ints,
    num_steps: Ints,
    kind: NoiseKind,
    rates: Sequence[float],
    seeds: Sequence[int],
    measure: Callable[[Floats], Mapping[str, float]],
) -> list[dict[str, float]]:
    """The mean over seeds of what ``measure`` says of the noisy RTS: one entry for each rate, with its ``rate``."""
    draws = [[measure(rts) for rts in noisy_rts(labels, num_steps, kind, rates, seed)] for seed in seeds]
    return [
        {"rate": rate} | {name: _mean([point[name] for point in points]) for name in points[0]}
        for rate, points in zip(rates, zip(*draws, strict=True), strict=True)
    ]


def worth(rates: Sequence[float], curve: Sequence[float], value: float, *, lower_is_better: bool = False) -> float:
    """The noise rate at which the human label does as well as ``value``, by interpolation; NaN beyond the last rate.

    The curve is followed from rate 0 to where it first falls to the value.

    >>> worth([0.0, 0.5, 1.0], [1.0, 0.5, 0.0], 0.75)
    0.25
    """
    direction = -1.0 if lower_is_better else 1.0
    leads = [direction * (point - value) for point in curve]
    if np.isnan(value) or np.isnan(leads).any():
        return float("nan")
    last = next((place for place, lead in enumerate(leads) if lead <= 0), None)
    if last is None:
        return float("nan")
    if last == 0:
        return rates[0]
    before, after = leads[last - 1], leads[last]
    return rates[last - 1] + (rates[last] - rates[last - 1]) * before / (before - after)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
