"""The client's request bytes and the checks of a reply, without a socket."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpo_client.codec import decode_reply, encode_request
from sgpo_client.errors import RewardError
from sgpo_client.wire import GroupScores, ItemError, ResponseScore, RewardGroup, RewardResponse, ShapingParams

GROUPS = [
    RewardGroup("q1", "1+1?", (RewardResponse("0", "It is 3."), RewardResponse("1", "", outcome=False)), "2", "1+1=2"),
    RewardGroup("q2", "2+2?", (RewardResponse("a", "It is 4.", outcome=True),)),
]
REPLY: dict[str, Any] = {
    "groups": [
        {
            "group_id": "q1",
            "all_negative": True,
            "responses": [
                {
                    "id": "0",
                    "reward": 0.31,
                    "acc": 0,
                    "rts": 0.6,
                    "first_error": 3,
                    "num_steps": 5,
                    "step_offsets": [[0, 4], [5, 8]],
                    "status": "judged",
                    "error": None,
                    "cached": True,
                },
                {
                    "id": "1",
                    "reward": None,
                    "acc": None,
                    "rts": None,
                    "first_error": None,
                    "num_steps": 0,
                    "step_offsets": None,
                    "status": "unscored",
                    "error": {"code": "no_steps", "message": "the response is empty"},
                    "cached": False,
                },
            ],
        },
        {
            "group_id": "q2",
            "all_negative": False,
            "responses": [{"id": "a", "reward": 1, "acc": 1, "status": "correct", "from_the_future": 1}],
        },
    ],
    "judge": {"id": "rules@1"},
    "timing_s": {"queue": 0.0, "judge": 0.1, "total": 0.2},
}


def changed(change: Callable[[Any], object]) -> bytes:
    reply = copy.deepcopy(REPLY)
    change(reply["groups"])
    return json.dumps(reply).encode()


def test_request_has_every_field() -> None:
    shaping = ShapingParams(beta=5.0, gamma=0.25, cap=0.75, length="tokens", apply_to="every_wrong")
    assert json.loads(encode_request(GROUPS, shaping, include_steps=True)) == {
        "groups": [
            {
                "group_id": "q1",
                "problem": "1+1?",
                "reference_answer": "2",
                "reference_solution": "1+1=2",
                "responses": [
                    {"id": "0", "text": "It is 3.", "outcome": None},
                    {"id": "1", "text": "", "outcome": False},
                ],
            },
            {
                "group_id": "q2",
                "problem": "2+2?",
                "reference_answer": None,
                "reference_solution": None,
                "responses": [{"id": "a", "text": "It is 4.", "outcome": True}],
            },
        ],
        "shaping": {"beta": 5.0, "gamma": 0.25, "cap": 0.75, "length": "tokens", "apply_to": "every_wrong"},
        "include_steps": True,
    }


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_arrives_unchanged(text: str) -> None:
    group = RewardGroup("q", text, (RewardResponse("0", text),))
    sent = json.loads(encode_request([group], ShapingParams(), include_steps=False))["groups"][0]
    assert (sent["problem"], sent["responses"][0]["text"]) == (text, text)


def test_text_that_is_not_unicode_is_an_error() -> None:
    group = RewardGroup("q17", "?", (RewardResponse("0", "\ud800"),))
    with pytest.raises(RewardError, match=r"q17.*UTF-8"):
        encode_request([group], ShapingParams(), include_steps=False)


def test_reply_gives_every_field() -> None:
    assert decode_reply(json.dumps(REPLY).encode(), GROUPS) == [
        GroupScores(
            "q1",
            True,
            (
                ResponseScore(
                    id="0",
                    reward=0.31,
                    status="judged",
                    acc=0,
                    rts=0.6,
                    first_error=3,
                    num_steps=5,
                    step_offsets=((0, 4), (5, 8)),
                    cached=True,
                ),
                ResponseScore(
                    id="1",
                    reward=None,
                    status="unscored",
                    acc=None,
                    num_steps=0,
                    error=ItemError("no_steps", "the response is empty"),
                ),
            ),
        ),
        GroupScores("q2", False, (ResponseScore(id="a", reward=1.0, status="correct", acc=1),)),
    ]


def first(groups: Any) -> Any:
    return groups[0]["responses"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda groups: groups.pop(), "1 groups for the 2"),
        (lambda groups: groups.append(groups[0]), "3 groups for the 2"),
        (lambda groups: groups.reverse(), "groups.0: is about group 'q2'"),
        (lambda groups: groups[0]["responses"].pop(), "1 scores for the 2 responses of 'q1'"),
        (lambda groups: groups[0]["responses"].reverse(), "id '0'.*about '1'"),
        (lambda groups: first(groups).update(id="9"), "id '0'.*about '9'"),
        (lambda groups: first(groups).update(reward=float("nan")), "reward is nan"),
        (lambda groups: first(groups).update(reward=float("inf")), "reward is inf"),
        (lambda groups: first(groups).update(rts=float("nan")), "rts is nan"),
        (lambda groups: first(groups).update(reward=None), "status 'judged' with reward None"),
        (lambda groups: groups[0]["responses"][1].update(reward=0.0), "status 'unscored' with reward 0.0"),
        (lambda groups: groups[0]["responses"][1].update(error=None), "without an error"),
        (lambda groups: first(groups).update(error={"code": "a", "message": "b"}), "with an error"),
        (lambda groups: first(groups).pop("reward"), "groups.0.responses.0.reward: .*required"),
        (lambda groups: first(groups).update(reward="0.3"), "groups.0.responses.0.reward"),
        (lambda groups: first(groups).update(acc=True), "groups.0.responses.0.acc"),
        (lambda groups: first(groups).update(acc=2), "acc is 2"),
        (lambda groups: first(groups).update(status="fine"), "groups.0.responses.0.status"),
        (lambda groups: first(groups).update(step_offsets=[[0, 1, 2]]), "step_offsets"),
        (lambda groups: groups[0].pop("all_negative"), "groups.0.all_negative"),
    ],
)
def test_reply_that_does_not_fit_is_an_error(change: Callable[[Any], object], message: str) -> None:
    with pytest.raises(RewardError, match=message):
        decode_reply(changed(change), GROUPS)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b"<html>", b'{"groups":', b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "null", "list", "object", "html", "cut", "bytes", "deep"],
)
def test_garbage_is_an_error(body: bytes) -> None:
    with pytest.raises(RewardError, match="malformed reply"):
        decode_reply(body, GROUPS)
