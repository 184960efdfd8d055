"""Training a classifier on a tiny random model: what it writes, what loads it, interruptions, full disks."""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from judge.errors import ConfigError, ModelError
from judge.judge_folder import read_manifest
from judge.judges.classifier import ClassifierSettings, build_classifier
from judge.registry import MANIFEST
from judge.train.classifier import train_classifier
from judge.train.classifier_checkpoints import last_whole
from judge.train.classifier_trainer import ClassifierTrainer
from judge.types import Solution, Verdict
from tests.integration.classifier_run import make_place, row, settings
from tests.unit.classifier_tiny import byte_tokenizer, causal_model, save

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_place(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def whole(place: Path) -> Path:
    """An uninterrupted run."""
    (place / "whole.result.json").write_text(json.dumps(train_classifier(settings(place), place / "whole")))
    return place / "whole"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """All that a full run trained."""
    return load_file(folder / "model" / "model.safetensors") | load_file(folder / "weights.safetensors")


def assert_same_weights(one: Path, other: Path) -> None:
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


SOLUTIONS = [Solution(str(r["problem"]), tuple(r["steps"])) for r in map(row, range(1000, 1012))]


def judged(folder: Path, **changes: Any) -> list[tuple[float, ...]]:
    judge = build_classifier(ClassifierSettings(**{"folder": str(folder), "device": "cpu"} | changes))
    results = asyncio.run(judge.judge(SOLUTIONS))
    assert all(isinstance(result, Verdict) for result in results)
    return [result.step_error_probs for result in results]  # type: ignore[union-attr, misc]


def by_hand(model: Any, folder: Path, solution: Solution) -> list[float]:
    """Scores one step at a time: the text so far, the last token's state, the head, a softmax, the calibration."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    head = load_file(folder.parent / "weights.safetensors") if (folder.parent / MANIFEST).exists() else None
    assert head is not None
    decoding = read_manifest(folder.parent, "classifier").decoding
    ids = tokenizer.encode(f"Problem: {solution.problem}\n\nSolution:\n")
    scores = []
    for step in solution.steps:
        ids = ids + tokenizer.encode(step) + tokenizer.encode("\n\n")
        with torch.no_grad():
            state = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0, -1]
        wrong = (head["weight"] @ state + head["bias"]).softmax(-1)[1].item()
        scores.append(decoding.calibration.apply(wrong))
    return scores


def test_folder_is_complete_and_scores_as_by_hand(whole: Path) -> None:
    assert {path.name for path in whole.iterdir()} >= {
        *("judge.json", "weights.safetensors", "README.md", "history.json", "model"),
        *("reliability.png", "f1_threshold.png", "training.png"),
    }
    assert not whole.with_name("whole.checkpoints").exists()
    assert "| source 1: rows | 80 |" in (whole / "README.md").read_text()
    model = AutoModelForCausalLM.from_pretrained(whole / "model").eval()
    found = judged(whole)
    for solution, scores in zip(SOLUTIONS, found, strict=True):
        assert scores == pytest.approx(by_hand(model, whole / "model", solution), abs=1e-4)


def test_it_learns(whole: Path, place: Path) -> None:
    result = json.loads((place / "whole.result.json").read_text())
    losses = [entry["loss"] for entry in result["history"] if "loss" in entry]
    validations = [entry for entry in result["history"] if "validation_loss" in entry]
    assert losses[-1] < losses[0] / 3
    assert validations[-1]["validation_loss"] < validations[0]["validation_loss"]
    assert result["validation"]["conditional_acc"] >= 0.9
    assert result["too_long"] == {"train": 0, "validation": 0, "calibration": 0}
    firsts = [max(range(len(scores)), key=scores.__getitem__) for scores in judged(whole)]
    wanted = [(number, row(number)["label"]) for number in range(1000, 1012)]
    hits = [firsts[number - 1000] == label for number, label in wanted if label != -1]
    assert sum(hits) >= len(hits) - 1


@contextmanager
def after_checkpoint(step: int, action: Callable[[], None]) -> Iterator[None]:
    """Do something as soon as the checkpoint of a step is whole."""
    save = ClassifierTrainer._save_checkpoint

    def save_and_act(self: Any, *args: Any) -> None:
        save(self, *args)
        if self.state.global_step == step:
            action()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClassifierTrainer, "_save_checkpoint", save_and_act)
        yield


def interrupt() -> None:
    raise KeyboardInterrupt


def test_interrupted_run_ends_with_the_same_weights(place: Path, whole: Path) -> None:
    output = place / "interrupted"
    checkpoints = place / "interrupted.checkpoints"
    with (
        after_checkpoint(6, interrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        train_classifier(settings(place), output)
    good = last_whole(checkpoints)
    assert good is not None
    assert not output.exists()
    half = checkpoints / "checkpoint-90"  # what a run leaves that was ended while it saved
    shutil.copytree(good, half)
    (half / "trainer_state.json").write_text('{"epoch": 0.')
    with pytest.raises(ConfigError, match=r"other settings \(learning_rate\)"):
        train_classifier(settings(place, learning_rate=1e-2), output)
    train_classifier(settings(place), output)
    assert_same_weights(whole, output)
    assert not checkpoints.exists()


def test_full_disk_leaves_the_last_good_checkpoint(place: Path, whole: Path) -> None:
    output = place / "full-disk"
    checkpoints = place / "full-disk.checkpoints"
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with (
            after_checkpoint(
                3,
                lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard)),
            ),
            pytest.raises(OSError, match=r"could not be written .* make room and run the same command"),
        ):
            train_classifier(settings(place), output)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert len(list(checkpoints.glob("checkpoint-*"))) == 1, "a half-written one takes room that is needed"
    assert last_whole(checkpoints) is not None
    train_classifier(settings(place), output)
    assert_same_weights(whole, output)


def test_full_disk_at_the_end_trains_nothing_again(place: Path, whole: Path) -> None:
    output = place / "no-room"
    checkpoints = place / "no-room.checkpoints"
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    shutil.copytree(whole, output)
    before = weights(output)
    steps = json.loads((whole / "history.json").read_text())[-1]["step"]
    try:
        with (
            after_checkpoint(
                steps,
                lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard)),
            ),
            pytest.raises(OSError, match=r"no-room could not be written .* nothing is trained again"),
        ):
            train_classifier(settings(place), output)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert all(torch.equal(value, before[name]) for name, value in weights(output).items())
    assert last_whole(checkpoints) is not None
    assert {path.name for path in place.iterdir() if path.name.startswith(".no-room")} == set()


@pytest.fixture(scope="module")
def lora(place: Path) -> Path:
    changes = {"method": "lora", "lora": {"rank": 4, "alpha": 8.0}, "learning_rate": 1e-2}
    train_classifier(settings(place, **changes), place / "lora")
    return place / "lora"


def test_lora_folder_scores_as_by_hand(place: Path, lora: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(place / "base")
    adapted = PeftModel.from_pretrained(base.get_decoder(), lora / "adapter").eval()
    trained = {name: value for name, value in adapted.named_parameters() if "lora_B" in name}
    assert len(trained) == 2 * 7, "all linear layers"
    assert all(value.abs().max() > 0 for value in trained.values())
    shutil.copytree(place / "base", lora / "tokenizer", dirs_exist_ok=True)
    for solution, scores in zip(SOLUTIONS, judged(lora), strict=True):
        assert scores == pytest.approx(by_hand(base, lora / "tokenizer", solution), abs=1e-4)


def test_other_base_model_is_refused(place: Path, lora: Path, tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    save(causal_model(tokenizer, seed=5), tokenizer, tmp_path / "other")
    save(causal_model(tokenizer), byte_tokenizer(("<a>", "<b>")), tmp_path / "retokenized")
    for name, what in (("other", "base model"), ("retokenized", "tokenizer")):
        with pytest.raises(ModelError, match=rf"made for {what} \w+ .* and '.*{name}' has \w+"):
            judged(lora, model=str(tmp_path / name))
    assert judged(lora, model=str(place / "base"))


def test_folders_that_do_not_fit(lora: Path, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds its own model"):
        judged(whole, model="x")
    broken = tmp_path / "broken"
    shutil.copytree(lora, broken)
    shutil.copy(broken / "weights.safetensors", broken / "adapter" / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="was written with adapter"):
        judged(broken)
    shutil.rmtree(broken / "adapter")
    with pytest.raises(ModelError, match=r"adapter_model.safetensors: cannot be read"):
        judged(broken)
    manifest = json.loads((broken / MANIFEST).read_text())
    (broken / MANIFEST).write_text(json.dumps(manifest | {"segmenter": "seg0"}))
    with pytest.raises(ModelError, match="made for segmenter 'seg0'"):
        judged(broken)
