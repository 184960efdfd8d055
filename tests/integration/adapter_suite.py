"""What every adapter must keep, whatever its trainer: one suite, against a real server on a socket.

A test file of an adapter writes a driver, which calls the adapter as its trainer would, and a subclass:

    class TestTrl(AdapterSuite):
        driver = TrlDriver()
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol
from unittest.mock import patch

import pytest

from reward_server.edge.auth import KeyRing
from sgpo_client.errors import ConfigError, DataError, RewardError, RewardRejected, RewardUnavailable
from tests.integration.adapter_servers import losing_first_reply, nobody_at
from tests.integration.held_judge import HeldJudge
from tests.integration.http_server import Server, running, until
from tests.unit.service_calls import Counting, scripted, text

PROBLEM = "What is 40 + 2?"
RIGHT = "Line 0 is as right as can be.\nThe answer is \\boxed{42}."
A, B, C, D = text(4, 1), text(4, 3), text(5, 0), text(5, 2)
"""All wrong; their first errors are step 1 of 4, step 3 of 4, step 0 of 5, step 2 of 5."""
TOWER = "The answer is \\boxed{9^{9^{9^{9^{9}}}}}."
"""No comparison of this answer ends in time."""
IMPATIENT: dict[str, Any] = {"server": {"answer_timeout_s": 0.5}}
BASE: dict[str, Any] = {"judge": {"kind": "scripted"}, "page": {"enabled": False}}


@dataclass(frozen=True)
class Row:
    """One response, and the row of the data set it comes from."""

    text: str
    uid: str = "q1"
    problem: Any = PROBLEM
    answer: Any = "42"


@dataclass(frozen=True)
class Outcome:
    """What the trainer has in hand afterwards, for each row."""

    rewards: list[float | None]
    accs: list[int | None]
    extras: list[dict[str, float]] = field(default_factory=list)
    """Empty where the trainer has no place for more."""


class Driver(Protocol):
    """Calls an adapter as its trainer does."""

    @property
    def failure(self) -> Literal["none", "raise", "outcome"]:
        """What a missing verdict is by default: None, an error of the call, or outcome rewards for its group."""
        ...

    joins: bool
    """Whether it sends single responses, for the server to join."""
    mixed_sizes: bool
    """Whether groups of one call may differ in size."""
    messages: bool
    """Whether prompts may come as messages."""

    def ask(self, rows: Sequence[Row], url: str, **settings: Any) -> Outcome:
        """One reward phase. Settings are those of `AdapterSettings`."""


def group(*texts: str, uid: str = "q1", problem: Any = PROBLEM) -> list[Row]:
    return [Row(each, uid, problem) for each in texts]


def expected(server: Server, texts: Sequence[str], problem: str = PROBLEM) -> list[float]:
    """The rewards of a whole group posted natively, without any adapter."""
    responses = [{"id": str(index), "text": each} for index, each in enumerate(texts)]
    body = {"group_id": "g", "problem": problem, "reference_answer": "42", "responses": responses}
    reply = server.post("/v1/rewards", {"groups": [body]})
    assert reply.status == 200
    return [round(each["reward"], 6) for each in reply.json["groups"][0]["responses"]]


def url_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def members_joined(server: Server) -> float:
    """How many responses the server has put into groups."""
    lines = server.call("GET", "/metrics").raw.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("sgpo_join_members_total"))


class AdapterSuite:
    driver: ClassVar[Driver]
    ids_repeat: ClassVar[bool] = True
    """Whether a row has the same group id in every call, and in every run."""

    def test_order_and_length_are_kept_and_groups_recovered(self) -> None:
        with running(BASE) as server:
            negative = group(C, A, B, uid="q1")
            mixed = group(A, RIGHT, C, uid="q2", problem="What is 6 * 7?")
            outcome = self.driver.ask(negative + mixed, url_of(server))
            assert outcome.rewards == [*expected(server, [C, A, B]), 0.0, 1.0, 0.0]
            assert len(set(outcome.rewards[:3])) == 3, "a wrong response of the all-negative group earns its own reward"

    def test_groups_of_different_sizes(self) -> None:
        if not self.driver.mixed_sizes:
            pytest.skip("this trainer has one group size")
        with running(BASE) as server:
            rows = group(A, B, C) + group(RIGHT, uid="q2", problem="6 * 7?") + group(B, A, uid="q3", problem="84 / 2?")
            outcome = self.driver.ask(rows, url_of(server))
            assert outcome.rewards == [*expected(server, [A, B, C]), 1.0, *expected(server, [B, A])]

    def test_correctness_and_reward_come_apart(self) -> None:
        with running(BASE) as server:
            outcome = self.driver.ask(group(A, B) + group(A, RIGHT, uid="q2", problem="6 * 7?"), url_of(server))
        assert outcome.accs == [0, 0, 0, 1]
        assert all(0 < (reward or 0) < 1 for reward in outcome.rewards[:2])

    def test_same_id_in_another_epoch_is_another_group(self) -> None:
        """The first time all wrong, the second time one right: neither may change the other."""
        with running(BASE) as server:
            first = self.driver.ask(group(A, B), url_of(server))
            second = self.driver.ask(group(A, RIGHT), url_of(server))
            assert first.rewards == expected(server, [A, B])
            assert second.rewards == [0.0, 1.0]

    def test_two_runs_on_one_server_do_not_mix_their_groups(self) -> None:
        """The same row of the data set, and so the same id, in two runs at the same time: only their names differ."""
        if not self.driver.joins or not self.ids_repeat:
            pytest.skip("its groups come whole, or have ids that no other run has")
        with patch.dict(os.environ), running(BASE) as server, ThreadPoolExecutor(1) as pool:
            first = pool.submit(self.driver.ask, group(A), url_of(server), group_size=2, run="one")
            until(lambda: members_joined(server) == 1)
            second = self.driver.ask(group(RIGHT, B), url_of(server), group_size=2, run="two")
            sibling = self.driver.ask(group(B), url_of(server), group_size=2, run="one")
            assert second.rewards == [1.0, 0.0]
            assert [*first.result(60).rewards, *sibling.rewards] == expected(server, [A, B]), "still all wrong"

    def test_joined_responses_follow_the_servers_rule_and_the_message_names_it(self) -> None:
        if not self.driver.joins:
            pytest.skip("it sends whole groups, and so its own on_unscored holds")
        judge = {"kind": "scripted", "fail": "raise"}
        advice = r"\[dialects.openrlhf\] on_unscored = \"outcome\""
        with running(BASE | {"judge": judge}) as server, pytest.raises(RewardUnavailable, match=advice):
            self.driver.ask(group(A, B), url_of(server), on_unscored="outcome", deadline_s=2.0)
        with running(BASE | {"judge": judge, "dialects": {"openrlhf": {"on_unscored": "outcome"}}}) as server:
            assert self.driver.ask(group(A, B), url_of(server), deadline_s=60.0).rewards == [0.0, 0.0]

    def test_judge_failure_is_never_a_zero(self) -> None:
        with running(BASE | {"judge": {"kind": "scripted", "fail": "raise"}}) as server:
            rows = group(A, B) + group(A, RIGHT, uid="q2", problem="6 * 7?")
            if self.driver.failure == "none":
                assert self.driver.ask(rows, url_of(server), deadline_s=2.0).rewards == [None, None, 0.0, 1.0]
            elif self.driver.failure == "outcome":
                outcome = self.driver.ask(rows, url_of(server))
                assert outcome.rewards == [0.0, 0.0, 0.0, 1.0]
                assert [each["sgpo_fallback"] for each in outcome.extras] == [1, 1, 0, 0], "and the reply says so"
            else:
                with pytest.raises(RewardError, match="judge"):
                    self.driver.ask(rows, url_of(server), deadline_s=2.0)

    def test_one_missing_verdict_makes_the_whole_group_fall_back_and_say_so(self) -> None:
        judge = {"kind": "scripted", "fail": "unscored", "fail_on": "quokka"}
        config = BASE | {"judge": judge, "dialects": {"openrlhf": {"on_unscored": "outcome"}}}
        with running(config) as server:
            rows = group(A, B + "\nA quokka.") + group(A, B, uid="q2", problem="What is 6 * 7?")
            outcome = self.driver.ask(rows, url_of(server), on_unscored="outcome")
            assert outcome.rewards == [0.0, 0.0, *expected(server, [A, B], "What is 6 * 7?")]
            if outcome.extras:
                assert [each["sgpo_fallback"] for each in outcome.extras] == [1, 1, 0, 0]
                assert len({tuple(each) for each in outcome.extras}) == 1, "equal keys in every reply"

    def test_deadline_ends_the_call(self) -> None:
        judge = HeldJudge()
        with running(BASE, judge=judge) as server:
            try:
                if self.driver.failure == "none":
                    assert self.driver.ask(group(A, B), url_of(server), deadline_s=1.0).rewards == [None, None]
                else:
                    with pytest.raises(RewardError, match="SGPO_DEADLINE_S"):
                        self.driver.ask(group(A, B), url_of(server), deadline_s=1.0)
            finally:
                judge.release.set()

    def test_lost_reply_costs_no_second_judge_call(self) -> None:
        judge = Counting(scripted())
        with running(BASE, judge=judge) as server, losing_first_reply(server.port) as (url, lost):
            outcome = self.driver.ask(group(A, B), url)
            assert lost.is_set()
            assert outcome.rewards == expected(server, [A, B])
        assert len(judge.asked) == 2

    def test_same_work_again_costs_no_second_judge_call(self) -> None:
        judge = Counting(scripted())
        with running(BASE, judge=judge) as server:
            replies = [self.driver.ask(group(A, B), url_of(server)) for _ in range(2)]
        assert replies[0].rewards == replies[1].rewards
        assert len(judge.asked) == 2

    def test_equal_verdicts_are_bit_equal(self) -> None:
        """Other words, the same two steps of five right."""
        with running(BASE) as server:
            rewards = self.driver.ask(group(D, D.replace("right", "good")), url_of(server)).rewards
        assert rewards[0] == rewards[1] == round(rewards[0] or 0, 6)

    def test_server_that_is_down(self) -> None:
        url = nobody_at()
        if self.driver.failure == "none":
            assert self.driver.ask(group(A, B), url, deadline_s=1.0).rewards == [None, None]
        else:
            with pytest.raises(RewardError, match="sgpo-serve") as caught:
                self.driver.ask(group(A, B), url, deadline_s=1.0)
            assert url in str(caught.value)

    def test_wrong_key(self) -> None:
        with (
            running(BASE, keys=KeyRing((hashlib.sha256(b"k" * 40).digest(),))) as server,
            pytest.raises(RewardRejected, match="SGPO_API_KEY"),
        ):
            self.driver.ask(group(A, B), url_of(server), api_key="w" * 40)

    def test_url_of_another_path(self) -> None:
        with running(BASE) as server, pytest.raises(RewardRejected, match="SGPO_URL"):
            self.driver.ask(group(A, B), url_of(server) + "/elsewhere")

    def test_url_of_another_dialect(self) -> None:
        with pytest.raises(ConfigError, match="ends in /v1/slime"):
            self.driver.ask(group(A, B), "http://127.0.0.1:9/v1/slime")

    def test_missing_reference_answer(self) -> None:
        rows = [replace(row, answer=None) for row in group(A, B)]
        with running(BASE) as server, pytest.raises(ConfigError, match="has no reference answer"):
            self.driver.ask(rows, url_of(server))

    def test_prompt_with_an_image(self) -> None:
        if not self.driver.messages:
            pytest.skip("this trainer hands over plain text")
        parts = [{"type": "image", "image": "x.png"}, {"type": "text", "text": PROBLEM}]
        rows = group(A, B, problem=[{"role": "user", "content": parts}])
        with running(BASE) as server, pytest.raises(DataError, match="'image' part"):
            self.driver.ask(rows, url_of(server))

    def test_prompt_as_messages(self) -> None:
        if not self.driver.messages:
            pytest.skip("this trainer hands over plain text")
        chat = [{"role": "system", "content": "Think."}, {"role": "user", "content": PROBLEM}]
        with running(BASE) as server:
            outcome = self.driver.ask(group(A, B, problem=chat), url_of(server))
            assert outcome.rewards == expected(server, [A, B])
