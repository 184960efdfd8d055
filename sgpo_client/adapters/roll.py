"""SGPO rewards in ROLL: a reward worker.

    rewards: {math: {worker_cls: sgpo_client.adapters.roll.SgpoRewardWorker, ...}}

``SgpoRewardWorker`` is made when it is first asked for, so that this module imports without ROLL. With
``is_num_return_sequences_expand: false`` a call holds a whole group, be it of one row (a validation's); with ``true``
rows come alone, and the server joins them with their siblings. docs/integrations/roll.md has all lines.

- ``scores`` is the correctness (ROLL's masks compare it with 0 and 1), ``response_level_rewards`` the SGPO reward.
- ROLL knows no missing reward: the whole group of a response without a verdict falls back to outcome rewards, and the
  metric ``reward/sgpo_fallback`` says so. Of joined rows the server's ``[dialects.openrlhf] on_unscored`` decides.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from sgpo_client.adapters.joined import score_joined
from sgpo_client.adapters.samples import Sample, check_text_only, problem_text, reference_text
from sgpo_client.adapters.scores import SampleScore, means
from sgpo_client.adapters.scoring import blocking, score_samples
from sgpo_client.adapters.settings import AdapterSettings, Trainer
from sgpo_client.adapters.templates import untemplated
from sgpo_client.errors import ConfigError

TRAINER: Final = Trainer(
    name="ROLL",
    reference_hint="ROLL takes it from the column ground_truth of the data set",
    settings_hint="set it in system_envs of the reward worker's table under rewards",
    on_unscored="outcome",
)
TOKENS: Final = "prompt_token_ids"


class Rewarder:
    """What `SgpoRewardWorker` does, without ROLL and torch.

    Args:
        group_size: the pipeline's ``num_return_sequences_in_group``, where no setting says it.
        rows_alone: its ``is_num_return_sequences_expand``: a call of one row is one of a group's, not a group of one.
        given: `AdapterSettings` by name.

    Raises:
        ConfigError: a setting is wrong; ``on_unscored`` ``none`` is one, since ROLL has no missing reward.
    """

    def __init__(self, group_size: int | None = None, *, rows_alone: bool = True, **given: Any) -> None:
        self.settings = AdapterSettings.load(TRAINER, **given)
        if self.settings.on_unscored == "none":
            raise ConfigError("ROLL: on_unscored = 'none': ROLL has no missing reward; set it to 'outcome' or 'raise'")
        self.group_size = self.settings.group_size or group_size
        self.rows_alone = rows_alone

    def score(
        self, columns: Mapping[str, Sequence[Any]], prompts: Sequence[str], texts: list[str]
    ) -> list[SampleScore]:
        """The scores of a batch, in order.

        Args:
            columns: ROLL's ``non_tensor_batch``: ``id`` and ``ground_truth``, perhaps ``prompt``, without images.
            prompts: [B] decoded, for batches without a column ``prompt``.
            texts: [B] decoded responses.

        Raises:
            ConfigError, DataError, RewardError: the pipeline stops with it.
        """
        check_text_only({"multi_modal_data": _media(columns)}, ("multi_modal_data",), TRAINER.name)
        samples = self._samples(columns, prompts, texts)
        if self.rows_alone and len(samples) == 1 and (self.group_size or 1) > 1:
            member = uuid.uuid4().hex
            work = score_joined(samples[0], self.settings, TRAINER, group_size=self.group_size, member_id=member)
            return [blocking(work)]
        return blocking(score_samples(samples, self.settings, TRAINER))

    @staticmethod
    def _samples(columns: Mapping[str, Sequence[Any]], prompts: Sequence[str], texts: Sequence[str]) -> list[Sample]:
        problems = columns.get("prompt", prompts)
        answers = columns.get("ground_truth", [None] * len(texts))
        names = columns.get("id", [None] * len(texts))
        return [
            Sample(
                problem=untemplated(problem_text(problem, f"ROLL: prompt[{index}]")),
                text=text,
                reference_answer=reference_text(answer, f"ROLL: ground_truth[{index}]"),
                uid=None if name is None else str(name),
            )
            for index, (problem, text, answer, name) in enumerate(zip(problems, texts, answers, names, strict=True))
        ]


def _media(columns: Mapping[str, Sequence[Any]]) -> list[Any]:
    """[B] images and the like; ROLL keeps a prompt's token ids beside them, in rows that hold text alone, too."""
    rows = columns.get("multi_modal_data", ())
    return [each.get("multi_modal_data") if isinstance(each, Mapping) and TOKENS in each else each for each in rows]


def metrics_of(scores: Sequence[SampleScore]) -> dict[str, float]:
    """The `means` over a batch, under ``reward/``."""
    return {f"reward/{name}": mean for name, mean in means(scores).items()}


def _worker() -> type:
    import torch

    decorator = import_module("roll.distributed.scheduler.decorator")
    protocol = import_module("roll.distributed.scheduler.protocol")
    providers = import_module("roll.models.model_providers")
    base: Any = import_module("roll.distributed.executor.worker").Worker
    to_all: Any = decorator.register(dispatch_mode=decorator.Dispatch.ONE_TO_ALL)
    compute: Any = decorator.register(dispatch_mode=decorator.Dispatch.DP_MP_COMPUTE, clear_cache=False)

    class SgpoRewardWorker(base):  # type: ignore[misc]
        """Scores the rows of a batch over HTTP."""

        def __init__(self, worker_config: Any) -> None:
            super().__init__(worker_config=worker_config)
            self.rank_info.dp_rank = self.rank_info.rank
            self.rank_info.dp_size = self.rank_info.world_size
            self.tokenizer = providers.default_tokenizer_provider(model_args=self.worker_config.model_args)
            self.rewarder = Rewarder()

        @to_all  # type: ignore[untyped-decorator]
        def initialize(self, pipeline_config: Any) -> None:
            self.rewarder = Rewarder(
                getattr(pipeline_config, "num_return_sequences_in_group", None),
                # Where ROLL does not say: joined, since a row of many that is scored by itself would be paid wrongly.
                rows_alone=bool(getattr(pipeline_config, "is_num_return_sequences_expand", True)),
            )

        @compute  # type: ignore[untyped-decorator]
        def compute_rewards(self, data: Any) -> Any:
            responses = data.batch["responses"]
            texts = self.tokenizer.batch_decode(responses, skip_special_tokens=True)
            prompts = self.tokenizer.batch_decode(data.batch["prompts"], skip_special_tokens=False)
            scores = self.rewarder.score(data.non_tensor_batch, prompts, texts)
            tensors = {
                "token_level_rewards": torch.zeros_like(responses, dtype=torch.float16),
                "response_level_rewards": torch.tensor([each.reward for each in scores], dtype=torch.float16),
                "scores": torch.tensor([float(each.acc or 0) for each in scores], dtype=torch.float16),
            }
            return protocol.DataProto.from_dict(tensors=tensors, meta_info={"metrics": metrics_of(scores)})

    SgpoRewardWorker.__module__, SgpoRewardWorker.__qualname__ = __name__, "SgpoRewardWorker"
    return SgpoRewardWorker


def __getattr__(name: str) -> Any:
    if name != "SgpoRewardWorker":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return globals().setdefault(name, _worker())
