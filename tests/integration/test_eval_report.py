"""sgpo-eval report: from folders to a page that is safe, complete and says what the summaries say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from eval.cli import main

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> | {{ 7 * 7 }} </style> \x1b[31m `x`"
NUM_ROWS = 24
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags, attributes and text, as a browser would see them; the nesting is checked."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += f" {data}"

    def values(self, attribute: str) -> Iterator[str]:
        return (attrs[attribute] or "" for _, attrs in self.tags if attribute in attrs)


def label_of(number: int) -> int:
    """Every second row has an error, in step 0, 1 or 2."""
    return number // 2 % 3 if number % 2 else -1


def write_data(path: Path, num_rows: int = NUM_ROWS) -> Path:
    """Rows r0, r1, ..."""
    rows = [
        {
            "id": f"r{number}",
            "problem": f"problem {number} {HOSTILE if number == 0 else ''}",
            "steps": [f"first step of {number} {HOSTILE if number == 0 else ''}", "second step", "third step"],
            "label": label_of(number),
            "final_answer_correct": number % 2 == 0,
        }
        for number in range(num_rows)
    ]
    path.write_text(json.dumps(rows))
    return path


def write_run(data: Path, folder: Path, threshold: float) -> Path:
    """Score a made-up log with probabilities; the judge finds what is above the threshold."""
    lines = []
    for number in range(NUM_ROWS):
        probs = [0.1, 0.1, 0.1]
        probs[label_of(number) if number % 2 else 1] = 0.03 * number + 0.2 * (number % 2)
        found = next((step for step, prob in enumerate(probs) if prob > threshold), -1)
        line = {"id": f"r{number}", "label": label_of(number), "prediction": found, "num_steps": 3}
        lines.append(line | {"step_error_probs": probs, "critique": HOSTILE, "confidence": 0.5, "seconds": 0.25})
    lines[-1] |= {"prediction": None, "reason": "parse_error", "step_error_probs": None}
    log = folder.with_suffix(".jsonl")
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    paths = ["--path", str(data), "--log", str(log), "--output", str(folder)]
    options = ["--bootstrap-samples", "50", "--judge-id", f"judge<{threshold}>"]
    assert main(["score", "--benchmark", "processbench", *paths, *options]) == 0
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on the same data."""
    root = tmp_path_factory.mktemp("report")
    data = write_data(root / "data.json")
    write_run(data, root / "low", 0.37)
    write_run(data, root / "high", 0.6)
    return root


@pytest.fixture(scope="module")
def one(folder: Path) -> tuple[str, str]:
    """HTML and Markdown about one run."""
    assert main(["report", str(folder / "low"), "--output", str(folder / "one.html")]) == 0
    return (folder / "one.html").read_text(), (folder / "one.md").read_text()


def summary_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def test_the_page_needs_nothing_from_outside(one: tuple[str, str]) -> None:
    page = Page(one[0])
    names = {name for name, _ in page.tags}
    assert not names & {"script", "img", "iframe", "link", "object", "embed", "form", "base"}
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert all(value.startswith("#") for value in [*page.values("href"), *page.values("xlink:href")])
    assert not list(page.values("src"))
    policy = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert not re.search(r"url\((?!#)|@import", one[0])
    assert "prefers-color-scheme: dark" in one[0]


def test_hostile_text_is_shown_as_text(one: tuple[str, str]) -> None:
    html, markdown = one
    text = Page(html).text
    assert text.count("<script>alert(1)</script>") >= 3  # problem, step, critique
    assert "{{ 7 * 7 }}" in text
    assert "\x1b" not in html + markdown
    assert "<script" not in markdown


def test_the_page_says_what_the_summary_says(one: tuple[str, str], folder: Path) -> None:
    summary = summary_of(folder / "low")
    text = " ".join(Page(one[0]).text.split())
    for name in ("f1", "error_acc", "correct_acc"):
        low, high = summary["intervals"][name]
        assert f"{summary[name]:.1%}" in text
        assert f"{100 * low:.1f} to {100 * high:.1f}" in text
        assert f"{summary[name]:.1%} ({100 * low:.1f} to {100 * high:.1f})" in one[1]
    assert f"{summary['baselines']['random_flag']['f1']:.1%}" in text
    assert f"{summary['fidelity']['figures']['sign_agreement']:.1%}" in text
    for heading in ("F1 against threshold", "Reliability", "Where the first error is", "By number of steps"):
        assert heading in text
    for heading in ("SGPO fidelity", "What a judge is worth", "Worst verdicts", "What the figures mean", "Cost"):
        assert heading in text
    assert summary["data_digest"] in text
    assert summary["command"] in text
    assert "avg@k" not in text  # no policy on this page


def test_the_worst_verdicts_have_coloured_steps(one: tuple[str, str]) -> None:
    page = Page(one[0])
    colours = [value for value in page.values("class") if value.split()[0:1] in (["right"], ["first-error"], ["after"])]
    # Wrong: r14, r16 ... r22, right solutions in which step 1 was named, and r1, r3, r5, where nothing was found.
    assert sum(attrs.get("class") == "card" for _, attrs in page.tags) == 8
    assert colours.count("right found") == 5
    assert colours.count("first-error") - 1 == 3  # one is in the legend
    assert colours.count("after") - 1 == 2 + 1
    assert colours.count("right") - 1 == 5 * 2 + 1 + 2
    assert not {"first-error found", "after found"} & set(colours)
    assert "r22 label: no error judge: step 1 RTS off by 0.67 confidence 0.50" in " ".join(page.text.split())


def test_two_judges_have_a_row_each(folder: Path) -> None:
    output = folder / "deep" / "two.html"
    assert main(["report", str(folder / "low"), str(folder / "high"), "--output", str(output)]) == 0
    page = Page(output.read_text())
    text = " ".join(page.text.split())
    assert sum(attrs.get("class") == "heat" for _, attrs in page.tags) == 2
    ids = list(page.values("id"))
    assert len(ids) == len(set(ids))
    table = output.with_suffix(".md").read_text().split("### Judges")[1].split("###")[0]
    rows = [line for line in table.splitlines() if line.startswith("| low") or line.startswith("| high")]
    assert len(rows) == 2
    for name, row in zip(("low", "high"), rows, strict=True):
        assert f"{summary_of(folder / name)['f1']:.1%}" in row
        assert f"judge<{0.37 if name == 'low' else 0.6}>" in text


def test_markdown_tables_are_whole(one: tuple[str, str]) -> None:
    width = 0
    for line in one[1].splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        columns = len(re.findall(r"(?<!\\)\|", line))
        assert width in (0, columns), line
        width = columns
    assert "\n\n\n\n" not in one[1]


def test_brief_leaves_single_rows_out(folder: Path) -> None:
    output = folder / "brief.html"
    assert main(["report", str(folder / "low"), "--brief", "--output", str(output)]) == 0
    for text in (output.read_text(), output.with_suffix(".md").read_text()):
        assert f"{summary_of(folder / 'low')['f1']:.1%}" in text
        assert "Worst verdicts" not in text
        assert "where it was found" not in text


def test_policies_and_attacks_stand_beside(folder: Path, tmp_path: Path) -> None:
    policy, attacks = tmp_path / "policy", tmp_path / "attacks"
    for each in (policy, attacks):
        each.mkdir()
    facts = {"benchmark": "aime24", "policy": "openai:m", "k": 4, "temperature": 0.6, "max_tokens": 99}
    figures = {"avg_at_k": 0.25, "maj_at_k": 0.5, "intervals": {"avg_at_k": [0.1, 0.4], "maj_at_k": None}}
    counts = {
        "num_problems": 30,
        "num_samples": 120,
        "num_unscored_samples": 1,
        "num_cut_off": 30,
        "num_without_answer": 0,
    }
    (policy / "summary.json").write_text(json.dumps(facts | figures | counts))
    state = {"steps": {"mean_change": 0.125, "gained": 0.75, "num_scored": 4, "intervals": {}}}
    attack = {"code": "A5", "summary": "padding", "on": state, "off": state}
    found = {"benchmark": "processbench", "judge_id": "j", "originals": {"on": {"mean_reward": 0.2}}}
    (attacks / "attacks.json").write_text(json.dumps(found | {"attacks": {"trivial_first": attack}}))
    output = tmp_path / "all.html"
    assert main(["report", str(folder / "low"), str(policy), str(attacks), "--output", str(output)]) == 0
    text = " ".join(Page(output.read_text()).text.split())
    assert "25.0% 10.0 to 40.0" in text
    assert "25.0% at 99 tokens" in text  # 30 of 120 cut off
    assert "A5 trivial first padding +0.125 75% 4" in text
    assert "avg@k Mean accuracy of one of k sampled answers." in text
    assert main(["report", str(policy), "--output", str(tmp_path / "policy.html")]) == 0


def test_without_the_data_the_cases_are_left_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder / "data.json"
    there = data.rename(folder / "moved.json")
    try:
        assert main(["report", str(folder / "low"), "--output", str(tmp_path / "a.html")]) == 0
        assert "was not found: give it with --path" in (tmp_path / "a.html").read_text()
        arguments = ["report", str(folder / "low"), "--output", str(tmp_path / "b.html"), "--path"]
        assert main([*arguments, str(there)]) == 0
        assert "second step" in (tmp_path / "b.html").read_text()
        other = write_data(tmp_path / "other.json", 13)
        assert main([*arguments, str(other)]) == 2
        assert "is not the data of any of these runs" in capsys.readouterr().err
    finally:
        there.rename(data)


def test_two_judges_on_each_of_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = []
    for name in ("one", "two"):
        data = write_data(tmp_path / f"{name}.json")
        data.write_text(data.read_text().replace("third step", f"third step of {name}"))
        runs += [write_run(data, tmp_path / f"{name}-{row}", threshold) for row, threshold in (("a", 0.37), ("b", 0.6))]
    capsys.readouterr()
    assert main(["report", *map(str, runs), "--output", str(tmp_path / "four.html")]) == 0
    assert capsys.readouterr().err == ""
    page = (tmp_path / "four.html").read_text()
    assert "third step of one" in page
    assert "third step of two" in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no folder", "holds no summary.json or attacks.json"),
        ("damaged", "summary.json: not valid JSON"),
        ("old", "'confusion': Field required"),
        ("other log", "log.jsonl and summary.json do not agree"),
        ("no log", "log.jsonl: no such file"),
        ("name", "give a name that ends with .html"),
    ],
)
def test_bad_input_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, message: str
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    summary = summary_of(folder / "low")
    log = (folder / "low" / "log.jsonl").read_text()
    if change == "old":
        del summary["confusion"]
    if change == "other log":
        log = log.replace('"prediction":-1', '"prediction":2')
    if change != "no folder":
        (run / "summary.json").write_text("{" if change == "damaged" else json.dumps(summary))
    if change != "no log":
        (run / "log.jsonl").write_text(log)
    output = tmp_path / ("page.txt" if change == "name" else "page.html")
    assert main(["report", str(run), "--output", str(output)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not output.exists()
