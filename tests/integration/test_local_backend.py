"""The critic on real weights: a 135M model judges badly, but it answers, and the same way every time."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import json
import re
import time
from pathlib import Path

import pytest

from judge.backends.base import Message, PromptTooLong, Sampling
from judge.backends.local import LocalBackend
from judge.errors import BackendTimeout, ModelError
from judge.judges.critic import CriticJudge, CriticSettings
from judge.models import export, find_model, load_tokenizer
from judge.prompting import critic_chat
from judge.types import Solution, Unscored, UnscoredReason, Verdict

pytestmark = pytest.mark.slow
MODEL = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged weights as a checkpoint: the one in weights/ when it was made, else a new one."""
    made = Path(__file__).resolve().parents[2] / "weights" / "SmolLM2-135M-Instruct"
    if (made / "config.json").is_file():
        return made
    target = tmp_path_factory.mktemp("weights") / "SmolLM2-135M-Instruct"
    try:
        assert export(MODEL, target)
    except ModelError as error:
        pytest.fail(f"{error}: run `make weights`")
    assert not export(MODEL, target)
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    return target


@pytest.fixture(scope="module")
def backend(checkpoint: Path) -> LocalBackend:
    return LocalBackend(str(checkpoint), batch_size=8)


def user(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


async def test_generates_sense_and_stops_by_itself(backend: LocalBackend) -> None:
    chats = [user("What is the capital of France?"), user("What is 2 + 2? Answer with one number.")]
    replies = await backend.generate(chats, Sampling(max_tokens=24))
    assert "Paris" in replies[0].generations[0].text
    assert "4" in replies[1].generations[0].text
    assert replies[0].generations[0].finish_reason == "stop"
    assert "<|" not in replies[0].generations[0].text
    assert 0 < replies[0].usage.completion_tokens < 24
    # A shorter prompt is padded on the left, and must not notice.
    [alone] = await backend.generate(chats[:1], Sampling(max_tokens=24))
    assert alone.generations == replies[0].generations


async def test_samples_are_reproducible_and_differ(backend: LocalBackend) -> None:
    sampling = Sampling(num_samples=3, temperature=1.0, max_tokens=12, seed=5)
    [first] = await backend.generate([user("Tell me a story.")], sampling)
    other, again = await backend.generate([user("Name a colour."), user("Tell me a story.")], sampling)
    assert len({generation.text for generation in first.generations}) == 3
    assert again.generations == first.generations
    assert other.generations != first.generations
    [reseeded] = await backend.generate([user("Tell me a story.")], dataclasses.replace(sampling, seed=6))
    assert reseeded.generations != first.generations


async def test_loop_stays_free_and_time_out_is_typed(checkpoint: Path) -> None:
    backend = LocalBackend(str(checkpoint), timeout_s=0.5)
    task = asyncio.create_task(backend.generate([user("Count to a thousand.")], Sampling(max_tokens=4000)))
    pauses = []
    while not task.done():
        start = time.monotonic()
        await asyncio.sleep(0.01)
        pauses.append(time.monotonic() - start)
    [reply] = task.result()
    assert isinstance(reply.error, BackendTimeout)
    assert len(pauses) > 5
    await backend.aclose()
    await backend.aclose()


async def test_prompt_that_does_not_fit_is_refused(backend: LocalBackend) -> None:
    fits, long = await backend.generate([user("Hi"), user("word " * 8200)], Sampling(max_tokens=2))
    assert fits.error is None
    assert isinstance(long.error, PromptTooLong)


async def test_critic_on_real_rows(backend: LocalBackend, data_dir: Path) -> None:
    with gzip.open(data_dir / "processbench" / "gsm8k.json.gz", "rt") as file:
        rows = json.load(file)[:3]
    solutions = [Solution(row["problem"], tuple(row["steps"]), known_wrong=row["label"] >= 0) for row in rows]
    judge = CriticJudge(backend, CriticSettings(backend="local", model=MODEL, max_tokens=12))
    first = await judge.judge(solutions)
    assert len(first) == 3
    for result, solution in zip(first, solutions, strict=True):
        assert result.usage.completion_tokens > 0
        if isinstance(result, Verdict):
            assert result.first_error is None or 0 <= result.first_error < len(solution.steps)
        else:
            assert result.reason is UnscoredReason.PARSE_ERROR
            assert result.raw
    again = await judge.judge(solutions)
    assert [timeless(result) for result in again] == [timeless(result) for result in first]
    assert re.search(r"SmolLM2-135M-Instruct@[0-9a-f]{12}-", judge.judge_id)


def timeless(result: Verdict | Unscored) -> Verdict | Unscored:
    return dataclasses.replace(result, latency_s=0.0)


def test_no_text_in_a_solution_becomes_a_special_token(checkpoint: Path) -> None:
    tokenizer = load_tokenizer(find_model(str(checkpoint)))
    special = tokenizer.all_special_tokens + [str(token) for token in tokenizer.added_tokens_decoder.values()]

    def num_special(*steps: str) -> int:
        chat = critic_chat(Solution("?", steps))
        ids = tokenizer.apply_chat_template(chat, return_dict=True)["input_ids"]
        return sum(token in tokenizer.added_tokens_decoder for token in ids)

    assert len(special) > 15
    assert num_special(*special) == num_special("harmless") > 0


def test_digits_are_single_tokens(checkpoint: Path) -> None:
    packaged, exported = (load_tokenizer(find_model(name)) for name in (MODEL, str(checkpoint)))
    for text in ("12345 + 67\n\n89  0.5", "Step 1:\n\n\\frac{12}{7}", "x"):
        assert packaged(text).input_ids == exported(text).input_ids
    assert exported.convert_ids_to_tokens(exported("a  12\n\n3").input_ids) == ["a", "ĠĠ", "1", "2", "ĊĊ", "3"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("no/such/folder", "no such folder"), ("./absent", "no such folder"), ("smollm", MODEL), ("/", "config.json")],
)
def test_missing_model_says_what_to_do(name: str, said: str) -> None:
    with pytest.raises(ModelError, match=re.escape(said)):
        find_model(name)


def test_export_leaves_other_folders_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ModelError, match="not a checkpoint"):
        export(MODEL, tmp_path)
    with pytest.raises(ModelError, match=MODEL):
        export("gpt-5", tmp_path / "new")
