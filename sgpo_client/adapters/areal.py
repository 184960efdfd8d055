"""SGPO rewards in AReaL: a rollout workflow that awaits the server, past the 15-second process pool.

    trainer.train(workflow="sgpo_client.adapters.areal.SgpoWorkflow", workflow_kwargs={...},
                  eval_workflow="sgpo_client.adapters.areal.SgpoWorkflow", ...)

``SgpoWorkflow`` is made when it is first asked for, so that this module imports without AReaL. AReaL runs the episodes
of a group one by one, and the server joins them: they share the task id of AReaL's workflow context.

- The row's ``answer`` (``answer_key``) is the reference answer, its ``messages`` the prompt.
- A response without a verdict is a rejected trajectory (None): it is not trained on, and its group is smaller.
- Evaluation episodes get their correctness as reward, and no judge is asked.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from sgpo_client.adapters.joined import score_joined
from sgpo_client.adapters.samples import Sample, problem_text, reference_text
from sgpo_client.adapters.scores import SampleScore
from sgpo_client.adapters.scoring import score_outcomes
from sgpo_client.adapters.settings import AdapterSettings, Trainer

TRAINER: Final = Trainer(
    name="AReaL",
    reference_hint="AReaL hands over the data set's row: name its column with answer_key",
    settings_hint="set it in workflow_kwargs, or in the environment of the rollout workers",
)
GSM8K_MARKER: Final = "####"
"""AReaL's GSM8K rows hold the worked solution, and the answer behind this."""
RUN: Final = uuid.uuid4().hex[:8]
"""Task ids count from 0 in every process; this keeps the groups of two processes apart."""


async def score_episode(
    row: Mapping[str, Any],
    text: str,
    settings: AdapterSettings,
    *,
    task_id: Any,
    is_eval: bool = False,
    answer_key: str = "answer",
) -> SampleScore:
    """The score of one episode.

    Args:
        row: of the data set.
        text: the decoded response, without special tokens.
        settings: with the group's size; ``on_unscored`` ``none`` gives the reward None.
        task_id: AReaL's, which all episodes of the group share.
        is_eval: correctness only.
        answer_key: the row's reference answer.

    Raises:
        ConfigError, DataError, RewardError: as `score_joined`.
    """
    answer = reference_text(row.get(answer_key), f"AReaL: {answer_key}") or ""
    worked, marker, final = answer.rpartition(GSM8K_MARKER)
    sample = Sample(
        problem=problem_text(row.get("messages") or row.get("prompt"), "AReaL: messages"),
        text=text,
        reference_answer=final.strip() or None,
        reference_solution=worked.strip() if marker else row.get("reference_solution"),
        uid=f"{RUN}:{task_id}",
    )
    if is_eval:
        [score] = await score_outcomes([sample], settings, TRAINER)
        return score
    member = uuid.uuid4().hex
    return await score_joined(sample, settings, TRAINER, group_size=settings.group_size, member_id=member)


def _workflow() -> type:
    import torch

    api, infra = import_module("areal.api"), import_module("areal.infra.workflow_context")
    stats_tracker = import_module("areal.utils.stats_tracker")
    base: Any = api.RolloutWorkflow

    class SgpoWorkflow(base):  # type: ignore[misc]
        """One turn; the reward is awaited from the server.

        Args:
            gconfig: the trainer's generation settings; ``n_samples`` is the group's size.
            tokenizer: the policy's, or its path.
            enable_thinking: for the chat template.
            answer_key: the row's reference answer.
            given: `AdapterSettings` by name.
        """

        def __init__(
            self, gconfig: Any, tokenizer: Any, enable_thinking: bool = False, answer_key: str = "answer", **given: Any
        ) -> None:
            self.settings = AdapterSettings.load(TRAINER, **({"group_size": gconfig.n_samples} | given))
            if isinstance(tokenizer, str):
                tokenizer = import_module("areal.utils.hf_utils").load_hf_tokenizer(tokenizer)
            self.tokenizer = tokenizer
            self.gconfig = gconfig.new_with_stop_and_pad_token_ids(tokenizer)
            self.enable_thinking = enable_thinking
            self.answer_key = answer_key

        async def arun_episode(self, engine: Any, data: dict[str, Any]) -> dict[str, Any] | None:
            ids = self.tokenizer.apply_chat_template(
                data["messages"],
                tokenize=True,
                add_generation_prompt=True,
                return_dict=False,
                enable_thinking=self.enable_thinking,
            )
            request = api.ModelRequest(
                rid=uuid.uuid4().hex,
                input_ids=list(ids),
                gconfig=self.gconfig.new(n_samples=1),
                tokenizer=self.tokenizer,
            )
            response = await engine.agenerate(request)
            context = infra.get()
            score = await score_episode(
                data,
                self.tokenizer.decode(response.output_tokens, skip_special_tokens=True),
                self.settings,
                task_id=context.task_id,
                is_eval=context.is_eval,
                answer_key=self.answer_key,
            )
            stats = stats_tracker.get(infra.stat_scope())
            stats.scalar(**score.known())
            if score.reward is None:
                return None
            stats.scalar(reward=score.reward)
            columns = {
                "input_ids": (response.input_tokens + response.output_tokens, torch.int32),
                "loss_mask": ([0] * response.input_len + [1] * response.output_len, torch.int32),
                "logprobs": ([0.0] * response.input_len + response.output_logprobs, torch.float32),
                "versions": ([-1] * response.input_len + response.output_versions, torch.int32),
                "attention_mask": ([True] * (response.input_len + response.output_len), torch.bool),
                "rewards": (score.reward, torch.float32),
            }
            return {name: torch.tensor(value, dtype=kind).unsqueeze(0) for name, (value, kind) in columns.items()}

    SgpoWorkflow.__module__, SgpoWorkflow.__qualname__ = __name__, "SgpoWorkflow"
    return SgpoWorkflow


def __getattr__(name: str) -> Any:
    if name != "SgpoWorkflow":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return globals().setdefault(name, _workflow())
