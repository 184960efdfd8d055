"""Tokenizers and random models of a few thousand weights for the classifier's tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = ["Problem: 1 + 2 is what? Solution:", "Step 1: one and two make three.", "2 - 1 = 1 user assistant system step"]


def byte_tokenizer(special: tuple[str, ...] = ("<|im_start|>", "<|im_end|>"), chat: bool = True) -> Any:
    """A byte-level BPE as Qwen2 and Llama 3 have it, without a pad token."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner)
    tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    tokenizer.chat_template = CHAT if chat else None
    return tokenizer


def sentence_tokenizer(words: list[str]) -> Any:
    """A BPE over spaces written as marks, with a beginning-of-text token, as Mistral has it."""
    inner = Tokenizer(models.BPE(unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=[chr(c) for c in range(33, 127)] + ["\n"],
        show_progress=False,
    )
    inner.train_from_iterator(words * 5, trainer)
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    inner.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def qwen2_config(tokenizer: Any, **changes: Any) -> Qwen2Config:
    return Qwen2Config(**_sizes(tokenizer) | changes)


def llama_config(tokenizer: Any, **changes: Any) -> LlamaConfig:
    return LlamaConfig(**_sizes(tokenizer) | changes)


def causal_model(tokenizer: Any, seed: int = 0, **changes: Any) -> LlamaForCausalLM:
    """A random Llama, spread wide enough that different tokens give different logits."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(llama_config(tokenizer, **changes)).eval()


def save(model: Any, tokenizer: Any, folder: Path) -> Any:
    """Write a checkpoint; gives its tokenizer as transformers reads it back, by the rules of the model's family."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def _sizes(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
