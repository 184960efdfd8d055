"""SGPO rewards in ms-swift's GRPO: three reward classes for a plug-in file.

    # sgpo_plugin.py, for --external_plugins sgpo_plugin.py
    from swift.rewards import orms
    from sgpo_client.adapters.ms_swift import sgpo_orms

    orms.update(sgpo_orms(answer_column="solution"))

with ``--reward_funcs sgpo sgpo_accuracy sgpo_fallback --reward_weights 1 0 0``.

ms-swift takes a response for 0 when no function gives it a reward, and keeps it in its group's baseline. A group with a
missing verdict therefore falls back to outcome rewards as a whole, and ``sgpo_fallback`` is 1 for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sgpo_client.adapters.samples import Sample, check_text_only, problem_text, reference_text, response_text
from sgpo_client.adapters.scores import SampleScore
from sgpo_client.adapters.settings import AdapterSettings, Trainer
from sgpo_client.adapters.shared import SharedScores, column

TRAINER: Final = Trainer(
    name="ms-swift",
    reference_hint=(
        "ms-swift hands data set columns on by name: name the column with sgpo_orms(answer_column=...), and keep it "
        "with --remove_unused_columns false"
    ),
    settings_hint="settings are arguments of sgpo_orms or environment variables of every rank",
    on_unscored="outcome",
)
MEDIA: Final = ("images", "videos", "audios", "tools")
"""Columns in which ms-swift keeps what is no text; the messages only mark the places."""
Pick = Callable[[SampleScore], float | None]


def sgpo_orms(*, answer_column: str = "solution", **given: Any) -> dict[str, type]:
    """Reward classes by the names that ``--reward_funcs`` takes; they share one request for each batch.

    Args:
        answer_column: the data set's column with the reference answer.
        given: `AdapterSettings` by name; what is missing comes from the environment.

    Returns ``sgpo`` (SGPO reward), ``sgpo_accuracy`` (1 for a right answer, else 0) and ``sgpo_fallback`` (1 where the
    group has outcome rewards because a verdict was missing).

    Raises:
        ConfigError: a setting is wrong.
    """
    shared = SharedScores(AdapterSettings.load(TRAINER, **given), TRAINER)
    picks: dict[str, Pick] = {
        "sgpo": lambda score: score.reward,
        "sgpo_accuracy": lambda score: None if score.reward is None else float(score.acc or 0),
        "sgpo_fallback": lambda score: None if score.reward is None else float(score.fallback),
    }
    return {name: _orm(name, pick, shared, answer_column) for name, pick in picks.items()}


def _orm(name: str, pick: Pick, shared: SharedScores, answer_column: str) -> type:
    """A class that ms-swift takes for an ``AsyncORM``: it looks for an async ``__call__`` and names curves by class."""

    class Orm:
        def __init__(self, args: Any = None, **_: Any) -> None:
            self.args = args

        async def __call__(self, completions: Sequence[str], **columns: Any) -> list[float | None]:
            scores = await shared.scores(name, completions, lambda: read(completions, columns, answer_column))
            return [pick(score) for score in scores]

    Orm.__name__ = Orm.__qualname__ = name
    return Orm


def read(completions: Sequence[str], columns: dict[str, Any], answer_column: str) -> list[Sample]:
    """A batch as samples.

    Args:
        completions: the responses.
        columns: ms-swift's, among them ``messages`` with the response at the end, and ``prompt_id``, which is the same
            for equal prompts over all ranks.
        answer_column: holds the reference answers.

    Raises:
        ConfigError, DataError: the column is missing; a row holds images, videos, audio or tools.
    """
    check_text_only(columns, MEDIA, TRAINER.name)
    answers = column(columns, answer_column, TRAINER)
    chats = column(columns, "messages", TRAINER)
    names = columns.get("prompt_id") or [None] * len(completions)
    return [
        Sample(
            problem=problem_text(chat[:-1], f"ms-swift: messages[{index}]"),
            text=response_text(completion, f"ms-swift: completions[{index}]"),
            reference_answer=reference_text(answer, f"ms-swift: {answer_column}[{index}]"),
            uid=name,
        )
        for index, (completion, chat, answer, name) in enumerate(zip(completions, chats, answers, names, strict=True))
    ]
