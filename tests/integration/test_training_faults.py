"""Wrong input and a reward server that goes away: one clear line, no traceback, nothing lost."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.training_run import ROOT, command, environment, rows, sets, sgpo_train


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "code", "words"),
    [
        (["model.name=no/such/folder/here"], 2, ["model.name", "no/such/folder/here"]),
        (["data.source=jsonl", "data.path=missing.jsonl"], 2, ["missing.jsonl", "data.path"]),
        (["algo.nmae=grpo"], 2, ["unknown key 'algo.nmae'", "algo.name"]),
        (["run.steps=ten"], 2, ["run.steps", "ten"]),
        (["run.resume=true"], 2, ["run.resume", "no checkpoint"]),
        (["rollout.max_prompt_tokens=3"], 2, ["rollout.max_prompt_tokens"]),
    ],
)
def test_wrong_input(overrides: list[str], code: int, words: list[str], tmp_path: Path, tiny_policy: Path) -> None:
    settings = [f"model.name={tiny_policy}", f"run.output_dir={tmp_path / 'run'}", *overrides]
    result = sgpo_train("configs/debug.toml", *sets(*settings))
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    [line] = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert all(word in line for word in words), line


@pytest.mark.slow
def test_no_server_at_the_url(tmp_path: Path, tiny_policy: Path) -> None:
    url = f"http://127.0.0.1:{unused_port()}"
    settings = [
        f"model.name={tiny_policy}",
        f"run.output_dir={tmp_path / 'run'}",
        f"reward.url={url}",
        "reward.deadline_s=3",
        "eval.enabled=false",
    ]
    result = sgpo_train("configs/debug.toml", *sets(*settings))
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert url in result.stderr


@pytest.mark.slow
def test_sigterm_ends_the_wait_for_a_server_that_is_away(tmp_path: Path, tiny_policy: Path) -> None:
    settings = [
        f"model.name={tiny_policy}",
        f"run.output_dir={tmp_path / 'run'}",
        f"reward.url=http://127.0.0.1:{unused_port()}",
        "reward.deadline_s=3600",
        "eval.enabled=false",
    ]
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command("configs/debug.toml", *sets(*settings)), cwd=ROOT, env=environment(), stderr=stderr
        )
    try:
        wait_for(process, lambda: "trying again" in log.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(600) == 0, log.read_text()
    finally:
        process.kill()
    assert "stopped by SIGTERM after step 0" in log.read_text()
    assert (tmp_path / "run" / "checkpoints" / "step-000000").is_dir()


@pytest.mark.slow
def test_a_stop_with_a_message_is_not_started_again(tmp_path: Path, tiny_policy: Path) -> None:
    settings = [f"model.name={tiny_policy}", f"run.output_dir={tmp_path}", "eval.enabled=false"]
    (tmp_path / "something").touch()
    result = sgpo_train("configs/debug.toml", "--max-restarts", "3", *sets(*settings))
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("holds no former run") == 1


@contextmanager
def reward_server(folder: Path, *arguments: str, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A reward server that is not the trainer's own: its URL and its process."""
    url_file = folder / "url"
    url_file.unlink(missing_ok=True)
    start = [sys.executable, "-m", "reward_server", *arguments, "--port", str(port), "--url-file", str(url_file)]
    server = subprocess.Popen(start, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        while not url_file.exists():
            assert server.poll() is None
            time.sleep(0.05)
        yield url_file.read_text().strip(), server
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
def test_the_judge_behind_the_server_is_down(tmp_path: Path, tiny_policy: Path) -> None:
    """Unscored for want of a judge is not training: the run stops with a checkpoint."""
    server_config = tmp_path / "server.toml"
    # Without defences: what a random policy writes would be at the floor, and no judge be asked.
    server_config.write_text('[defences]\nenabled = false\n[judge]\nkind = "scripted"\nfail = "unscored"\n')
    with reward_server(tmp_path, "--config", str(server_config)) as (url, _):
        settings = [
            f"model.name={tiny_policy}",
            f"run.output_dir={tmp_path / 'run'}",
            f"reward.url={url}",
            "reward.deadline_s=3",
        ]
        result = sgpo_train("configs/debug.toml", *sets(*settings))
    assert result.returncode == 1, result.stderr
    assert "its judge does not" in result.stderr
    assert "Traceback" not in result.stderr
    assert (tmp_path / "run" / "checkpoints" / "step-000000").is_dir()


def started(folder: Path, settings: list[str], *arguments: object) -> subprocess.Popen[bytes]:
    """A run in the background, with its messages in ``stderr.txt`` beside its folder; it has finished a step."""
    with (folder.parent / "stderr.txt").open("wb") as stderr:
        line = command("configs/debug.toml", *arguments, *sets(f"run.output_dir={folder}", *settings))
        trainer = subprocess.Popen(line, cwd=ROOT, env=environment(), stderr=stderr)
    metrics = folder / "metrics.jsonl"
    wait_for(trainer, lambda: metrics.exists() and bool(metrics.read_text()))
    return trainer


def wait_for(trainer: subprocess.Popen[bytes], happened: Callable[[], bool]) -> None:
    """Return when it has happened; the run must not end before."""
    while not happened():
        assert trainer.poll() is None
        time.sleep(0.1)


def test_server_killed_in_the_middle(tmp_path: Path, tiny_policy: Path) -> None:
    """The run waits, retries, then stops with the checkpoint of the last finished step."""
    folder = tmp_path / "run"
    with reward_server(tmp_path, "--judge", "scripted") as (url, server):
        settings = [f"model.name={tiny_policy}", f"reward.url={url}", "reward.deadline_s=4"]
        settings += ["run.steps=100000", "rollout.max_new_tokens=8"]
        trainer = started(folder, settings, "--nproc", 2)
        server.send_signal(signal.SIGKILL)
        returncode = trainer.wait(timeout=120)
    stderr = (tmp_path / "stderr.txt").read_text()
    assert returncode == 1, stderr
    assert "Traceback" not in stderr
    assert "run.resume=true" in stderr
    steps = len((folder / "metrics.jsonl").read_text().splitlines())
    assert (folder / "checkpoints" / f"step-{steps:06d}").is_dir()


@pytest.mark.slow
def test_a_server_that_comes_back_is_waited_for_and_nothing_counts_as_zero(tmp_path: Path, tiny_policy: Path) -> None:
    folder, messages = tmp_path / "run", tmp_path / "stderr.txt"
    server_config = tmp_path / "server.toml"
    server_config.write_text('[defences]\nenabled = false\n[judge]\nkind = "scripted"\nfirst_error = 0\n')
    with reward_server(tmp_path, "--config", str(server_config)) as (url, server):
        settings = [f"model.name={tiny_policy}", f"reward.url={url}", "reward.deadline_s=250", "eval.enabled=false"]
        trainer = started(folder, [*settings, "run.steps=30", "rollout.max_new_tokens=24"])
        server.send_signal(signal.SIGKILL)
        server.wait()
        wait_for(trainer, lambda: "trying again" in messages.read_text())
    done = len(rows(folder / "metrics.jsonl"))
    with reward_server(tmp_path, "--config", str(server_config), port=int(url.rpartition(":")[2])):
        returncode = trainer.wait(timeout=240)
    assert returncode == 0, messages.read_text()
    metrics = rows(folder / "metrics.jsonl")
    assert [row["step"] for row in metrics] == list(range(1, 31))
    assert done < 30, "the server was gone while the run went on"
    # A response without text has no step to judge; nothing else is without a reward.
    assert all(row["unscored_share"] * row["num_responses"] == row["num_empty_responses"] for row in metrics)
