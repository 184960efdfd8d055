"""From examples to token ids for the trainer: the ids that the judge will send, and nothing cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, TypedDict

from judge.backends.base import Chat
from judge.backends.local import chat_ids
from judge.errors import ConfigError, DataError, ModelError
from judge.train.critic_settings import CriticTrainSettings
from judge.train.critic_text import CriticExample, build_examples
from judge.types import Record

OVER_LONG: Final = "longer than max_tokens"


class TokenRow(TypedDict):
    """One example for TRL: the loss is taken where the mask is 1."""

    input_ids: list[int]
    completion_mask: list[int]


def encode_records(
    records: Sequence[Record], tokenizer: Any, settings: CriticTrainSettings, name: str
) -> tuple[list[TokenRow], Counter[str]]:
    """Token rows of a split, in order, and what gave none, by reason.

    Args:
        name: of the split, for messages.

    Raises:
        DataError: no example is left.
        ConfigError: an example is longer than ``max_tokens`` and ``over_long`` is ``error``.
        ModelError: the tokenizer has no chat template, or one that cannot be trained on.
    """
    examples, skipped = build_examples(records, variants=settings.variants, use_reference=settings.use_reference)
    rows = [encode(example, tokenizer) for example in examples]
    kept = [row for row in rows if len(row["input_ids"]) <= settings.max_tokens]
    num_long = len(rows) - len(kept)
    if num_long and settings.over_long == "error":
        longest = max(len(row["input_ids"]) for row in rows)
        first = next(e.id for e, row in zip(examples, rows, strict=True) if len(row["input_ids"]) > settings.max_tokens)
        raise ConfigError(
            f"{num_long} of {len(rows)} {name} examples are longer than max_tokens = {settings.max_tokens} (the first "
            f"is record '{first}', the longest has {longest} tokens); raise max_tokens, or set over_long = 'skip'"
        )
    if num_long:
        skipped[OVER_LONG] += num_long
    if not kept:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in skipped.items()) or "it is empty"
        raise DataError(f"the {name} split gives no example ({reasons})")
    return kept, skipped


def encode(example: CriticExample, tokenizer: Any) -> TokenRow:
    """Prompt and reply as one turn of the chat, its end token included.

    Raises:
        ModelError: when the prompt, as the judge sends it, is not how the whole chat begins.
    """
    prompt = chat_ids(tokenizer, example.prompt)
    chat: Chat = [*example.prompt, {"role": "assistant", "content": example.completion}]
    whole = list(tokenizer.apply_chat_template(chat, return_dict=True)["input_ids"])
    if tuple(whole[: len(prompt)]) != prompt:
        opening = tokenizer.decode(prompt[-8:])
        raise ModelError(
            f"the base model's chat template opens a reply with {opening!r}, but writes a given reply in another way, "
            "so that it cannot be trained to reply; give another base_model"
        )
    return {"input_ids": whole, "completion_mask": [0] * len(prompt) + [1] * (len(whole) - len(prompt))}
