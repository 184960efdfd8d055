"""What a step of TRL's GRPOTrainer costs more with SGPO rewards than with a constant reward function.

    .venv/bin/python -m benchmarks.trl_reward_cost --steps 24

One run, in which the steps take turns: an odd step asks a reward server in a process of its own (rules judge), an even
one returns a constant. Responses have a fixed length, so that all steps do the same work. Printed is the ratio of each
SGPO step to the constant step before it: median and quartiles, and the time that the reward function itself took.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from sgpo_client.adapters.trl import sgpo_rewards
from sgpo_client.server_process import start_server


class StepTimes(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Seconds of every step, and of the reward function in it."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.rewards: list[float] = []
        self._began = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """TRL begins a step."""
        self._began = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """TRL ends it."""
        self.steps.append(time.perf_counter() - self._began)


def run(args: argparse.Namespace, url: str, output: str) -> StepTimes:
    """Train, and measure."""
    sgpo_reward, _ = sgpo_rewards(url=url, num_generations=args.group_size)
    times = StepTimes()

    async def reward(prompts: Sequence[Any], completions: Sequence[Any], trainer_state: Any, **more: Any) -> list[Any]:
        begin = time.perf_counter()
        if trainer_state.global_step % 2 == 0:
            rewards: list[Any] = [0.5] * len(prompts)
        else:
            rewards = await sgpo_reward(prompts, completions, **more)
        times.rewards.append(time.perf_counter() - begin)
        return rewards

    rows = [{"prompt": f"Ann has {n} bags of 4 apples and eats 2. How many are left?", "answer": str(4 * n - 2)}
            for n in range(3, 60)]  # fmt: skip
    trainer = GRPOTrainer(
        model=args.model,
        reward_funcs=[reward],
        args=GRPOConfig(
            output_dir=output,
            per_device_train_batch_size=args.prompts * args.group_size,
            num_generations=args.group_size,
            max_completion_length=args.tokens,
            generation_kwargs={"min_new_tokens": args.tokens},
            max_steps=args.steps,
            learning_rate=1e-6,
            scale_rewards="none",
            gradient_checkpointing=False,
            model_init_kwargs={"dtype": "float32"},
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            bf16=False,
        ),
        train_dataset=Dataset.from_list(rows),
        callbacks=[times],
    )
    trainer.train()
    return times


def report(times: StepTimes) -> None:
    """The ratios; the first two steps warm up and are left out."""
    pairs = [(times.steps[i], times.steps[i + 1]) for i in range(2, len(times.steps) - 1, 2)]
    ratios = [sgpo / constant for constant, sgpo in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4)
    asked = [times.rewards[i + 1] for i in range(2, len(times.steps) - 1, 2)]
    constant = statistics.median(step for step, _ in pairs)
    share = statistics.median(asked) / constant
    print(f"{len(pairs)} pairs of steps; constant step {constant:.2f} s (median)")
    print(f"ratio SGPO / constant: median {middle:.3f}, quartiles {low:.3f} to {high:.3f}")
    print(f"SGPO reward call: median {statistics.median(asked) * 1000:.0f} ms, most {max(asked) * 1000:.0f} ms")
    print(f"reward call as a share of the constant step: {share:.4f}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="weights/SmolLM2-135M-Instruct")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--prompts", type=int, default=2)
    parser.add_argument("--group-size", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        start_server(run_dir=Path(folder), timeout_s=120, judge="rules") as server,
    ):
        report(run(args, server.url, folder))


if __name__ == "__main__":
    main()
