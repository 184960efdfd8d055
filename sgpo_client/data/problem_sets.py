"""The problems of a run, read and filtered: to train on, recorded ones included, and held out."""

from __future__ import annotations

from dataclasses import dataclass

from sgpo_client.config import TrainConfig
from sgpo_client.data.order import load_problems
from sgpo_client.data.recorded import RecordedGroup
from sgpo_client.errors import DataError
from sgpo_client.offline import load_offline
from sgpo_client.rollout.prompt import PromptBuilder
from sgpo_client.types import Problem


@dataclass(frozen=True, slots=True)
class ProblemSets:
    """What is left once over-long prompts are out."""

    train: list[Problem]
    held_out: list[Problem]
    num_too_long: int
    recorded: list[RecordedGroup]
    """[train] of an offline run; empty otherwise."""

    @property
    def counts(self) -> dict[str, int]:
        """For people."""
        return {"training": len(self.train), "held_out": len(self.held_out), "prompt_too_long": self.num_too_long}


def load_problem_sets(config: TrainConfig, prompts: PromptBuilder) -> ProblemSets:
    """Read the problems; those with a prompt of more than ``rollout.max_prompt_tokens`` are counted and left out.

    Raises:
        DataError: when no training problem is left.
    """
    evaluated = config.eval.enabled and config.data.num_eval_problems > 0
    all_held_out = load_problems(config.data, "eval") if evaluated else []
    held_out = prompts.drop_too_long(all_held_out)
    if config.offline.path is not None:
        recorded = load_offline(config, prompts, held_out)
        return ProblemSets([group.problem for group in recorded], held_out, len(all_held_out) - len(held_out), recorded)
    every = load_problems(config.data, "train")
    train = prompts.drop_too_long(every)
    if not train:
        raise DataError(f"every prompt is longer than rollout.max_prompt_tokens = {config.rollout.max_prompt_tokens}")
    return ProblemSets(train, held_out, len(every) + len(all_held_out) - len(train) - len(held_out), [])
