"""Settings, rows and outputs that end a classifier's training with an error, and rows that are left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from judge.errors import ConfigError, DataError, JudgeError, ModelError
from judge.train.classifier import train_classifier
from tests.integration.classifier_run import make_place, settings
from tests.unit.classifier_tiny import byte_tokenizer, causal_model, save

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_place(tmp_path_factory.mktemp("classifier"))


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
