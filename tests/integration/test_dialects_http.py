"""Each trainer's own client against a real server on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.http_server import Server, is_error, running
from tests.integration.trainer_clients import (
    PROMPT,
    keeps_group,
    nemo_body,
    nemo_is_result,
    nemo_session,
    nemo_verify,
    openrlhf_execute,
    openrlhf_post,
    openrlhf_tensors,
    slime_remote_rm,
    slime_reward,
    slime_session,
)
from tests.unit.service_calls import A, B, C

BASE: dict[str, Any] = {"judge": {"kind": "scripted"}, "page": {"enabled": False}}
TEXTS = [A, B, C]
RIGHT = "Line 0 is as right as can be.\nThe answer is \\boxed{42}."


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(BASE) as server:
        yield server


def url_of(server: Server, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def whole_group(server: Server, texts: list[str]) -> list[float]:
    """The rewards of the group posted whole, as the native route gives them."""
    responses = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
    group = {"group_id": "g", "problem": "What is 40 + 2?", "reference_answer": "42", "responses": responses}
    reply = server.post("/v1/rewards", {"groups": [group]})
    assert reply.status == 200
    return [round(each["reward"], 6) for each in reply.json["groups"][0]["responses"]]


async def openrlhf_group(url: str, texts: list[str], label: Any) -> dict[str, list[float]]:
    return openrlhf_tensors(await asyncio.gather(*(openrlhf_execute(url, text, label) for text in texts)))


@pytest.mark.parametrize(
    ("name", "texts"), [("negative", TEXTS), ("mixed", [A, RIGHT, C]), ("right", [RIGHT, RIGHT + " "])]
)
def test_openrlhf_gets_the_rewards_of_the_whole_group(server: Server, name: str, texts: list[str]) -> None:
    label = {"answer": "42", "question": "What is 40 + 2?", "id": f"openrlhf-{name}", "group_size": 3}
    texts = [*texts, "Line 0 is WRONG as can be.\nThe answer is 41."][:3]
    tensors = asyncio.run(openrlhf_group(url_of(server, "/v1/openrlhf"), texts, label))
    assert tensors["reward"] == tensors["score"] == whole_group(server, texts)
    assert tensors["group_joined"] == [1, 1, 1]
    assert tensors["group_all_negative"] == [float(name == "negative")] * 3
    assert keeps_group(tensors["score"]), "dynamic filtering with the range 0 1 keeps it"


def test_openrlhf_with_plain_labels_joins_by_prompt_and_label(server: Server) -> None:
    tensors = asyncio.run(openrlhf_group(url_of(server, "/v1/openrlhf?group_size=3"), TEXTS, "42"))
    assert tensors["reward"] == whole_group(server, TEXTS)


def test_openrlhf_without_a_size_scores_each_by_itself_and_says_so(server: Server) -> None:
    tensors = asyncio.run(openrlhf_group(url_of(server, "/v1/openrlhf"), TEXTS, "42"))
    assert tensors["group_joined"] == tensors["group_incomplete"] == [0, 0, 0]
    assert all(0 < reward < 0.5 for reward in tensors["reward"])


def test_openrlhf_many_samples_and_none_in_one_request(server: Server) -> None:
    label = {"answer": "42", "id": "many", "group_size": 3}
    data = {"query": [PROMPT + text for text in TEXTS], "prompts": [PROMPT] * 3, "labels": [label] * 3}
    reply = asyncio.run(openrlhf_post(url_of(server, "/v1/openrlhf"), data))
    assert reply["rewards"] == reply["scores"] == whole_group(server, TEXTS)
    assert {len(values) for values in reply["extra_logs"].values()} == {3}
    empty = asyncio.run(openrlhf_post(url_of(server, "/v1/openrlhf"), {"query": [], "prompts": [], "labels": []}))
    assert empty["rewards"] == empty["scores"] == []
    assert set(empty["extra_logs"]) == set(reply["extra_logs"])


def test_openrlhf_scores_may_be_correctness_and_what_that_does() -> None:
    with running(BASE | {"dialects": {"openrlhf": {"scores": "correctness", "group_size": 3}}}) as server:
        tensors = asyncio.run(openrlhf_group(url_of(server, "/v1/openrlhf"), TEXTS, "42"))
        assert tensors["score"] == [0, 0, 0]
        assert not keeps_group(tensors["score"]), "the all-negative group is thrown away"


def test_slime(server: Server) -> None:
    async def go(query: str, key: str | None) -> list[float]:
        samples = [{"prompt": PROMPT, "response": text, "label": "42"} for text in TEXTS]
        async with slime_session() as session:
            url = url_of(server, f"/v1/slime{query}")
            replies = await asyncio.gather(*(slime_remote_rm(session, url, sample) for sample in samples))
        return [slime_reward(reply, key) for reply in replies]

    assert asyncio.run(go("?group_size=3", None)) == whole_group(server, TEXTS)
    assert asyncio.run(go("?group_size=3&reward_key=score", "score")) == whole_group(server, TEXTS)
    reply = server.post("/v1/slime", {"prompt": [{"role": "user", "content": "p"}], "response": RIGHT, "label": "42"})
    assert reply.raw == b"1.0"
    assert reply.headers["content-type"] == "application/json"


def test_nemo_gym(server: Server) -> None:
    async def go() -> list[dict[str, Any]]:
        base = url_of(server, "/nemo_gym")
        async with nemo_session() as session, session.post(f"{base}/seed_session", json={"task": 1}) as seeded:
            assert await seeded.json() == {}
            bodies = [nemo_body(text, 7, i, group_size=3) for i, text in enumerate(TEXTS)]
            return await asyncio.gather(*(nemo_verify(session, base, body) for body in bodies))

    replies = asyncio.run(go())
    assert [reply["reward"] for reply in replies] == whole_group(server, TEXTS)
    assert all(nemo_is_result(reply) and reply["mask_sample"] is False for reply in replies)
    sent = nemo_body(TEXTS[0], 7, 0, group_size=3)
    assert {key: replies[0][key] for key in sent} == sent, "the body comes back as it was"
    metrics = server.post("/nemo_gym/aggregate_metrics", {"verify_responses": replies}).json
    assert metrics["agent_metrics"]["num_rollouts"] == 3
    assert metrics["group_level_metrics"][0]["max/reward"] == max(whole_group(server, TEXTS))
    assert server.post("/verify", sent).status == 404


def test_nemo_gym_at_the_root() -> None:
    with running(BASE | {"dialects": {"nemo_gym": {"at_root": True}}}) as server:
        reply = server.post("/verify", nemo_body(A, 1, 1))
        assert (reply.status, nemo_is_result(reply.json)) == (200, True)
        session = server.post("/seed_session", {"resources_session_id": "s", "episode_id": "e"})
        assert session.json == {"resources_session_id": "s"}


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/v1/openrlhf", {"query": [1], "prompts": [""], "labels": [""]}, 422, "query[0]: "),
        ("/v1/openrlhf", {"query": ["q"], "prompts": ["q"]}, 422, "labels: "),
        ("/v1/openrlhf", {"query": ["q"], "prompts": ["q"], "labels": [{"answer": {}}]}, 422, "labels[0].answer: "),
        ("/v1/openrlhf?group_size=x", {"query": [], "prompts": [], "labels": []}, 422, "group_size: "),
        ("/v1/openrlhf?group_size=0", {"query": [], "prompts": [], "labels": []}, 422, "group_size: "),
        ("/v1/slime", {"prompt": 3, "response": "", "label": "1"}, 422, "prompt"),
        ("/v1/slime", {"prompt": [], "response": "", "label": "1"}, 422, "prompt: holds no user message"),
        ("/v1/slime?reward_key=a%20b", {"prompt": "p", "response": "", "label": "1"}, 422, "reward_key: "),
        ("/nemo_gym/verify", {"response": {}}, 422, "responses_create_params"),
        ("/nemo_gym/verify", b"[1]", 422, "body: must be a JSON object"),
        ("/nemo_gym/verify", b'{"a": NaN}', 422, "body: is not valid JSON"),
        ("/nemo_gym/verify", b'{"a": "\\ud800"}', 422, "body: is not valid JSON"),
        ("/nemo_gym/aggregate_metrics", {"verify_responses": 3}, 422, "verify_responses: "),
        ("/nemo_gym/seed_session", b"", 422, "body: "),
    ],
)
def test_faults_are_named_in_the_trainers_words(server: Server, path: str, body: Any, status: int, said: str) -> None:
    reply = server.post(path, body)
    assert is_error(reply, status, "invalid_request")
    assert said in reply.json["error"]["message"]
