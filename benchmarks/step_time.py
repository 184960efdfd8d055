"""Tokens per second of sampling and of the training step, beside TRL's GRPOTrainer on the same model and machine.

    python benchmarks/step_time.py --model weights/SmolLM2-135M-Instruct --dtype float32

Both sides sample exactly ``--new-tokens`` tokens for each of ``--prompts`` x ``--group-size`` responses with
transformers, get the same cheap reward (so that every response has an advantage other than 0), and take one AdamW step
on all of them in micro-batches of ``--rows``. Each side runs in its own process, in turn, ``--rounds`` times; the first
step of each process is left out. Ratios above 1 mean that we are faster.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PHASES = ("sample", "train", "step")


def main() -> None:
    """Run both sides in turn and print the table."""
    options = parse_options()
    if options.side:
        result = {"ours": run_ours, "trl": run_trl}[options.side](options)
        result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        Path(options.result).write_text(json.dumps(result))
        return
    results: dict[str, list[dict[str, object]]] = {"ours": [], "trl": []}
    for _ in range(options.rounds):
        for side in results:
            results[side].append(run_side(side))
    print_table(options, results)


def parse_options() -> argparse.Namespace:
    """The command line; the parent passes it on to each side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="weights/SmolLM2-135M-Instruct")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--rows", type=int, default=8, help="sequences per micro-batch")
    parser.add_argument("--steps", type=int, default=3, help="measured steps per round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--side", choices=("ours", "trl"), help=argparse.SUPPRESS)
    parser.add_argument("--result", help=argparse.SUPPRESS)
    return parser.parse_args()


def run_side(side: str) -> dict[str, object]:
    """One side in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, __file__, *sys.argv[1:], "--side", side, "--result", str(result)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        return dict(json.loads(result.read_text()))


def reward_of(text: str) -> float:
    """Spreads responses out, costs nothing."""
    return sum(map(ord, text)) % 97 / 97


def problems(options: argparse.Namespace) -> list[str]:
    """Questions for all steps, the same on both sides."""
    import reasoning_gym

    size = options.prompts * (options.steps + 1)
    return [row["question"] for row in reasoning_gym.create_dataset("gsm_symbolic", size=size, seed=0)]


def run_ours(options: argparse.Namespace) -> dict[str, object]:
    """Sampler and updater of `sgpo_client`, without server and files."""
    import torch

    from sgpo_client import distributed
    from sgpo_client.advantage import group_advantages
    from sgpo_client.assembly import make_updater
    from sgpo_client.config import parse_config
    from sgpo_client.fsdp import copy_weights
    from sgpo_client.model import load_policy, load_tokenizer
    from sgpo_client.rollout.hf import HFSampler, SamplingParams
    from sgpo_client.rollout.prompt import PromptBuilder
    from sgpo_client.types import Example, Problem

    tables = {
        "model": {"name": options.model, "dtype": options.dtype},
        "data": {},
        "optim": {"micro_batch_tokens": options.rows * (options.new_tokens + 200)},
    }
    config = parse_config(tables, "benchmark")
    world = distributed.init()
    updater = make_updater(config, world)
    tokenizer = load_tokenizer(options.model)
    model = load_policy(options.model, getattr(torch, options.dtype))
    sampler = HFSampler(model, tokenizer)
    sampler.model.generation_config.min_new_tokens = options.new_tokens
    prompts = PromptBuilder(tokenizer, "{problem}", 4096)
    params = SamplingParams(max_new_tokens=options.new_tokens)
    questions = problems(options)
    seconds: dict[str, list[float]] = {phase: [] for phase in PHASES}
    for step in range(options.steps + 1):
        start = time.perf_counter()
        batch = questions[step * options.prompts : (step + 1) * options.prompts]
        ids = [prompts.token_ids(Problem(id="", text=text, answer="")) for text in batch]
        rollouts = sampler.sample([row for row in ids for _ in range(options.group_size)], params, seed=step)
        sampled = time.perf_counter()
        rewards = [reward_of(rollout.text) for rollout in rollouts]
        groups = [rewards[i : i + options.group_size] for i in range(0, len(rewards), options.group_size)]
        advantages = [value for group in groups for value in group_advantages(group, "none")]
        examples = [Example(r.prompt_ids, r.response_ids, a) for r, a in zip(rollouts, advantages, strict=True)]
        updater.update(examples, sum(len(rollout.response_ids) for rollout in rollouts), step)
        copy_weights(updater.policy, sampler.model)
        end = time.perf_counter()
        record(seconds, sampled - start, end - sampled, end - start)
    distributed.shutdown()
    return {"seconds": seconds}


def run_trl(options: argparse.Namespace) -> dict[str, object]:
    """TRL's GRPOTrainer with transformers generation; generation is timed inside its step."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    responses = options.prompts * options.group_size
    seconds: dict[str, list[float]] = {phase: [] for phase in PHASES}
    sampling: list[float] = []

    class StepTimer(TrainerCallback):
        """Wall time from the start of a step to its end."""

        def on_step_begin(self, *_args: object, **_kwargs: object) -> None:
            self.start = time.perf_counter()
            sampling.clear()

        def on_step_end(self, *_args: object, **_kwargs: object) -> None:
            total = time.perf_counter() - self.start
            record(seconds, sum(sampling), total - sum(sampling), total)

    class TimedTrainer(GRPOTrainer):  # type: ignore[misc]
        """GRPOTrainer that notes how long generation takes."""

        def _generate(self, *args: object, **kwargs: object) -> object:
            start = time.perf_counter()
            result = super()._generate(*args, **kwargs)
            sampling.append(time.perf_counter() - start)
            return result

    rows = [{"prompt": [{"role": "user", "content": text}]} for text in problems(options)]
    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            use_cpu=True,
            bf16=options.dtype == "bfloat16",
            gradient_checkpointing=False,
            per_device_train_batch_size=options.rows,
            gradient_accumulation_steps=responses // options.rows,
            num_generations=options.group_size,
            max_completion_length=options.new_tokens,
            generation_kwargs={"min_new_tokens": options.new_tokens},
            max_steps=options.steps + 1,
            beta=0.0,
            scale_rewards="none",
            loss_type="dapo",
            learning_rate=2e-6,
            shuffle_dataset=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            model_init_kwargs={"dtype": "float32"},
        )
        trainer = TimedTrainer(
            model=options.model,
            reward_funcs=lambda completions, **_: [reward_of(c[0]["content"]) for c in completions],
            args=config,
            train_dataset=Dataset.from_list(rows),
            callbacks=[StepTimer()],
        )
        trainer.train()
    return {"seconds": seconds}


def record(seconds: dict[str, list[float]], *values: float) -> None:
    """Append one step's phases."""
    for phase, value in zip(PHASES, values, strict=True):
        seconds[phase].append(value)


def print_table(options: argparse.Namespace, results: dict[str, list[dict[str, object]]]) -> None:
    """Median over measured steps, with the range, and the ratio."""
    tokens = options.prompts * options.group_size * options.new_tokens
    print(
        f"{options.model}, {options.dtype}, {options.prompts} x {options.group_size} responses of {options.new_tokens}"
    )
    print(f"{'':8}{'ours tok/s (range)':>26}{'TRL tok/s (range)':>26}{'ours / TRL':>12}")
    for phase in PHASES:
        rates = {
            side: sorted(tokens / s for run in runs for s in run["seconds"][phase][1:])  # type: ignore[index]
            for side, runs in results.items()
        }
        cells = [f"{statistics.median(r):8.1f} ({r[0]:.1f}-{r[-1]:.1f})" for r in rates.values()]
        ratio = statistics.median(rates["ours"]) / statistics.median(rates["trl"])
        print(f"{phase:8}{cells[0]:>26}{cells[1]:>26}{ratio:12.2f}")
    peaks = {side: max(float(run["peak_mib"]) for run in runs) for side, runs in results.items()}  # type: ignore[arg-type]
    print(f"peak MiB{peaks['ours']:26.0f}{peaks['trl']:26.0f}{peaks['ours'] / peaks['trl']:12.2f}")


if __name__ == "__main__":
    main()
