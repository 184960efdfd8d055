"""Labels from rollouts: the label follows from the rollouts' answers, and a killed run ends as one that was not."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from judge.answers import AnswerChecker
from judge.backends.base import Chat, Generation, PromptTooLong, Reply, Sampling, TextBackend
from judge.data.labels.monte_carlo import Progress, RolloutSettings, Tally
from judge.data.labels.rollout_file import RolloutSummary, label_file
from judge.errors import BackendError, DataError
from judge.records import read_rows
from judge.types import Record, Usage

Script = dict[str, list[float | BackendError]]
RIGHT, WRONG = "The answer is 7.", "The answer is 8."


class Killed(Exception):
    """The run ends here."""


@dataclass
class Scripted:
    """Succeeds after a prefix of so many steps with a known probability; an error where the script holds one."""

    script: Script
    name: str = "scripted"
    asked: list[tuple[str, int]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    stop_after: int | None = None

    async def generate(self, chats: Sequence[Chat], sampling: Sampling) -> list[Reply]:
        if self.stop_after is not None and len(self.batches) >= self.stop_after:
            raise Killed
        self.batches.append(len(chats))
        return [self.reply(chat, sampling) for chat in chats]

    def reply(self, chat: Chat, sampling: Sampling) -> Reply:
        user, assistant = chat
        problem, num_steps = user["content"].split("\n")[0], assistant["content"].count("\n")
        self.asked.append((problem, num_steps))
        chance = self.script[problem][num_steps - 1]
        if isinstance(chance, BackendError):
            return Reply(error=chance)
        rng = random.Random(f"{problem}/{num_steps}/{sampling.seed}")
        texts = [RIGHT if rng.random() < chance else WRONG for _ in range(sampling.num_samples)]
        num_samples = sampling.num_samples
        return Reply(tuple(map(Generation, texts)), Usage(10 * num_steps, 5 * num_samples, num_samples))

    async def aclose(self) -> None:
        """Nothing."""


def record(name: str, num_steps: int, *, right: bool = False) -> Record:
    steps = (*(f"step {index}" for index in range(num_steps - 1)), RIGHT if right else WRONG)
    return Record(name, steps, reference_answer="7", id=name)


async def run(
    records: Sequence[Record],
    output: Path,
    policy: TextBackend,
    settings: RolloutSettings | None = None,
    window: int = 3,
) -> RolloutSummary:
    checker = AnswerChecker()
    try:
        return await label_file(
            records, output, settings or RolloutSettings(), policy, checker, window=window, progress=lambda _: None
        )
    finally:
        await checker.aclose()


def labels(output: Path) -> dict[str, int | None]:
    return {row.record.id: row.record.label for row in read_rows(output)}


CASES = [
    # success chance behind each step but the last, is the response's own answer right, label
    ([1.0, 1.0, 1.0], True, -1),
    ([1.0, 1.0, 1.0], False, 3),
    ([1.0, 0.0, 0.0], False, 1),
    ([0.0, 1.0, 1.0], False, 0),
    ([1.0, 0.0, 1.0], True, 1),
    ([], False, 0),
    ([], True, -1),
]


@pytest.mark.parametrize("stop_early", [True, False])
async def test_the_first_error_is_where_success_falls_to_zero(stop_early: bool, tmp_path: Path) -> None:
    records = [record(f"p{n}", len(chances) + 1, right=right) for n, (chances, right, _) in enumerate(CASES)]
    policy = Scripted({f"p{n}": list(chances) for n, (chances, _, _) in enumerate(CASES)})
    output = tmp_path / "labels.jsonl"
    summary = await run(records, output, policy, RolloutSettings(stop_early=stop_early))
    assert labels(output) == {f"p{n}": label for n, (_, _, label) in enumerate(CASES)}
    behind_error = ("p2", 3) in policy.asked
    assert behind_error != stop_early
    assert len(set(policy.asked)) == len(policy.asked)
    own_answers = sum(1 for n, c in enumerate(CASES) if not stop_early or c[2] in (-1, len(c[0])))
    assert summary.num_rollouts == 8 * len(policy.asked) + own_answers
    assert summary.completion_tokens == 5 * 8 * len(policy.asked)
    assert summary.prompt_tokens == sum(10 * num_steps for _, num_steps in policy.asked)
    assert max(policy.batches) > 1


async def test_labels_follow_the_binomial(tmp_path: Path) -> None:
    """A step after which a rollout succeeds with chance p is taken for wrong with chance (1 - p)^k."""
    chance, num_rollouts, num_records = 0.3, 4, 400
    records = [record(f"p{n}", 2, right=True) for n in range(num_records)]
    policy = Scripted({f"p{n}": [chance] for n in range(num_records)})
    output = tmp_path / "labels.jsonl"
    await run(records, output, policy, RolloutSettings(num_rollouts=num_rollouts), window=100)
    share = sum(label == 0 for label in labels(output).values()) / num_records
    expected = (1 - chance) ** num_rollouts
    assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / num_records)


@pytest.mark.parametrize(("threshold", "label"), [(0.0, None), (0.2, None), (0.25, 1), (0.5, 0)])
def test_threshold(threshold: float, label: int | None) -> None:
    settings = RolloutSettings(threshold=threshold, stop_early=False)
    tallies = [Tally(2, 4), Tally(1, 4), Tally(3, 4)]
    assert Progress(record("p", 4), settings, tallies).first_error == label


async def test_a_killed_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    rng = random.Random(0)
    script: Script = {f"p{n}": [rng.choice([0.0, 0.3, 1.0]) for _ in range(rng.randint(0, 4))] for n in range(12)}
    records = [record(name, len(chances) + 1) for name, chances in script.items()]
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    full = await run(records, whole, Scripted(script))
    lines = whole.read_text().splitlines()
    for batches in (1, 2, 1):
        with pytest.raises(Killed):
            await run(records, parts, Scripted(script, stop_after=batches))
        with parts.open("a") as file:  # killed while it wrote the next line
            file.write(lines[len(parts.read_text().splitlines())][:40])
    last = await run(records, parts, Scripted(script))
    assert parts.read_bytes() == whole.read_bytes()
    assert 0 < last.num_taken_up < len(records)
    assert (last.labels, last.num_rollouts, last.prompt_tokens) == (full.labels, full.num_rollouts, full.prompt_tokens)
    again = Scripted(script)
    assert (await run(records, parts, again)).num_taken_up == len(records)
    assert again.asked == []


async def test_the_line_tells_what_the_label_rests_on(tmp_path: Path) -> None:
    output = tmp_path / "labels.jsonl"
    await run([record("p", 3)], output, Scripted({"p": [1.0, 0.0]}))
    line = json.loads(output.read_text())
    assert line["rollouts"]["num_correct"] == [8, 0]
    assert line["rollouts"]["num_rollouts"] == [8, 8]
    assert line["rollouts"]["completion_tokens"] == 80
    assert line["rollouts"]["labeller"].startswith("rollout@1+scripted+")


async def test_another_run_s_output_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "labels.jsonl"
    records, script = [record("p", 2)], Script({"p": [1.0]})
    await run(records, output, Scripted(script))
    before = output.read_bytes()
    with pytest.raises(DataError, match=r"labelled by 'rollout@1\+scripted.*--overwrite"):
        await run(records, output, Scripted(script), RolloutSettings(num_rollouts=4))
    with pytest.raises(DataError, match="labelled by"):
        await run(records, output, Scripted(script, name="other"))
    with pytest.raises(DataError, match="row 'p' is not in the input, or has other content"):
        await run([record("p", 3)], output, Scripted(script))
    assert output.read_bytes() == before
    for text in ("hello", '{"id": 1}\n', '{"rollouts": {"labeller": "x"}, "id": "p"}\n'):
        output.write_text(text)
        with pytest.raises(DataError):
            await run(records, output, Scripted(script))
        assert output.read_text() == text


async def test_failures_are_no_labels(tmp_path: Path) -> None:
    output = tmp_path / "labels.jsonl"
    down = BackendError("down", retryable=True)
    script: Script = {"a": [1.0], "b": [PromptTooLong("too long")], "c": [down], "d": [0.0]}
    records = [record(name, 2) for name in script]
    summary = await run(records, output, Scripted(script))
    assert labels(output) == {"a": 1, "b": None, "d": 0}
    assert summary.labels == {"error": 2, "failed": 1}
    assert summary.num_left == 1
    assert "too long" in summary.first_failure
    summary = await run(records, output, Scripted(script | {"c": [1.0]}))
    assert labels(output) == {"a": 1, "b": None, "d": 0, "c": 1}
    assert summary.num_left == 0


async def test_a_policy_that_is_down_stops_the_run(tmp_path: Path) -> None:
    down = BackendError("down", retryable=True)
    records = [record(f"p{n}", 2) for n in range(9)]
    policy = Scripted({f"p{n}": [down] for n in range(9)})
    summary = await run(records, tmp_path / "labels.jsonl", policy)
    assert summary.num_left == 9
    assert policy.batches == [3]


@pytest.mark.parametrize("field", ["steps", "reference_answer"])
async def test_what_cannot_be_labelled_is_refused_first(field: str, tmp_path: Path) -> None:
    bad = Record("p", () if field == "steps" else ("one",), reference_answer="7" if field == "steps" else None, id="x")
    policy = Scripted({})
    with pytest.raises(DataError, match=f"row 'x': rollouts need '{field}'"):
        await run([record("a", 2), bad], tmp_path / "labels.jsonl", policy)
    assert policy.batches == []
