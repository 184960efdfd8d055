"""Every judge on every benchmark, and every judge attacked: makes docs/results/benchmarks.md.

    python benchmarks/judge_suite.py --output runs/suite --page docs/results/benchmarks.md
    python benchmarks/judge_suite.py --output runs/suite --page docs/results/benchmarks.md --judge rules --judge default
    python benchmarks/judge_suite.py --output runs/suite --page docs/results/benchmarks.md --page-only

Each run is an `sgpo-eval` command (printed first) with a folder of its own under ``--output``; what is finished there
is not judged again, so the page is made of logs. ``--page-only`` judges nothing.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import shlex
import tomllib
from pathlib import Path
from typing import Any

from eval.cli import main as sgpo_eval
from judge.data.sources import load_source
from judge.data.splits import part_of

HERE = Path(__file__).parent
SEED = "0"


def main() -> None:
    """Run what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=HERE / "judge_suite.toml")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True, help="the Markdown page; its HTML lies under --output")
    parser.add_argument("--judge", action="append", help="only this judge (repeatable)")
    parser.add_argument("--page-only", action="store_true")
    options = parser.parse_args()
    config = tomllib.loads(options.config.read_text(encoding="utf-8"))
    if not options.page_only:
        for name in options.judge or config["judges"]:
            judge_everything(name, config, options.output)
    write_page(options.output, options.page)


def judge_everything(name: str, config: dict[str, Any], output: Path) -> None:
    """All sets and the attacks, by one judge."""
    judge = ["--judge", config["judges"][name], "--seed", SEED]
    for entry in config["sets"]:
        path = held_out(entry, output) if "held_out" in entry else entry["path"]
        data = ["--benchmark", entry["benchmark"], "--path", str(path), "--limit", str(entry["limit"])]
        call("run", *data, *judge, "--output", str(output / entry["name"] / name))
    attack = config["attack"]
    limit = attack.get("more", {}).get(name, attack["limit"])
    data = ["--benchmark", attack["benchmark"], "--path", attack["path"], "--limit", str(limit)]
    call("attack", *data, *judge, "--output", str(output / "attack" / name))


def call(*arguments: str) -> None:
    """One `sgpo-eval` command; rows that could not be judged stand in its log and in the page."""
    print("sgpo-eval", shlex.join(arguments), flush=True)
    status = sgpo_eval(list(arguments))
    if status:
        print(f"exit status {status}", flush=True)


def held_out(entry: dict[str, Any], output: Path) -> Path:
    """Mr-Ben without the problems that judges with these validation and calibration shares train on."""
    path = Path(entry["path"])
    records = load_source(entry["benchmark"], str(path)).records
    keep = {record.id for record in records if part_of(record.problem, 0, entry["held_out"], 0.0) != "train"}
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        questions: dict[str, list[dict[str, Any]]] = json.load(file)
    kept = {
        key: rows
        for key, rows in questions.items()
        if any(f"{row['Question_UUID']}-{row['Sampled_Model']}" in keep for row in rows)
    }
    target = output / "data" / f"{entry['name']}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(kept), encoding="utf-8")
    return target


def write_page(output: Path, page: Path) -> None:
    """The report of all finished folders, its tables as one Markdown page."""
    folders = sorted(
        str(file.parent) for name in ("summary.json", "attacks.json") for file in output.glob(f"*/*/{name}")
    )
    report = output / "report.html"
    call("report", *folders, "--output", str(report), "--brief")
    tables = report.with_suffix(".md").read_text(encoding="utf-8").partition("\n")[2]
    page.write_text(f"{INTRODUCTION.format(machine=machine())}\n{tables}", encoding="utf-8")


def machine() -> str:
    """What it ran on."""
    import os

    return f"{os.cpu_count()} CPU cores ({platform.machine()}), no GPU, Python {platform.python_version()}"


INTRODUCTION = """# Judges on the benchmarks, and under attack

Made from logs by one command, `python benchmarks/judge_suite.py --output runs/suite --page docs/results/benchmarks.md`,
on {machine}. [judge_suite.toml](../../benchmarks/judge_suite.toml) names the judges,
the sets and how many rows of each were drawn; every run is an ordinary `sgpo-eval` command.
[evaluation.md](../evaluation.md) explains each number; [judges.md](judges.md) has more rows of the default judge, and
what came of the critic. Few rows: mind the intervals.
"""

if __name__ == "__main__":
    main()
