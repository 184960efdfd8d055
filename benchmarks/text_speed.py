"""What a group of 8 responses of some 4 kB costs before any judge sees it: CPU time of cutting and examining.

    python benchmarks/text_speed.py                                        # the texts of server_load.py
    python benchmarks/text_speed.py --path data/processbench/math.json.gz  # real solutions, put together to 4 kB each

Prints the least of ``--rounds`` rounds, in milliseconds of CPU: other work on the machine can only add to it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from pathlib import Path

from server_load import GROUP, group_body

from judge.defences import examine
from judge.steps import segment

CHARS = 4000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", type=Path, help="rows with steps, as ProcessBench has them")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    problem, texts = real_texts(options.path) if options.path else load_texts()
    cutting, examining = [], []
    for _ in range(options.rounds):
        begun = time.process_time()
        cuts = [segment(text) for text in texts]
        cut = time.process_time()
        for text, steps in zip(texts, cuts, strict=True):
            examine(text, [step.text for step in steps], problem)
        cutting.append(cut - begun)
        examining.append(time.process_time() - cut)
    num_steps = sum(map(len, cuts))
    print(f"{len(texts)} texts, {sum(map(len, texts))} characters, {num_steps} steps")
    print(f"cutting {1000 * min(cutting):.1f} ms, examining {1000 * min(examining):.1f} ms")


def load_texts() -> tuple[str, list[str]]:
    """Problem and responses of one request of the load benchmark."""
    [group] = json.loads(group_body(number="1"))["groups"]
    return group["problem"], [response["text"] for response in group["responses"]]


def real_texts(path: Path) -> tuple[str, list[str]]:
    """The first row's problem, and texts of real steps."""
    with gzip.open(path, "rt") as file:
        rows = json.load(file)
    whole = "\n".join(step for row in rows for step in row["steps"])
    return rows[0]["problem"], [whole[index * CHARS : (index + 1) * CHARS] for index in range(GROUP)]


if __name__ == "__main__":
    main()
