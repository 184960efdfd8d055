"""From a chat-templated prompt back to the problem, for trainers that keep no other text of it.

The same templates as ``reward_server.dialects.prompts``, kept apart because the client installs without the server; a
test puts the same prompts through both.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Template(NamedTuple):
    """How a family of models marks the person's turn."""

    user: str
    end: str


TEMPLATES: Final = (
    Template("<|im_start|>user\n", "<|im_end|>"),  # ChatML: Qwen, SmolLM, Yi
    Template("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),  # Llama 3
    Template("<start_of_turn>user\n", "<end_of_turn>"),  # Gemma
    Template("<｜User｜>", "<｜Assistant｜>"),  # DeepSeek
    Template("[INST]", "[/INST]"),  # Mistral
)


def untemplated(prompt: str) -> str:
    r"""What the person asked last, or the whole prompt when its template is not known.

    >>> untemplated("<|im_start|>user\nWhat is 1+1?<|im_end|>\n<|im_start|>assistant\n")
    'What is 1+1?'
    """
    template = next((each for each in TEMPLATES if each.user in prompt), None)
    if template is None:
        return prompt
    turn = prompt[prompt.rfind(template.user) + len(template.user) :]
    return turn.partition(template.end)[0].strip() or prompt
