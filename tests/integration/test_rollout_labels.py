"""Rollouts by a real policy: a 135M model in this process, and the request that a vLLM server gets."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

import pytest

from judge.backends.base import Chat, PromptTooLong, Sampling
from judge.backends.local import LocalBackend, chat_ids
from judge.backends.openai import OpenAIBackend
from judge.commands import label
from judge.models import ModelFiles, load_tokenizer
from judge.records import read_rows, write_records
from judge.types import Record

SUM = "What is 12 + 5? Answer in one line."


def begun(prompt: str, prefix: str) -> Chat:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": prefix}]


BEGUN = begun(SUM, "12 + 5 = ")


def command(*args: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    label.add_parser(parser.add_subparsers())
    return parser.parse_args(["label", "rollout", *map(str, args)])


def test_the_assistant_s_turn_is_left_open(smollm2: Path) -> None:
    tokenizer = load_tokenizer(ModelFiles(smollm2))
    text = tokenizer.decode(chat_ids(tokenizer, BEGUN))
    assert text.endswith(f"{SUM}<|im_end|>\n<|im_start|>assistant\n12 + 5 = ")


async def test_the_server_is_asked_to_go_on() -> None:
    """On a real socket: the turn is unfinished, every sample has its seed."""
    bodies: list[dict[str, object]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        bodies.append(json.loads(await reader.readexactly(length)))
        choice = {"message": {"role": "assistant", "content": "17"}, "finish_reason": "length"}
        reply = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 20, "completion_tokens": 2}}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(reply) + reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    policy = OpenAIBackend(base_url=url, model="policy")
    try:
        (reply,) = await policy.generate([BEGUN], Sampling(2, 0.7, 8, 5))
    finally:
        await policy.aclose()
        server.close()
    assert [(g.text, g.finish_reason) for g in reply.generations] == [("17", "length")] * 2
    assert reply.usage.completion_tokens == 4
    assert sorted(body["seed"] for body in bodies) == [5, 6]  # type: ignore[type-var]
    for body in bodies:
        assert body["messages"] == [
            {"role": "user", "content": SUM},
            {"role": "assistant", "content": "12 + 5 = "},
        ]
        assert body["continue_final_message"] is True
        assert body["add_generation_prompt"] is False


@pytest.mark.slow
async def test_a_real_policy_goes_on(smollm2: Path) -> None:
    policy = LocalBackend(str(smollm2), batch_size=4)
    capital, long = begun("What is the capital of France?", "The capital of France is"), begun("word " * 9000, "So")
    try:
        replies = await policy.generate([capital, long], Sampling(3, 0.3, 6, 0))
        assert [generation.text[:6] for generation in replies[0].generations] == [" Paris"] * 3
        assert len(replies[0].generations) == 3
        assert 0 < replies[0].usage.completion_tokens <= 18
        assert isinstance(replies[1].error, PromptTooLong)
        again = await policy.generate([capital], Sampling(3, 0.3, 6, 0))
        assert again[0].generations == replies[0].generations
    finally:
        await policy.aclose()


@pytest.mark.slow
def test_the_command_labels_real_rows_and_goes_on(
    smollm2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        Record(SUM, ("12 + 5 = 17.", "The answer is 17."), reference_answer="17", id="right"),
        Record(SUM, ("12 + 5 = 17.", "The answer is 18."), reference_answer="17", id="late"),
        Record(SUM, ("12 + 5 = 90.", "The answer is 90."), reference_answer="17", id="early"),
    ]
    source, out, config = tmp_path / "rows.jsonl", tmp_path / "labels.jsonl", tmp_path / "c.toml"
    write_records(rows, source)
    config.write_text('[rollout]\nnum_rollouts = 4\nmax_tokens = 12\ninstruction = ""\n')
    args = ["--path", source, "--model", smollm2, "--config", config, "--output", out]
    assert label.main(command(*args, "--limit", 2)) == 0
    first = out.read_bytes()
    assert label.main(command(*args)) == 0
    said = capsys.readouterr().out
    assert out.read_bytes().startswith(first)
    assert "2 were there already" in said
    assert "rollouts (" in said
    labels = {row.record.id: row.record.label for row in read_rows(out)}
    assert labels["right"] == -1, out.read_text()
    assert labels["late"] == 1, out.read_text()
    assert labels["early"] in (0, 1), out.read_text()
