"""The AReaL workflow, run as AReaL's executor runs workflows.

The caller is written from AReaL 1.0.4 (``infra/remote_inf_engine.py`` GroupedRolloutWorkflow, ``infra/
workflow_executor.py``, ``workflow/rlvr.py``): a group is so many episodes on the same row under one gather, all in one
workflow context.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count, groupby
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch

import sgpo_client.adapters.areal as adapter
from tests.integration.adapter_suite import RIGHT, A, AdapterSuite, Outcome, Row, group, url_of
from tests.integration.http_server import running
from tests.integration.trainer_doubles import standing_in
from tests.unit.service_calls import Counting, scripted

BASE: dict[str, Any] = {"judge": {"kind": "scripted"}, "page": {"enabled": False}}
TASKS = count()


@dataclass(frozen=True)
class WorkflowContext:
    is_eval: bool = False
    task_id: int | None = None


CONTEXT: ContextVar[WorkflowContext] = ContextVar("workflow_context")


@dataclass
class ModelRequest:
    rid: str
    input_ids: list[int]
    gconfig: Any
    tokenizer: Any


class Stats:
    """``stats_tracker.get(scope).scalar(...)``: numbers only."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def get(self, scope: str) -> Stats:
        assert scope in ("rollout", "eval-rollout")
        return self

    def scalar(self, **values: float) -> None:
        assert all(type(value) is float for value in values.values())
        self.rows.append(values)


STATS = Stats()


class Tokenizer:
    """A token for each character; 0 ends a text."""

    def apply_chat_template(self, messages: list[dict[str, Any]], **_: Any) -> list[int]:
        return [ord(each) for message in messages for each in str(message["content"])]

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        assert skip_special_tokens
        return "".join(chr(each) for each in ids if each)


@dataclass
class Generation:
    """What is used of ``GenerationHyperparameters``."""

    n_samples: int

    def new(self, n_samples: int) -> Generation:
        return Generation(n_samples)

    def new_with_stop_and_pad_token_ids(self, tokenizer: Any) -> Generation:
        return self


@dataclass
class Engine:
    """Generates these texts, one for each request."""

    texts: list[str]
    asked: list[ModelRequest] = field(default_factory=list)

    async def agenerate(self, request: ModelRequest) -> Any:
        self.asked.append(request)
        output = [ord(each) for each in self.texts[len(self.asked) - 1]] + [0]
        return SimpleNamespace(
            input_tokens=request.input_ids,
            output_tokens=output,
            output_logprobs=[-0.5] * len(output),
            output_versions=[3] * len(output),
            input_len=len(request.input_ids),
            output_len=len(output),
        )


@pytest.fixture(autouse=True, scope="module")
def _areal() -> Iterator[None]:
    context = {
        "get": CONTEXT.get,
        "stat_scope": lambda: "eval-rollout" if CONTEXT.get().is_eval else "rollout",
    }
    names: dict[str, dict[str, Any]] = {
        "areal": {},
        "areal.api": {"RolloutWorkflow": type("RolloutWorkflow", (), {}), "ModelRequest": ModelRequest},
        "areal.infra": {},
        "areal.infra.workflow_context": context,
        "areal.utils": {},
        "areal.utils.stats_tracker": {"get": STATS.get},
    }
    with standing_in(adapter, "SgpoWorkflow", names):
        yield


async def run_group(workflow: Any, rows: Sequence[Row], is_eval: bool = False) -> list[Any]:
    """One task of the executor: so many episodes of one row."""
    CONTEXT.set(WorkflowContext(is_eval=is_eval, task_id=next(TASKS)))
    engine = Engine([row.text for row in rows])
    problem = rows[0].problem
    messages = problem if isinstance(problem, list) else [{"role": "user", "content": problem}]
    data = {"messages": messages, "answer": rows[0].answer}
    return list(await asyncio.gather(*(workflow.arun_episode(engine, data) for _ in rows)))


async def run_groups(workflow: Any, groups: Sequence[Sequence[Row]]) -> list[Any]:
    tasks = [asyncio.create_task(run_group(workflow, rows)) for rows in groups]
    return [episode for task in tasks for episode in await task]


@dataclass
class ArealDriver:
    failure: Literal["none", "raise", "outcome"] = "none"
    joins: bool = True
    mixed_sizes: bool = False
    messages: bool = True

    def ask(self, rows: Sequence[Row], url: str, **settings: Any) -> Outcome:
        groups = [list(members) for _, members in groupby(rows, key=lambda row: row.uid)]
        workflow = adapter.SgpoWorkflow(Generation(len(groups[0])), Tokenizer(), url=url, **settings)
        episodes = asyncio.run(run_groups(workflow, groups))
        rewards = [None if each is None else round(each["rewards"].item(), 6) for each in episodes]
        return Outcome(rewards, [int(row.text == RIGHT) for row in rows])


class TestAreal(AdapterSuite):
    driver = ArealDriver()
    ids_repeat = False


def test_a_trajectory_holds_what_the_trainer_wants() -> None:
    with running(BASE) as server:
        workflow = adapter.SgpoWorkflow(Generation(1), Tokenizer(), url=url_of(server))
        [episode] = asyncio.run(run_group(workflow, group(RIGHT)))
    num_prompt, num_output = len("What is 40 + 2?"), len(RIGHT) + 1
    per_token = {"input_ids", "loss_mask", "logprobs", "versions", "attention_mask"}
    assert set(episode) == per_token | {"rewards"}
    assert {tuple(episode[name].shape) for name in per_token} == {(1, num_prompt + num_output)}
    assert tuple(episode["rewards"].shape) == (1,)
    assert episode["loss_mask"].sum() == num_output
    assert episode["versions"][0, :num_prompt].tolist() == [-1] * num_prompt
    assert episode["attention_mask"].dtype == torch.bool
    assert episode["rewards"].item() == 1


def test_an_evaluation_is_worth_its_correctness_and_costs_nothing() -> None:
    judge = Counting(scripted())
    with running(BASE, judge=judge) as server:
        workflow = adapter.SgpoWorkflow(Generation(1), Tokenizer(), url=url_of(server))
        episodes = asyncio.run(run_group(workflow, group(A, RIGHT), is_eval=True))
    assert [each["rewards"].item() for each in episodes] == [0, 1]
    assert judge.asked == []


def test_a_gsm8k_row_holds_the_answer_behind_its_solution() -> None:
    judge = Counting(scripted())
    with running(BASE, judge=judge) as server:
        workflow = adapter.SgpoWorkflow(Generation(2), Tokenizer(), url=url_of(server))
        rows = [Row(A, answer="40 + 2 = 42\n#### 42")] * 2
        rows[1] = Row(A.replace("right", "correct"), answer=rows[0].answer)
        asyncio.run(run_group(workflow, rows))
    assert {(each.reference_answer, each.reference_solution) for each in judge.asked} == {("42", "40 + 2 = 42")}


def test_correctness_and_failures_go_to_the_statistics() -> None:
    STATS.rows.clear()
    with running(BASE | {"judge": {"kind": "scripted", "fail": "raise"}}) as server:
        workflow = adapter.SgpoWorkflow(Generation(1), Tokenizer(), url=url_of(server), deadline_s=1.0)
        assert asyncio.run(run_group(workflow, group(A))) == [None], "rejected, not worth 0"
        asyncio.run(run_group(workflow, group(RIGHT)))
    unscored, right = STATS.rows[0], STATS.rows[1]
    assert unscored["sgpo_unscored"] == 1
    assert not {"acc", "sgpo_reward", "sgpo_rts", "sgpo_first_error"} & set(unscored), "no average counts them as -1"
    assert (right["sgpo_unscored"], right["acc"]) == (0, 1)
