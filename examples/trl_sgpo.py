"""GRPO with SGPO rewards in TRL on a laptop's CPU: a reward server with the rules judge, a few steps of SmolLM2-135M.

    make weights && .venv/bin/python examples/trl_sgpo.py

For a run of your own: start ``sgpo-serve --config configs/server-rules.toml --port 8100`` once, give its URL with
``--url``, and take the lines of `train` that say sgpo. See docs/integrations/trl.md.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from sgpo_client.adapters.trl import sgpo_rewards
from sgpo_client.server_process import start_server

GROUP_SIZE = 8


def problems(num: int) -> list[dict[str, object]]:
    """Grade-school problems with two steps, as chats."""
    rows: list[dict[str, object]] = []
    for number in range(num):
        bags, apples, eaten = 3 + number % 7, 4 + number % 6, 2 + number % 8
        question = (
            f"Ann has {bags} bags of {apples} apples and eats {eaten}. How many are left? Write each step on a line."
        )
        rows.append({"prompt": [{"role": "user", "content": question}], "answer": str(bags * apples - eaten)})
    return rows


def train(url: str, model: str, output: Path, steps: int) -> None:
    """A few steps of GRPO."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    sgpo_reward, sgpo_accuracy = sgpo_rewards(url=url, num_generations=GROUP_SIZE)
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=[sgpo_reward, sgpo_accuracy],
        args=GRPOConfig(
            output_dir=str(output),
            reward_weights=[1.0, 0.0],  # the accuracy is only a curve
            scale_rewards="none",  # keeps small differences small: see docs/integrations/trl.md
            num_generations=GROUP_SIZE,
            per_device_train_batch_size=GROUP_SIZE,
            max_completion_length=64,
            gradient_checkpointing=False,
            model_init_kwargs={"dtype": "float32"},  # on most CPUs faster than bfloat16
            max_steps=steps,
            learning_rate=1e-5,
            logging_steps=1,
            report_to="none",
            save_strategy="no",
            use_cpu=True,
            bf16=False,
        ),
        train_dataset=Dataset.from_list(problems(64)),
    )
    trainer.train()
    names = (
        "rewards/sgpo_reward/mean",
        "rewards/sgpo_accuracy/mean",
        "sgpo/all_negative",
        "sgpo/judged",
        "sgpo/unscored",
    )
    entries = [entry for entry in trainer.state.log_history if "reward" in entry]
    for name in (*names, "frac_reward_zero_std"):
        sys.stdout.write(f"{name}: {' '.join(format(entry[name], '.3f') for entry in entries)}\n")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a running reward server; without it, one is started for this run")
    parser.add_argument("--model", default="weights/SmolLM2-135M-Instruct")
    parser.add_argument("--output", type=Path, default=Path("runs/trl-sgpo"))
    parser.add_argument("--steps", type=int, default=5)
    args = parser.parse_args()
    with ExitStack() as stack:
        url = args.url
        if url is None:
            url = stack.enter_context(start_server(run_dir=args.output, timeout_s=120, judge="rules")).url
        train(url, args.model, args.output, args.steps)


if __name__ == "__main__":
    main()
