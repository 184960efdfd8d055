"""Training on recorded responses: rewards asked for once, and the groups of each step.

The policy that the responses came from is taken to be the one that the run begins with: its log-probabilities are the
centre of the clipping range all along, so several epochs cannot take the policy far from what the responses can tell.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Final

from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from sgpo_client.config import TrainConfig
from sgpo_client.data.order import ProblemSampler
from sgpo_client.data.problems import text_key
from sgpo_client.data.recorded import RecordedGroup, load_recorded, read_groups, recorded_scores
from sgpo_client.data.recorded_rows import RecordedResponse
from sgpo_client.errors import DataError
from sgpo_client.log.metrics import read_json_lines
from sgpo_client.log.samples import append_rows, group_rows
from sgpo_client.ranks.agreement import together
from sgpo_client.ranks.distributed import World, all_gather_objects, broadcast_object
from sgpo_client.reward_client import RewardClient
from sgpo_client.rollout.prompt import PromptBuilder
from sgpo_client.scoring import score_groups
from sgpo_client.types import Example, Problem, Rollout, ScoredGroup
from sgpo_client.update import PolicyUpdater
from sgpo_client.wire import ResponseScore

logger = logging.getLogger(__name__)

STORE: Final = "offline.jsonl"
"""In the run folder: responses with the rewards that were asked for; `[offline] path` of a later run may be this."""
GROUPS_PER_CALL: Final = 8
"""Of each rank: what a kill loses."""


class OfflineGroups:
    """The scored groups of a run, in the order of its steps.

    Args:
        groups: all of them, with `Rollout.logprobs` of the policy that the run begins with.
        seed: of their order.
    """

    def __init__(self, groups: Sequence[ScoredGroup], seed: int) -> None:
        self._groups = {group.problem.id: group for group in groups}
        self._order = ProblemSampler([group.problem for group in groups], seed)

    def batch(self, step: int, batch_size: int, world: World) -> list[ScoredGroup]:
        """This rank's groups of a step, counted from 0; every epoch goes through all groups once."""
        problems = self._order.batch(step, batch_size)[world.rank :: world.size]
        return [self._groups[problem.id] for problem in problems]


def load_offline(config: TrainConfig, prompts: PromptBuilder, held_out: Sequence[Problem]) -> list[RecordedGroup]:
    """The recorded groups that can be trained on: not evaluation problems, with a prompt that fits.

    Raises:
        DataError: when nothing is left.
    """
    groups = load_recorded(config.offline)
    kept_out = {text_key(problem) for problem in held_out}
    kept = [group for group in groups if text_key(group.problem) not in kept_out]
    if len(kept) < len(groups):
        logger.warning("offline.path: %d problems left out: they are evaluation problems", len(groups) - len(kept))
    fitting = {problem.id for problem in prompts.drop_too_long([group.problem for group in kept])}
    kept = [group for group in kept if group.problem.id in fitting]
    if not kept:
        raise DataError(
            "offline.path: every problem is an evaluation problem, or has a prompt longer than "
            f"rollout.max_prompt_tokens = {config.rollout.max_prompt_tokens}"
        )
    return kept


def scored_offline(
    groups: Sequence[RecordedGroup],
    rollouts: Sequence[list[Rollout]],
    client: RewardClient,
    config: TrainConfig,
    folder: Path,
    world: World,
) -> list[ScoredGroup]:
    """Every group with its scores; what the file does not say is asked of the server once and kept in the run folder.

    Every rank calls it and gets all groups.

    Args:
        groups: recorded.
        rollouts: [groups][G] the responses as tokens.
        client: of the reward server.
        config: of the run.
        folder: of the run.
        world: of this rank.

    Raises:
        RewardError: when the server stays away. What it had said is kept: `run.resume` goes on from there.
    """
    scores = _known_scores(groups, config, folder, world)
    missing = [index for index in range(len(groups)) if index not in scores]
    if missing:
        logger.info("rewards of %d of %d recorded groups are asked for", len(missing), len(groups))
    size = GROUPS_PER_CALL * world.size
    with tqdm(total=len(missing), desc="judging", unit="group", disable=None if world.is_main else True) as bar:
        for start in range(0, len(missing), size):
            chunk = missing[start : start + size]
            asked = [(groups[index].problem, rollouts[index]) for index in chunk[world.rank :: world.size]]
            ask = partial(score_groups, client, asked, config.shaping, config.reward.deadline_s)
            answers = all_gather_objects(together(ask))
            for position, index in enumerate(chunk):
                group = answers[position % world.size][position // world.size]
                scores[index] = group.scores
                if world.is_main:
                    append_rows(folder / STORE, list(group_rows(0, group, [0.0] * len(group.scores))))
            bar.update(len(chunk))
    return [
        ScoredGroup(group.problem, rollouts[index], scores[index], all(score.acc == 0 for score in scores[index]))
        for index, group in enumerate(groups)
    ]


def _known_scores(
    groups: Sequence[RecordedGroup], config: TrainConfig, folder: Path, world: World
) -> dict[int, list[ResponseScore]]:
    """Scores by the index of the group, as far as the responses' file or the interrupted run has them."""
    kept = broadcast_object(together(lambda: _kept(folder / STORE) if world.is_main else {}))
    scores = {}
    for index, group in enumerate(groups):
        candidates = (recorded_scores(each, config.shaping) for each in (group, kept.get(group.key)) if each)
        found = next((each for each in candidates if each is not None), None)
        if found is not None:
            scores[index] = found
    return scores


def _kept(path: Path) -> dict[tuple[str, ...], RecordedGroup]:
    """What the interrupted run has asked for; a group that was not written to its end matches none."""
    if not path.is_file():
        return {}
    rows = [row for _, row in read_json_lines(path)]  # a torn last line goes
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {group.key: group for group in read_groups(path)} if rows else {}


def as_rollouts(
    groups: Sequence[RecordedGroup], prompts: PromptBuilder, tokenizer: PreTrainedTokenizerBase, max_new_tokens: int
) -> list[list[Rollout]]:
    """[groups][G] the responses as tokens, with the end-of-sequence token unless they were cut off.

    A response of more than ``max_new_tokens`` is cut off there; its reward is that of the whole text.
    """

    def rollout(prompt: list[int], response: RecordedResponse) -> Rollout:
        ids = list(tokenizer(response.text, add_special_tokens=False)["input_ids"])
        if not response.truncated:
            ids.append(tokenizer.eos_token_id)
        is_cut = len(ids) > max_new_tokens
        return Rollout(prompt, ids[:max_new_tokens], response.text, response.truncated or is_cut)

    prompt_ids = [prompts.token_ids(group.problem) for group in groups]
    return [
        [rollout(prompt, response) for response in group.responses]
        for prompt, group in zip(prompt_ids, groups, strict=True)
    ]


def with_start_logprobs(groups: Sequence[ScoredGroup], updater: PolicyUpdater, world: World) -> list[ScoredGroup]:
    """The groups with every rollout's log-probabilities under the policy as it is now; all ranks call it."""
    own = groups[world.rank :: world.size]
    examples = [Example(rollout.prompt_ids, rollout.response_ids, [0.0]) for group in own for rollout in group.rollouts]
    found = iter(updater.logprobs(examples))
    mine = [
        replace(
            group,
            rollouts=[
                replace(rollout, logprobs=logprobs)
                for rollout, logprobs in zip(group.rollouts, islice(found, len(group.rollouts)), strict=True)
            ],
        )
        for group in own
    ]
    by_problem = {group.problem.id: group for group in chain.from_iterable(all_gather_objects(mine))}
    return [by_problem[group.problem.id] for group in groups]


def centred_on_start(examples: Sequence[Example]) -> list[Example]:
    """Examples whose clipping range is centred on the policy that the run began with."""
    return [replace(example, old_logprobs=example.sampler_logprobs, sampler_logprobs=None) for example in examples]
