"""SGPO rewards in SkyRL: an environment of one turn, and the hook that tells it its group.

    register(id="sgpo", entry_point="sgpo_client.adapters.skyrl:SgpoEnv")     # of skyrl_gym.envs, in the entrypoint

``SgpoEnv`` is made when it is first asked for, so that this module imports without SkyRL. SkyRL steps one sample at a
time, so the server joins the groups. An environment is not told which group it belongs to: let the generator's
``_setup_env_extras`` return `with_group`. docs/integrations/skyrl.md has all lines.

- ``extras["reward_spec"]["ground_truth"]`` is the reference answer, and ``extras["sgpo_eval"]`` true marks a row of an
  evaluation: its reward is its correctness, and no judge is asked.
- SkyRL knows no missing reward: without a verdict ``step`` raises, unless the server falls back for the whole group.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from sgpo_client.adapters.joined import score_joined
from sgpo_client.adapters.samples import Sample, problem_text, reference_text
from sgpo_client.adapters.scores import SampleScore
from sgpo_client.adapters.scoring import blocking, score_outcomes
from sgpo_client.adapters.settings import AdapterSettings, Trainer
from sgpo_client.errors import ConfigError

TRAINER: Final = Trainer(
    name="SkyRL",
    reference_hint="SkyRL takes it from reward_spec.ground_truth of the data set's row",
    settings_hint="set it in the environment of every Ray worker",
    on_unscored="raise",
)
GROUP, MEMBER, SIZE, EVAL = "sgpo_group", "sgpo_member", "sgpo_group_size", "sgpo_eval"
"""Keys of an environment's extras."""


def with_group(extras: Mapping[str, Any], trajectory_id: Any, group_size: int | None = None) -> dict[str, Any]:
    """The extras of an environment with its group in them.

    Args:
        extras: of the data set's row.
        trajectory_id: SkyRL's, with ``instance_id`` (the row) and ``repetition_id`` (0 .. n - 1); None changes nothing.
        group_size: the generator's ``n_samples_per_prompt``; None leaves it to the settings.
    """
    if trajectory_id is None:
        return dict(extras)
    # A repetition of the next epoch is another member: its name must not be that of this one.
    member = f"{trajectory_id.repetition_id}:{uuid.uuid4().hex}"
    return dict(extras) | {GROUP: str(trajectory_id.instance_id), MEMBER: member, SIZE: group_size}


class Scoring:
    """What `SgpoEnv` does, without SkyRL."""

    def __init__(self, env_config: Any = None, extras: Mapping[str, Any] | None = None) -> None:
        given = {name: _get(env_config, name) for name in AdapterSettings.model_fields}
        self.settings = AdapterSettings.load(TRAINER, **given)
        self.extras = dict(extras or {})
        self.prompt: Any = None
        self.score: SampleScore | None = None

    def reward(self, action: str) -> float:
        """The reward of the response. Raises as `score_joined`."""
        sample = self._sample(action)
        if self.extras.get(EVAL):
            [self.score] = blocking(score_outcomes([sample], self.settings, TRAINER))
        else:
            size = self.extras.get(SIZE) or self.settings.group_size
            member = self.extras.get(MEMBER) or uuid.uuid4().hex
            if size is None:
                raise ConfigError(
                    "SkyRL: the group's size is not known, and without it nobody can tell an all-negative group; give "
                    "with_group generator.n_samples_per_prompt, or set SGPO_GROUP_SIZE to it"
                )
            work = score_joined(sample, self.settings, TRAINER, group_size=size, member_id=member)
            self.score = blocking(work)
        if self.score.reward is None:
            raise ConfigError("SkyRL: on_unscored = 'none' cannot be: SkyRL has no missing reward; set it to 'raise'")
        return self.score.reward

    def _sample(self, action: str) -> Sample:
        spec = self.extras.get("reward_spec") or {}
        group = self.extras.get(GROUP)
        return Sample(
            problem=problem_text(self.prompt, "SkyRL: prompt"),
            text=action,
            reference_answer=reference_text(_get(spec, "ground_truth"), "SkyRL: reward_spec.ground_truth"),
            uid=None if group is None else str(group),
        )


def _get(table: Any, name: str) -> Any:
    """A value of a mapping (OmegaConf's too) or an object; None where there is none."""
    return table.get(name) if hasattr(table, "get") else getattr(table, name, None)


def _environment() -> type:
    base: Any = import_module("skyrl_gym.envs.base_text_env").BaseTextEnv

    class SgpoEnv(base):  # type: ignore[misc]
        """One turn: the response is scored, and the episode ends."""

        def __init__(self, env_config: Any = None, extras: Mapping[str, Any] | None = None) -> None:
            super().__init__()
            self.scoring = Scoring(env_config, extras)

        def init(self, prompt: Any) -> tuple[Any, dict[str, Any]]:
            self.scoring.prompt = prompt
            return prompt, {}

        def step(self, action: str) -> dict[str, Any]:
            reward = self.scoring.reward(action)
            return {"observations": [], "reward": reward, "done": True, "metadata": self.get_metrics()}

        def get_metrics(self) -> dict[str, float]:
            # SkyRL averages each over the episodes that have it.
            return {} if self.scoring.score is None else self.scoring.score.known()

    SgpoEnv.__module__, SgpoEnv.__qualname__ = __name__, "SgpoEnv"
    return SgpoEnv


def __getattr__(name: str) -> Any:
    if name != "SgpoEnv":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return globals().setdefault(name, _environment())
