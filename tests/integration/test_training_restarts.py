"""Runs whose ranks are killed, stopped, spread over nodes or short of disk: real processes, a tiny policy."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
WAIT_S = 800
ROOT = Path(__file__).resolve().parents[2]
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "GLOO_SOCKET_IFNAME": "lo"}

RUN = """
[run]
steps = 6
save_every = 1
export = false
[model]
name = "{model}"
dtype = "float32"
[data]
source = "reasoning_gym"
name = "gsm_symbolic"
num_problems = 12
[rollout]
prompts_per_step = 2
group_size = 6
max_new_tokens = 32
[optim]
lr = 1e-3
micro_batch_tokens = 512
[reward]
url = "{url}"
deadline_s = 60
[reward.shaping]
length = "characters"
[eval]
enabled = false
"""
JUDGE = '[judge]\nkind = "scripted"\nfirst_error = 1\n[defences]\nenabled = false\n'


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One reward server for all runs."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "server.toml").write_text(JUDGE)
    command = [sys.executable, "-m", "reward_server", "--config", str(folder / "server.toml"), "--port", "0"]
    server = subprocess.Popen(
        [*command, "--url-file", str(folder / "url")], cwd=ROOT, env=ENV, stderr=subprocess.DEVNULL
    )
    try:
        _until(lambda: (folder / "url").exists(), server)
        yield (folder / "url").read_text().strip()
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def config(server_url: str, tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "run.toml"
    path.write_text(RUN.format(model=tiny_policy, url=server_url))
    return path


@pytest.fixture(scope="module")
def straight(config: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Metrics of an undisturbed run of two ranks on one node."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    with training(config, folder, "--nproc", "2") as process:
        assert process.wait(WAIT_S) == 0, _log(folder)
    metrics = rows(folder)
    assert [row["step"] for row in metrics] == [1, 2, 3, 4, 5, 6]
    assert sum(bool(row["grad_norm"]) for row in metrics) >= 3, "too few steps have learnt something"
    return metrics


@contextmanager
def training(
    config: Path, folder: Path, *arguments: str, launch: tuple[str, ...] = (), log: str = "log"
) -> Iterator[subprocess.Popen[bytes]]:
    """A training that writes what it says beside its run folder; killed at the end if it still runs."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *launch, "-m", "sgpo_client.train", str(config), *arguments]
    with (folder.parent / log).open("ab") as file:
        process = subprocess.Popen([*command, "--set", f"run.output_dir={folder}"], cwd=ROOT, env=ENV, stderr=file)
        try:
            yield process
        finally:
            if process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()
            process.wait()


def rows(folder: Path) -> list[dict]:
    """Metrics of the finished steps, without what differs from run to run."""
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    parsed = [json.loads(line) for line in lines if line.endswith("\n")]
    return [{k: v for k, v in row.items() if not k.startswith("time_") and k != "tokens_per_s"} for row in parsed]


def _log(folder: Path) -> str:
    return "\n".join(path.read_text()[-3000:] for path in sorted(folder.parent.glob("log*")))


def _until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert process.poll() is None, f"ended with {process.returncode}"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _ranks(process: subprocess.Popen[bytes]) -> dict[int, psutil.Process]:
    return {int(child.environ()["RANK"]): child for child in psutil.Process(process.pid).children()}


def _checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").glob("step-*"))


def test_two_nodes_of_one_rank_take_the_steps_of_two_ranks(config: Path, straight: list[dict], tmp_path: Path) -> None:
    """Two launchers that find each other over a socket."""
    folder = tmp_path / "run"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launch = (
        *("-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d"),
        *("--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "test", "--local-addr", "127.0.0.1"),
    )
    with (
        training(config, folder, launch=launch, log="log-0") as first,
        training(config, folder, launch=launch, log="log-1") as second,
    ):
        assert [first.wait(WAIT_S), second.wait(WAIT_S)] == [0, 0], _log(folder)
    assert rows(folder) == straight


@pytest.mark.parametrize("rank", [0, 1])
def test_after_a_kill_the_ranks_start_again_without_a_gap_or_repeat(
    rank: int, config: Path, straight: list[dict], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with training(config, folder, "--nproc", "2", "--max-restarts", "1", "--set", "run.async_save=true") as process:
        _until(lambda: len(rows(folder)) >= 3, process)
        _ranks(process)[rank].send_signal(signal.SIGKILL)
        assert process.wait(WAIT_S) == 0, _log(folder)
    assert "resumed after step" in (folder.parent / "log").read_text()
    assert rows(folder) == straight


@pytest.mark.parametrize("whom", ["launcher", "rank 1"])
def test_sigterm_leaves_a_checkpoint_and_ends_with_0(
    whom: str, config: Path, straight: list[dict], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    arguments = ("--nproc", "2", "--set", "run.save_every=0")
    with training(config, folder, *arguments, "--set", "run.steps=100000") as process:
        _until(lambda: len(rows(folder)) >= 1, process)
        (process if whom == "launcher" else _ranks(process)[1]).send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0, _log(folder)
    steps = len(rows(folder))
    assert _checkpoints(folder) == [f"step-{steps:06d}"]
    with training(config, folder, *arguments, "--set", "run.resume=true", "--set", f"run.steps={steps + 1}") as process:
        assert process.wait(WAIT_S) == 0, _log(folder)
    metrics = rows(folder)
    assert [row["step"] for row in metrics] == list(range(1, steps + 2))
    assert metrics[:6] == straight[: steps + 1]


@pytest.mark.parametrize("background", ["true", "false"])
def test_on_a_full_disk_training_goes_on_and_the_end_is_an_error(background: str, config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    settings = ("--set", "run.steps=100000", "--set", f"run.async_save={background}")
    with training(config, folder, *settings) as process:
        _until(lambda: bool(_checkpoints(folder)) and not _checkpoints(folder)[-1].endswith(".tmp"), process)
        # From now on no file may grow beyond 1 MiB: metrics can be written, weights cannot.
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        full_at = len(rows(folder))
        _until(lambda: len(rows(folder)) >= full_at + 4, process)
        [kept] = [name for name in _checkpoints(folder) if not name.endswith(".tmp")]
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 1, _log(folder)
    assert _checkpoints(folder) == [kept]
    said = (folder.parent / "log").read_text()
    assert said.count("WARNING") >= 2, said
    assert "error: " in said.splitlines()[-1], said
    assert "cannot be written (a file could not be written whole" in said.splitlines()[-1], said
    assert "Traceback" not in said
    kept_step = int(kept.partition("-")[2])
    with training(config, folder, "--set", "run.resume=true", "--set", f"run.steps={kept_step + 1}") as process:
        assert process.wait(WAIT_S) == 0, _log(folder)
    assert [row["step"] for row in rows(folder)] == list(range(1, kept_step + 2))


def test_a_rank_may_have_no_problem_of_a_step(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    settings = ("--set", "rollout.prompts_per_step=1", "--set", "run.steps=2", "--set", "optim.lr=0.01")
    with training(config, folder, "--nproc", "2", *settings) as process:
        assert process.wait(WAIT_S) == 0, _log(folder)
    assert [(row["step"], row["num_groups"]) for row in rows(folder)] == [(1, 1), (2, 1)]
