"""sgpo-eval policy: from problems to summary.json, with kills, outages, a server on a socket and bad input."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from eval.cli import main
from eval.policy.problems import Problem
from eval.policy.run import PolicyOptions, drawn, evaluate
from eval.policy.sampling import Plan
from judge.backends.base import Chat, Generation, PromptTooLong, Reply, Sampling
from judge.errors import BackendError, ConfigError, JudgeError
from judge.types import Usage

PROBLEMS = [Problem(f"p{number}", f"{number} + 1 = ?", str(number + 1)) for number in range(12)]
PLAN = Plan(Sampling(num_samples=2, temperature=1.0, max_tokens=9), "Q: ", "!", chunk_size=2)


class Killed(Exception):
    """The run ends here."""


@dataclass
class Adder:
    """Right in sample 0 and one off in sample 1; fails, or dies, at some problems."""

    errors: dict[str, BackendError] = field(default_factory=dict)
    dies_at: str = ""
    asked: list[str] = field(default_factory=list)
    name: str = "adder"
    num_closed: int = 0

    async def generate(self, chats: Sequence[Chat], sampling: Sampling) -> list[Reply]:
        return [self.reply(chat[0]["content"], sampling) for chat in chats]

    def reply(self, message: str, sampling: Sampling) -> Reply:
        assert message.startswith("Q: ")
        assert message.endswith(" + 1 = ?!")
        self.asked.append(number := message.split()[1])
        if number == self.dies_at:
            raise Killed
        usage = Usage(prompt_tokens=10, completion_tokens=6, calls=2)
        if number in self.errors:
            return Reply(usage=usage, error=self.errors[number])
        texts = [f"The answer is {int(number) + 1 + index}." for index in range(sampling.num_samples)]
        return Reply(tuple(Generation(text, "length" if number == "3" else "stop") for text in texts), usage)

    async def aclose(self) -> None:
        self.num_closed += 1


def run(policy: Adder, folder: Path, plan: Plan = PLAN, limit: int | None = None) -> dict[str, Any]:
    return evaluate(policy, "gsm8k", PROBLEMS, PolicyOptions(folder, plan, 4, limit), {"version": "1"})


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def test_one_run_whole(tmp_path: Path) -> None:
    policy = Adder()
    summary = run(policy, tmp_path)
    assert (summary["avg_at_k"], summary["maj_at_k"], summary["intervals"]["maj_at_k"]) == (0.5, 0.5, [0.5, 0.5])
    assert (summary["benchmark"], summary["policy"], summary["k"], summary["max_tokens"]) == ("gsm8k", "adder", 2, 9)
    assert (summary["prompt"], summary["version"], summary["num_cut_off"]) == ("Q: {problem}!", "1", 2)
    assert (summary["num_problems"], summary["num_samples"]) == (12, 24)
    assert summary["usage"] == {"prompt_tokens": 120, "completion_tokens": 72}
    assert summary["seconds"] == sum(row["seconds"] for row in lines_of(tmp_path)) > 0
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    rows = lines_of(tmp_path)
    assert [(row["problem"], row["sample"]) for row in rows] == [(f"p{n}", k) for n in range(12) for k in range(2)]
    assert [(row["answer"], row["correct"], row["vote"]) for row in rows[:2]] == [("1", True, 0), ("2", False, 1)]
    assert policy.num_closed == 1


@pytest.mark.parametrize("num_calls", [1, 3])
def test_a_killed_run_goes_on(tmp_path: Path, num_calls: int) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    plan = replace(PLAN, num_calls=num_calls)
    expected = run(Adder(), whole, plan)
    with pytest.raises(Killed):
        run(Adder(dies_at="7"), cut, plan)
    assert not (cut / "summary.json").exists()
    log = (cut / "samples.jsonl").read_bytes()
    (cut / "samples.jsonl").write_bytes(log[:-30])  # the last line is torn: its problem has one sample left
    num_whole = len({row["problem"] for row in lines_of_whole(log)}) - 1
    again = Adder()
    assert stable(run(again, cut, plan)) == stable(expected)
    assert len(again.asked) == len(PROBLEMS) - num_whole
    assert sorted(map(str, map(stable, lines_of(cut)))) == sorted(map(str, map(stable, lines_of(whole))))


def stable(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != "seconds"}


def lines_of_whole(log: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.splitlines()]


def test_what_the_policy_did_not_answer_is_unscored_and_asked_again(tmp_path: Path) -> None:
    errors = {"1": BackendError("busy", retryable=True), "4": PromptTooLong("9 > 8 tokens")}
    summary = run(Adder(errors), tmp_path)
    assert (summary["num_failed_problems"], summary["num_unscored_problems"]) == (1, 2)
    assert summary["unscored_samples"] == {"policy_unavailable": 2, "too_long": 2}
    assert summary["avg_at_k"] == 0.5  # of the other ten
    assert {row["message"] for row in lines_of(tmp_path) if row["failure"]} == {"busy", "9 > 8 tokens"}
    again = Adder()
    summary = run(again, tmp_path)
    assert again.asked == ["1"]  # a prompt that is too long stays so
    assert summary["unscored_samples"] == {"too_long": 2}


def test_a_policy_that_is_gone_ends_the_run(tmp_path: Path) -> None:
    gone = Adder({str(number): BackendError("refused", retryable=True) for number in range(2, 12)})
    with pytest.raises(JudgeError, match=r"did not answer 8 problems in a row \(refused\)"):
        run(gone, tmp_path, replace(PLAN, chunk_size=1))
    assert gone.asked == [str(number) for number in range(10)]
    again = Adder()
    assert run(again, tmp_path)["avg_at_k"] == 0.5
    assert again.asked == [str(number) for number in range(2, 12)]


def test_a_folder_belongs_to_one_run_and_grows_with_the_limit(tmp_path: Path) -> None:
    assert run(Adder(), tmp_path, limit=3)["num_problems"] == 3
    more = Adder()
    assert run(more, tmp_path, limit=5)["num_problems"] == 5
    assert len(more.asked) == 2, "more problems hold all that fewer hold"
    other = replace(PLAN, sampling=replace(PLAN.sampling, temperature=0.5), before="")
    with pytest.raises(ConfigError, match=r"temperature there 1\.0, here 0\.5; prompt there 'Q: \{problem\}!'"):
        run(Adder(), tmp_path, other)
    assert len(lines_of(tmp_path)) == 10


def test_the_limit_draws_by_the_seed_and_keeps_the_order() -> None:
    few, more = drawn(PROBLEMS, 3, seed=0), drawn(PROBLEMS, 7, seed=0)
    assert len(few) == 3
    assert few == [problem for problem in more if problem in few]
    assert more == [problem for problem in PROBLEMS if problem in more]
    assert more != PROBLEMS[:7]
    assert drawn(PROBLEMS, 7, seed=1) != more
    assert drawn(PROBLEMS, None, seed=0) == drawn(PROBLEMS, 99, seed=0) == list(PROBLEMS)


class Handler(BaseHTTPRequestHandler):
    """A chat server that answers with the seed."""

    bodies: list[dict[str, Any]] = []  # noqa: RUF012 - one server at a time

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.bodies.append(body)
        choice = {"message": {"content": f"\\boxed{{{body['seed']}}}"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 4}
        reply = json.dumps({"choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Quiet."""


@pytest.fixture
def server_url() -> Iterator[str]:
    Handler.bodies = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def command(data: Path, output: Path, *more: str) -> list[str]:
    known = ["--model", "m", "--benchmark", "amc23", "--path", str(data), "--output", str(output)]
    return ["policy", *known, *more]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "amc.jsonl"
    rows = [{"id": n, "problem": f"What is {n}?", "answer": float(n)} for n in (5, 6, 9)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_command_against_a_server(
    server_url: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--base-url", server_url, "--samples", "3", "--seed", "5", "--max-tokens", "8", "--prompt", "{problem} Go")
    assert main(command(data, tmp_path / "out", *more)) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    # Every problem gets the answers 5, 6 and 7: two of three problems are right in one of three samples.
    assert summary["avg_at_k"] == pytest.approx(2 / 9)
    assert summary["maj_at_k"] == pytest.approx(2 / 9)
    assert (summary["policy"], summary["temperature"], summary["path"]) == ("openai:m", 0.6, str(data))
    assert summary["command"].startswith("sgpo-eval policy --model m")
    assert {"version", "commit", "uncommitted_changes"} <= summary.keys()
    asked = sorted((body["messages"][0]["content"], body["seed"]) for body in Handler.bodies)
    assert asked == [(f"What is {n}? Go", seed) for n in (5, 6, 9) for seed in (5, 6, 7)]
    assert {(body["model"], body["max_tokens"], body["temperature"]) for body in Handler.bodies} == {("m", 8, 0.6)}
    printed = capsys.readouterr().out
    assert "avg@3        22.2  95% interval" in printed
    assert "problems        3  of 3, 3 samples each" in printed


def test_the_exit_status_tells_of_a_dead_server(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("judge.backends.openai.ATTEMPTS", 1)
    arguments = command(data, tmp_path / "out", "--base-url", "http://127.0.0.1:9/v1")
    assert main(arguments) == 1
    assert "error: the policy did not answer 3 of 3 problems" in capsys.readouterr().err
    assert main([*arguments, "--max-failed-share", "1"]) == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--benchmark", "gsm9k"], "did you mean 'gsm8k'"),
        (["--path", "missing.jsonl"], "missing.jsonl: no such file"),
        (["--samples", "0"], "--samples 0: at least 1 is needed"),
        (["--max-tokens", "0"], "--max-tokens 0: at least 1 is needed"),
        (["--limit", "0"], "--limit 0: at least 1 is needed"),
        (["--samples", "2", "--temperature", "0"], "all samples would be the same"),
        (["--temperature", "-1"], "--temperature -1.0: give 0 or more"),
        (["--prompt", "solve it"], "it must hold {problem} exactly once"),
        (["--seed", "-1"], "--seed -1: must not be negative"),
        (["--timeout-s", "0"], "--timeout-s 0.0: give a number of seconds above 0"),
        (["--max-failed-share", "2"], "--max-failed-share 2.0: give a share between 0 and 1"),
        (["--base-url", "foo"], "base_url 'foo': an address with http:// or https:// is needed"),
        (["--base-url", "ftp://host/v1"], "base_url 'ftp://host/v1': an address with http://"),
        (["--base-url", "http:///v1"], "base_url 'http:///v1': an address with http://"),
        (["--base-url", "http://[::1/v1"], "base_url 'http://[::1/v1': an address with http://"),
        (["--api-key-env", "SGPO_NO_SUCH_KEY"], "this environment variable is not set"),
    ],
)
def test_bad_input_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert main(command(data, tmp_path / "out", "--base-url", "http://127.0.0.1:9/v1", *more)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_real_model(smollm2: Path, data_dir: Path, tmp_path: Path) -> None:
    """Two answers to two problems, and the same two with another batch size."""
    arguments = ["policy", "--model", str(smollm2), "--benchmark", "gsm8k"]
    arguments += ["--path", str(data_dir / "gsm8k" / "test.jsonl.gz"), "--limit", "2", "--samples", "2"]
    arguments += ["--max-tokens", "24", "--output"]
    assert main([*arguments, str(tmp_path / "out")]) == 0
    rows = lines_of(tmp_path / "out")
    first, second = rows[0]["problem"], rows[2]["problem"]
    assert [(row["problem"], row["sample"]) for row in rows] == [(name, k) for name in (first, second) for k in (0, 1)]
    assert first != second
    assert len({row["text"] for row in rows}) == 4
    assert {row["finish_reason"] for row in rows} == {"length"}
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["usage"]["completion_tokens"] == 96
