from __future__ import annotations

import gzip
import json
import time
import unicodedata
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from judge import step_pieces
from judge.steps import SEGMENTER_VERSION, SegmentSettings, segment

TINY = SegmentSettings(min_chars=4, split_chars=12, max_chars=24)
"""Small enough for every rule to meet every other one in short texts."""


def texts(text, sizes=None):
    return [step.text for step in (segment(text, sizes) if sizes else segment(text))]


LONG = "She buys 12 boxes of eggs at the market for 3 dollars each."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t\r\n\u200b\x00", []),
        ("---\n***\n===\n- \n•\n###\n|---|---|", []),
        ("First we add.\nThen we multiply.", ["First we add.", "Then we multiply."]),
        ("First we add.\n\n\n \nThen we multiply.", ["First we add.", "Then we multiply."]),
        ("First we add.\n---\nThen we multiply.\n* * *", ["First we add.", "Then we multiply."]),
        ("First  we\tadd. \r\nThen we\u00a0multiply.", ["First we add.", "Then we multiply."]),
        ("Cafe\u0301 at noon\u200b.", ["Café at noon."]),
        ("So\nx = 3 eggs", ["So\nx = 3 eggs"]),
        ("She sells 9 eggs.\nA: 18", ["She sells 9 eggs.\nA: 18"]),
        ("5", ["5"]),
        ("### Step 1: Count\nShe has 7 eggs.", ["### Step 1: Count\nShe has 7 eggs."]),
        ("**Step 1: Count**\nShe has 7 eggs.", ["**Step 1: Count**\nShe has 7 eggs."]),
        ("1.\nShe has 7 eggs.", ["1.\nShe has 7 eggs."]),
        ("She has 7 eggs.\nThe last heading:", ["She has 7 eggs.", "The last heading:"]),
        ("Now the total:\n\\[\nx = 3 + 4\n\\]\nIt is seven.", ["Now the total:\n\\[\nx = 3 + 4\n\\]", "It is seven."]),
        (
            "We have this.\n$$\nx = 34 + 450\n\n$$\nThat is so.",
            ["We have this.", "$$\nx = 34 + 450\n$$", "That is so."],
        ),
        (
            "\\begin{align}\na &= 1 \\\\\n&= \\\\\nb &= 2\n\\end{align}\nThe end is here.",
            ["\\begin{align}\na &= 1 \\\\\n&= \\\\\nb &= 2\n\\end{align}", "The end is here."],
        ),
        (
            "```python\nfor x in y:\n\tprint(x)\n}\n```\nIt runs.",
            ["```python\nfor x in y:\n    print(x)\n}\n```\nIt runs."],
        ),
        ("```\nnever closed here\nsecond line here", ["never closed here", "second line here"]),
        ("\\[ never closed\nsecond line here", ["\\[ never closed", "second line here"]),
        (" ".join([LONG] * 7), [LONG] * 7),
        (" ".join([LONG] * 3), [" ".join([LONG] * 3)]),
    ],
)
def test_steps_of(text, expected):
    assert texts(text) == expected


def test_a_long_line_is_cut_at_sentence_ends_only():
    line = f"{LONG} Mr. Smith pays 3.50 dollars, e.g. in coins! and then he leaves. Yes. {LONG}" + f" {LONG}" * 4
    assert texts(line)[:3] == [
        LONG,
        "Mr. Smith pays 3.50 dollars, e.g. in coins! and then he leaves.",
        f"Yes. {LONG}",
    ]


def test_what_has_no_sentence_end_is_cut_hard():
    sizes = SegmentSettings()
    words = texts("word " * 1000)
    letters = texts("x" * 4000)
    for parts in (words, letters):
        assert all(sizes.max_chars // 2 <= len(part.replace(" ", "")) <= sizes.max_chars for part in parts[:-1])
    assert " ".join(words) == ("word " * 1000).strip()
    assert "".join(letters) == "x" * 4000


def test_offsets_point_into_the_original():
    text = "\ufeff  She has\u200b 7 eggs. \r\n---\r\n\r\nCafe\u0301 costs 3.\t"
    steps = segment(text)
    assert [text[step.start : step.end] for step in steps] == [
        "She has\u200b 7 eggs.",
        "Cafe\u0301 costs 3.",
    ]


TOKENS = [
    "\n", "\n", "\n\n", "\r\n", "\r", "\u2028", " ", "  ", "\t", "\u3000", "---", "***", "- ", "•", "#", "**", ":",
    "1. ",
    "```", "$$", "\\[", "\\]", "\\begin{align}", "\\end{align}", "\\begin{a}", "\\end{a}", "a", "x=3", "bar", "q" * 30,
    "Foo. ", "! ", "?", "e.g. ", "Mr. ", "。", "A" * 13 + ". ", "Step 1: ", "=" * 30, "$$" + "=" * 26,
    "\u200b", "\u202e", "\x00", "\ufeff", "\ud800", "é", "e\u0301", "\u0301", "\u0344", "\u0301" * 40, "\u0327\u0301",
    "\u09c7", "\u09be", "\u1100", "\u1161", "\u11a8", "가", "\u1fef" * 3, "😀",
]  # fmt: skip
hostile = st.lists(st.sampled_from(TOKENS), max_size=30).map("".join) | st.text(max_size=60)
plain = st.lists(st.sampled_from(["a", " ", "\n", "\t", ". ", "\n```\n", "3:", "#"]), max_size=40).map("".join)
sizes = st.sampled_from([TINY, SegmentSettings(), SegmentSettings(min_chars=1, split_chars=5, max_chars=10)])


@settings(max_examples=150)
@given(hostile, sizes)
def test_segmenting_the_steps_again_gives_the_same(text, sizes):
    once = texts(text, sizes)
    for joint in ("\n", "\n\n", "\r\n---\r\n"):
        assert texts(joint.join(once), sizes) == once


@settings(max_examples=300)
@given(plain | hostile, sizes)
def test_plain_lines_are_cut_as_all_others_are(text, sizes):
    with mock.patch.object(step_pieces, "_plain_piece", return_value=None):
        by_words = segment(text, sizes)
    assert segment(text, sizes) == by_words


@settings(max_examples=150)
@given(hostile, sizes)
def test_offsets_hold_the_step_and_do_not_overlap(text, sizes):
    before = 0
    for step in segment(text, sizes):
        assert before <= step.start < step.end <= len(text)
        assert "\n".join(texts(text[step.start : step.end], sizes)) == step.text
        before = step.end


@settings(max_examples=100)
@given(hostile, sizes)
def test_text_is_canonical_and_keeps_every_letter(text, sizes):
    steps = texts(text, sizes)
    for step in steps:
        assert unicodedata.is_normalized("NFC", step)
        assert not any(unicodedata.category(c) in {"Cf", "Cs"} or (c < " " and c != "\n") for c in step)
        assert any(c.isalnum() for c in step)
    if text.isascii():
        assert [c for c in "".join(steps) if c.isalnum()] == [c for c in text if c.isalnum()]


line = st.lists(
    st.sampled_from(["Foo.", "bar", "x=3", "é", "1.", "#", "**", "A" * 13 + ".", ":"]), min_size=1, max_size=8
)
blank_lines = st.lists(st.sampled_from(["", " ", "\t", "---", "***", "===", "\u200b", "- ", "•", "###"]), max_size=4)
noise = st.sampled_from(["\u200b", "\u202e", "\ufeff", "\x00", "\u00ad", "\ufe0f", "\u2060"])


@settings(max_examples=100)
@given(st.lists(line.map(" ".join), max_size=8), st.data(), sizes)
def test_layout_and_invisible_characters_change_nothing(lines, data, sizes):
    plain = texts("\n".join(lines), sizes)
    laid_out = ""
    for text in lines:
        for word in text.split(" "):
            place = data.draw(st.integers(0, len(word)))
            laid_out += word[:place] + data.draw(noise) + word[place:] + data.draw(st.sampled_from([" ", "  ", "\t"]))
        end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
        laid_out += end + end.join([*data.draw(blank_lines), ""])
    assert texts(laid_out, sizes) == plain


N = 100_000


@pytest.mark.parametrize(
    "text",
    [
        "a" * N, "=" * N, "\n" * N, "x\n" * (N // 2), "a:\n" * (N // 3), "# a\n" * (N // 4), "```\n" * (N // 4),
        "```a\n" * (N // 5), "a```\nx\n" * (N // 7), "$$" * (N // 2), "$$x\n" * (N // 4), "\\[" * (N // 2),
        "\\[x\n" * (N // 4), "\\begin{a}" * (N // 9), "\\begin{a} x\n" * (N // 12), "!. " * (N // 3), "A. " * (N // 3),
        "." + '"' * N, "\\" * N, "a" + "\u0301\u0327" * (N // 2), "\u0344" * N, "\u1100\u1161" * (N // 2), "\u09be" * N,
        "😀" * N, "\u200b" * N, "\ud800" * N, " " * N, "```\n" + "x=1\n" * (N // 4) + "```",
    ],
    ids=lambda text: ascii(text[:12]),
)  # fmt: skip
def test_hostile_text_takes_linear_time(text):
    started = time.process_time()
    segment(text)
    # Below 1 s on an idle machine; anything quadratic takes minutes.
    assert time.process_time() - started < 20


@pytest.mark.parametrize("wrong", [{"min_chars": 0}, {"min_chars": 301}, {"split_chars": 800}, {"max": 3}])
def test_settings_that_contradict_each_other_are_refused(wrong):
    with pytest.raises(ValidationError):
        SegmentSettings(**wrong)


def test_the_fingerprint_names_version_and_sizes():
    assert SegmentSettings().fingerprint == f"{SEGMENTER_VERSION}-8-300-1500"


def test_real_solutions_keep_their_steps_apart(data_dir):
    """Human-labelled steps come apart where people parted them: our borders are theirs, or finer."""
    with gzip.open(data_dir / "processbench" / "gsm8k.json.gz") as file:
        rows = json.load(file)[:100]
    kept = 0
    for row in rows:
        text = "\n\n".join(row["steps"])
        assert texts("\n".join(texts(text))) == texts(text)
        ends = {len(text[: step.end]) for step in segment(text)}
        place, borders = 0, set()
        for step in row["steps"]:
            borders.add(place + len(step.rstrip()))
            place += len(step) + 2
        kept += borders <= ends
    assert kept >= 95
