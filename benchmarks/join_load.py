"""How many groups are joined right when a trainer posts single responses: retries, hang-ups and any order included.

Run: ``python benchmarks/join_load.py`` (some two minutes). It starts a server of its own, keeps 64 groups of 8 in
flight, that is 512 requests at a time, and compares every reward with that of the same group posted whole. Of all posts
a tenth is sent twice at once and a tenth is hung up on and sent again. Prints one JSON line and one row of Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

PROMPT = "<|im_start|>user\nProblem {}<|im_end|>\n<|im_start|>assistant\n"
TWICE, HANG_UP = 0.1, 0.1
START_S = 120
CONFIG = """[judge]
kind = "scripted"
delay_s = 0.005
[server]
port = 0
[page]
enabled = false
"""


class Group:
    """One problem, its responses, and what each was told."""

    def __init__(self, name: int, size: int, rng: random.Random) -> None:
        self.name = str(name)
        self.problem = f"Problem {name}"
        mixed = rng.random() < 0.5
        self.outcomes = [mixed and rng.random() < 0.4 for _ in range(size)]
        self.texts = [self._text(index, rng) for index in range(size)]
        self.rewards: list[set[float]] = [set() for _ in range(size)]
        self.num_incomplete = 0

    def _text(self, index: int, rng: random.Random) -> str:
        steps = rng.randint(3, 9)
        wrong = rng.randrange(steps)
        lines = [
            f"Step {step} of response {index} is {'WRONG' if step == wrong else 'fine'} here." for step in range(steps)
        ]
        return "\n".join([*lines, f"The answer is {7 if self.outcomes[index] else 8}."])

    def body(self, index: int) -> dict[str, Any]:
        """The post of one response."""
        prompt = PROMPT.format(self.name)
        label = {"answer": "7", "question": self.problem, "id": self.name, "group_size": len(self.texts)}
        return {"query": [prompt + self.texts[index] + "<|im_end|>"], "prompts": [prompt], "labels": [label]}

    def whole(self) -> dict[str, Any]:
        """The group as the native route takes it."""
        responses = [{"id": str(index), "text": text} for index, text in enumerate(self.texts)]
        return {"group_id": self.name, "problem": self.problem, "reference_answer": "7", "responses": responses}


async def post_member(session: aiohttp.ClientSession, url: str, group: Group, index: int, rng: random.Random) -> int:
    """One response, with whatever happens to it; the number of posts that it took."""
    await asyncio.sleep(rng.random() * 0.05)
    fate, posts = rng.random(), 1
    if fate < HANG_UP:
        posts += 1
        try:
            async with asyncio.timeout(rng.random() * 0.02):
                await post(session, url, group, index)
        except TimeoutError:
            pass
    copies = 2 if HANG_UP <= fate < HANG_UP + TWICE else 1
    await asyncio.gather(*(post(session, url, group, index) for _ in range(copies)))
    return posts + copies - 1


async def post(session: aiohttp.ClientSession, url: str, group: Group, index: int) -> None:
    """One request; notes the reward."""
    async with session.post(f"{url}/v1/openrlhf", json=group.body(index)) as response:
        response.raise_for_status()
        reply = await response.json()
    group.rewards[index].add(reply["rewards"][0])
    group.num_incomplete += reply["extra_logs"]["group_joined"] != [1.0]


async def expected(session: aiohttp.ClientSession, url: str, groups: list[Group]) -> list[list[float]]:
    """The rewards of the groups posted whole."""
    async with session.post(f"{url}/v1/rewards", json={"groups": [group.whole() for group in groups]}) as response:
        response.raise_for_status()
        reply = await response.json()
    return [[round(each["reward"], 6) for each in out["responses"]] for out in reply["groups"]]


async def measure(url: str, num_groups: int, size: int, in_flight: int, seed: int) -> dict[str, Any]:
    """Post everything, then compare."""
    rng = random.Random(seed)
    groups = [Group(name, size, rng) for name in range(num_groups)]
    room, latencies, num_posts = asyncio.Semaphore(in_flight), [], 0
    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=180)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def run(group: Group) -> None:
            nonlocal num_posts
            async with room:
                started = time.perf_counter()
                order = rng.sample(range(size), size)
                posts = await asyncio.gather(*(post_member(session, url, group, i, rng) for i in order))
                num_posts += sum(posts)
                latencies.append(time.perf_counter() - started)

        started = time.perf_counter()
        await asyncio.gather(*(run(group) for group in groups))
        elapsed = time.perf_counter() - started
        right = 0
        for start in range(0, num_groups, 50):
            batch = groups[start : start + 50]
            for group, rewards in zip(batch, await expected(session, url, batch), strict=True):
                right += not group.num_incomplete and [{reward} for reward in rewards] == group.rewards
    latencies.sort()
    return {
        "groups": num_groups,
        "size": size,
        "in_flight": in_flight * size,
        "joined_right": right,
        "posts": num_posts,
        "posts_of_incomplete_groups": sum(group.num_incomplete for group in groups),
        "groups_per_s": round(num_groups / elapsed, 1),
        "group_p50_s": round(latencies[len(latencies) // 2], 3),
        "group_p99_s": round(latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))], 3),
        "seed": seed,
    }


def main() -> int:
    """Start a server, measure, print; exit status 1 when a group was joined wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=1000)
    parser.add_argument("--size", type=int, default=8)
    parser.add_argument("--in-flight", type=int, default=64, help="groups at a time")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config, url_file = Path(folder, "server.toml"), Path(folder, "url")
        config.write_text(CONFIG)
        command = [sys.executable, "-m", "reward_server", "--config", str(config), "--url-file", str(url_file)]
        server = subprocess.Popen([*command, "--exit-with-parent"], stderr=subprocess.DEVNULL)
        try:
            until = time.monotonic() + START_S
            while not url_file.exists():
                if server.poll() is not None or time.monotonic() > until:
                    raise SystemExit("the server did not start; run it by hand to see why")
                time.sleep(0.05)
            row = asyncio.run(measure(url_file.read_text(), args.groups, args.size, args.in_flight, args.seed))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    print(json.dumps(row))
    names = ("groups", "size", "in_flight", "posts", "joined_right", "groups_per_s", "group_p50_s", "group_p99_s")
    print("| " + " | ".join(str(row[name]) for name in names) + " |")
    return 0 if row["joined_right"] == row["groups"] else 1


if __name__ == "__main__":
    sys.exit(main())
