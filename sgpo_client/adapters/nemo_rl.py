"""SGPO rewards in NeMo-RL: an environment actor.

    register_env("sgpo", "sgpo_client.adapters.nemo_rl.SgpoEnvironment")     # of nemo_rl.environments.utils

``SgpoEnvironment`` is the Ray actor class of `Environment`, made when it is first asked for. A batch of several samples
(synchronous rollouts) holds whole groups, which stand one after the other; a single one (asynchronous rollouts) is
joined with its siblings by the server, and needs ``group_size``. docs/integrations/nemo-rl.md has all lines.

- Metadata (``extra_env_info``): ``ground_truth`` is the reference answer; ``problem`` the problem, else that of the
  user's message, without its chat template; ``sgpo_group`` names the group, where there is such a name; ``sgpo_eval``
  true marks a sample of a validation: its reward is its correctness, and no judge is asked.
- NeMo-RL knows no missing reward: the whole group of a response without a verdict falls back to outcome rewards, and
  the metric ``sgpo_fallback`` says so. Of joined samples the server's ``[dialects.openrlhf] on_unscored`` decides.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sgpo_client.adapters.joined import score_joined
from sgpo_client.adapters.samples import Sample, content_text, problem_text, reference_text
from sgpo_client.adapters.scores import SampleScore, means
from sgpo_client.adapters.scoring import blocking, score_outcomes, score_samples
from sgpo_client.adapters.settings import AdapterSettings, Trainer
from sgpo_client.adapters.templates import untemplated
from sgpo_client.errors import ConfigError

TRAINER: Final = Trainer(
    name="NeMo-RL",
    reference_hint="NeMo-RL takes it from ground_truth of extra_env_info, which the data processor writes",
    settings_hint="set it under env.sgpo of the configuration, or in the environment of the run",
    on_unscored="outcome",
)
MAX_CONCURRENCY: Final = 1024
"""Calls of the actor at a time: with fewer than unfinished samples, siblings would queue behind those who wait for
them."""


class EnvironmentReturn(NamedTuple):
    """The fields of ``nemo_rl.environments.interfaces.EnvironmentReturn``, in their order."""

    observations: list[dict[str, str]]
    metadata: list[Any]
    next_stop_strings: list[None]
    rewards: Any
    """[B] float tensor."""
    terminateds: Any
    """[B] tensor of ones: each episode ends."""
    answers: list[str | None] | None = None


class Environment:
    """Scores a batch in one step. Several threads may call it at the same time.

    Args:
        cfg: ``env.sgpo`` of the configuration: settings of `AdapterSettings` by name.

    Raises:
        ConfigError: a setting is wrong; ``on_unscored`` ``none`` is one, since NeMo-RL has no missing reward.
    """

    def __init__(self, cfg: Mapping[str, Any] | None = None) -> None:
        given = {name: (cfg or {}).get(name) for name in AdapterSettings.model_fields}
        self.settings = AdapterSettings.load(TRAINER, **given)
        if self.settings.on_unscored == "none":
            raise ConfigError(
                "NeMo-RL: on_unscored = 'none': NeMo-RL has no missing reward; set env.sgpo.on_unscored (or "
                "SGPO_ON_UNSCORED) to 'outcome' or 'raise'"
            )
        self._seen: list[SampleScore] = []
        self._lock = threading.Lock()

    def step(self, message_log_batch: Sequence[Sequence[Mapping[str, Any]]], metadata: Sequence[Any]) -> Any:
        """Rewards of a batch.

        Args:
            message_log_batch: [B] the messages of each sample.
            metadata: [B] its ``extra_env_info``.

        Raises:
            ConfigError, DataError, RewardError: the actor's call fails with it, and so does the run.
        """
        import torch

        scores = self._scores(message_log_batch, metadata)
        with self._lock:
            self._seen.extend(scores)
        rewards = torch.tensor([score.reward for score in scores])
        return EnvironmentReturn(
            observations=[{"role": "environment", "content": _words(score)} for score in scores],
            metadata=list(metadata),
            next_stop_strings=[None] * len(scores),
            rewards=rewards,
            terminateds=torch.ones_like(rewards),
        )

    def global_post_process_and_metrics(self, batch: Any) -> tuple[Any, dict[str, float]]:
        """The batch as it is, and the means over the samples since the last call, as `means`."""
        with self._lock:
            seen, self._seen = self._seen, []
        metrics = means(seen)
        return batch, metrics | ({"accuracy": metrics["acc"]} if "acc" in metrics else {})

    def shutdown(self) -> None:
        """Nothing is left open."""

    def _scores(self, batch: Sequence[Sequence[Mapping[str, Any]]], metadata: Sequence[Any]) -> list[SampleScore]:
        tables = [info if isinstance(info, Mapping) else {} for info in metadata]
        samples = [_sample(*each) for each in zip(range(len(batch)), batch, tables, strict=True)]
        if any(table.get("sgpo_eval") for table in tables):
            return blocking(score_outcomes(samples, self.settings, TRAINER))
        size = self.settings.group_size
        if len(samples) == 1 and size is None:
            raise ConfigError(
                "NeMo-RL: a sample came alone (asynchronous rollouts) and the group's size is not known, without which "
                "nobody can tell an all-negative group; set env.sgpo.group_size (or SGPO_GROUP_SIZE) to "
                "grpo.num_generations_per_prompt, and sgpo_eval true in extra_env_info of a validation set"
            )
        if len(samples) == 1 and size != 1:
            member = uuid.uuid4().hex
            return [blocking(score_joined(samples[0], self.settings, TRAINER, group_size=size, member_id=member))]
        return blocking(score_samples(samples, self.settings, TRAINER))


def _sample(index: int, messages: Sequence[Mapping[str, Any]], table: Mapping[str, Any]) -> Sample:
    where = f"NeMo-RL: sample {index}"
    prompt = [message for message in messages if message.get("role") != "assistant"]
    answers = [message.get("content") for message in messages if message.get("role") == "assistant"]
    group = table.get("sgpo_group")
    return Sample(
        problem=table.get("problem") or untemplated(problem_text(prompt, f"{where}: message log")),
        text="\n".join(content_text(each, f"{where}: message log") for each in answers),
        reference_answer=reference_text(table.get("ground_truth"), f"{where}: ground_truth"),
        reference_solution=table.get("reference_solution"),
        uid=None if group is None else str(group),
    )


def _words(score: SampleScore) -> str:
    if score.acc == 1:
        return "Environment: correct"
    if score.first_error is None:
        return "Environment: incorrect"
    return f"Environment: incorrect, the first wrong step is step {score.first_error} (from 0)"


def _actor() -> Any:
    import ray

    remote: Any = ray.remote  # whose types do not know max_concurrency
    return remote(max_restarts=-1, max_task_retries=-1, max_concurrency=MAX_CONCURRENCY)(Environment)


def __getattr__(name: str) -> Any:
    if name != "SgpoEnvironment":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return globals().setdefault(name, _actor())
