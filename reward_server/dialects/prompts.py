"""From a chat-templated prompt back to the problem, and from prompt and response in one text back to the response.

Recognised are the templates of ``TEMPLATES``; of any other text, the whole prompt is the problem. The label's own
``question`` is always the better source.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from reward_server.errors import invalid_request

MAX_LEAD_CHARS: Final = 64
"""A special token that a tokenizer puts before the prompt is shorter."""
MAX_STARTS: Final = 100
MIN_OVERLAP_CHARS: Final = 32
"""As much of a truncated prompt must be left to be recognised."""


class Template(NamedTuple):
    """How a family of models marks the turns of a chat."""

    name: str
    user: str
    """Opens the person's turn."""
    end: str
    """Ends it."""
    assistant: str
    """Opens the model's turn."""


TEMPLATES: Final = (
    Template("ChatML (Qwen, SmolLM, Yi)", "<|im_start|>user\n", "<|im_end|>", "<|im_start|>assistant"),
    Template(
        "Llama 3",
        "<|start_header_id|>user<|end_header_id|>\n\n",
        "<|eot_id|>",
        "<|start_header_id|>assistant<|end_header_id|>",
    ),
    Template("Gemma", "<start_of_turn>user\n", "<end_of_turn>", "<start_of_turn>model"),
    Template("DeepSeek", "<｜User｜>", "<｜Assistant｜>", "<｜Assistant｜>"),
    Template("Mistral", "[INST]", "[/INST]", "[/INST]"),
)
PLAIN: Final = re.compile(
    r"\s*(?:Question|Problem|User|Human)\s*:\s*(.*?)\s*(?:Answer|Solution|Assistant)\s*:\s*", re.DOTALL
)
"""``Question: ... Answer:``"""
TRAILING_TOKEN: Final = re.compile(
    r"(?:<\|[\w▁-]{1,40}\|>|<｜[\w▁-]{1,40}｜>|</s>|<s>|<pad>|\[PAD\]|<eos>|<bos>|<end_of_turn>)\Z"
)
TAIL_CHARS: Final = 64


def template_of(prompt: str) -> Template | None:
    """The template that a prompt was made with, or None."""
    return next((template for template in TEMPLATES if template.user in prompt), None)


def problem_of(prompt: str) -> str:
    r"""What the person asked last, or the whole prompt when its template is not known.

    >>> problem_of("<|im_start|>user\nWhat is 1+1?<|im_end|>\n<|im_start|>assistant\n")
    'What is 1+1?'
    >>> problem_of("Question: What is 1+1?\nAnswer:")
    'What is 1+1?'
    """
    template = template_of(prompt)
    if template is None:
        plain = PLAIN.fullmatch(prompt) if prompt.count(":") < MAX_STARTS else None
        return plain[1] if plain and plain[1] else prompt.strip() or prompt
    turn = prompt[prompt.rfind(template.user) + len(template.user) :]
    return turn.partition(template.end)[0].strip() or prompt


def problem_of_messages(messages: Sequence[Any], path: str) -> str:
    """The last user message of a chat.

    Raises:
        ApiError: 422, when there is none.
    """
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            text = text_of_content(message.get("content"))
            if text:
                return text
    raise invalid_request(path, "holds no user message with a text")


def text_of_content(content: Any) -> str:
    """The text of a message: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [part.get("text") for part in content if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def response_of(query: str, prompt: str, path: str) -> str:
    """The response in a text that is the prompt and then the response, with special tokens kept.

    The prompt in ``query`` may have a special token before it, may have lost its beginning, or may differ a little in
    its spaces. The response cannot move the border: what it repeats of the prompt comes later than the prompt.

    Raises:
        ApiError: 422, when ``query`` does not continue ``prompt``.
    """
    start = end_of_prompt(query, prompt)
    if start is None:
        raise invalid_request(path, "does not continue the prompt of the same index")
    return strip_special_tokens(query[start:])


def end_of_prompt(query: str, prompt: str) -> int | None:
    """Where the response begins, or None."""
    at = query.find(prompt, 0, len(prompt) + MAX_LEAD_CHARS)
    if at >= 0:
        return at + len(prompt)
    # Truncated on the left: the query begins with the prompt's end.
    head = query[:MIN_OVERLAP_CHARS]
    start = prompt.find(head, 1) if len(head) == MIN_OVERLAP_CHARS else -1
    for _ in range(MAX_STARTS):
        if start < 0:
            break
        if query.startswith(prompt[start:]):
            return len(prompt) - start
        start = prompt.find(head, start + 1)
    template = template_of(prompt)
    if template is None:
        return None
    # Decoded a little differently: the response follows as many openings of the model's turn as the prompt has.
    at = 0
    for _ in range(prompt.count(template.assistant)):
        found = query.find(template.assistant, at)
        if found < 0:
            return None
        at = found + len(template.assistant)
    return at or None


def strip_special_tokens(response: str) -> str:
    r"""A response without the special tokens and spaces at its end.

    >>> strip_special_tokens("It is 2.<|im_end|>\n<|endoftext|>")
    'It is 2.'
    """
    while True:
        response = response.rstrip()
        found = TRAILING_TOKEN.search(response, max(0, len(response) - TAIL_CHARS))
        if found is None:
            return response
        response = response[: found.start()]
