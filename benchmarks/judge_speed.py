"""Solutions per second of the classifier, beside two common ways to run the same weights.

    python benchmarks/judge_speed.py --model weights/SmolLM2-135M-Instruct --data GSM8K/model_solutions.jsonl.gz

Groups of 8 solutions share a problem. Three ways, in turn, in one process, with equal weights (a language model with a
random head of two labels: what it says does not matter here, only that all three say the same):

- ours: `judge.judges.classifier` on whole groups, the problem's prefix computed once;
- pipeline: transformers' token-classification pipeline, one solution at a time (the way of public ProcessBench scripts
  for such models), the label at each step's separator;
- per step: one forward for every step, over the problem and the steps so far.

Prints the ratios, whether the verdicts are equal, and the share of the machine's matmul peak (measured in the same run)
that we reach.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SEPARATOR = "\n"
Group = tuple[str, list[list[str]]]


def main() -> None:
    """Measure and print."""
    options = parse_options()
    os.environ.setdefault("OMP_NUM_THREADS", str(options.threads))
    import torch

    torch.set_num_threads(options.threads)
    groups = read_groups(options.data, options.groups)
    with tempfile.TemporaryDirectory() as folder:
        make_checkpoint(options.model, folder)
        ways = {"ours": ours(folder), "pipeline": pipeline_way(folder), "per step": per_step(folder)}
        report(groups, ways, options)


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="weights/SmolLM2-135M-Instruct")
    parser.add_argument("--data", type=Path, required=True, help="model_solutions.jsonl.gz of grade-school-math")
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def read_groups(path: Path, count: int) -> list[Group]:
    """Problems with 8 real solutions each; those of the next problem fill up, since four were published of each."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(next(file)) for _ in range(2 * count)]
    groups = []
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        solutions = [row[name]["solution"] for row in (first, second) for name in row if isinstance(row[name], dict)]
        groups.append((first["question"], [[s for s in text.split("\n") if s.strip()] for text in solutions]))
    return groups


def make_checkpoint(model: str, folder: str) -> None:
    """The language model with a random head, as a token classifier."""
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    torch.manual_seed(0)
    classifier = AutoModelForTokenClassification.from_pretrained(model, num_labels=2, dtype=torch.float32)
    classifier.save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)


Way = Callable[[Group], list[list[float]]]
"""P(wrong) of every step of every solution of a group."""


def ours(folder: str) -> Way:
    """All solutions of the group at once."""
    from judge.judges.classifier import ClassifierScorer, ClassifierSettings
    from judge.judges.hazards import Scores
    from judge.schemes.trl import load_trl
    from judge.types import Solution

    settings = ClassifierSettings(folder=folder)
    scorer = ClassifierScorer(load_trl(folder, "cpu", "float32", SEPARATOR), settings.token_budget, settings.max_tokens)

    def judge(group: Group) -> list[list[float]]:
        problem, solutions = group
        scored = scorer.score([Solution(problem, tuple(steps)) for steps in solutions])
        return [list(one.probs) for one in scored if isinstance(one, Scores)]

    return judge


def pipeline_way(folder: str) -> Way:
    """Transformers' pipeline on one text at a time."""
    import torch
    from transformers import pipeline

    pipe = pipeline(
        "token-classification",
        model=folder,
        dtype=torch.float32,
        aggregation_strategy="none",
        ignore_labels=[],
    )

    def judge(group: Group) -> list[list[float]]:
        problem, solutions = group
        return [pipeline_scores(pipe, problem, steps) for steps in solutions]

    return judge


def pipeline_scores(pipe: Any, problem: str, steps: list[str]) -> list[float]:
    """The scores at the separators of one text."""
    text = problem_text(pipe.tokenizer, problem)
    ends = set()
    for step in steps:
        text += step + SEPARATOR
        ends.add(len(text))
    found = [token for token in pipe(text) if token["end"] in ends]
    return [token["score"] if token["entity"] == "LABEL_0" else 1 - token["score"] for token in found]


def per_step(folder: str) -> Way:
    """One forward per step."""
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def judge(group: Group) -> list[list[float]]:
        problem, solutions = group
        scores = []
        for steps in solutions:
            text, probs = problem_text(tokenizer, problem), []
            for step in steps:
                text += step + SEPARATOR
                ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
                probs.append(float(model(ids).logits[0, -1].softmax(-1)[0]))
            scores.append(probs)
        return scores

    return judge


def problem_text(tokenizer: Any, problem: str) -> str:
    """The problem with the beginning-of-text token, as `judge.schemes.trl` encodes it."""
    return f"{tokenizer.bos_token or ''}{problem}"


def report(groups: list[Group], ways: dict[str, Way], options: argparse.Namespace) -> None:
    """Run the ways in turn, in another order every round, and print the table."""
    num_solutions = sum(len(solutions) for _, solutions in groups)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, list[list[float]]] = {}
    for way in ways.values():
        way(groups[0])  # warm up
    for round_number in range(options.rounds):
        order = list(ways)
        random.Random(round_number).shuffle(order)
        for name in order:
            started = time.perf_counter()
            found[name] = [probs for group in groups for probs in ways[name](group)]
            seconds[name].append(time.perf_counter() - started)
    print(f"{len(groups)} groups, {num_solutions} solutions, {sum(map(len, found['ours']))} steps, "
          f"{options.threads} threads, {options.rounds} rounds")  # fmt: skip
    for name, times in seconds.items():
        ratios = [theirs / mine for theirs, mine in zip(times, seconds["ours"], strict=True)]
        print(
            f"{name:10} {num_solutions / statistics.median(times):7.2f} solutions/s   "
            f"ours is {statistics.median(ratios):5.2f}x (range {min(ratios):.2f} to {max(ratios):.2f})   "
            f"verdicts {same(found['ours'], found[name])}"
        )
    flops = useful_flops(groups, options.model)
    peak = matmul_peak()
    reached = flops / statistics.median(seconds["ours"]) / 1e9
    print(f"ours does {reached:.0f} GFLOP/s of useful matmul; the machine's peak is {peak:.0f} ({reached / peak:.0%})")


def same(ours: list[list[float]], theirs: list[list[float]]) -> str:
    """How the most likely first errors compare, and the largest difference of a probability."""
    from judge.decoding import decode_known_wrong

    if [len(row) for row in ours] != [len(row) for row in theirs]:
        return "DIFFER in the number of steps"
    equal = sum(
        decode_known_wrong(a).first_error == decode_known_wrong(b).first_error
        for a, b in zip(ours, theirs, strict=True)
    )
    gap = max(abs(x - y) for a, b in zip(ours, theirs, strict=True) for x, y in zip(a, b, strict=True))
    return f"{equal} of {len(ours)} equal, largest difference {gap:.1e}"


def useful_flops(groups: list[Group], model: str) -> float:
    """Two operations per weight and token, each problem counted once; attention itself is left out."""
    from transformers import AutoConfig, AutoTokenizer

    config, tokenizer = AutoConfig.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    kv = config.hidden_size * config.num_key_value_heads // config.num_attention_heads
    per_layer = config.hidden_size * (2 * config.hidden_size + 2 * kv + 3 * config.intermediate_size)
    texts = [text for problem, solutions in groups for text in (problem, *("\n".join(steps) for steps in solutions))]
    tokens = sum(len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"])
    return 2.0 * per_layer * config.num_hidden_layers * tokens


def matmul_peak() -> float:
    """GFLOP/s of a product of two large float32 matrices, the best of five."""
    import torch

    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    best = 0.0
    for _ in range(5):
        started = time.perf_counter()
        a @ b
        best = max(best, 2 * 2048**3 / (time.perf_counter() - started) / 1e9)
    return best


if __name__ == "__main__":
    main()
