"""The client's reading of chat templates against the server's."""

from __future__ import annotations

import pytest

from reward_server.dialects.prompts import TEMPLATES, Template, problem_of
from sgpo_client.adapters.templates import untemplated

QUESTION = "What is 40 + 2?"


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_every_template_of_the_server_is_known_to_the_client(template: Template) -> None:
    _, user, end, assistant = template
    for prompt in (
        f"{user}{QUESTION}{end}\n{assistant}\n",
        f"{user}Another question.{end}{assistant}An answer.{end}\n{user}{QUESTION}{end}\n{assistant}\n",
        f"{user}{QUESTION}",
        f"{user}  {end}",
    ):
        assert untemplated(prompt) == problem_of(prompt)
    assert untemplated(f"{user}{QUESTION}{end}\n{assistant}\n") == QUESTION


def test_a_plain_prompt_stays_whole() -> None:
    assert untemplated(f"Think first. {QUESTION}") == f"Think first. {QUESTION}"
