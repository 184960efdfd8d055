"""Training of the probe and the features judge in seconds: labelled records, a configuration, the command."""

import random
from pathlib import Path

from judge.cli import main
from judge.records import write_records
from judge.types import NO_ERROR, Record

WORDS = ("apples", "pears", "boxes", "hens")


def records(num_problems: int, seed: int = 0, name: str = "Problem") -> list[Record]:
    """Chains of sums. A wrong step says "zebra" where the others say "horse": a probe finds that in any states."""
    rng = random.Random(seed)
    found = []
    for problem in range(num_problems):
        for solution in range(3):
            total, steps = rng.randint(1, 9), []
            label = rng.choice([NO_ERROR, rng.randrange(4)])
            for step in range(4):
                more = rng.randint(1, 9)
                animal = "zebra" if step == label else "horse"
                steps.append(f"{total} + {more} = {total + more} {animal} {rng.choice(WORDS)}.")
                total += more
            text = f"{name} {problem}: count the {rng.choice(WORDS)}."
            found.append(Record(text, tuple(steps), label, source="made", id=f"{problem}-{solution}"))
    return found


def write_config(folder: Path, model: Path) -> Path:
    """Write labelled records for training and for evaluation, and the configuration that names them."""
    write_records(records(60), folder / "records.jsonl")
    write_records([*records(20, 7, "Riddle"), *records(5)], folder / "fresh.jsonl")
    path = folder / "probe.toml"
    path.write_text(
        f"""
model = "{model}"
layers = [1, 2]
readouts = ["attention", "mean"]
num_queries = 2
width = 0
[head]
epochs = 30
learning_rate = 0.03
batch_steps = 64
[data]
validation_share = 0.25
calibration_share = 0.25
[[data.sources]]
source = "records"
path = "{folder / "records.jsonl"}"
[[evaluation]]
source = "records"
path = "{folder / "fresh.jsonl"}"
"""
    )
    return path


def train(kind: str, config: Path, output: Path, *options: str) -> int:
    sets = [part for option in options for part in ("--set", option)]
    return main(["train", kind, "--config", str(config), "--output", str(output), *sets])
