"""SGPO rewards in slime (and miles): ``--custom-rm-path sgpo_client.adapters.slime.custom_rm``.

With ``--group-rm`` slime hands over a whole group, which goes to the server in one request, but cannot evaluate.
Without it, it hands over one sample at a time, and the server joins the group. docs/integrations/slime.md has the
settings to change.

- The reward is a number, or with ``--reward-key`` an object with the reward under that key and `NUMBERS` beside it.
- ``sample.metadata["sgpo"]`` holds `NUMBERS` in both cases.
- Slime has no reward None. In a whole group, a response without a verdict gets ``remove_sample = True``, which takes it
  out of the loss, and the mean reward of its group's others, which leaves their baseline alone. One that comes alone
  has no others at hand: it stops the run.
- A sample without ``group_index`` is one of an evaluation: its reward is its correctness, and no judge is asked.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

from sgpo_client.adapters.joined import score_joined
from sgpo_client.adapters.samples import Sample, problem_text, reference_text
from sgpo_client.adapters.scores import SampleScore, quantised
from sgpo_client.adapters.scoring import score_outcomes, score_samples
from sgpo_client.adapters.settings import AdapterSettings, Trainer
from sgpo_client.adapters.templates import untemplated
from sgpo_client.errors import ConfigError, DataError

TRAINER: Final = Trainer(
    name="slime",
    reference_hint="slime takes it from the column that --label-key names",
    settings_hint="set it in the environment of the rollout process (runtime_env env_vars of the Ray job)",
)
Reward = float | dict[str, float]


async def custom_rm(args: Any, samples: Any, **_: Any) -> Any:
    """The reward of a sample, or the rewards of a list of samples in its order.

    Args:
        args: slime's; ``n_samples_per_prompt`` and ``reward_key`` are read.
        samples: slime's ``Sample`` or a list of them; ``remove_sample`` and ``metadata`` are written.

    Raises:
        ConfigError, DataError, RewardError: slime stops with the message.
    """
    settings = AdapterSettings.load(TRAINER)
    if not isinstance(samples, list):
        [reward] = await _rewards(args, [samples], settings, whole=False)
        return reward
    if not samples:
        return []
    whole = bool(getattr(args, "group_rm", False))
    if any(isinstance(each, list) for each in samples) or (len(samples) > 1 and not whole):
        raise ConfigError(
            "slime: one rollout came back as several samples (a multi-turn custom generate function); the judge reads "
            "one worked solution, so reward such rollouts with another function"
        )
    return await _rewards(args, samples, settings, whole=whole)


async def _rewards(args: Any, given: Sequence[Any], settings: AdapterSettings, *, whole: bool) -> list[Reward]:
    samples = [_sample(each) for each in given]
    if any(sample.uid is None for sample in samples):
        scores = await score_outcomes(samples, settings, TRAINER)
    elif whole:
        scores = await score_samples(samples, settings, TRAINER)
    else:
        size = settings.group_size or args.n_samples_per_prompt
        # Never slime's own index: a resumed run counts again, and would be taken for a retry.
        member = uuid.uuid4().hex
        # Its siblings' baseline would hold whatever it got instead of a reward.
        strict = settings.model_copy(update={"on_unscored": "raise"})
        scores = [await score_joined(samples[0], strict, TRAINER, group_size=size, member_id=member)]
    rewards = _filled(samples, scores)
    return [_told(args, *each) for each in zip(given, scores, rewards, strict=True)]


def _sample(source: Any) -> Sample:
    where = f"slime: sample {source.index}"
    metadata = source.metadata if isinstance(source.metadata, dict) else {}
    if source.multimodal_inputs:
        raise DataError(f"{where}: holds images; the judge reads text only. Leave such rows out")
    problem = metadata.get("problem") or source.prompt
    return Sample(
        problem=untemplated(problem_text(problem, f"{where}: prompt")),
        text=source.response,
        reference_answer=reference_text(source.label, f"{where}: label"),
        reference_solution=metadata.get("reference_solution"),
        uid=None if source.group_index is None else str(source.group_index),
    )


def _filled(samples: Sequence[Sample], scores: Sequence[SampleScore]) -> list[float]:
    """The rewards, the mean of the group's others where there is none."""
    known: dict[str | None, list[float]] = {}
    for sample, score in zip(samples, scores, strict=True):
        if score.reward is not None:
            known.setdefault(sample.uid, []).append(score.reward)
    means = {uid: quantised(sum(rewards) / len(rewards)) for uid, rewards in known.items()}
    return [
        means.get(sample.uid, 0.0) if score.reward is None else score.reward
        for sample, score in zip(samples, scores, strict=True)
    ]


def _told(args: Any, source: Any, score: SampleScore, reward: float) -> Reward:
    if score.reward is None:
        source.remove_sample = True
    if isinstance(source.metadata, dict):
        source.metadata["sgpo"] = score.numbers()
    key = getattr(args, "reward_key", None)
    return score.numbers() | {key: reward} if key else reward
