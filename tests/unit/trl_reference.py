"""TRL's GRPOTrainer on a tiny model: the independent reference for advantages, loss and log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.distributed.tiny import VOCABULARY, tiny_model


def make_trainer(folder: Path, *, rewards: Sequence[float | None] = (), **settings: Any) -> Any:
    """A GRPOTrainer for groups of 4 whose reward function returns ``rewards`` as they are."""
    from datasets import Dataset
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast
    from trl import GRPOConfig, GRPOTrainer

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
    return GRPOTrainer(
        model=tiny_model(),
        reward_funcs=reward,
        args=GRPOConfig(**arguments),
        train_dataset=Dataset.from_list([{"prompt": "a b"}] * 8),
        processing_class=PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", padding_side="left"
        ),
    )
