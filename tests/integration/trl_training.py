"""TRL trains for two steps with SGPO rewards; run as a script, alone or by torchrun.

Arguments: policy folder, URL of the server, folder for what was logged, responses of a rank.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from sgpo_client.adapters.trl import sgpo_rewards

GROUP_SIZE = 2


def main(policy: str, url: str, output: str, per_rank: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(policy)
    model = AutoModelForCausalLM.from_pretrained(policy)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    rows = [{"prompt": f"What is {number} + 2?", "answer": str(number + 2)} for number in range(12)]
    rewards = sgpo_rewards(url=url, num_generations=GROUP_SIZE, deadline_s=60.0)
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=list(rewards),
        args=GRPOConfig(
            output_dir=output,
            per_device_train_batch_size=int(per_rank),
            num_generations=GROUP_SIZE,
            max_completion_length=32,
            max_steps=2,
            learning_rate=0.01,
            reward_weights=[1.0, 0.0],
            scale_rewards="none",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            bf16=False,
            seed=1,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    trainer.train()
    after = [parameter.detach().cpu() for parameter in trainer.model.parameters()]
    result = {
        "log": trainer.state.log_history,
        "moved": any(not torch.equal(old, new) for old, new in zip(before, after, strict=True)),
        "finite": all(bool(torch.isfinite(new).all()) for new in after),
    }
    (Path(output) / f"rank-{trainer.accelerator.process_index}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
