"""From step error probabilities to a first wrong step.

A judge gives hazards ``h_t = P(step t is wrong | all steps before are right)``. The first error is then at step t with
probability ``h_t * prod_{i<t} (1 - h_i)``, and nowhere with ``prod_i (1 - h_i)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decision about one response.

    >>> decode_known_wrong([0.1, 0.3, 0.1]).first_error
    1
    """

    first_error: int | None
    """0-based index of the most likely first wrong step (the earliest of equals); None for no error."""
    expected_rts: float | None
    """Expected share of the response before its first error, in [0, 1]; a response without error counts as 1."""
    confidence: float | None
    """Probability of `first_error`, in [0, 1]."""


def first_error_distribution(step_error_probs: Sequence[float]) -> tuple[list[float], float]:
    """P(the first error is at step t) for every step, and P(there is no error). Together they sum to 1.

    Args:
        step_error_probs: [num_steps] hazards, each in [0, 1].

    Raises:
        ValueError: when there is no step, or a hazard is not a probability.
    """
    if not step_error_probs:
        raise ValueError("a response without steps has no first error")
    probs = []
    still_right = 1.0
    for step, hazard in enumerate(step_error_probs):
        if not 0 <= hazard <= 1:
            raise ValueError(f"the error probability of step {step} is {hazard!r}, not between 0 and 1")
        probs.append(hazard * still_right)
        still_right *= 1 - hazard
    return probs, still_right


def decode_known_wrong(step_error_probs: Sequence[float], lengths: Sequence[int] | None = None) -> Decoded:
    """The first error of a response that is known to be wrong: "no error" is impossible, so the steps share all mass.

    Needs no threshold and never abstains, but for one case: when every hazard is exactly 0 nothing can be shared out,
    and all three fields are None (the judge found no error in a wrong response: that is unscored, not a score).

    Args:
        step_error_probs: [num_steps] hazards, each in [0, 1].
        lengths: [num_steps] length of each step for the expected rts; None counts steps.

    Raises:
        ValueError: as `first_error_distribution`; or lengths that do not fit.
    """
    probs, _ = first_error_distribution(step_error_probs)
    total = math.fsum(probs)
    if total == 0:
        return Decoded(first_error=None, expected_rts=None, confidence=None)
    shares = [prob / total for prob in probs]
    best = shares.index(max(shares))
    return Decoded(best, _expected_rts(shares, 0.0, lengths), min(shares[best], 1.0))


def median_first_error(step_error_probs: Sequence[float]) -> int | None:
    """The median of the first-error distribution of a response that is known to be wrong; None when all hazards are 0.

    Its RTS has the smallest expected absolute error; `decode_known_wrong` names the step that is most likely right.

    >>> median_first_error([0.4, 0.5, 1.0]), decode_known_wrong([0.4, 0.5, 1.0]).first_error
    (1, 0)

    Args:
        step_error_probs: [num_steps] hazards, each in [0, 1].

    Raises:
        ValueError: as `first_error_distribution`.
    """
    probs, _ = first_error_distribution(step_error_probs)
    total = math.fsum(probs)
    if total == 0:
        return None
    return next(step for step, mass in enumerate(accumulate(probs)) if 2 * mass >= total or step == len(probs) - 1)


def decode_cold(
    step_error_probs: Sequence[float], threshold: float = 0.5, lengths: Sequence[int] | None = None
) -> Decoded:
    """The first error of a response of unknown outcome (as on ProcessBench): "no error" keeps its mass.

    Args:
        step_error_probs: [num_steps] hazards, each in [0, 1].
        threshold: an error is reported when P(some step is wrong) is above this, in [0, 1]; calibrate it on labels.
        lengths: [num_steps] length of each step for the expected rts; None counts steps.

    Raises:
        ValueError: as `first_error_distribution`; or lengths that do not fit.
    """
    probs, no_error = first_error_distribution(step_error_probs)
    expected = _expected_rts(probs, no_error, lengths)
    if math.fsum(probs) <= threshold:
        return Decoded(None, expected, no_error)
    best = probs.index(max(probs))
    return Decoded(best, expected, probs[best])


def decode_first_above(
    step_error_probs: Sequence[float], threshold: float = 0.5, lengths: Sequence[int] | None = None
) -> Decoded:
    """As `decode_cold`, but the error is the first step whose own hazard is above the threshold, as published PRMs do.

    Args:
        step_error_probs: [num_steps] hazards, each in [0, 1].
        threshold: in [0, 1]; calibrate it on labels.
        lengths: [num_steps] length of each step for the expected rts; None counts steps.

    Raises:
        ValueError: as `first_error_distribution`; or lengths that do not fit.
    """
    probs, no_error = first_error_distribution(step_error_probs)
    expected = _expected_rts(probs, no_error, lengths)
    first = next((step for step, hazard in enumerate(step_error_probs) if hazard > threshold), None)
    return Decoded(first, expected, no_error if first is None else probs[first])


def _expected_rts(probs: Sequence[float], no_error: float, lengths: Sequence[int] | None) -> float:
    """Mean of the rts over the first-error distribution; without an error the whole response counts."""
    lengths = [1] * len(probs) if lengths is None else lengths
    if min(lengths, default=1) < 1:
        raise ValueError("every step must have a length of at least 1")
    before = 0
    terms = [no_error * sum(lengths)]
    for prob, length in zip(probs, lengths, strict=True):
        terms.append(prob * before)
        before += length
    return min(math.fsum(terms) / before, 1.0)
