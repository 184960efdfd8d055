"""Writes the labels that OpenRLHF posts to the reward server: answer, question, group id and group size of each row.

    python examples/openrlhf_data.py problems.jsonl labelled.jsonl --samples 8 --run seed-0

``problems.jsonl`` has a question and an answer a line; examples/openrlhf.sh trains on the result. Runs that share a
server need different names, or different keys: it would put responses of both into one group. See
docs/integrations/openrlhf.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def labelled(row: dict[str, object], index: int, samples: int, run: str) -> dict[str, object]:
    """A row as OpenRLHF reads it: ``--data.input_key prompt --data.label_key label``."""
    for name in ("question", "answer"):
        if not str(row.get(name) or "").strip():
            raise SystemExit(f"line {index + 1}: no '{name}'; every row needs a question and an answer")
    group = f"{run}:row-{index}" if run else f"row-{index}"
    label = {"answer": str(row["answer"]), "question": row["question"], "id": group, "group_size": samples}
    return {"prompt": [{"role": "user", "content": row["question"]}], "label": label}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--samples", type=int, default=8, help="--rollout.n_samples_per_prompt of the run")
    parser.add_argument("--run", default="", help="name of the run, which no other run on the same server has")
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.problems.read_text(encoding="utf-8").splitlines() if line.strip()]
    lines = [
        json.dumps(labelled(row, index, args.samples, args.run), ensure_ascii=False) for index, row in enumerate(rows)
    ]
    args.output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
