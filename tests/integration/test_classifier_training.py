"""Training a classifier on a tiny random model: what it writes, interruptions, full disks, bad input."""

from __future__ import annotations

import asyncio
import json
import random
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

from judge.errors import ConfigError, DataError, JudgeError, ModelError
from judge.judge_folder import read_manifest
from judge.judges.classifier import ClassifierSettings, build_classifier
from judge.registry import MANIFEST
from judge.settings import parse_table
from judge.train.classifier import ClassifierTrainSettings, train_classifier
from judge.train.classifier_checkpoints import last_whole
from judge.train.classifier_trainer import ClassifierTrainer
from judge.types import Solution, Verdict
from tests.unit.classifier_tiny import byte_tokenizer, causal_model, save

pytestmark = pytest.mark.usefixtures("one_thread")

NUM_PROBLEMS = 80


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """More threads than free cores make a tiny model many times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def row(number: int) -> dict[str, Any]:
    """Steps are right until one says "minus"; half of the rows have such a step."""
    rng = random.Random(number)
    size = rng.randint(2, 4)
    label = rng.randrange(size) if number % 2 else -1
    steps = [f"step {step}: {rng.choice('abc')} {'minus' if step == label else 'plus'} one" for step in range(size)]
    return {"id": str(number), "problem": f"What is {number} plus one?", "steps": steps, "label": label}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base model (no pad token) and labelled rows."""
    folder = tmp_path_factory.mktemp("classifier")
    tokenizer = byte_tokenizer()
    save(causal_model(tokenizer), tokenizer, folder / "base")
    rows = [json.dumps(row(number)) for number in range(NUM_PROBLEMS)]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def settings(place: Path, **changes: Any) -> ClassifierTrainSettings:
    table = {
        "model": str(place / "base"),
        "data": {
            "sources": [{"source": "records", "path": str(place / "rows.jsonl")}],
            "validation_share": 0.2,
            "calibration_share": 0.4,
        },
        "method": "full",
        "epochs": 5,
        "learning_rate": 3e-3,
        "head_learning_rate": 3e-2,
        "max_tokens": 512,
        "batch_tokens": 512,
        "accumulation": 2,
        "device": "cpu",
        "log_steps": 2,
        "validate_steps": 5,
        "save_steps": 3,
    }
    return parse_table(ClassifierTrainSettings, table | changes, "test")


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


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"max_tokens": 60}, DataError, r"record '\d+' of .* has \d+ tokens, and max_tokens = 60"),
        ({"max_tokens": 1, "on_too_long": "skip"}, ConfigError, r"all \d+ training records are longer"),
        ({"max_tokens": 1000}, ConfigError, "reads at most 512 tokens"),
        ({"template": "chat", "model": "no-chat"}, ModelError, "no chat template; set template = 'plain'"),
        ({"separator": ""}, ModelError, "has no tokens"),
        ({"method": "lora", "lora": {"target_modules": ["nothing"]}}, ModelError, "'lora.target_modules'"),
        ({"model": "/no/such"}, ModelError, "no such folder"),
    ],
)
def test_bad_settings_end_a_run_before_it_starts(
    changes: dict[str, Any], error: type[Exception], message: str, place: Path, tmp_path: Path
) -> None:
    if changes.get("model") == "no-chat":
        tokenizer = byte_tokenizer(chat=False)
        save(causal_model(tokenizer), tokenizer, tmp_path / "no-chat")
        changes = changes | {"model": str(tmp_path / "no-chat")}
    with pytest.raises(error, match=message):
        train_classifier(settings(place, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.checkpoints").exists()


def test_calibration_is_checked_before_training(place: Path, tmp_path: Path) -> None:
    data = {"sources": [{"source": "records", "path": str(place / "rows.jsonl")}], "calibration_share": 0.0}
    with pytest.raises(DataError, match="the calibration split holds 0 solutions"):
        train_classifier(settings(place, data=data), tmp_path / "out")


def test_output_that_holds_something_else(place: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ConfigError, match="holds no judge"):
        train_classifier(settings(place), tmp_path)


def test_skipped_records_are_counted(place: Path, tmp_path: Path) -> None:
    result = train_classifier(settings(place, max_tokens=70, on_too_long="skip", epochs=1), tmp_path / "out")
    sizes = result["data"]["sizes"]
    assert result["too_long"]["train"] > 0
    assert result["examples"] + result["too_long"]["train"] == sizes["train"]["records"]


def test_loss_that_is_no_number_ends_the_run(place: Path, tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match=r"the loss of step .* is (nan|inf): lower learning_rate"):
        train_classifier(settings(place, learning_rate=1e30, max_grad_norm=1e30), tmp_path / "out")
