"""A critic's training in seconds: labelled records, a tiny random base model, settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from judge.data.training_set import DataSettings, DataSource
from judge.prompting import load_prompt
from judge.settings import parse_table
from judge.train.critic_settings import CriticTrainSettings
from judge.train.critic_text import completion
from judge.types import NO_ERROR, Record

NUM_PROBLEMS = 10


def made_records() -> list[Record]:
    """Ten problems; in every second one step 1 is wrong."""
    records = []
    for k in range(NUM_PROBLEMS):
        wrong = k % 2 == 1
        steps = (f"{k} + {k} = {2 * k}", f"{2 * k} + 1 = {2 * k + (2 if wrong else 1)}")
        label, critique = (1, "One more is one more.") if wrong else (NO_ERROR, None)
        records.append(Record(f"What is 2 * {k} + 1?", steps, label=label, id=f"row-{k}", critique=critique))
    return records


def make_base(folder: Path) -> Path:
    """A random two-layer Llama whose tokenizer knows 400 pieces: on a CPU, TRL scores the vocabulary at every token."""
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    pieces.train_from_iterator([load_prompt("critic_cold") + completion(record) for record in made_records()], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        pad_token="<|pad|>",
        eos_token="<|im_end|>",
        chat_template="{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    )
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def settings(base: Path, rows: Path, **changes: Any) -> CriticTrainSettings:
    data = DataSettings(
        sources=(DataSource(source="records", path=str(rows)),), validation_share=0.2, calibration_share=0.0
    )
    base_settings: dict[str, Any] = {
        "base_model": str(base),
        "data": data.model_dump(),
        "variants": "cold",
        "method": "full",
        "learning_rate": 3e-3,
        "epochs": 3,
        "batch_size": 4,
        "micro_batch_size": 2,
        "checkpoint_every": 2,
        "max_tokens": 1500,
    }
    return parse_table(CriticTrainSettings, base_settings | changes, "test")
