"""What the schemes that read a language model's own vocabulary share: single tokens for verdicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from judge.backbone import Backbone
from judge.errors import ModelError


def plain_ids(tokenizer: Any, text: str) -> list[int]:
    """Ids of a text, nothing added."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def not_one_token(tokenizer: Any, scheme: str, tag: str, found: int) -> ModelError:
    """The error for a tag that this tokenizer does not know."""
    return ModelError(
        f"scheme '{scheme}': {tag!r} is {found} tokens for the tokenizer of '{tokenizer.name_or_path}', and must be "
        "one; the checkpoint's tokenizer is not the one that it was trained with"
    )


def vocabulary_logits(backbone: Backbone, good: int, bad: int) -> Callable[[Any], Any]:
    """From states to the language model's logits of two tokens, ``good`` first."""
    head = backbone.model.get_output_embeddings()
    return lambda states: head(states)[:, [good, bad]]
