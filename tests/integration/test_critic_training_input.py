"""Records, base models and settings with which no critic can be trained."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from judge.errors import ConfigError, DataError, ModelError
from judge.records import write_records
from judge.train.critic import train_critic
from judge.train.critic_data import encode_records
from judge.types import NO_ERROR, Record
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


def test_over_long_examples_are_an_error_or_counted(tiny_base: Path, rows: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    long = Record("?", ("word " * 1500,), label=NO_ERROR, id="the-long-one")
    records = [*made_records(), long]
    with pytest.raises(ConfigError, match=r"1 of 11 train examples .* max_tokens = 1500 .*'the-long-one'.*over_long"):
        encode_records(records, tokenizer, settings(tiny_base, rows), "train")
    kept, skipped = encode_records(records, tokenizer, settings(tiny_base, rows, over_long="skip"), "train")
    assert len(kept) == NUM_PROBLEMS
    assert skipped == Counter({"longer than max_tokens": 1})
    with pytest.raises(DataError, match=r"the train split gives no example \(unlabelled: 1\)"):
        encode_records([Record("?", ("a",))], tokenizer, settings(tiny_base, rows), "train")


def test_base_models_that_cannot_be_trained(tiny_base: Path, rows: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    (base / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template"):
        train_critic(settings(base, rows), tmp_path / "a")
    (base / "chat_template.jinja").write_text(
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}[bot]<go>{% endif %}"
    )
    with pytest.raises(ModelError, match=r"opens a reply with .*\[bot\]<go>"):
        train_critic(settings(base, rows), tmp_path / "b")
    with pytest.raises(ConfigError, match=r"max_tokens = 4096, but .* reads only 2048 tokens"):
        train_critic(settings(tiny_base, rows, max_tokens=4096), tmp_path / "c")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"micro_batch_size": 3}, "'micro_batch_size' = 3: must divide batch_size = 4"),
        ({"method": "full", "merge": False}, "'merge' = False: method 'full' has no adapter"),
        ({"method": "full", "lora": {"rank": 4}}, "method 'full' has no adapter"),
        ({"method": "lora", "lora": {"rnk": 4}}, "unknown key 'lora.rnk'; did you mean 'rank'?"),
        ({"over_long": "cut"}, "'over_long' = 'cut'"),
    ],
)
def test_bad_settings_name_the_key(changes: dict[str, Any], said: str, rows: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        settings(Path("base"), rows, **changes)
    assert said in str(raised.value)
