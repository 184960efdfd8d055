"""SGPO rewards in TRL's GRPOTrainer: two async reward functions.

    sgpo_reward, sgpo_accuracy = sgpo_rewards(url="http://127.0.0.1:8100", num_generations=8)
    GRPOTrainer(reward_funcs=[sgpo_reward, sgpo_accuracy],
                args=GRPOConfig(reward_weights=[1.0, 0.0], scale_rewards="none", ...), ...)

TRL hands every rank its part of the batch, which may cut a group; the parts are put together again first, so that each
group is scored once and whole. docs/integrations/trl.md has the settings to change, and why.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from sgpo_client.adapters.samples import Sample, problem_text, reference_text, response_text
from sgpo_client.adapters.scores import SampleScore
from sgpo_client.adapters.settings import AdapterSettings, Trainer
from sgpo_client.adapters.shared import SharedScores, column

TRAINER: Final = Trainer(
    name="TRL",
    reference_hint=(
        "TRL hands data set columns on by name: name the column with sgpo_rewards(answer_column=...), and leave "
        "remove_unused_columns=False in GRPOConfig"
    ),
    settings_hint="settings are arguments of sgpo_rewards or environment variables of every rank",
)
RewardFunction = Callable[..., Awaitable[list[float | None]]]


class TrlRewards(NamedTuple):
    """The two functions for ``reward_funcs``, with the weights 1 and 0."""

    sgpo_reward: RewardFunction
    """SGPO reward; None for a response without a verdict."""
    sgpo_accuracy: RewardFunction
    """1 for a right answer, else 0; None where `sgpo_reward` is None, since TRL leaves a response out only when every
    function says None."""


def sgpo_rewards(
    *,
    answer_column: str = "answer",
    solution_column: str | None = None,
    num_generations: int | None = None,
    **given: Any,
) -> TrlRewards:
    """Reward functions for one GRPOTrainer.

    Args:
        answer_column: the data set's column with the reference answer.
        solution_column: the one with a reference solution, for judges that read one.
        num_generations: GRPOConfig's. Only needed where the same problem may stand twice in a row in one batch.
        given: `AdapterSettings` by name; what is missing comes from the environment.

    Raises:
        ConfigError: a setting is wrong.
    """
    shared = SharedScores(AdapterSettings.load(TRAINER, group_size=num_generations, **given), TRAINER)

    def read(prompts: Sequence[Any], completions: Sequence[Any], columns: dict[str, Any]) -> list[Sample]:
        answers = column(columns, answer_column, TRAINER)
        solutions = column(columns, solution_column, TRAINER) if solution_column else [None] * len(prompts)
        return [
            Sample(
                problem=problem_text(prompt, f"TRL: prompts[{index}]"),
                text=response_text(completion, f"TRL: completions[{index}]"),
                reference_answer=reference_text(answer, f"TRL: {answer_column}[{index}]"),
                reference_solution=solution,
            )
            for index, (prompt, completion, answer, solution) in enumerate(
                zip(prompts, completions, answers, solutions, strict=True)
            )
        ]

    async def sgpo_reward(
        prompts: Sequence[Any],
        completions: Sequence[Any],
        *,
        log_extra: Any = None,
        log_metric: Any = None,
        **columns: Any,
    ) -> list[float | None]:
        scores = await shared.scores("reward", completions, lambda: read(prompts, completions, columns))
        _log(scores, log_extra, log_metric)
        return [score.reward for score in scores]

    async def sgpo_accuracy(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        scores = await shared.scores("accuracy", completions, lambda: read(prompts, completions, columns))
        return [None if score.reward is None else float(score.acc or 0) for score in scores]

    return TrlRewards(sgpo_reward, sgpo_accuracy)


def _log(scores: Sequence[SampleScore], log_extra: Any, log_metric: Any) -> None:
    """What a user watches: curves, and columns beside the completions; on TRL versions that have them.

    The same names on every rank and every step, whatever the scores are.
    """
    if log_metric is not None and scores:
        log_metric("sgpo/unscored", sum(score.reward is None for score in scores) / len(scores))
        log_metric("sgpo/all_negative", sum(score.all_negative for score in scores) / len(scores))
        log_metric("sgpo/judged", sum(score.judged for score in scores) / len(scores))
        log_metric("sgpo/fallback", sum(score.fallback for score in scores) / len(scores))
    if log_extra is not None:
        log_extra("first_error", [score.first_error for score in scores])
        log_extra("sgpo_error", [score.error for score in scores])
