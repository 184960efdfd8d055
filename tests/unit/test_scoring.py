"""From a server's reply to the loss: an unscored response takes no part, and never counts as 0."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sgpo_client.advantage import scored_group_advantages
from sgpo_client.errors import RewardUnavailable
from sgpo_client.examples import make_examples
from sgpo_client.log.step_metrics import group_sums, is_rescued, step_metrics
from sgpo_client.loss import BatchSize, policy_loss
from sgpo_client.microbatch import make_micro_batches
from sgpo_client.scoring import score_groups
from sgpo_client.settings.algo import AlgoTable
from sgpo_client.settings.sgpo import SgpoTable
from sgpo_client.types import Example, Problem, Rollout, ScoredGroup
from sgpo_client.wire import GroupScores, ItemError, ResponseScore, RewardGroup, ShapingParams

PROBLEM = Problem(id="p", text="1 + 1?", answer="2")


def judged(index: int, reward: float, rts: float) -> ResponseScore:
    return ResponseScore(id=str(index), reward=reward, status="judged", acc=0, rts=rts, first_error=1, num_steps=4)


def unscored(index: int) -> ResponseScore:
    error = ItemError("parse_error", "off the menu")
    return ResponseScore(id=str(index), reward=None, status="unscored", acc=0, error=error)


def rollout(index: int) -> Rollout:
    return Rollout(prompt_ids=[1, 2], response_ids=[5 + index] * (3 + index), text=f"text {index}", truncated=False)


class OneReplyClient:
    """Stands for the server: replies with the given scores and keeps what it was asked."""

    def __init__(self, scores: list[ResponseScore]) -> None:
        self.scores = scores
        self.asked: list[RewardGroup] = []

    def score(self, groups, shaping, include_steps=False):
        self.asked = list(groups)
        return [GroupScores(groups[0].group_id, True, tuple(self.scores))]


def scored_group(scores: list[ResponseScore]) -> ScoredGroup:
    rollouts = [rollout(index) for index in range(len(scores))]
    [group] = score_groups(OneReplyClient(scores), [(PROBLEM, rollouts)], ShapingParams(), deadline_s=0)
    return group


def advantages_of(group: ScoredGroup) -> list[float]:
    return scored_group_advantages(group, AlgoTable().resolved, SgpoTable())


def examples_of(group: ScoredGroup, mask_truncated: bool = False) -> tuple[list[Example], BatchSize]:
    return make_examples(
        [group], [advantages_of(group)], lambda ids: "", credit="response", mask_truncated=mask_truncated
    )


def loss_of(group: ScoredGroup) -> float:
    examples, size = examples_of(group)
    total = 0.0
    for batch in make_micro_batches(examples, 1000, lambda _: 1 / size.num_tokens):
        logprobs = -(batch.input_ids[:, 1:] * 0.1)
        columns = batch.advantages, batch.weights, batch.response_mask
        output = policy_loss(logprobs, logprobs - 0.05, *columns, 0.2, 0.2)
        total += float(output.loss)
    return total


def test_an_unscored_response_leaves_no_trace_in_the_loss() -> None:
    scores = [judged(0, 0.4, 0.75), judged(1, 0.1, 0.25)]
    without = scored_group(scores)
    with_unscored = scored_group([*scores, unscored(2)])
    as_zero = scored_group([*scores, judged(2, 0.0, 0.0)])
    # By hand: advantages +-0.15, ratio e^0.05 (inside the clipping range), 3 and 4 tokens.
    by_hand = -(0.15 * 3 - 0.15 * 4) * math.exp(0.05) / 7
    assert loss_of(without) == pytest.approx(by_hand)
    assert loss_of(with_unscored) == loss_of(without)
    assert loss_of(as_zero) != pytest.approx(by_hand, rel=0.05)
    assert advantages_of(with_unscored) == pytest.approx([0.15, -0.15, 0.0])


def test_an_unscored_response_is_not_trained_on() -> None:
    group = scored_group([judged(0, 0.4, 0.75), unscored(1), judged(2, 0.1, 0.25)])
    examples, size = examples_of(group)
    assert [example.response_ids[0] for example in examples] == [5, 7]
    assert size == BatchSize(num_tokens=3 + 5, num_sequences=2)


def test_a_response_without_tokens_is_not_trained_on_and_counts_in_its_groups_baseline() -> None:
    empty = replace(rollout(1), response_ids=[], text="")
    group = scored_group([judged(0, 0.4, 0.75), judged(1, 0.0, 0.0)])
    group = replace(group, rollouts=[rollout(0), empty])
    [example], size = examples_of(group)
    assert example.advantages == pytest.approx([0.2] * 3)
    assert size == BatchSize(num_tokens=3, num_sequences=1)


def test_truncated_responses_are_left_out_when_asked_to() -> None:
    group = scored_group([judged(0, 0.4, 0.75), judged(1, 0.1, 0.25)])
    group = replace(group, rollouts=[replace(rollout(0), truncated=True), rollout(1)])
    assert examples_of(group)[1] == BatchSize(num_tokens=7, num_sequences=2)
    [example], size = examples_of(group, mask_truncated=True)
    assert size == BatchSize(num_tokens=4, num_sequences=1)
    assert example.advantages == pytest.approx([-0.15] * 4), "it still counts in the baseline of its group"


def test_what_the_server_is_asked() -> None:
    client = OneReplyClient([judged(0, 0.4, 0.75)])
    problem = Problem(id="gsm-1", text="1 + 1?", answer="2", solution="1 + 1 = 2")
    score_groups(client, [(problem, [rollout(0)])], ShapingParams(), deadline_s=0)
    [group] = client.asked
    assert (group.problem, group.reference_answer, group.reference_solution) == ("1 + 1?", "2", "1 + 1 = 2")
    assert [(response.id, response.text, response.outcome) for response in group.responses] == [("0", "text 0", None)]


def test_step_metrics_by_hand() -> None:
    wrong = ResponseScore(id="0", reward=0.0, status="wrong", acc=0)
    right = ResponseScore(id="1", reward=1.0, status="correct", acc=1)
    unchecked = ResponseScore(id="2", reward=None, status="unscored", acc=None, error=ItemError("outcome_error", "x"))
    mixed = ScoredGroup(PROBLEM, [rollout(0), rollout(1), rollout(2)], [wrong, right, unchecked], all_negative=False)
    rescued = scored_group([judged(0, 0.4, 0.75), judged(1, 0.1, 0.25), unscored(2)])
    flat = scored_group([judged(0, 0.1, 0.25), judged(1, 0.1, 0.25), unscored(2)])
    metrics = step_metrics(group_sums([mixed, rescued, flat]))
    assert [is_rescued(group) for group in (mixed, rescued, flat)] == [False, True, False]
    assert metrics["all_negative_share"] == pytest.approx(2 / 3)
    assert metrics["num_rescued"] == 1
    assert metrics["accuracy"] == pytest.approx(1 / 8)  # one answer could not be checked
    assert metrics["reward_mean"] == pytest.approx((0.0 + 1.0 + 0.4 + 0.1 + 0.1 + 0.1) / 6)
    assert metrics["unscored_share"] == pytest.approx(3 / 9)
    assert metrics["rts_mean"] == pytest.approx((0.75 + 0.25 + 0.25 + 0.25) / 4)
    assert metrics["response_tokens_mean"] == pytest.approx((3 + 4 + 5) * 3 / 9)


def test_a_rank_without_groups_has_the_same_sums() -> None:
    assert group_sums([]).keys() == group_sums([scored_group([judged(0, 0.4, 0.75)])]).keys()
    assert step_metrics(group_sums([]))["accuracy"] is None


def down(index: int, code: str = "judge_unavailable") -> ResponseScore:
    return ResponseScore(id=str(index), reward=None, status="unscored", acc=0, error=ItemError(code, "refused"))


class RepliesClient:
    """Gives one reply after the other, the last one for ever."""

    def __init__(self, *replies: list[ResponseScore]) -> None:
        self.replies = list(replies)
        self.calls = 0

    def score(self, groups, shaping, include_steps=False):
        scores = self.replies[min(self.calls, len(self.replies) - 1)]
        self.calls += 1
        return [GroupScores(groups[0].group_id, True, tuple(scores))]


def ask(client: RepliesClient, deadline_s: float) -> list[ResponseScore]:
    groups = [(PROBLEM, [rollout(0), rollout(1)])]
    return score_groups(client, groups, ShapingParams(), deadline_s, pause_s=0.01)[0].scores


def test_a_judge_that_is_down_is_asked_again() -> None:
    client = RepliesClient([down(0), down(1)], [down(0, "judge_timeout"), down(1)], [judged(0, 0.4, 0.75), unscored(1)])
    assert [score.reward for score in ask(client, 5)] == [0.4, None]
    assert client.calls == 3


def test_a_judge_that_stays_down_stops_the_step() -> None:
    with pytest.raises(RewardUnavailable, match=r"refused \(judge_unavailable\).*reward\.deadline_s"):
        ask(RepliesClient([down(0), down(1)]), 0.05)


@pytest.mark.parametrize("scores", [[judged(0, 0.4, 0.75), down(1)], [unscored(0), unscored(1)]])
def test_a_judge_that_works_is_asked_once(scores: list[ResponseScore]) -> None:
    client = RepliesClient(scores)
    ask(client, 5)
    assert client.calls == 1
