"""GRPO with SGPO rewards in AReaL 1.0: AReaL's GSM8K example with another workflow.

    sgpo-serve --config configs/server-rules.toml --port 8100
    python examples/areal_sgpo.py --config examples/math/gsm8k_grpo.yaml actor.adv_norm.std_level=null \
        actor.reward_norm.std_level=null

Run it in AReaL's folder. Rows need ``messages`` and ``answer``. See docs/integrations/areal.md.
"""

from __future__ import annotations

import os
import sys

from areal import PPOTrainer
from areal.api.cli_args import GRPOConfig, load_expr_config
from areal.dataset import get_custom_dataset
from areal.utils.hf_utils import load_hf_tokenizer

WORKFLOW = "sgpo_client.adapters.areal.SgpoWorkflow"


def main(argv: list[str]) -> None:
    """The command."""
    config, _ = load_expr_config(argv, GRPOConfig)
    tokenizer = load_hf_tokenizer(config.tokenizer_path)
    train, valid = (
        get_custom_dataset(split=split, dataset_config=dataset, tokenizer=tokenizer)
        for split, dataset in (("train", config.train_dataset), ("test", config.valid_dataset))
    )
    given = {"tokenizer": config.tokenizer_path, "url": os.environ.get("SGPO_URL", "http://127.0.0.1:8100")}
    with PPOTrainer(config, train_dataset=train, valid_dataset=valid) as trainer:
        trainer.train(
            workflow=WORKFLOW,
            workflow_kwargs=given | {"gconfig": config.gconfig},
            eval_workflow=WORKFLOW,
            eval_workflow_kwargs=given | {"gconfig": config.eval_gconfig},
        )


if __name__ == "__main__":
    main(sys.argv[1:])
