"""Batches are sampled with weights of a fixed age, whichever thread is faster."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from sgpo_client.ahead import Ahead


def versions_seen(staleness: int, num_steps: int = 6) -> list[int]:
    """The number of updates that each step's batch was sampled after."""
    updates = 0

    def begin(_step: int) -> Callable[[], int]:
        version = updates
        return lambda: version

    ahead = Ahead(begin, staleness, num_steps)
    seen = []
    for step in range(num_steps):
        seen.append(ahead.take(step))
        ahead.settle()
        updates += 1
    ahead.close()
    return seen


@pytest.mark.parametrize(
    ("staleness", "expected"), [(0, [0, 1, 2, 3, 4, 5]), (1, [0, 0, 1, 2, 3, 4]), (2, [0, 0, 0, 1, 2, 3])]
)
def test_the_age_of_the_weights(staleness: int, expected: list[int]) -> None:
    assert versions_seen(staleness) == expected


def test_the_next_batch_is_sampled_while_this_one_is_used_and_settling_waits_for_it() -> None:
    begun, go_on, settled = threading.Event(), threading.Event(), threading.Event()

    def begin(step: int) -> Callable[[], int]:
        if step == 1:
            begun.set()
            assert go_on.wait(60)
        return lambda: step

    ahead = Ahead(begin, 1, 3)
    assert ahead.take(0) == 0  # does not wait for step 1
    assert begun.wait(60)

    def settle() -> None:
        ahead.settle()
        settled.set()

    thread = threading.Thread(target=settle)
    thread.start()
    assert not settled.wait(0.2)
    go_on.set()
    thread.join(60)
    assert settled.is_set()
    assert ahead.take(1) == 1
    ahead.close()


def test_nothing_is_begun_beyond_the_last_step() -> None:
    begun = []

    def begin(step: int) -> Callable[[], int]:
        begun.append(step)
        return lambda: step

    ahead = Ahead(begin, 2, 2)
    assert [ahead.take(step) for step in (0, 1)] == [0, 1]
    ahead.close()
    assert begun == [0, 1]


def test_an_error_belongs_to_its_step() -> None:
    def begin(step: int) -> Callable[[], int]:
        if step == 1:
            raise ValueError("step 1")
        return lambda: step

    ahead = Ahead(begin, 1, 3)
    assert ahead.take(0) == 0
    ahead.settle()
    with pytest.raises(ValueError, match="step 1"):
        ahead.take(1)
    ahead.close()
