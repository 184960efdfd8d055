"""Cutting beside the event loop: order, deadline, and what is kept."""

from __future__ import annotations

import asyncio
import threading
from unittest import mock

import pytest

from judge.steps import segment
from reward_server import reading
from reward_server.solutions import Segmenter, chunks

TEXTS = ["First 1 + 1 = 2.\nThen 3.", "Only one step here.", "---", "First 1 + 1 = 2.\nThen 3."]


@pytest.fixture
def counted():
    with mock.patch.object(reading, "segment", side_effect=segment) as counting:
        yield counting


@pytest.mark.parametrize("kept_chars", [0, 500, 10_000_000])
async def test_gives_the_steps_of_every_text_in_order(kept_chars):
    segmenter = Segmenter(kept_chars)
    deadline = asyncio.get_running_loop().time() + 100
    for _ in range(2):
        assert await segmenter.segment_all(TEXTS, deadline) == [segment(text) for text in TEXTS]
    segmenter.close()


async def test_a_text_is_cut_once(counted):
    segmenter = Segmenter()
    deadline = asyncio.get_running_loop().time() + 100
    await segmenter.segment_all(TEXTS, deadline)
    await segmenter.segment_all(TEXTS[1:], deadline)
    assert counted.call_count == 3  # two of the four are equal
    segmenter.close()


async def test_nothing_is_kept_beyond_the_bound(counted):
    segmenter = Segmenter(kept_chars=40_000)
    deadline = asyncio.get_running_loop().time() + 100
    texts = [f"This is the text of number {number}." for number in range(1000)]
    await segmenter.segment_all(texts, deadline)
    assert segmenter._kept.currsize <= 40_000
    counted.reset_mock()
    await segmenter.segment_all(texts[-1:], deadline)
    assert counted.call_count == 0
    await segmenter.segment_all(texts[:1], deadline)
    assert counted.call_count == 1
    segmenter.close()


async def test_what_was_not_cut_in_time_is_not_kept(counted):
    segmenter = Segmenter()
    now = asyncio.get_running_loop().time()
    blocked = threading.Event()
    counted.side_effect = lambda text: segment(text) if blocked.wait(20) else ()
    assert await segmenter.segment_all(TEXTS[:1], now) == [None]
    blocked.set()
    counted.side_effect = segment
    assert await segmenter.segment_all(TEXTS[:1], now + 100) == [segment(TEXTS[0])]
    segmenter.close()


def test_chunks_hold_all_texts_in_order_and_no_more_than_they_may():
    texts = ["a" * 40_000, "b" * 20_000, "c" * 10_000, "d" * 200_000, "", "e"]
    parts = list(chunks(texts))
    assert [len(part) for part in parts] == [2, 1, 1, 2]
    assert [text for part in parts for text in part] == texts
    assert list(chunks([])) == []
