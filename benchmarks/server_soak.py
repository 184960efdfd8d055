"""The reward server under a steady low load for half an hour: does anything grow?

    python benchmarks/server_soak.py --minutes 30 --rate 4 --csv soak.csv

Groups of 8 new responses of some 4 kB, a scripted judge, small caches, which are full after a few minutes: from then on
memory should be flat. Prints memory and descriptors of the server's processes over time as a Markdown table, and the
slope of the second half. Exit status 1 when a request failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import linear_regression
from typing import Any

import psutil
from load_client import Plan, write_plan
from server_load import HERE, Server, group_body, our_server

CONFIG = """
[judge]
kind = "scripted"
pattern = "bad"
delay_s = 0.02
[cache]
max_entries = 2000
"""
NUM_ROWS = 12


@dataclass(frozen=True)
class Sample:
    """One look at the server."""

    minutes: float
    server_mib: float
    server_fds: int
    others_mib: float
    """Of all its child processes together."""
    others_fds: int


def main() -> None:
    """Send, look, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=4.0, help="groups per second")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between looks")
    parser.add_argument("--csv", type=Path, help="file for all samples")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, our_server(Path(folder), CONFIG) as server:
        samples, replies = soak(server, Path(folder), options)
    if options.csv:
        rows = (",".join(f"{value:g}" for value in astuple(sample)) for sample in samples)
        options.csv.write_text("\n".join(["minutes,server_mib,server_fds,others_mib,others_fds", *rows]) + "\n")
    print(report(samples))
    print(f"replies: {replies['statuses']}, p50 {replies['p50_ms']:.0f} ms, p99 {replies['p99_ms']:.0f} ms")
    sys.exit(set(replies["statuses"]) != {"200"})


def soak(server: Server, folder: Path, options: argparse.Namespace) -> tuple[list[Sample], dict[str, Any]]:
    """Samples while the load lasts, and what the load client says of the replies."""
    plan = Plan(
        url=f"{server.url}/v1/rewards",
        bodies=[group_body(number="@@@@@@@@")],
        connections=64,
        seconds=options.minutes * 60,
        rate=options.rate,
    )
    path = write_plan(plan, folder / "plan.json")
    command = [sys.executable, str(HERE / "load_client.py"), str(path)]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    started = time.monotonic()
    samples = []
    while client.poll() is None:
        samples.append(look(server, (time.monotonic() - started) / 60))
        time.sleep(options.every)
    assert client.stdout is not None
    return samples, json.loads(client.stdout.read())


def look(server: Server, minutes: float) -> Sample:
    """Memory and descriptors now."""
    process = psutil.Process(server.process.pid)
    others = process.children(recursive=True)
    return Sample(
        minutes,
        server.rss_mib(),
        process.num_fds(),
        sum(other.memory_info().rss for other in others) / 2**20,
        sum(other.num_fds() for other in others),
    )


def report(samples: Sequence[Sample]) -> str:
    """A table of some of the samples, and how fast the second half grew."""
    lines = [
        "| minute | server MiB | descriptors | its processes MiB | descriptors |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    shown = samples[:: max(1, len(samples) // NUM_ROWS)]
    lines += [
        f"| {s.minutes:.1f} | {s.server_mib:.1f} | {s.server_fds} | {s.others_mib:.1f} | {s.others_fds} |"
        for s in shown
    ]
    half = samples[len(samples) // 2 :]
    if len(half) > 2:
        minutes = [sample.minutes for sample in half]
        slope = linear_regression(minutes, [sample.server_mib + sample.others_mib for sample in half]).slope
        fds = [sample.server_fds + sample.others_fds for sample in half]
        lines.append(f"\nsecond half: {60 * slope:+.1f} MiB an hour, {min(fds)} to {max(fds)} descriptors")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
