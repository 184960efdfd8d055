"""How few solutions the judge is asked about: real model solutions, replayed as groups of four.

    python benchmarks/cache_replay.py                    # finds the data through $SGPO_DATA_DIR
    python benchmarks/cache_replay.py --path model_solutions.jsonl.gz --apply-to every_wrong

The data: GSM8K's test problems, each with the solutions of four models and whether they are right
(openai/grade-school-math, `model_solutions.jsonl`). They go through the server's own service, gate, shared calls and
cache included, to a scripted judge that counts. Prints a line of JSON and a row of Markdown:

- everything: a judge that is asked about every response;
- gate: left after the outcome gate (responses of groups in which every answer is wrong, unless ``--apply-to``);
- judged: what the judge was asked about in the end, when every group comes once;
- twice at once: the same when every group comes twice at the same time, as from a client that loses patience; of the
  second copies, so many shared a call that was under way (the others were in the cache by then);
- again: asked anew when all of it comes a second time, as after a trainer's restart.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge.answers import AnswerChecker
from judge.judges.scripted import ScriptedJudge, ScriptedSettings
from judge.types import Solution, Unscored, Verdict
from reward_server.cache.memory import MemoryStore
from reward_server.cache.metrics import CacheMetrics
from reward_server.config import ServerConfig
from reward_server.engine.judging import JudgeDesk
from reward_server.metrics import Metrics
from reward_server.schemas import GroupIn, ResponseIn, RewardRequest
from reward_server.service import RewardService
from reward_server.solutions import Segmenter

FILE = Path("gsm8k") / "model_solutions.jsonl.gz"
MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
AT_A_TIME = 64
"""Requests in flight; each carries one group."""


class CountingJudge:
    """Takes its time, finds the first step wrong, and remembers how much it was asked."""

    def __init__(self, delay_s: float) -> None:
        self._inner = ScriptedJudge(ScriptedSettings(first_error=0, delay_s=delay_s))
        self.calls = 0
        self.solutions = 0

    @property
    def judge_id(self) -> str:
        """Of the scripted judge."""
        return self._inner.judge_id

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        """Count and judge."""
        self.calls += 1
        self.solutions += len(batch)
        return await self._inner.judge(batch)

    async def aclose(self) -> None:
        """Nothing to release."""


class Replay:
    """One service and its judge."""

    def __init__(self, apply_to: str, delay_s: float) -> None:
        config = ServerConfig.model_validate({"shaping": {"apply_to": apply_to}})
        metrics = Metrics()
        store = MemoryStore(config.cache.max_entries, config.cache.max_bytes, CacheMetrics(metrics.registry))
        self._registry = metrics.registry
        self.judge = CountingJudge(delay_s)
        self._desk = JudgeDesk(self.judge, metrics, store=store)
        self._checker = AnswerChecker()
        self._segmenter = Segmenter()
        self._service = RewardService(config, self._desk, self._segmenter, self._checker, metrics, None)
        self._places = asyncio.Semaphore(AT_A_TIME)

    async def send(self, groups: Sequence[GroupIn], *, copies: int = 1) -> int:
        """Send every group so many times at once; how many solutions the judge was asked about for that."""
        before = self.judge.solutions

        async def send_one(group: GroupIn) -> None:
            async with self._places:
                request = RewardRequest(groups=[group])
                await asyncio.gather(*(self._service.score(request) for _ in range(copies)))

        await asyncio.gather(*(send_one(group) for group in groups))
        return self.judge.solutions - before

    @property
    def shared(self) -> int:
        """Solutions that shared the call of an equal one."""
        return int(self._registry.get_sample_value("sgpo_single_flight_hits_total") or 0)

    async def aclose(self) -> None:
        """End processes and threads."""
        await self._desk.aclose()
        await self._checker.aclose()
        self._segmenter.close()


@dataclass(frozen=True)
class Counts:
    """Solutions, by where they were left out."""

    groups: int
    all_negative_groups: int
    everything: int
    wrong: int
    gate: int
    judged: int
    judge_calls: int
    twice_at_once: int
    shared: int
    again: int

    def row(self) -> str:
        """Markdown."""
        saved = 1 - self.judged / self.everything if self.everything else 0.0
        first = (self.everything, self.wrong, self.gate, self.judged)
        later = f"{self.twice_at_once:,} ({self.shared:,} shared)"
        return "| " + " | ".join(f"{cell:,}" for cell in first) + f" | {later} | {self.again:,} | {saved:.1%} |"


HEADER = (
    "| everything | wrong | gate | judged | twice at once | again | not judged |\n"
    "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


async def replay(groups: Sequence[GroupIn], apply_to: str, delay_s: float) -> Counts:
    """All passes over the groups."""
    negative = [group for group in groups if not any(response.outcome for response in group.responses)]
    wrong = sum(not response.outcome for group in groups for response in group.responses)
    gates = {"every_wrong": wrong, "all_negative": sum(len(g.responses) for g in negative), "none": 0}
    served = Replay(apply_to, delay_s)
    try:
        judged = await served.send(groups)
        calls = served.judge.calls
        again = await served.send(groups)
    finally:
        await served.aclose()
    hurried = Replay(apply_to, delay_s)
    try:
        twice = await hurried.send(groups, copies=2)
        shared = hurried.shared
    finally:
        await hurried.aclose()
    everything = sum(len(group.responses) for group in groups)
    return Counts(len(groups), len(negative), everything, wrong, gates[apply_to], judged, calls, twice, shared, again)


def read_groups(path: Path) -> list[GroupIn]:
    """One group for each line."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return [as_group(number, json.loads(line)) for number, line in enumerate(file)]


def as_group(number: int, row: dict[str, Any]) -> GroupIn:
    """The solutions of all the models to one problem."""
    responses = [
        ResponseIn(id=model, text=row[model]["solution"], outcome=bool(row[model]["is_correct"])) for model in MODELS
    ]
    return GroupIn(group_id=str(number), problem=row["question"], responses=responses)


def main() -> None:
    """Replay and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", type=Path, help="model_solutions.jsonl or .jsonl.gz; default: below $SGPO_DATA_DIR")
    parser.add_argument("--apply-to", choices=("all_negative", "every_wrong", "none"), default="all_negative")
    parser.add_argument("--limit", type=int, help="so many problems only")
    parser.add_argument("--judge-delay-s", type=float, default=0.02, help="what one judge call takes")
    options = parser.parse_args()
    path = options.path or Path(os.environ.get("SGPO_DATA_DIR", "../shared/data")) / FILE
    if not path.is_file():
        parser.error(f"{path}: no such file; give --path, or set SGPO_DATA_DIR")
    counts = asyncio.run(replay(read_groups(path)[: options.limit], options.apply_to, options.judge_delay_s))
    print(json.dumps({"benchmark": "cache_replay", "apply_to": options.apply_to} | vars(counts)))
    print(f"\n{HEADER}\n{counts.row()}")


if __name__ == "__main__":
    main()
