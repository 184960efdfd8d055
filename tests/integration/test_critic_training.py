"""Training of a critic on a tiny random model, from labelled rows to a judge that loads the folder."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, TrainerCallback

from judge.backends.local import chat_ids
from judge.errors import ConfigError, ModelError
from judge.judges.critic import CriticSettings, build_critic
from judge.models import find_model, load_model
from judge.prompting import critic_chat
from judge.records import write_records
from judge.registry import judge_table
from judge.train.critic import Splits, build_trainer, train_critic
from judge.train.critic_data import encode_records
from judge.types import Solution, UnscoredReason, Verdict
from tests.integration.critic_run import NUM_PROBLEMS, made_records, make_base, settings

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("tiny-base"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write_records(made_records(), path)
    return path


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "model.safetensors"))


class Interrupt(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """Ctrl-C after an update, or once all of them are done."""

    def __init__(self, step: int | None) -> None:
        self.step = step
        self.updates: list[int] = []

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_more: Any) -> None:
        self.updates.append(state.global_step)
        if state.global_step == self.step:
            raise KeyboardInterrupt

    def on_train_end(self, _args: Any, _state: Any, _control: Any, **_more: Any) -> None:
        if self.step is None:
            raise KeyboardInterrupt


def test_loss_is_on_the_reply_only(tiny_base: Path, rows: Path, tmp_path: Path) -> None:
    chosen = settings(tiny_base, rows)
    model, tokenizer = load_model(find_model(str(tiny_base)), "float32")
    records = made_records()[:3]
    encoded, skipped = encode_records(records, tokenizer, chosen, "train")
    trainer = build_trainer(model, tokenizer, Splits(encoded, [], {}), chosen, tmp_path, ())
    assert skipped == Counter()
    batch = next(iter(trainer.get_eval_dataloader(trainer.train_dataset)))
    assert batch["input_ids"].shape[0] == 2
    replies = [
        "Paragraph 0 is correct.\nParagraph 1 is correct.\nNo paragraph contains an error.\n\n\\boxed{-1}",
        "Paragraph 0 is correct.\nParagraph 1 is wrong: One more is one more.\n\n\\boxed{1}",
    ]
    for record, reply, ids, mask, labels in zip(
        records, replies, batch["input_ids"], batch["attention_mask"], batch["labels"], strict=False
    ):
        prompt = chat_ids(tokenizer, critic_chat(Solution(record.problem, record.steps)))
        length = int(mask.sum())
        assert tuple(ids[: len(prompt)].tolist()) == prompt
        assert (labels[: len(prompt)] == -100).all()
        assert labels[len(prompt) : length].tolist() == ids[len(prompt) : length].tolist()
        assert (labels[length:] == -100).all()
        assert tokenizer.decode(labels[labels != -100]) == f"{reply}<|im_end|>\n"
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        expected = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten())
        assert trainer.compute_loss(model, dict(batch)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_trained_critic_is_a_judge(tiny_base: Path, rows: Path, tmp_path: Path) -> None:
    output = tmp_path / "critic"
    chosen = settings(tiny_base, rows, epochs=12, learning_rate=2e-2, checkpoint_every=6)
    metrics = train_critic(chosen, output)
    num_train, num_validation = metrics["num_train"], metrics["num_validation"]
    assert isinstance(num_train, int)
    assert num_train + num_validation == NUM_PROBLEMS  # type: ignore[operator]
    num_updates = 12 * math.ceil(num_train / 4)
    assert metrics["num_updates"] == num_updates
    assert isinstance(metrics["first_loss"], float)
    assert isinstance(metrics["last_loss"], float)
    assert metrics["first_loss"] > 4 > 2 > metrics["last_loss"]
    assert json.loads((output / "training" / "metrics.json").read_text()) == metrics
    history: Any = metrics["history"]
    assert [row["step"] for row in history if "validation_loss" in row] == list(range(6, num_updates + 1, 6))
    card = (output / "README.md").read_text()
    assert (output / "training.png").read_bytes().startswith(b"\x89PNG")
    assert judge_table(str(output)) == {"kind": "critic", "backend": "local", "model": str(output)}
    assert f'model = "{output}"' in card
    assert str(json.loads((output / "critic.json").read_text())["data_digest"]) in card
    assert sorted(path.name for path in (output / "training").iterdir()) == ["metrics.json"]
    assert not [path for path in output.iterdir() if path.name.startswith(".")]
    judge = build_critic(CriticSettings(backend="local", model=str(output), max_tokens=40))
    results = asyncio.run(judge.judge([Solution(record.problem, record.steps) for record in made_records()[:2]]))
    assert all(result.usage.completion_tokens > 0 for result in results)
    for result in results:
        if isinstance(result, Verdict):
            assert result.first_error in (None, 0, 1)
        else:
            assert result.reason is UnscoredReason.PARSE_ERROR
    with pytest.raises(ConfigError, match="finished model"):
        train_critic(chosen, output)
    other = output / "critic.json"
    other.write_text(other.read_text().replace('"segmenter": "seg', '"segmenter": "old'))
    with pytest.raises(ModelError, match="segmenter 'old1', and this version of sgpo has 'seg1'"):
        build_critic(CriticSettings(backend="local", model=str(output)))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "lora"])
def test_interrupted_run_ends_with_the_same_weights(method: str, tiny_base: Path, rows: Path, tmp_path: Path) -> None:
    chosen = settings(tiny_base, rows, method=method)
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    train_critic(chosen, whole)
    with pytest.raises(KeyboardInterrupt):
        train_critic(chosen, resumed, [Interrupt(3)])
    checkpoints = resumed / "training" / "checkpoints"
    assert [path.name for path in checkpoints.glob("checkpoint-*")] == ["checkpoint-2"]
    shutil.copytree(checkpoints / "checkpoint-2", checkpoints / "checkpoint-3")
    (checkpoints / "checkpoint-3" / "trainer_state.json").write_text('{"global_step": 3, "epo')  # a full disk
    at_the_end = Interrupt(None)
    with pytest.raises(KeyboardInterrupt):
        train_critic(chosen, resumed, [at_the_end])
    assert at_the_end.updates[0] == 3
    assert not (resumed / "config.json").exists()
    metrics = train_critic(chosen, resumed)
    assert metrics["num_updates"] == json.loads((whole / "training" / "metrics.json").read_text())["num_updates"] > 3
    expected, found = weights(whole), weights(resumed)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    before = weights(tiny_base)
    assert any(not torch.equal(before[name], found[name]) for name in before)


def test_run_with_other_settings_does_not_go_on(tiny_base: Path, rows: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_critic(settings(tiny_base, rows), tmp_path / "run", [Interrupt(1)])
    with pytest.raises(ConfigError, match=r"other settings\.seed;"):
        train_critic(settings(tiny_base, rows, seed=1), tmp_path / "run")
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds no training of a critic"):
        train_critic(settings(tiny_base, rows), notes)


def test_adapter_alone_gives_what_the_merged_checkpoint_gives(tiny_base: Path, rows: Path, tmp_path: Path) -> None:
    from peft import AutoPeftModelForCausalLM

    lora = {"method": "lora", "lora": {"rank": 4}, "epochs": 1, "learning_rate": 1e-2}
    train_critic(settings(tiny_base, rows, **lora), tmp_path / "merged")
    train_critic(settings(tiny_base, rows, merge=False, **lora), tmp_path / "adapter")
    assert not (tmp_path / "adapter" / "config.json").exists()
    assert "is an adapter" in (tmp_path / "adapter" / "README.md").read_text()
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        base, merged, adapter = (
            loader.from_pretrained(folder, dtype=torch.float32).eval()(input_ids=ids).logits
            for loader, folder in (
                (AutoModelForCausalLM, tiny_base),
                (AutoModelForCausalLM, tmp_path / "merged"),
                (AutoPeftModelForCausalLM, tmp_path / "adapter"),
            )
        )
    assert not torch.allclose(base, merged, atol=1e-3)
    torch.testing.assert_close(merged, adapter, atol=1e-4, rtol=1e-4)
