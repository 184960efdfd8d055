"""Tokens per second of sampling and of the training step, beside TRL's GRPOTrainer on the same model and machine.

    python benchmarks/step_time.py --model weights/SmolLM2-135M-Instruct --dtype float32

All sides sample exactly ``--new-tokens`` tokens for each of ``--prompts`` x ``--group-size`` responses with
transformers' models, get the same cheap reward (so that every response has an advantage other than 0), and take one
AdamW step on all of them in micro-batches of ``--rows``. ``ours x2`` is two ranks that share the cores of the one
process of the other sides. Each side runs in its own process, in turn, ``--rounds`` times; the first step of each
process is left out. Ratios above 1 mean that we are faster. Settings of ours can be tried with
``--set optim.activation_checkpointing=true``.

After the measured steps ours takes one more step under PyTorch's profiler, and prints how far the training step is from
the best matrix product that the machine was seen to make, and what its time is spent on.
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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sgpo_client.config import TrainConfig

PHASES = ("sample", "train", "step")


def main() -> None:
    """Run all sides in turn and print the tables."""
    options = parse_options()
    if options.side:
        result = {"ours": run_ours, "trl": run_trl}[options.side](options)
        if result:
            Path(options.result).write_text(json.dumps(result))
        return
    sides = {"ours": ("ours", 1), "ours x2": ("ours", 2), "TRL": ("trl", 1)}
    if options.only:
        sides = {name: side for name, side in sides.items() if name in options.only}
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, (side, ranks) in sides.items():
            results[name].append(run_side(side, ranks))
    print_table(options, results)
    print_profile(options, results)


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
    parser.add_argument("--set", action="append", default=[], metavar="TABLE.KEY=VALUE", help="a setting of ours")
    parser.add_argument("--only", action="append", choices=("ours", "ours x2", "TRL"), help="a side (repeatable)")
    parser.add_argument("--side", choices=("ours", "trl"), help=argparse.SUPPRESS)
    parser.add_argument("--result", help=argparse.SUPPRESS)
    return parser.parse_args()


def run_side(side: str, ranks: int) -> dict[str, Any]:
    """One side in processes of its own; several ranks share the threads that one would have."""
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(max(1, threads // ranks))}
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, *launch, __file__, *sys.argv[1:], "--side", side, "--result", str(result)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=env)
        return dict(json.loads(result.read_text()))


def reward_of(text: str) -> float:
    """Spreads responses out, costs nothing."""
    return sum(map(ord, text)) % 97 / 97


def problems(options: argparse.Namespace) -> list[str]:
    """Questions for all steps, the same on both sides."""
    import reasoning_gym

    size = options.prompts * (options.steps + 1)
    return [row["question"] for row in reasoning_gym.create_dataset("gsm_symbolic", size=size, seed=0)]


def run_ours(options: argparse.Namespace) -> dict[str, Any] | None:
    """Sampler and updater of `sgpo_client`, without server and files; the result comes from rank 0."""
    import torch
    from step_flops import matmul_peak, time_shares, training_flops

    from sgpo_client.advantage import group_advantages
    from sgpo_client.assembly import make_updater
    from sgpo_client.loss import BatchSize
    from sgpo_client.model import load_policy, load_tokenizer
    from sgpo_client.ranks import distributed
    from sgpo_client.rollout.hf import HFSampler
    from sgpo_client.rollout.prompt import PromptBuilder
    from sgpo_client.rollout.sampler import SamplingParams
    from sgpo_client.types import Example, Problem

    world = distributed.init()
    updater = make_updater(our_config(options), world)
    tokenizer = load_tokenizer(options.model)
    sampler = HFSampler(load_policy(options.model, getattr(torch, options.dtype)), tokenizer)
    sampler._ends = []  # every response has --new-tokens tokens
    prompts = PromptBuilder(tokenizer, "{problem}", 4096)
    params = SamplingParams(max_new_tokens=options.new_tokens)
    questions = problems(options)
    seconds: dict[str, list[float]] = {phase: [] for phase in PHASES}
    for step in range(options.steps + 1):
        distributed.barrier()
        start = time.perf_counter()
        batch = questions[step * options.prompts : (step + 1) * options.prompts][world.rank :: world.size]
        ids = [prompts.token_ids(Problem(id="", text=text, answer="")) for text in batch]
        rollouts = sampler.sample([row for row in ids for _ in range(options.group_size)], params, seed=step)
        distributed.barrier()
        sampled = time.perf_counter()
        rewards = [reward_of(rollout.text) for rollout in rollouts]
        groups = [rewards[i : i + options.group_size] for i in range(0, len(rewards), options.group_size)]
        advantages = [value for group in groups for value in group_advantages(group, "none")]
        examples = [
            Example(r.prompt_ids, r.response_ids, [a] * len(r.response_ids))
            for r, a in zip(rollouts, advantages, strict=True)
        ]
        size = BatchSize(sum(len(example.response_ids) for example in examples), len(examples))
        updater.update(examples, size, step)
        sampler.load_weights(updater.policy)
        distributed.barrier()
        end = time.perf_counter()
        record(seconds, sampled - start, end - sampled, end - start)
    peak_mib = distributed.all_reduce_sums({"mib": peak_memory_mib()})["mib"]
    shares = time_shares(lambda: updater.update(examples, size, options.steps))
    everyones = [each for part in distributed.all_gather_objects(examples) for each in part]
    flops = training_flops(updater.policy, everyones)
    distributed.barrier()
    # Of the ranks' products at the same time, as they multiply at the same time in training.
    peak = distributed.all_reduce_sums({"flops": matmul_peak(getattr(torch, options.dtype))})["flops"]
    distributed.shutdown()
    profile = {"shares": shares, "flops": flops, "peak_flops": peak}
    return {"seconds": seconds, "peak_mib": peak_mib, **profile} if world.is_main else None


def our_config(options: argparse.Namespace) -> TrainConfig:
    """A configuration that asks for the same as the options ask of TRL, and for what ``--set`` adds."""
    from sgpo_client.config import load_config

    tokens = options.rows * (options.new_tokens + 200)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmark.toml"
        path.write_text(
            f'[model]\nname = "{options.model}"\ndtype = "{options.dtype}"\n[data]\n[algo]\nname = "grpo"\n'
            f"[optim]\nmicro_batch_tokens = {tokens}\n"
        )
        return load_config(path, options.set)


def peak_memory_mib() -> float:
    """The most that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_trl(options: argparse.Namespace) -> dict[str, Any]:
    """TRL's GRPOTrainer with transformers generation; generation is timed inside its step."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    responses = options.prompts * options.group_size
    seconds: dict[str, list[float]] = {phase: [] for phase in PHASES}
    sampling: list[float] = []

    class StepTimer(TrainerCallback):  # type: ignore[misc]
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
    return {"seconds": seconds, "peak_mib": peak_memory_mib()}


def record(seconds: dict[str, list[float]], *values: float) -> None:
    """Append one step's phases."""
    for phase, value in zip(PHASES, values, strict=True):
        seconds[phase].append(value)


def print_table(options: argparse.Namespace, results: dict[str, list[dict[str, Any]]]) -> None:
    """Median over measured steps, with the range, and the ratios."""
    tokens = options.prompts * options.group_size * options.new_tokens
    settings = "".join(f", {setting}" for setting in options.set)
    print(
        f"{options.model}, {options.dtype}{settings}, {options.prompts} x {options.group_size} responses of "
        f"{options.new_tokens}"
    )
    print(f"{'tokens/s':10}" + "".join(f"{f'{side} (range)':>26}" for side in results))
    medians: dict[str, dict[str, float]] = {}
    for phase in PHASES:
        rates = {
            side: sorted(tokens / s for run in runs for s in run["seconds"][phase][1:])
            for side, runs in results.items()
        }
        medians[phase] = {side: statistics.median(rate) for side, rate in rates.items()}
        cells = [f"{statistics.median(rate):8.1f} ({rate[0]:.1f}-{rate[-1]:.1f})" for rate in rates.values()]
        print(f"{phase:10}" + "".join(f"{cell:>26}" for cell in cells))
    medians["peak MiB"] = {side: max(run["peak_mib"] for run in runs) for side, runs in results.items()}
    print(f"{'peak MiB':10}" + "".join(f"{peak:26.0f}" for peak in medians["peak MiB"].values()))
    for one, other in (("ours", "TRL"), ("ours x2", "ours")):
        if one in results and other in results:
            ratios = ", ".join(f"{name} {values[one] / values[other]:.2f}" for name, values in medians.items())
            print(f"{one} / {other}: {ratios}")


def print_profile(options: argparse.Namespace, results: dict[str, list[dict[str, Any]]]) -> None:
    """Share of the matmul peak, and what the training step's time goes to."""
    for side, runs in results.items():
        if "flops" not in runs[0]:
            continue
        rates = [run["flops"] / s for run in runs for s in run["seconds"]["train"][1:]]
        peak = max(run["peak_flops"] for run in runs)
        print(
            f"{side}, training step: {statistics.median(rates) / 1e9:.1f} of {peak / 1e9:.1f} GFLOP/s "
            f"({statistics.median(rates) / peak:.0%} of the {options.dtype} matrix product), time of one step: "
            + ", ".join(f"{kind} {share:.0%}" for kind, share in runs[0]["shares"].items())
        )


if __name__ == "__main__":
    main()
