"""The report: right numbers, coloured steps, hostile text, and any state of a run folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from sgpo_client.errors import DataError
from sgpo_client.report.chart_list import SECTIONS
from sgpo_client.report.drawing import moving_mean
from sgpo_client.report.intervals import newcombe, wilson
from sgpo_client.report.run_report import main, write_report
from sgpo_client.report.samples import cut, sample_groups

CHARTS = [chart for section in SECTIONS for chart in section.charts]
XSS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</title></style><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    '<a href="javascript:alert(1)">x</a>',
    "{{ 7 * 7 }}{% raw %}",
    "<!-- --><iframe src=//evil.example></iframe>",
    "&lt;script&gt;&#60;script&#62;",
    "]]><math><mtext></table><mglyph><style><img src onerror=alert(1)>",
]


class Page(HTMLParser):
    """Every tag, attribute and text of the page, as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.steps: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "li":
            self.steps.append((str(dict(attrs).get("class")), ""))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.steps:
            self.steps[-1] = (self.steps[-1][0], self.steps[-1][1] + data)


def sample(**changes: Any) -> dict[str, Any]:
    text = changes.pop("text", "1 + 1 = 2\n2 + 2 = 5\nThe answer is 5.")
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    ends = [*(match.start() for match in re.finditer("\n", text)), len(text)]
    row = {
        "step": 1,
        "problem": "What is 1 + 1 + 2?",
        "answer": "4",
        "text": text,
        "status": "judged",
        "reward": 0.0316,
        "acc": 0,
        "rts": 1 / 3,
        "first_error": 1,
        "step_offsets": [list(pair) for pair in zip(starts, ends, strict=True)],
        "error": None,
        "advantage": -0.25,
    }
    return row | changes


def write_run(folder: Path, *, steps: int = 3, samples: list[dict[str, Any]] | None = None, **facts: Any) -> str:
    keys = {series.key for chart in CHARTS for series in chart.series} | {"time_step_s", "num_groups"}
    known = {**dict.fromkeys(keys, 0.5), "num_groups": 8, "rts_histogram": [1, 0, 3]}
    metrics = [{**known, "step": step} for step in range(1, steps + 1)]
    evals = [
        {"step": 0, "accuracy": 0.6, "num_problems": 80, "num_correct": 48},
        {"step": steps, "accuracy": 0.8, "num_problems": 70, "num_correct": 56},
    ]
    write_jsonl(folder / "metrics.jsonl", metrics)
    write_jsonl(folder / "eval.jsonl", evals)
    write_jsonl(folder / "samples.jsonl", [sample()] if samples is None else samples)
    (folder / "run.json").write_text(json.dumps({"command": "sgpo-train x.toml", **facts}))
    return write_report(folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def usual_html(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A finished run's page; drawing one takes a second."""
    config = {"model": {"name": "SmolLM2"}, "algo": {"name": "sgpo"}}
    return write_run(tmp_path_factory.mktemp("run"), config=config, versions={"torch": "2.13"})


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


# Newcombe 1998a, table I (method 3), and 1998b, table II (method 10).
@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_against_published_values(correct: int, total: int, low: float, high: float) -> None:
    assert wilson(correct, total) == pytest.approx((low, high), abs=5e-5)


def test_newcombe_against_published_value() -> None:
    assert newcombe(48, 80, 56, 70) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize(("correct", "total"), [(1, 0), (3, 2), (-1, 5), (0, 0)])
def test_wilson_refuses_what_is_no_proportion(correct: int, total: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson(correct, total)


def test_steps_are_green_up_to_the_first_error_and_red_from_there(usual_html: str) -> None:
    page = Page(usual_html)
    steps = [(colour, text) for colour, text in page.steps if colour in ("right", "first-error", "after", "plain")]
    assert [colour for colour, _ in steps] == ["right", "first-error", "after"]
    assert "1 + 1 = 2" in steps[0][1]
    assert "✗ first wrong step" in steps[1][1]
    assert "2 + 2 = 5" in steps[1][1]
    assert "✗" not in steps[0][1] + steps[2][1]


@pytest.mark.parametrize(
    ("row", "colours"),
    [
        (sample(first_error=0), ["first-error", "after", "after"]),
        (sample(first_error=2), ["right", "right", "first-error"]),
        (sample(first_error=None, status="correct", rts=None), ["plain", "plain", "plain"]),
        (sample(step_offsets=None, first_error=None, status="unscored", reward=None), ["plain"]),
        (sample(step_offsets=[[0, 9], [10, 19]]), ["right", "first-error", "plain"]),
        (sample(step_offsets=[[4, 9], [10, 19], [20, 36]]), ["plain", "right", "first-error", "after"]),
    ],
)
def test_colours(row: dict[str, Any], colours: list[str]) -> None:
    (group,) = sample_groups([row])
    assert [block.colour for block in group.cards[0].blocks] == colours


def test_a_response_that_was_cut_off_says_so(tmp_path: Path) -> None:
    cut_off = [sample(truncated=True), sample(truncated=False)]
    assert write_run(tmp_path, steps=0, samples=cut_off).count("cut off at the token limit") == 1


def test_no_text_is_lost_when_a_response_is_cut() -> None:
    text = "Intro: 1+1=2; 2+1=4 -- done"
    assert "".join(block.text for block in cut(text, [[7, 12], [14, 19]], 1)).split() == ["Intro:1+1=2;2+1=4--", "done"]


def test_a_response_of_100_000_characters_is_shortened_around_its_first_error() -> None:
    text = "x = 1 + 2\n" * 10_000
    offsets = [[10 * i, 10 * i + 9] for i in range(10_000)]
    blocks = cut(text, offsets, 5_000)
    shown = [block.number for block in blocks if block.number is not None]
    assert shown == [*range(8), *range(4_992, 5_009)]
    assert [block.text for block in blocks if block.colour == "left-out"] == [
        "4,984 steps are not shown",
        "4,991 steps are not shown",
    ]
    assert len(cut("y" * 100_000, None, None)[0].text) < 2_000


def test_samples_are_spread_over_the_run_and_judged_ones_come_first() -> None:
    rows = [
        sample(step=step, status=status) for step in range(1, 101) for status in ("correct", "judged") for _ in range(8)
    ]
    groups = sample_groups(rows)
    assert [group.step for group in groups] == [1, 34, 67, 100]
    assert {card.status for group in groups for card in group.cards} == {"judged"}


def test_untrusted_text_stays_text(tmp_path: Path, usual_html: str) -> None:
    rows = [
        sample(text=attack, problem=attack, answer=attack, step_offsets=[[0, len(attack)]], first_error=0)
        for attack in XSS
    ]
    rows += [row | {"error": {"code": row["text"], "message": row["text"]}, "status": row["text"]} for row in rows]
    for step, row in enumerate(rows):
        page = Page(write_run(tmp_path, steps=0, samples=[row], model=row["text"], config={row["text"]: row["text"]}))
        assert "".join(page.texts).count(row["text"]) >= 6, step
        assert {tag for tag, _ in page.tags} <= {tag for tag, _ in Page(usual_html).tags}
        assert "script" not in {tag for tag, _ in page.tags}
        assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]


def test_the_page_needs_no_network_and_no_script(usual_html: str) -> None:
    page = Page(usual_html)
    links = [value for _, attrs in page.tags for name, value in attrs.items() if name in ("href", "src", "xlink:href")]
    assert links
    assert all(str(link).startswith("#") for link in links)
    policy = next(attrs["content"] for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_ids_are_unique_and_every_reference_has_its_target(usual_html: str) -> None:
    html = usual_html
    ids = [attrs["id"] for _, attrs in Page(html).tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', html))
    assert used <= set(ids)


def test_curves_take_their_colours_from_the_page(usual_html: str) -> None:
    html = usual_html
    assert html.count("<svg") == len(CHARTS)
    assert "#00fe" not in html
    assert html.count("var(--series-1)") >= 4


def test_numbers_of_the_run(usual_html: str) -> None:
    text = " ".join(" ".join(Page(usual_html).texts).split())
    assert "SGPO run of SmolLM2" in text
    assert "sgpo-train x.toml" in text
    assert "versions.torch 2.13" in text
    assert "60.0% → 80.0%" in text
    assert "+20.0 points, 95% interval +5.2 to +33.4" in text
    assert "12 of 24" in text


def test_control_characters_and_half_surrogates_do_not_break_the_page(tmp_path: Path) -> None:
    html = write_run(tmp_path, steps=0, samples=[sample(text="a\x00b\ud800c\x1bd", step_offsets=None)])
    assert "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}d" in html


def test_missing_values_leave_gaps(tmp_path: Path) -> None:
    rows = [{"step": 1, "reward_mean": 0.5}, {"step": 2, "reward_mean": None}, {"step": 3, "rts_mean": 0.5}]
    write_jsonl(tmp_path / "metrics.jsonl", rows)
    html = write_report(tmp_path).read_text()
    assert html.count("<svg") == 2
    assert moving_mean([1.0, float("nan"), 3.0], 2) == [1.0, 1.0, 3.0]


def test_a_long_run_is_drawn(tmp_path: Path) -> None:
    html = write_run(tmp_path, steps=500)
    assert "moving mean" in html
    assert len(html) < 2_000_000


@pytest.mark.parametrize("content", [None, "", "\n", '{"step": 1, "re', "not json\n"])
def test_a_run_that_has_not_begun(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        for name in ("metrics.jsonl", "eval.jsonl", "samples.jsonl", "run.json"):
            (tmp_path / name).write_text(content)
    html = write_report(tmp_path).read_text()
    for sentence in ("No steps yet.", "No evaluation yet.", "No samples yet.", "No run.json"):
        assert sentence in html


def test_the_report_is_the_same_twice(tmp_path: Path) -> None:
    assert write_run(tmp_path) == write_run(tmp_path)


def test_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="no such folder"):
        write_report(tmp_path / "none")
    assert main([str(tmp_path / "none")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_the_command_works_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys, sgpo_client.report.run_report as report\n"
        f"assert report.main([{str(tmp_path)!r}]) == 0\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "report.html")


def test_of_many_evaluations_the_table_shows_some_from_first_to_last(tmp_path: Path) -> None:
    rows = [{"step": step, "num_problems": 80, "num_correct": 40} for step in range(0, 501, 5)]
    write_jsonl(tmp_path / "eval.jsonl", rows)
    html = write_report(tmp_path).read_text()
    assert "12 of 101 evaluations." in html
    assert html.count('class="track"') == 12
    assert "before training" in html
    assert "after step 500" in html
