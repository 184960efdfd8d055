"""The learning study, on the command line.

python -m benchmarks.learning run accuracy     # the runs of one figure that are not in the log, its table and picture
python -m benchmarks.learning run all          # all figures
python -m benchmarks.learning report           # the tables and pictures of docs/results/learning.md from the log alone
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.learning.figures import FIGURES
from benchmarks.learning.report import write_report
from benchmarks.learning.runs import FOLDER, run_missing


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run")
    run.add_argument("figure", choices=[*FIGURES, "all"])
    for verb in (run, verbs.add_parser("report")):
        verb.add_argument("--folder", type=Path, default=FOLDER, help="of the log and the warm policies")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.verb == "run":
        names = list(FIGURES) if options.figure == "all" else [options.figure]
        for result in run_missing([spec for name in names for spec in FIGURES[name]()], options.folder):
            spec, curve = result.spec, result.curve
            print(
                f"{spec['arm']['name']}, judge {spec['judge']['kind']} {spec['judge']['rate']:g}, skill "
                f"{spec['task']['skill']:g}, seed {spec['seed']}: accuracy {curve['accuracy'][0]:.3f} to "
                f"{curve['accuracy'][-1]:.3f} in {result.seconds:.0f} s",
                flush=True,
            )
    write_report(options.folder)


if __name__ == "__main__":
    main()
