"""The classifier's loss against a straight-line version, and what surrounds the training loop."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from judge.encoding import Encoded, StepEncoder
from judge.errors import ConfigError, ModelError
from judge.train.classifier_checkpoints import RUN, claim, last_whole, room_needed
from judge.train.classifier_examples import IGNORED, Solutions, example
from judge.train.classifier_model import StepClassifier
from judge.train.classifier_run import curve_row, wrong_share
from judge.train.classifier_trainer import Batches, measure
from judge.types import NO_ERROR, Record
from tests.unit.classifier_tiny import byte_tokenizer, causal_model

EXAMPLES = [
    example(Encoded((1, 2, 3), ((4, 5), (6,), (7, 8))), 2),
    example(Encoded((9,), ((10, 11, 12, 13, 14, 15, 16, 17, 18),)), NO_ERROR),
    example(Encoded((1, 2, 3), ((4, 5), (30, 31))), NO_ERROR),
]


@pytest.fixture
def classifier() -> StepClassifier:
    model = causal_model(byte_tokenizer())
    made = StepClassifier(model.model, 32, wrong_share=0.25, error_weight=3.0, compute_dtype=torch.float32)
    torch.nn.init.normal_(made.head.weight)
    return made


def straight_line(model: StepClassifier, weights: tuple[float, float]) -> float:
    """Sum over labelled tokens of -weight * log softmax, one example at a time and without padding."""
    total = 0.0
    for made in EXAMPLES:
        with torch.no_grad():
            states = model.body(input_ids=torch.tensor([made.ids])).last_hidden_state[0]
            rows = (states @ model.head.weight.T + model.head.bias).tolist()
        for logits, label in zip(rows, made.labels, strict=True):
            if label != IGNORED:
                total -= weights[label] * (logits[label] - math.log(sum(map(math.exp, logits))))
    return total


def test_loss_is_the_weighted_likelihood_of_the_labelled_tokens(classifier: StepClassifier) -> None:
    batch = Batches(EXAMPLES, [[0, 1, 2]])[0]
    assert batch["input_ids"].shape == (3, 10)
    expected = straight_line(classifier, (1.0, 3.0))
    assert classifier(**batch)["loss"].item() == pytest.approx(expected / 6, rel=1e-5)
    assert classifier(**batch, num_items_in_batch=60)["loss"].item() == pytest.approx(expected / 60, rel=1e-5)


def test_what_pads_a_batch_is_never_seen(classifier: StepClassifier) -> None:
    batch = Batches(EXAMPLES, [[0, 1]])[0]
    other = batch["input_ids"].clone()
    other[0, len(EXAMPLES[0].ids) :] = 77
    assert not torch.equal(other, batch["input_ids"])
    loss = classifier(batch["input_ids"], batch["labels"])["loss"]
    assert classifier(other, batch["labels"])["loss"].item() == pytest.approx(loss.item(), rel=1e-6)


def test_parts_of_an_optimizer_step_add_up(classifier: StepClassifier) -> None:
    whole = classifier(**Batches(EXAMPLES, [[0, 1, 2]])[0], num_items_in_batch=6)["loss"]
    parts = [classifier(**Batches(EXAMPLES, [[i]])[0], num_items_in_batch=6)["loss"] for i in range(3)]
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-5)


def test_hazards_are_the_softmax_at_the_labelled_tokens(classifier: StepClassifier) -> None:
    solutions = [Encoded((1, 2, 3), ((4, 5), (6,), (7, 8))), Encoded((1, 2, 3), ((4, 5), (30, 31)))]
    classifier.train()
    found = classifier.hazards(StepEncoder(byte_tokenizer()), solutions, token_budget=64)
    assert classifier.training
    states = classifier.body(input_ids=torch.tensor([EXAMPLES[0].ids])).last_hidden_state[0, [4, 5, 7]]
    assert found[0] == pytest.approx(classifier.head(states).softmax(-1)[:, 1].tolist(), abs=1e-5)
    assert found[1][0] == pytest.approx(found[0][0], abs=1e-6)


def test_a_new_head_starts_from_the_share_of_wrong_steps() -> None:
    model = causal_model(byte_tokenizer())
    made = StepClassifier(model.model, 32, wrong_share=0.25, error_weight=1.0, compute_dtype=torch.float32)
    scores = made.hazards(StepEncoder(byte_tokenizer()), [Encoded((1,), ((2,), (3,)))], token_budget=8)
    assert scores[0] == pytest.approx((0.25, 0.25))
    assert wrong_share(EXAMPLES) == pytest.approx((1 + 1) / (6 + 2))


def test_measure(classifier: StepClassifier) -> None:
    encoder = StepEncoder(byte_tokenizer())
    record = Record("1 + 2?", ("one", "two", "three"), 1)
    solutions = Solutions([Encoded((1, 2, 3), ((4, 5), (6,), (7, 8)))], [record])
    first, second, _ = classifier.hazards(encoder, solutions.encoded, 64)[0]
    measured = measure(classifier, encoder, solutions, 64)
    assert measured["loss"] == pytest.approx(-(math.log(1 - first) + math.log(second)) / 2)
    assert measured["conditional_acc"] in (0.0, 1.0)
    all_right = Solutions(solutions.encoded, [replace(record, label=NO_ERROR)])
    assert "conditional_acc" not in measure(classifier, encoder, all_right, 64)


def test_weights_of_another_model_are_refused(classifier: StepClassifier) -> None:
    state = {name: value.clone() for name, value in classifier.trained_state().items()}
    state["head.bias"] += 1
    classifier.load_trained_state(state)
    assert torch.equal(classifier.head.bias, state["head.bias"])
    del state["head.bias"]
    with pytest.raises(ModelError, match=r"head\.bias"):
        classifier.load_trained_state(state)


def checkpoint(folder: Path, step: int, state: str | None) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    if state is not None:
        (path / "trainer_state.json").write_text(state)
    return path


def test_the_newest_whole_checkpoint_is_taken(tmp_path: Path) -> None:
    assert last_whole(tmp_path) is None
    checkpoint(tmp_path, 9, "{}")
    good = checkpoint(tmp_path, 10, "{}")
    halves = [checkpoint(tmp_path, 11, None), checkpoint(tmp_path, 100, '{"epoch": 0.')]
    assert last_whole(tmp_path) == good
    assert not any(half.exists() for half in halves)


def test_checkpoints_belong_to_one_run(tmp_path: Path) -> None:
    run = {"seed": 0, "data": "abc", "save_steps": 5}
    claim(tmp_path / "new", run)
    claim(tmp_path / "new", run | {"save_steps": 1})
    with pytest.raises(ConfigError, match=r"other settings \(data, seed\)"):
        claim(tmp_path / "new", run | {"seed": 1, "data": "abd"})
    (tmp_path / "new" / RUN).write_text("{")
    claim(tmp_path / "new", run)
    assert json.loads((tmp_path / "new" / RUN).read_text()) == run


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (OSError(28, "No space left on device"), OSError),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"), OSError),
        (RuntimeError("shapes do not match"), RuntimeError),
        (ConfigError("not about files"), ConfigError),
    ],
)
def test_only_what_a_full_disk_raises_is_called_one(raised: Exception, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught, room_needed(Path("here"), "make room"):
        raise raised
    said = str(caught.value)
    assert said.startswith("here could not be written") == (expected is OSError)


@pytest.mark.parametrize(
    ("entry", "row"),
    [
        ({"loss": 0.5, "learning_rate": 1e-3, "step": 4, "epoch": 1}, {"step": 4, "loss": 0.5, "learning_rate": 1e-3}),
        ({"eval_loss": 1, "epoch": 1, "step": 4}, {"step": 4, "validation_loss": 1.0}),
        ({"train_runtime": 3.0, "step": 4}, None),
    ],
)
def test_curve_rows(entry: dict[str, Any], row: dict[str, Any] | None) -> None:
    assert curve_row(entry) == row
