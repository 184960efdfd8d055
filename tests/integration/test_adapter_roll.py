"""The ROLL reward worker, called as ROLL's schedulers call reward workers.

The caller is written from ROLL 0.3.0 (``pipeline/rlvr/rewards/*.py``, ``distributed/scheduler/
user_defined_rollout_loop.py``): a call for each prompt with all its rows, or with ``is_num_return_sequences_expand``
one for each row, from several workers at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, field
from itertools import count, groupby
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch

import sgpo_client.adapters.roll as adapter
from sgpo_client.adapters.scores import SampleScore
from sgpo_client.adapters.settings import VARIABLES
from sgpo_client.errors import ConfigError, DataError
from tests.integration.adapter_suite import RIGHT, A, AdapterSuite, B, Outcome, Row, group, url_of
from tests.integration.http_server import running
from tests.integration.trainer_doubles import environment, standing_in

BASE: dict[str, Any] = {"judge": {"kind": "scripted"}, "page": {"enabled": False}}
DOWN: dict[str, Any] = BASE | {"judge": {"kind": "scripted", "fail": "raise"}}
PAD = 0
ROLLOUTS = count()


class Tokenizer:
    """A token for each character."""

    def encode(self, text: str, width: int) -> list[int]:
        return [ord(each) for each in text] + [PAD] * (width - len(text))

    def batch_decode(self, ids: torch.Tensor, skip_special_tokens: bool) -> list[str]:
        return ["".join(chr(each) for each in row if each != PAD) for row in ids.tolist()]


@dataclass
class DataProto:
    batch: dict[str, torch.Tensor]
    non_tensor_batch: dict[str, Any] = field(default_factory=dict)
    meta_info: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, tensors: dict[str, torch.Tensor], meta_info: dict[str, Any] | None = None) -> DataProto:
        assert len({len(each) for each in tensors.values()}) == 1
        return cls(tensors, meta_info=meta_info or {})


class Worker:
    def __init__(self, worker_config: Any) -> None:
        self.worker_config = worker_config
        self.rank_info = SimpleNamespace(rank=0, world_size=1, dp_rank=None, dp_size=None)


def register(dispatch_mode: str, clear_cache: bool = True) -> Any:
    return lambda function: function


@pytest.fixture(autouse=True, scope="module")
def _roll() -> Iterator[None]:
    names: dict[str, dict[str, Any]] = {
        "roll": {},
        "roll.distributed": {},
        "roll.distributed.executor": {},
        "roll.distributed.executor.worker": {"Worker": Worker},
        "roll.distributed.scheduler": {},
        "roll.distributed.scheduler.decorator": {
            "Dispatch": SimpleNamespace(ONE_TO_ALL="ONE_TO_ALL", DP_MP_COMPUTE="DP_MP_COMPUTE"),
            "register": register,
        },
        "roll.distributed.scheduler.protocol": {"DataProto": DataProto},
        "roll.models": {},
        "roll.models.model_providers": {"default_tokenizer_provider": lambda model_args: Tokenizer()},
    }
    with standing_in(adapter, "SgpoRewardWorker", names):
        yield


def batch_of(rows: Sequence[Row], *, named: bool = True) -> DataProto:
    width = max(len(row.text) for row in rows)
    prompts = [f"<|im_start|>user\n{row.problem}<|im_end|>\n<|im_start|>assistant\n" for row in rows]
    columns: dict[str, Any] = {
        "ground_truth": np.array([row.answer for row in rows], dtype=object),
        "tag": np.array(["gsm8k"] * len(rows), dtype=object),
        "domain": np.array(["math_rule"] * len(rows), dtype=object),
        "rollout_id": np.array([str(next(ROLLOUTS)) for _ in rows], dtype=object),
    }
    if named:
        columns["id"] = np.array([row.uid for row in rows], dtype=object)
    encode = Tokenizer().encode
    tensors = {
        "responses": torch.tensor([encode(row.text, width) for row in rows]),
        "prompts": torch.tensor([encode(each, max(map(len, prompts))) for each in prompts]),
    }
    return DataProto(tensors, columns)


def worker_of(group_size: int, expanded: bool = False) -> Any:
    worker = adapter.SgpoRewardWorker(SimpleNamespace(model_args=None))
    names = {"num_return_sequences_in_group": group_size, "is_num_return_sequences_expand": expanded}
    worker.initialize(SimpleNamespace(**names))
    return worker


@dataclass
class RollDriver:
    expanded: bool
    joins: bool
    mixed_sizes: bool
    failure: Literal["none", "raise", "outcome"]
    messages: bool = False

    def ask(self, rows: Sequence[Row], url: str, **settings: Any) -> Outcome:
        groups = [list(members) for _, members in groupby(rows, key=lambda row: row.uid)]
        with environment(VARIABLES, {"url": url} | settings):
            worker = worker_of(len(groups[0]), self.expanded)
            calls = [[row] for row in rows] if self.expanded else groups
            with ThreadPoolExecutor(32) as pool:
                replies = list(pool.map(lambda part: compute(worker, part), calls))
        return Outcome(
            [score.reward for scores, _ in replies for score in scores],
            [int(each) for _, reply in replies for each in reply.batch["scores"].tolist()],
            [score.numbers() for scores, _ in replies for score in scores],
        )


def compute(worker: Any, rows: Sequence[Row]) -> tuple[list[SampleScore], DataProto]:
    """One call of the worker: the scores before they were put into ROLL's half precision, and what ROLL gets."""
    kept: list[SampleScore] = []
    own = copy(worker)
    own.rewarder = SimpleNamespace(score=lambda *given: kept.extend(worker.rewarder.score(*given)) or kept)
    reply = own.compute_rewards(batch_of(rows))
    assert {each.dtype for each in reply.batch.values()} == {torch.float16}
    assert reply.batch["token_level_rewards"].abs().sum() == 0
    assert torch.equal(reply.batch["response_level_rewards"], torch.tensor([each.reward for each in kept]).half())
    return kept, reply


class TestRollGroups(AdapterSuite):
    driver = RollDriver(expanded=False, joins=False, mixed_sizes=True, failure="outcome")


class TestRollRows(AdapterSuite):
    driver = RollDriver(expanded=True, joins=True, mixed_sizes=False, failure="raise")


def test_a_judge_that_is_down_makes_the_group_fall_back_and_the_metrics_say_so() -> None:
    with running(DOWN) as server, environment(VARIABLES, {"url": url_of(server)}):
        worker = worker_of(2)
        failed = worker.compute_rewards(batch_of(group(A, B)))
        mixed = worker.compute_rewards(batch_of(group(A, RIGHT, uid="q2", problem="6 * 7?")))
    assert failed.batch["response_level_rewards"].tolist() == [0, 0]
    assert failed.meta_info["metrics"]["reward/sgpo_fallback"] == 1
    assert mixed.batch["response_level_rewards"].tolist() == [0, 1]
    assert mixed.meta_info["metrics"]["reward/sgpo_fallback"] == 0


def test_a_row_of_the_validation_is_a_whole_group_unless_rows_come_alone() -> None:
    """One sample a problem, where training has eight: nobody else is coming."""
    with running(BASE) as server, environment(VARIABLES, {"url": url_of(server), "deadline_s": 30}):
        replies = [worker_of(8).compute_rewards(batch_of([row])) for row in group(A, RIGHT)]
        assert [reply.batch["scores"].tolist() for reply in replies] == [[0], [1]]
        assert [reply.meta_info["metrics"]["reward/sgpo_group_size"] for reply in replies] == [1, 1]
        assert "sgpo_join_members_total{" not in server.call("GET", "/metrics").raw.decode()


def test_what_expands_is_asked_of_the_pipeline_and_else_taken_for_granted() -> None:
    worker = worker_of(8, expanded=True)
    assert worker.rewarder.rows_alone
    worker.initialize(SimpleNamespace(num_return_sequences_in_group=8))
    assert worker.rewarder.rows_alone
    assert not worker_of(8).rewarder.rows_alone


def test_a_row_with_images_is_refused() -> None:
    def rewards(value: Any) -> Any:
        data = batch_of(group(RIGHT))
        data.non_tensor_batch["multi_modal_data"] = np.array([value], dtype=object)
        return worker_of(1).compute_rewards(data)

    for value in ({"image": ["x.png"]}, {"prompt_token_ids": [1, 2], "multi_modal_data": {"image": ["x.png"]}}):
        with pytest.raises(DataError, match="ROLL: row 0 of the batch has something in its column 'multi_modal_data'"):
            rewards(value)
    with running(BASE) as server, environment(VARIABLES, {"url": url_of(server)}):
        for value in ({}, None, {"prompt_token_ids": [1, 2]}):
            assert rewards(value).batch["scores"].tolist() == [1]


def test_scores_are_correctness_so_that_masks_which_compare_them_keep_the_rows() -> None:
    with running(BASE) as server, environment(VARIABLES, {"url": url_of(server)}):
        reply = worker_of(2).compute_rewards(batch_of(group(A, B), named=False))
    assert reply.batch["scores"].tolist() == [0, 0]
    assert len(set(reply.batch["response_level_rewards"].tolist())) == 2, "float16 keeps them apart"


def test_the_metrics_average_known_values_only() -> None:
    metrics = adapter.metrics_of([SampleScore(0.0, None), SampleScore(1.0, 1), SampleScore(0.5, 0, first_error=3)])
    assert (metrics["reward/acc"], metrics["reward/sgpo_reward"], metrics["reward/sgpo_first_error"]) == (0.5, 0.5, 3)
    assert "reward/sgpo_rts" not in metrics


def test_the_policy_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert adapter.Rewarder().settings.on_unscored == "outcome"
    monkeypatch.setenv("SGPO_ON_UNSCORED", "raise")
    assert adapter.Rewarder().settings.on_unscored == "raise"


def test_a_batch_without_rows_and_one_of_one_response_a_prompt() -> None:
    assert adapter.metrics_of([]) == {}
    with running(BASE) as server, environment(VARIABLES, {"url": url_of(server)}):
        assert worker_of(1).compute_rewards(batch_of(group(RIGHT))).batch["response_level_rewards"].tolist() == [1]


def test_a_missing_reward_is_refused_with_what_to_set() -> None:
    with pytest.raises(ConfigError, match="on_unscored = 'none': ROLL has no missing reward; set it to 'outcome'"):
        adapter.Rewarder(url="http://127.0.0.1:1", on_unscored="none")
