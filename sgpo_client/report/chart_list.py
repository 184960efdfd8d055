"""Which pictures the report has, of which metrics, and what it says about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from sgpo_client.report.drawing import Unit


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of ``metrics.jsonl`` and what the legend calls it."""

    key: str
    label: str
    per: str = ""
    """Key of the metric to divide by; empty for none."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture of the report."""

    title: str
    caption: str
    series: tuple[Series, ...]
    unit: Unit = "number"
    kind: Literal["lines", "stacked", "histogram"] = "lines"
    with_evaluation: bool = False
    """Also show the evaluation's accuracy as separate points."""


@dataclass(frozen=True, slots=True)
class ChartSection:
    """Charts under one heading."""

    title: str
    charts: tuple[Chart, ...]


LEARNING: Final = ChartSection(
    "Learning",
    (
        Chart(
            "Reward and accuracy",
            "Mean reward of the scored responses, and the share of right final answers.",
            (Series("reward_mean", "mean reward"), Series("accuracy", "accuracy while training")),
            with_evaluation=True,
        ),
        Chart(
            "All-negative groups",
            "Groups without one right answer teach plain GRPO nothing; rescued ones got different rewards from the "
            "judge.",
            (
                Series("all_negative_share", "all-negative"),
                Series("num_rescued", "of these, rescued", per="num_groups"),
            ),
            "share",
        ),
        Chart(
            "Steps before the first error",
            "Mean rts of the judged responses: the share of a wrong response that stands before its first wrong step.",
            (Series("rts_mean", "mean rts"),),
            "share",
        ),
        Chart(
            "How rts is distributed",
            "Judged responses by their rts, in the first and in the last fifth of the run. A judge that says the same "
            "of all of them teaches nothing.",
            (Series("rts_histogram", "rts"),),
            "part",
            kind="histogram",
        ),
        Chart(
            "Unscored and cut off",
            "Responses that the judge or the answer checker could not score (they are masked, not counted as 0), that "
            "ran into the token limit, or that are empty.",
            (
                Series("unscored_share", "unscored"),
                Series("truncated_share", "cut off"),
                Series("num_empty_responses", "empty", per="num_responses"),
            ),
            "share",
        ),
    ),
)
RESPONSES: Final = ChartSection(
    "Responses",
    (
        Chart("Response length", "Tokens per response.", (Series("response_tokens_mean", "tokens"),)),
        Chart("Steps per response", "As the reward server cuts them.", (Series("num_steps_mean", "steps"),)),
        Chart(
            "Does longer pay?",
            "Correlation of the reward with the number of steps and of tokens, within groups. Far from 0 the policy is "
            "paid for its length and not for its steps.",
            (
                Series("reward_num_steps_correlation", "reward and steps"),
                Series("reward_tokens_correlation", "reward and tokens"),
            ),
            "correlation",
        ),
    ),
)
POLICY: Final = ChartSection(
    "Policy",
    (
        Chart("Entropy", "Of the policy, per token, in nats.", (Series("entropy", "entropy"),)),
        Chart("KL", "From the model that the run began with, per token, in nats (k3).", (Series("kl", "KL"),)),
        Chart("Clipped tokens", "Share of tokens outside the clipping range.", (Series("clip_share", "clipped"),)),
        Chart(
            "Mismatch of sampler and trainer",
            "How far the sampler's log-probabilities are from the policy's: mean difference, and KL (k3), in nats.",
            (Series("mismatch_logprob", "mean |difference|"), Series("mismatch_kl", "KL")),
        ),
        Chart(
            "Largest ratio of policy to sampler",
            "Of all tokens of a step; algo.tis_cap bounds what it can do.",
            (Series("mismatch_max_ratio", "ratio"),),
        ),
        Chart("Gradient norm", "Before clipping.", (Series("grad_norm", "gradient norm"),)),
        Chart("Loss", "Its sign and size say little in policy-gradient training; jumps do.", (Series("loss", "loss"),)),
        Chart("Learning rate", "Of each step.", (Series("lr", "learning rate"),)),
        Chart(
            "Skipped updates",
            "Optimiser steps left out because the gradient was not finite.",
            (Series("skipped", "skipped"),),
        ),
    ),
)
SPEED: Final = ChartSection(
    "Speed",
    (
        Chart(
            "Time per step",
            "Where the wall-clock time goes.",
            (
                Series("time_sample_s", "sampling"),
                Series("time_reward_s", "rewards"),
                Series("time_train_s", "training"),
                Series("time_sync_s", "weight sync"),
            ),
            "seconds",
            kind="stacked",
        ),
        Chart("Throughput", "Response tokens per second.", (Series("tokens_per_s", "tokens/s"),)),
        Chart(
            "Padding",
            "Share of the positions that went through the model in training without a token.",
            (Series("padding_share", "padding"),),
            "share",
        ),
    ),
)
SECTIONS: Final = (LEARNING, RESPONSES, POLICY, SPEED)
