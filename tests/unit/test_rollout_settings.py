"""Contradictions in [rollout] are named with the setting that ends them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sgpo_client.settings.rollout import RolloutTable


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"engine": "vllm_server"}, "without vllm.url; set it"),
        ({"vllm": {"url": "http://127.0.0.1:8000"}}, "engine = 'transformers' asks no server; set engine"),
        ({"engine": "vllm_server", "vllm": {"url": "127.0.0.1:8000"}}, "not an http"),
        ({"engine": "vllm_server", "vllm": {"url": "http://u:p@h:1"}}, "user name or password"),
        ({"staleness": -1}, "greater than or equal to 0"),
        ({"prompt": "no place"}, "exactly once"),
    ],
)
def test_refused(table: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RolloutTable.model_validate(table)


def test_a_server_is_accepted() -> None:
    table = RolloutTable.model_validate({"engine": "vllm_server", "vllm": {"url": "http://127.0.0.1:8000/"}})
    assert table.vllm.url == "http://127.0.0.1:8000"
