"""OpenRLHF's own client, from its wheel, against a real server; `make test-frameworks` runs it.

Its vLLM engine and its tokenizer are stand-ins: a token for each character.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import torch

from tests.integration.http_server import Server, running
from tests.unit.service_calls import A, B, C

pytestmark = pytest.mark.skipif(find_spec("openrlhf") is None, reason="openrlhf is not installed")
BASE: dict[str, Any] = {"judge": {"kind": "scripted"}, "page": {"enabled": False}}
PROBLEM = "What is 40 + 2?"
RIGHT = "Line 0 is as right as can be.\nThe answer is \\boxed{42}."


class Tokenizer:
    def __call__(self, text: str, **_: Any) -> dict[str, torch.Tensor]:
        return {"input_ids": torch.tensor([[ord(each) for each in text]])}

    def decode(self, ids: list[int], **_: Any) -> str:
        return "".join(map(chr, ids))


class Engine:
    def __init__(self, text: str) -> None:
        self._text = text

    async def generate(self, _prompt: list[int], _params: Any, **_: Any) -> Any:
        ids = [ord(each) for each in self._text]
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=ids, finish_reason="stop", logprobs=None)])


@pytest.fixture(scope="module")
def agent() -> Iterator[Any]:
    """The client's module, without the package's __init__, which wants DeepSpeed."""
    spec = find_spec("openrlhf")
    assert spec is not None
    assert spec.submodule_search_locations
    utils = ModuleType("openrlhf.utils")
    utils.__path__ = [str(Path(spec.submodule_search_locations[0]) / "utils")]
    with patch.dict("sys.modules", {"openrlhf.utils": utils}):
        yield import_module("openrlhf.utils.agent")


async def sampled(agent: Any, url: str, texts: list[str], name: str) -> list[dict[str, Any]]:
    """A group as OpenRLHF samples it: each response by itself, at the same time."""
    executor = agent.SingleTurnAgentExecutor(url)
    label = {"answer": "42", "question": PROBLEM, "id": name, "group_size": len(texts)}
    params = SimpleNamespace(max_tokens=4096, logprobs=None)
    each = (executor.execute(PROBLEM, label, params, 8192, Tokenizer(), Engine(text)) for text in texts)
    return list(await asyncio.gather(*each))


def whole_group(server: Server, texts: list[str]) -> list[float]:
    responses = [{"id": str(index), "text": text} for index, text in enumerate(texts)]
    group = {"group_id": "g", "problem": PROBLEM, "reference_answer": "42", "responses": responses}
    reply = server.post("/v1/rewards", {"groups": [group]})
    return [round(each["reward"], 6) for each in reply.json["groups"][0]["responses"]]


@pytest.mark.parametrize("texts", [[A, B, C], [A, RIGHT, C]], ids=["negative", "mixed"])
def test_its_rewards_are_those_of_the_whole_group(agent: Any, texts: list[str]) -> None:
    with running(BASE) as server:
        url = f"http://127.0.0.1:{server.port}/v1/openrlhf"
        samples = asyncio.run(sampled(agent, url, texts, "one"))
        assert [each["reward"] for each in samples] == [[reward] for reward in whole_group(server, texts)]
    assert [each["extra_logs"]["group_joined"] for each in samples] == [[1]] * len(texts)


def test_without_a_verdict_it_has_no_reward(agent: Any) -> None:
    with running(BASE | {"judge": {"kind": "scripted", "fail": "raise"}}) as server:
        url = f"http://127.0.0.1:{server.port}/v1/openrlhf"
        samples = asyncio.run(sampled(agent, url, [A, B], "down"))
    assert [each["reward"] for each in samples] == [None, None]
