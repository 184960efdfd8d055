"""What each trainer may send, what becomes of it, and what it is told when it is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from reward_server.config import LimitSettings, ServerConfig
from reward_server.dialects import nemo_gym, openrlhf, slime
from reward_server.dialects.base import Sample, read_label
from reward_server.errors import ApiError

LIMITS = LimitSettings()
SMALL = LimitSettings(max_text_chars=10, max_problem_chars=20)
COMMON: dict[str, Any] = {"reply_by": 0.0, "tenant": "t", "group_size": None}


def openrlhf_samples(limits: LimitSettings = LIMITS, **body: Any) -> list[Sample]:
    full = {"query": ["p: so 4"], "prompts": ["p: "], "labels": ["4"]} | body
    return openrlhf.samples_of(openrlhf.OpenRLHFRequest.model_validate(full, context=limits), limits, **COMMON)


def slime_sample(limits: LimitSettings = LIMITS, **body: Any) -> Sample:
    full = {"prompt": "p", "response": "so 4", "label": "4"} | body
    return slime.sample_of(slime.SlimeRequest.model_validate(full, context=limits), limits, **COMMON)


def nemo_sample(limits: LimitSettings = LIMITS, **body: Any) -> Sample:
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "so 4"}]}
    full = {
        "responses_create_params": {"input": [{"role": "user", "content": "p"}]},
        "response": {"output": [message]},
        "expected_answer": "4",
    } | body
    return nemo_gym.sample_of(nemo_gym.VerifyRequest.model_validate(full, context=limits), full, limits, **COMMON)


@pytest.mark.parametrize(
    ("value", "answer"),
    [("4", "4"), (4, "4"), (0.5, "0.5"), ({"answer": 4}, "4"), ({"ground_truth": "4"}, "4"), ("", None), (None, None)],
)
def test_labels(value: Any, answer: str | None) -> None:
    assert read_label(value, "label", LIMITS).answer == answer


def test_a_struct_label_holds_everything() -> None:
    value = {
        "answer": "4",
        "question": "2+2?",
        "reference_solution": "it is 4",
        "id": 17,
        "group_size": 8,
        "member_id": 3,
        "outcome": True,
        "other": [1],
    }
    label = read_label(value, "labels[0]", LIMITS)
    assert label.model_dump() == {
        "answer": "4",
        "question": "2+2?",
        "solution": "it is 4",
        "group_id": "17",
        "group_size": 8,
        "member_id": "3",
        "outcome": True,
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, r"labels\[0\]: must be null, a text, a number or an object"),
        ([1], r"labels\[0\]: must be null"),
        ({"answer": ["4"]}, r"labels\[0\]\.answer: "),
        ({"answer": "4", "group_size": 0}, r"labels\[0\]\.group_size: "),
        ({"answer": "4", "group_size": "8"}, r"labels\[0\]\.group_size: "),
        ({"answer": "4", "id": ""}, r"labels\[0\]\.id: "),
        ({"answer": "x" * 10_001}, r"labels\[0\]\.answer: "),
        ({"answer": "4", "question": "x" * 200_001}, r"labels\[0\]\.question: .*max_text_chars"),
    ],
)
def test_wrong_labels_are_named_in_the_trainers_words(value: Any, message: str) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        read_label(value, "labels[0]", LIMITS)
    assert caught.value.status == 422


def test_the_label_goes_before_the_request() -> None:
    label = read_label({"answer": "4", "group_size": 2}, "l", LIMITS, group_size=8, group_id="q", member_id=None)
    assert (label.group_size, label.group_id, label.member_id) == (2, "q", None)


def test_openrlhf() -> None:
    [sample] = openrlhf_samples()
    assert (sample.problem, sample.response, sample.path, sample.tenant) == ("p:", "so 4", "labels[0]", "t")
    [sample] = openrlhf_samples(labels=[{"answer": "4", "question": "2+2?", "outcome": False}])
    assert (sample.problem, sample.outcome) == ("2+2?", False)
    assert openrlhf_samples(query=[], prompts=[], labels=[]) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"labels": []}, "labels: 0 items, but query has 1"),
        ({"prompts": ["p: ", "q"]}, "prompts: 2 items, but query has 1"),
        ({"labels": [None]}, r"labels\[0\]: holds no reference answer.*--data\.label_key"),
        ({"labels": [""]}, r"labels\[0\]: holds no reference answer"),
        ({"query": ["else"]}, r"query\[0\]: does not continue"),
        ({"prompts": [" "], "query": [" x"]}, r"prompts\[0\]: holds no problem"),
    ],
)
def test_openrlhf_faults(body: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=message):
        openrlhf_samples(**body)


def test_bounds_hold_in_every_dialect() -> None:
    with pytest.raises(
        ApiError, match=r"query\[0\]: a response of 11 characters, at most 10 \(\[limits\] max_text_chars"
    ):
        openrlhf_samples(SMALL, query=["p: " + "x" * 11])
    with pytest.raises(ApiError, match=r"prompts\[0\]: a problem of 21 characters.*max_problem_chars"):
        openrlhf_samples(SMALL, query=["p" * 21 + "x"], prompts=["p" * 21])
    with pytest.raises(ValidationError, match="max_text_chars"):
        slime_sample(SMALL, response="x" * 11)
    with pytest.raises(ApiError, match=r"response\.output: a text of 11 characters"):
        nemo_sample(SMALL, response={"output": [{"role": "assistant", "content": "x" * 11}]})
    with pytest.raises(ValidationError, match="max_responses"):
        openrlhf_samples(LimitSettings(max_responses=1), query=["a", "b"])


def test_slime() -> None:
    sample = slime_sample(metadata={"group_id": 5, "group_size": 4, "member_id": "m"}, extra=1)
    assert (sample.label.group_id, sample.label.group_size, sample.label.member_id) == ("5", 4, "m")
    assert slime_sample(prompt=[{"role": "user", "content": "why?"}]).problem == "why?"
    assert slime_sample(response="so 4<|im_end|>").response == "so 4"
    with pytest.raises(ApiError, match=r"label: holds no reference answer.*--label-key"):
        slime_sample(label=None)


@pytest.mark.parametrize("key", ["a b", "1a", "x" * 65, "ü", "a-b"])
def test_reward_keys(key: str) -> None:
    assert slime.check_reward_key("score") == "score"
    with pytest.raises(ApiError, match="reward_key"):
        slime.check_reward_key(key)


def test_nemo_gym() -> None:
    sample = nemo_sample(_ng_task_index=3, _ng_rollout_index=0, group_size=4)
    assert (sample.problem, sample.response) == ("p", "so 4")
    assert (sample.label.group_id, sample.label.member_id, sample.label.group_size) == ("3", "0", 4)
    assert nemo_sample(question="2+2?").problem == "2+2?"
    assert nemo_sample(responses_create_params={"input": "2+2?"}).problem == "2+2?"
    thinking = [{"type": "reasoning"}, {"role": "assistant", "content": "so 4"}, {"type": "function_call"}]
    assert nemo_sample(response={"output": thinking}).response == "so 4"
    assert nemo_sample(response={"output": []}).response == ""
    with pytest.raises(ApiError, match="expected_answer: holds no reference answer"):
        nemo_sample(expected_answer=None)


def test_group_keys_tell_groups_apart() -> None:
    base = slime_sample(label={"answer": "4", "id": "1"})
    same = slime_sample(label={"answer": "4", "id": "1", "group_size": 3}, response="other")
    assert base.group_key() == same.group_key()
    others = [
        slime_sample(label={"answer": "4", "id": "2"}),
        slime_sample(label={"answer": "4"}),
        slime_sample(label={"answer": "5", "id": "1"}),
        slime_sample(label={"answer": "4", "id": "1"}, prompt="q"),
        slime_sample(label={"answer": "4", "id": "1", "solution": ""}),
        openrlhf_samples(labels=[{"answer": "4", "id": "1"}])[0],
    ]
    assert len({base.group_key(), *(other.group_key() for other in others)}) == 1 + len(others)


def test_the_time_outs_leave_time_to_judge_and_stay_below_the_clients() -> None:
    dialects = ServerConfig().dialects
    assert dialects.openrlhf.join_timeout_s < dialects.openrlhf.reply_timeout_s < 180
    assert dialects.slime.join_timeout_s < dialects.slime.reply_timeout_s < 120
    with pytest.raises(ValidationError, match="join_timeout_s = 90 leaves no time to judge"):
        ServerConfig.model_validate({"dialects": {"slime": {"join_timeout_s": 90}}})


def test_aggregate_metrics_leave_failures_out() -> None:
    rollouts = [
        {"_ng_task_index": 1, "reward": 1.0, "sgpo_acc": 1.0},
        {"_ng_task_index": 1, "reward": 0.5, "sgpo_acc": 0.0},
        {"_ng_task_index": 2, "reward": 0.0, "_ng_failure_class": "judge_failed"},
        {"_ng_task_index": 2, "reward": 0.0, "mask_sample": True},
        {"_ng_task_index": 2, "reward": "x"},
        {"reward": 0.0},
    ]
    out = nemo_gym.aggregate(rollouts)
    assert out["group_level_metrics"] == [
        {"_ng_task_index": 1, "mean/reward": 0.75, "max/reward": 1.0, "num_rollouts": 2}
    ]
    assert out["agent_metrics"] == {"num_rollouts": 6, "num_not_judged": 3, "mean/reward": 0.5, "mean/acc": 0.5}
    assert out["key_metrics"] == {"mean/reward": 0.5, "mean/acc": 0.5}
    assert nemo_gym.aggregate([])["key_metrics"] == {}
