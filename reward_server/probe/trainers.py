"""The trainers that the probe can be: their wire, their patience, and what they do about a failure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from reward_server.probe.wires import NATIVE, NEMO_GYM, OPENRLHF, SLIME, Wire


@dataclass(frozen=True, slots=True)
class Trainer:
    """One trainer, in the words of its users."""

    title: str
    wire: Wire
    timeout_s: float | None
    """What its client waits for a reply; None: without end."""
    on_failure: str
    answer_from: str
    """Where it takes the reference answer from."""
    other_mode: str = ""
    """Which of its requests take another route, and how to probe that one."""

    @property
    def mode(self) -> str:
        """What a request holds."""
        return "whole groups" if self.wire is NATIVE else "single responses, which the server joins into groups"


JOINED: Final = replace(OPENRLHF, key_in_url=False)
"""Adapters that see one response at a time use OpenRLHF's route, with the key in a header."""


def through_adapter(
    title: str, module: str, wire: Wire, on_failure: str, answer_from: str, other_mode: str = ""
) -> Trainer:
    """A trainer whose adapter does the talking."""
    name = f"{title} (through sgpo_client.adapters.{module})"
    return Trainer(name, wire, 120.0, on_failure, answer_from, other_mode)


COLUMN: Final = "the data set's column with the reference answer"
SERVERS_RULE: Final = 'The server\'s [dialects.openrlhf] on_unscored decides; while it is "error" the run stops.'
OUTCOME: Final = "The whole group falls back to outcome rewards, and sgpo_fallback is 1."
TRAINERS: Final = {
    "native": Trainer(
        "the native client",
        NATIVE,
        120.0,
        "sgpo_client gives reward None with the error; the response must leave its group's baseline.",
        "reference_answer of the group",
    ),
    "openrlhf": Trainer(
        "OpenRLHF",
        OPENRLHF,
        180.0,
        "OpenRLHF tries 5 times, 1 s apart; then the sample has no reward and training stops.",
        "the column that --data.label_key names",
    ),
    "slime": Trainer(
        "slime (remote_rm)",
        SLIME,
        120.0,
        "slime tries 10 times with growing pauses; then the rollout stops.",
        "the column that --label-key names",
        "the adapter without --group-rm, which goes through /v1/openrlhf: --dialect slime_adapter",
    ),
    "nemo_gym": Trainer(
        "NeMo-Gym",
        NEMO_GYM,
        None,
        "NeMo-Gym keeps such a rollout out of its results; another status than 200 ends the rollout.",
        "the task's field expected_answer (or answer)",
    ),
    "trl": through_adapter("TRL", "trl", NATIVE, "TRL leaves a reward None out of the group's mean.", COLUMN),
    "verl": through_adapter(
        "verl",
        "verl",
        JOINED,
        "The reward manager raises, so that the trajectory is missing.",
        "reward_model.ground_truth",
    ),
    "ms_swift": through_adapter("ms-swift", "ms_swift", NATIVE, OUTCOME, COLUMN),
    "verifiers": through_adapter(
        "verifiers and prime-rl",
        "verifiers",
        JOINED,
        "The reward raises, which takes the trace out of its group.",
        COLUMN,
    ),
    "roll": through_adapter(
        "ROLL",
        "roll",
        NATIVE,
        OUTCOME,
        "ground_truth of the row",
        "rows that come alone (is_num_return_sequences_expand: true): --dialect roll_joined",
    ),
    "roll_joined": through_adapter(
        "ROLL",
        "roll",
        JOINED,
        SERVERS_RULE,
        "ground_truth of the row",
        "whole groups (is_num_return_sequences_expand: false): --dialect roll",
    ),
    "slime_adapter": through_adapter(
        "slime",
        "slime",
        JOINED,
        SERVERS_RULE,
        "the column that --label-key names",
        "whole groups (--group-rm), which go through /v1/rewards: --dialect native; remote_rm: --dialect slime",
    ),
    "skyrl": through_adapter(
        "SkyRL",
        "skyrl",
        JOINED,
        "The environment's step raises and the run stops.",
        "reward_spec.ground_truth of the row",
    ),
    "nemo_rl": through_adapter(
        "NeMo-RL",
        "nemo_rl",
        NATIVE,
        OUTCOME,
        "ground_truth of extra_env_info",
        "samples of asynchronous rollouts, which come alone: --dialect nemo_rl_joined",
    ),
    "nemo_rl_joined": through_adapter(
        "NeMo-RL",
        "nemo_rl",
        JOINED,
        SERVERS_RULE,
        "ground_truth of extra_env_info",
        "batches of synchronous rollouts: --dialect nemo_rl",
    ),
    "areal": through_adapter("AReaL", "areal", JOINED, "The trajectory is rejected and not trained on.", COLUMN),
}
