"""SGPO rewards in verl: a reward manager that its reward loop loads by import path.

    reward.reward_manager.source=importlib
    reward.reward_manager.module.path=pkg://sgpo_client.adapters.verl
    reward.reward_manager.name=SgpoRewardManager

verl scores each response by itself as it is finished, in one of several worker processes; the server joins the group by
verl's ``uid``. `SgpoRewardManager` is made when it is first asked for, so that this module imports without verl.
docs/integrations/verl.md has the settings to change, and why.

- Settings come from ``reward.reward_kwargs`` (`AdapterSettings` by name) or the environment.
- A response without a verdict raises, unless the server's ``[dialects.openrlhf] on_unscored`` gives its group outcome
  rewards: verl has no missing reward. Its v1 trainer then drops the trajectory
  or refills the group; its v0 trainer stops.
- A row whose ``extra_info.split`` is not ``train`` gets its correctness: nothing is judged in a validation.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from sgpo_client.adapters.joined import score_joined
from sgpo_client.adapters.samples import Sample, problem_text, reference_text
from sgpo_client.adapters.scores import SampleScore
from sgpo_client.adapters.scoring import score_outcomes
from sgpo_client.adapters.settings import AdapterSettings, Trainer
from sgpo_client.errors import ConfigError

TRAINER: Final = Trainer(
    name="verl",
    reference_hint="verl takes it from the row's reward_model.ground_truth",
    settings_hint="settings are keys of +reward.reward_kwargs or environment variables of every reward worker",
    on_unscored="raise",
)


@dataclass(frozen=True, slots=True)
class Row:
    """What verl knows of one response."""

    prompt: Any
    text: str
    ground_truth: Any
    uid: str | None
    is_training: bool = True


class SgpoScorer:
    """The part of the reward manager that needs no verl.

    Args:
        given: `AdapterSettings` by name.
        group_size: verl's ``actor_rollout_ref.rollout.n``.

    Raises:
        ConfigError: a setting is wrong; ``none`` is one, since verl has no missing reward.
    """

    def __init__(self, given: Mapping[str, Any], group_size: int | None) -> None:
        self._settings = AdapterSettings.load(TRAINER, **{"group_size": group_size} | dict(given))
        if self._settings.on_unscored == "none":
            raise ConfigError(
                "verl: on_unscored = 'none': verl has no missing reward; set it to 'raise'. For outcome rewards "
                'instead set [dialects.openrlhf] on_unscored = "outcome" on the server, which joins the groups'
            )

    async def score(self, row: Row) -> dict[str, Any]:
        """``reward_score`` and ``reward_extra_info``, as verl reads them; the same keys for every response.

        Raises:
            ConfigError, DataError, RewardError: as `score_joined`.
        """
        sample = Sample(
            problem=problem_text(row.prompt, "verl: raw_prompt"),
            text=row.text,
            reference_answer=reference_text(row.ground_truth, "verl: reward_model.ground_truth"),
            uid=row.uid,
        )
        if row.is_training and row.uid is None:
            raise ConfigError(
                "verl: a training row without uid: the server cannot tell which responses belong together"
            )
        score = await (self._train_score(sample) if row.is_training else self._validation_score(sample))
        assert score.reward is not None, "no policy of verl's leaves a reward out"
        return {"reward_score": score.reward, "reward_extra_info": {"score": score.reward} | score.numbers()}

    async def _train_score(self, sample: Sample) -> SampleScore:
        return await score_joined(
            sample, self._settings, TRAINER, group_size=self._settings.group_size, member_id=uuid.uuid4().hex
        )

    async def _validation_score(self, sample: Sample) -> SampleScore:
        [score] = await score_outcomes([sample], self._settings, TRAINER)
        return score


def reward_row(fields: Mapping[str, Any], text: str) -> Row:
    """A row from ``DataProto.non_tensor_batch`` of one item.

    Raises:
        ConfigError: verl did not hand over the messages.
    """
    if "raw_prompt" not in fields:
        raise ConfigError("verl: the row has no raw_prompt; set data.return_raw_chat=True")
    extra, reward_model = fields.get("extra_info") or {}, fields.get("reward_model") or {}
    return Row(
        prompt=list(fields["raw_prompt"]),
        text=text,
        ground_truth=reward_model.get("ground_truth"),
        uid=None if fields.get("uid") is None else str(fields["uid"]),
        is_training=extra.get("split", "train") == "train",
    )


def _make_manager() -> type:
    """`SgpoRewardManager`, on verl's base class."""
    base: Any = import_module("verl.experimental.reward_loop.reward_manager.base").RewardManagerBase

    class SgpoRewardManager(base):  # type: ignore[misc]
        """verl's reward manager that asks an SGPO reward server; verl's own reward model means nothing here."""

        def __init__(
            self,
            config: Any,
            tokenizer: Any,
            compute_score: Any,
            **_: Any,
        ) -> None:
            super().__init__(config, tokenizer, compute_score)
            self._scorer = SgpoScorer(config.reward.get("reward_kwargs") or {}, config.actor_rollout_ref.rollout.n)

        async def run_single(self, data: Any) -> dict[str, Any]:
            """Score the last sequence of one trajectory."""
            item = data[-1:][0]
            responses = item.batch["responses"]
            length = int(item.batch["attention_mask"][-responses.shape[-1] :].sum())
            text = await asyncio.to_thread(self.tokenizer.decode, responses[:length], skip_special_tokens=True)
            return await self._scorer.score(reward_row(item.non_tensor_batch, text))

    return SgpoRewardManager


def __getattr__(name: str) -> Any:
    if name == "SgpoRewardManager":
        globals()[name] = _make_manager()
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
