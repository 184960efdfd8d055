"""What the classifier is trained on: labels at the right tokens, whole examples, a schedule that can be taken up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.encoding import Encoded, StepEncoder
from judge.errors import DataError
from judge.train.classifier_examples import (
    IGNORED,
    LengthRule,
    Solutions,
    example,
    schedule,
    training_examples,
    whole_solutions,
)
from judge.types import NO_ERROR, Record
from tests.unit.classifier_tiny import byte_tokenizer

ANY = LengthRule(10_000, "error")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return byte_tokenizer()


def record(label: int | None, steps: tuple[str, ...] = ("one", "two", "three"), **changes: Any) -> Record:
    return Record(**{"problem": "1 + 2?", "steps": steps, "label": label, "source": "s", "id": "7"} | changes)


@pytest.mark.parametrize(
    ("label", "expected"),
    [(NO_ERROR, [0, 0, 0]), (0, [1, 0, 0]), (2, [0, 0, 1])],
)
def test_labels_stand_at_the_last_token_of_each_step(label: int, expected: list[int]) -> None:
    made = example(Encoded((1, 2), ((3, 4), (5,), (6, 7, 8))), label)
    assert made.ids == (1, 2, 3, 4, 5, 6, 7, 8)
    told = [(place, value) for place, value in enumerate(made.labels) if value != IGNORED]
    assert told == list(zip([3, 4, 7], expected, strict=True))


@pytest.mark.parametrize(("label", "steps"), [(NO_ERROR, 3), (0, 1), (1, 2), (2, 3)])
def test_nothing_after_the_first_error_is_in_an_example(tokenizer: Any, label: int, steps: int) -> None:
    encoder = StepEncoder(tokenizer)
    (made,) = training_examples(encoder, [record(label)], ANY)
    text = tokenizer.decode(made.ids)
    assert text == "Problem: 1 + 2?\n\nSolution:\n" + "".join(f"{s}\n\n" for s in ("one", "two", "three")[:steps])
    told = [value for value in made.labels if value != IGNORED]
    assert told == [0] * (steps - (label != NO_ERROR)) + [1] * (label != NO_ERROR)
    assert made.labels[-1] != IGNORED, "the last token is the separator of the last step"
    assert tokenizer.decode([made.ids[-1]]) == "\n"


def test_whole_solutions_keep_the_later_steps(tokenizer: Any) -> None:
    solutions = whole_solutions(StepEncoder(tokenizer), [record(0), record(NO_ERROR)], ANY)
    assert [len(encoded.step_ids) for encoded in solutions.encoded] == [3, 3]
    assert solutions.labels == [0, NO_ERROR]
    assert solutions.sample(9, seed=0) == solutions


def test_a_sample_of_solutions_is_no_first_part() -> None:
    solutions = Solutions(
        [Encoded((i,), ((i,),)) for i in range(50)], [record(i, steps=("step",) * 50) for i in range(50)]
    )
    sampled = solutions.sample(10, seed=3)
    assert sampled == solutions.sample(10, seed=3)
    assert [encoded.prompt_ids[0] for encoded in sampled.encoded] == sampled.labels
    assert len(set(sampled.labels)) == 10
    assert max(sampled.labels) > 20


def test_too_long_is_an_error_or_left_out_whole(tokenizer: Any) -> None:
    encoder = StepEncoder(tokenizer)
    short, long = record(NO_ERROR), record(NO_ERROR, ("three " * 50,), id="long")
    limit = encoder.encode(short.problem, short.steps).num_tokens
    kept = training_examples(encoder, [long, short, long], LengthRule(limit, "skip"))
    assert [len(made.ids) for made in kept] == [limit]
    assert not training_examples(encoder, [short], LengthRule(limit - 1, "skip"))
    with pytest.raises(DataError, match=rf"record 'long' of s has \d+ tokens, and max_tokens = {limit}"):
        training_examples(encoder, [short, long], LengthRule(limit, "error"))


def test_length_counts_up_to_the_first_error(tokenizer: Any) -> None:
    """What comes after it is not trained on, so it cannot be too long there; for measuring it can."""
    encoder = StepEncoder(tokenizer)
    early = record(0, ("one", "three " * 50))
    rule = LengthRule(60, "skip")
    assert len(training_examples(encoder, [early], rule)) == 1
    assert not whole_solutions(encoder, [early], rule).labels


@pytest.mark.parametrize("use", [training_examples, whole_solutions])
@pytest.mark.parametrize(
    ("bad", "message"), [(record(None), "'7' of s has no label"), (record(NO_ERROR, ()), "'7' of s has no steps")]
)
def test_records_that_say_nothing_are_refused(
    tokenizer: Any, use: Callable[..., Any], bad: Record, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        use(StepEncoder(tokenizer), [bad], ANY)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=120), st.integers(1, 200), st.integers(1, 3), st.integers(0, 5)
)
def test_schedule_takes_everything_once_an_epoch(lengths: list[int], batch_tokens: int, epochs: int, seed: int) -> None:
    batches = schedule(lengths, batch_tokens, epochs, seed)
    assert Counter(index for batch in batches for index in batch) == Counter(list(range(len(lengths))) * epochs)
    for batch in batches:
        assert batch
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= batch_tokens
    assert batches == schedule(lengths, batch_tokens, epochs, seed)


def test_schedule_wastes_little_and_mixes() -> None:
    lengths = [10 + (index * 37) % 400 for index in range(2000)]
    batches = schedule(lengths, 4000, 2, seed=0)
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
    assert padded < 1.05 * 2 * sum(lengths)
    half = len(batches) // 2
    assert batches[:half] != batches[half:]
    tops = [max(lengths[index] for index in batch) for batch in batches]
    assert tops != sorted(tops)
    assert schedule(lengths, 4000, 1, seed=1) != schedule(lengths, 4000, 1, seed=0)
