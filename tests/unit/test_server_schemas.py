"""The wire format: what it refuses, and that a refusal names the field and not the input."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from judge.errors import ConfigError
from judge.settings import parse_table
from reward_server.config import LimitSettings, ServerConfig, ShapingSettings
from reward_server.errors import ApiError, field_path
from reward_server.schemas import JudgeRequest, ResponseOut, RewardRequest, ShapingIn, parse_body

SECRET = "zebra-crossing"
LIMITS = LimitSettings(max_groups=2, max_responses=3, max_text_chars=50, max_problem_chars=40, max_steps=4)


def body(**changes: Any) -> dict[str, Any]:
    """A good request; ``changes`` replace parts, dotted with ``__`` ("responses__0__text")."""
    request: dict[str, Any] = {
        "groups": [
            {
                "group_id": "g",
                "problem": "What is 1 + 1?",
                "reference_answer": "2",
                "reference_solution": None,
                "complete": True,
                "responses": [{"id": "0", "text": "It is 3.", "outcome": None}, {"id": "1", "text": "It is 2."}],
            }
        ],
        "shaping": {"beta": 10, "gamma": 0.5, "cap": 0.5, "length": "steps", "apply_to": "all_negative"},
        "include_steps": False,
    }
    for path, value in changes.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("__")]
        place: Any = request
        for part in parents:
            place = place[part]
        place[last] = value
    return request


def refusal(raw: bytes, model: type[RewardRequest] | type[JudgeRequest] = RewardRequest) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse_body(model, raw, LIMITS)
    return caught.value


def test_a_good_request_is_read() -> None:
    parsed = parse_body(RewardRequest, json.dumps(body()).encode(), LIMITS)
    assert [response.id for response in parsed.groups[0].responses] == ["0", "1"]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"groups": None}, "groups:"),
        ({"groups__0__group_id": ""}, "groups[0].group_id:"),
        ({"groups__0__group_id": "x" * 201}, "groups[0].group_id:"),
        ({"groups__0__problem": ""}, "groups[0].problem:"),
        ({"groups__0__problem": SECRET * 4}, "groups[0].problem:"),
        ({"groups__0__reference_answer": SECRET * 800}, "groups[0].reference_answer:"),
        ({"groups__0__reference_answer": 18}, "groups[0].reference_answer:"),
        ({"groups__0__reference_solution": SECRET * 5}, "groups[0].reference_solution:"),
        ({"groups__0__complete": 1}, "groups[0].complete:"),
        ({"groups__0__responses": {}}, "groups[0].responses:"),
        ({"groups__0__responses__1__id": "0"}, "groups[0].responses: [1].id"),
        ({"groups__0__responses__1__id": 1}, "groups[0].responses[1].id:"),
        ({"groups__0__responses__1__text": None}, "groups[0].responses[1].text:"),
        ({"groups__0__responses__1__text": SECRET * 4}, "groups[0].responses[1].text:"),
        ({"groups__0__responses__1__outcome": SECRET}, "groups[0].responses[1].outcome:"),
        ({"groups__0__responses__1__outcome": 1}, "groups[0].responses[1].outcome:"),
        ({"groups__0__responses": [{"id": str(i), "text": ""} for i in range(4)]}, "groups[0].responses:"),
        ({"groups": [{}] * 3}, "groups[0].group_id:"),
        ({"shaping__beta": 0}, "shaping.beta:"),
        ({"shaping__beta": 31}, "shaping.beta:"),
        ({"shaping__beta": "10"}, "shaping.beta:"),
        ({"shaping__beta": True}, "shaping.beta:"),
        ({"shaping__gamma": -0.1}, "shaping.gamma:"),
        ({"shaping__cap": 1}, "shaping.cap:"),
        ({"shaping__length": SECRET}, "shaping.length:"),
        ({"shaping__apply_to": "All_negative"}, "shaping.apply_to:"),
        ({"shaping__temperature": 1}, "shaping.temperature:"),
        ({"include_steps": "yes"}, "include_steps:"),
        ({f"{SECRET} {SECRET}": 1}, "(unknown key):"),
    ],
)
def test_a_fault_is_named_by_its_path_and_not_quoted(changes: dict[str, Any], path: str) -> None:
    error = refusal(json.dumps(body(**changes)).encode())
    assert error.status == 422
    assert error.message.startswith(path)
    assert SECRET not in error.message


def test_the_limit_that_was_broken_is_named_with_its_setting() -> None:
    error = refusal(json.dumps(body(groups__0__responses__0__text="x" * 51)).encode())
    expected = "groups[0].responses[0].text: 51 characters, at most 50 are accepted ([limits] max_text_chars)"
    assert error.message == expected


def test_many_faults_make_a_short_message() -> None:
    error = refusal(json.dumps({"groups": [{"a": 1}, {"b": 2}]}).encode())
    assert error.message.count(";") == 5
    assert error.message.endswith("and 3 more")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"groups": NaN}',
        b'{"groups": [], "shaping": {"beta": NaN}}',
        b'{"groups": [], "shaping": {"beta": Infinity}}',
        b'{"groups": [], "shaping": {"beta": 1e999}}',
        b'{"groups": [], "shaping": {"beta": ' + b"9" * 5000 + b"}}",
        b'\xef\xbb\xbf{"groups": []}',
        b'{"groups": [{"group_id": "\\ud800"}]}',
        b'{"groups": [{"group_id": "\xff\xfe"}]}',
        b'{"groups": ' + b"[" * 100_000,
        b'{"groups": [], "x": ' + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"}",
    ],
)
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    assert refusal(raw).status == 422


@settings(max_examples=100)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["groups", "responses", "group_id", "problem", "id", "text", "shaping", "beta"]),
                    inner,
                )
            ),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_any_body_is_read_or_refused(raw: bytes) -> None:
    for model in (RewardRequest, JudgeRequest):
        status = 200
        try:
            parse_body(model, raw, LIMITS)
        except ApiError as error:
            status = error.status
        assert status in {200, 422}


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"id": "0", "problem": "p"}, "items[0]: give exactly one of 'text' and 'steps'"),
        ({"id": "0", "problem": "p", "text": "t", "steps": ["t"]}, "items[0]: give exactly one of"),
        ({"id": "0", "problem": "p", "steps": ["s"] * 5}, "items[0].steps: 5 items, at most 4"),
        ({"id": "0", "problem": "p", "steps": ["s", None]}, "items[0].steps[1]:"),
        ({"id": "0", "problem": "p", "text": "t", "known_wrong": None}, "items[0].known_wrong:"),
    ],
)
def test_a_faulty_judge_item_is_named(item: dict[str, Any], path: str) -> None:
    assert refusal(json.dumps({"items": [item]}).encode(), JudgeRequest).message.startswith(path)


def test_a_request_overrides_the_defaults_where_it_says_something() -> None:
    defaults = ShapingSettings(beta=5, gamma=0.25, cap=0.75, length="characters", apply_to="every_wrong")
    asked = ShapingIn(beta=20.0, apply_to="none")
    assert asked.over(defaults) == ShapingSettings(beta=20, gamma=0.25, cap=0.75, length="characters", apply_to="none")
    assert ShapingIn().over(defaults) == defaults


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_reward_leaves_that_is_not_a_number(value: float) -> None:
    with pytest.raises(ValidationError):
        ResponseOut(id="0", reward=value, acc=0, status="judged")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"servr": {}}, "unknown key 'servr'; did you mean 'server'"),
        ({"server": {"prot": 1}}, "unknown key 'server.prot'"),
        ({"server": {"port": 70_000}}, "'server.port' = 70000"),
        ({"shaping": {"cap": 1.0}}, "'shaping.cap' = 1.0"),
        ({"limits": {"max_groups": 0}}, "'limits.max_groups' = 0"),
        ({"auth": {"api_keys": ["k"]}}, "unknown key 'auth.api_keys'"),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        parse_table(ServerConfig, table, "server.toml")


def test_a_path_is_written_as_the_caller_would() -> None:
    assert field_path(()) == "body"
    assert field_path(("groups", 0, "responses", 2, "text")) == "groups[0].responses[2].text"
