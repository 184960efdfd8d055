"""TRL's trainers on a tiny model: the independent reference for advantages, loss and log-probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.distributed.tiny import VOCABULARY, tiny_model


def make_trainer(folder: Path, *, rewards: Sequence[float | None] = (), **settings: Any) -> Any:
    """A GRPOTrainer for groups of 4 whose reward function returns ``rewards`` as they are."""
    from trl import GRPOConfig, GRPOTrainer

    return _make(GRPOTrainer, GRPOConfig, folder, rewards, settings)


def make_rloo_trainer(folder: Path, **settings: Any) -> Any:
    """The same with TRL's RLOOTrainer."""
    from trl import RLOOConfig, RLOOTrainer

    return _make(RLOOTrainer, RLOOConfig, folder, (), settings)


def _make(trainer: Any, config: Any, folder: Path, rewards: Sequence[float | None], settings: Mapping[str, Any]) -> Any:
    from datasets import Dataset
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<eos>", *(f"w{index}" for index in range(VOCABULARY - 4)), "a", "b"]
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()

    def reward(completions: list[str], **_: Any) -> list[float | None]:
        return list(rewards)[: len(completions)]

    arguments = {
        "output_dir": str(folder),
        "per_device_train_batch_size": max(4, len(rewards)),
        "num_generations": 4,
        "max_completion_length": 3,
        "use_cpu": True,
        "bf16": False,
        "report_to": [],
        "gradient_checkpointing": False,
        **settings,
    }
    return trainer(
        model=tiny_model(),
        reward_funcs=reward,
        args=config(**arguments),
        train_dataset=Dataset.from_list([{"prompt": "a b"}] * 8),
        processing_class=PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", padding_side="left"
        ),
    )
