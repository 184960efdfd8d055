"""``[algo]``: rewards to advantages to loss. A name sets everything; single settings change it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from sgpo_client.settings.table import Table

AlgoName = Literal["grpo", "dr_grpo", "rloo", "dapo", "sgpo"]
Baseline = Literal["mean", "leave_one_out"]
Normalize = Literal["none", "std"]
Reduction = Literal["token_mean", "sequence_mean", "constant"]
RatioLevel = Literal["token", "sequence", "sequence_sum"]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """How advantages and loss are made; the fields are those of `AlgoTable`, with the name's values filled in."""

    baseline: Baseline = "mean"
    normalize: Normalize = "none"
    reduction: Reduction = "token_mean"
    ratio: RatioLevel = "token"
    clip_eps_low: float = 0.2
    clip_eps_high: float = 0.2
    mask_truncated: bool = False
    dynamic_sampling: int = 0


ALGORITHMS: Final[dict[AlgoName, Algorithm]] = {
    # arXiv 2402.03300, eq. 3-4: each response counts the same, however long.
    "grpo": Algorithm(normalize="std", reduction="sequence_mean"),
    # arXiv 2503.20783: neither the deviation nor a response's own length divides.
    "dr_grpo": Algorithm(reduction="constant"),
    # arXiv 2402.14740: the others' mean as baseline, one ratio for a whole response.
    "rloo": Algorithm(baseline="leave_one_out", reduction="sequence_mean", ratio="sequence_sum"),
    # arXiv 2503.14476: clip-higher, token mean, groups without differences sampled anew, over-long responses left out.
    "dapo": Algorithm(normalize="std", clip_eps_high=0.28, mask_truncated=True, dynamic_sampling=3),
    # With [sgpo] on: the spread of partial rewards keeps its size, and every token counts the same.
    "sgpo": Algorithm(),
}


class AlgoTable(Table):
    """``[algo]``. A setting that is left out has the value of the algorithm's paper."""

    name: AlgoName = "sgpo"
    """``grpo``, ``dr_grpo``, ``rloo``, ``dapo``: outcome rewards, unless `[sgpo] groups` says otherwise. ``sgpo``: a
    judge's verdict shapes the rewards of all-negative groups."""
    baseline: Baseline | None = None
    """What is taken off a reward: the mean of its group, or that of the group's other responses."""
    normalize: Normalize | None = None
    """Divide by the group's standard deviation. For all-negative groups `[sgpo] scale` decides."""
    reduction: Reduction | None = None
    """``token_mean``: over all tokens of the step; ``sequence_mean``: over the tokens of each response, then over
    responses; ``constant``: the sum over tokens by responses times rollout.max_new_tokens."""
    ratio: RatioLevel | None = None
    """What is clipped: each token's ratio of probabilities; their geometric mean over the response (GSPO, arXiv
    2507.18071); or the ratio of the whole response."""
    clip_eps_low: float | None = Field(default=None, ge=0, lt=1)
    clip_eps_high: float | None = Field(default=None, ge=0)
    mask_truncated: bool | None = None
    """Responses cut off at the token limit do not train; they still count in their group's baseline."""
    dynamic_sampling: int | None = Field(default=None, ge=0)
    """At most this many more rounds of problems in the place of groups whose rewards are all equal."""
    epochs: int = Field(default=1, ge=1)
    """Optimiser steps on each batch of responses."""
    kl_coef: float = Field(default=0.0, ge=0)
    """Weight of the divergence from the model that the run began with (k3); 0 loads no reference model."""
    tis_cap: float = Field(default=2.0, ge=0)
    """Where the sampler gives log-probabilities of its own (vLLM) or responses are older than the policy: tokens are
    weighted by min(policy's probability / sampler's, this). 0: no correction."""

    @property
    def resolved(self) -> Algorithm:
        """The name's values, with the settings that were given in their place."""
        base = ALGORITHMS[self.name]
        given = {name: getattr(self, name) for name in Algorithm.__dataclass_fields__}
        return Algorithm(**{name: getattr(base, name) if value is None else value for name, value in given.items()})

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        algorithm = self.resolved
        if algorithm.ratio == "sequence_sum" and algorithm.reduction != "sequence_mean":
            raise ValueError(
                f"ratio = 'sequence_sum' with reduction = '{algorithm.reduction}': a response has one ratio, so its "
                "tokens cannot count one by one; set reduction = 'sequence_mean' or ratio = 'token'"
            )
        return self
