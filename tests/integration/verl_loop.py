"""verl's own path to a reward manager, without Ray: its loader, its ``DataProto``, its base class."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from verl import DataProto
from verl.trainer.ppo.reward import resolve_reward_manager_cls

from tests.integration.adapter_suite import Row
from tests.integration.test_adapter_verl import fields


class Letters:
    """A tokenizer whose tokens are code points."""

    def decode(self, ids: Any, skip_special_tokens: bool) -> str:
        return "".join(chr(int(each)) for each in ids)


def run_loop(rows: Sequence[Row], url: str) -> list[dict[str, Any]]:
    """What ``run_single`` gives for each row, all asked at once."""
    manager_config = {
        "source": "importlib",
        "name": "SgpoRewardManager",
        "module": {"path": "pkg://sgpo_client.adapters.verl"},
    }
    config = OmegaConf.create(
        {
            "reward": {"reward_manager": manager_config, "reward_kwargs": {"url": url}},
            "actor_rollout_ref": {"rollout": {"n": len(rows)}},
        }
    )
    manager_cls: Any = resolve_reward_manager_cls(config)

    async def run() -> list[dict[str, Any]]:
        manager = manager_cls(
            config=config,
            tokenizer=Letters(),
            compute_score=None,
            reward_router_address=None,
            reward_model_tokenizer=None,
        )
        return list(await asyncio.gather(*(manager.run_single(item(row)) for row in rows)))

    return asyncio.run(run())


def item(row: Row) -> Any:
    prompt, response = torch.tensor([1, 2, 3]), torch.tensor([ord(letter) for letter in row.text])
    padded = torch.cat([response, torch.zeros(5, dtype=torch.int64)])
    mask = torch.cat([torch.ones(3 + len(response)), torch.zeros(5)]).long()
    batch = TensorDict({"prompts": prompt[None], "responses": padded[None], "attention_mask": mask[None]}, batch_size=1)
    arrays = {}
    for key, value in fields(row).items():
        arrays[key] = np.empty(1, dtype=object)
        arrays[key][0] = value
    return DataProto(batch=batch, non_tensor_batch=arrays)
