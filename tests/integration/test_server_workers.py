"""Several server processes on one socket: what one's death costs, and how all of them leave."""

from __future__ import annotations

import os
import re
import signal
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import psutil
import pytest

from reward_server.running.worker_plan import check_workers
from tests.integration.http_server import until
from tests.integration.server_process import GROUP, Running, serving

pytestmark = pytest.mark.slow
TWO = '[server]\nworkers = 2\n[judge]\nkind = "scripted"\n'


def workers_of(pid: int) -> list[psutil.Process]:
    """The processes of a supervisor that serve; multiprocessing's own helper is none."""
    children = psutil.Process(pid).children()
    return [child for child in children if "resource_tracker" not in " ".join(child.cmdline())]


@contextmanager
def on_exit(call: Callable[[], object]) -> Iterator[None]:
    """Whatever happens, so that no thread goes on after a failed test."""
    try:
        yield
    finally:
        call()


def counted(server: Running) -> float:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=60) as reply:
        found = re.search(r'sgpo_requests_total{route="/v1/rewards",status="200"} (\S+)', reply.read().decode())
    return 0.0 if found is None else float(found[1])


def test_a_killed_worker_is_replaced_while_the_other_serves(tmp_path: Path) -> None:
    with serving(tmp_path, TWO) as server:
        before = workers_of(server.process.pid)
        assert len(before) == 2
        stop, statuses, lost = threading.Event(), [], []

        def keep_asking() -> None:
            while not stop.is_set():
                try:
                    statuses.append(server.fetch("/v1/rewards", GROUP)[0])
                except (OSError, HTTPException):  # the latter when it dies between head and body
                    lost.append(1)
                    stop.wait(0.05)

        with ThreadPoolExecutor() as pool, on_exit(stop.set):
            asking = [pool.submit(keep_asking) for _ in range(4)]
            until(lambda: len(statuses) > 20)
            os.kill(before[0].pid, signal.SIGKILL)
            until(lambda: "starting another" in server.log)
            served = len(statuses)
            until(lambda: len(statuses) > served + 20)
            until(lambda: server.log.count("Started server process") == 3)
            # Their counts are added up, whichever of them is asked, and those of the dead one are not forgotten.
            until(lambda: counted(server) >= served)
            stop.set()
            for each in asking:
                each.result(timeout=120)
        assert set(statuses) == {200}
        assert len(lost) <= 4, "no more than what the dead one had in hand"
        assert f"worker {before[0].pid} ended with status -9; starting another" in server.log


def test_sigterm_under_load_finishes_what_is_in_flight_and_leaves_nobody(tmp_path: Path) -> None:
    slow = TWO + "delay_s = 2.0\n"
    with serving(tmp_path, slow) as server, ThreadPoolExecutor() as pool:
        family = psutil.Process(server.process.pid).children(recursive=True)
        in_flight = [pool.submit(server.fetch, "/v1/rewards", GROUP) for _ in range(6)]
        until(lambda: server.log.count("Started server process") == 2)
        started = threading.Event()
        started.wait(1.0)  # for all six to have arrived; late ones are refused with 503, and that is right as well
        server.process.send_signal(signal.SIGTERM)
        statuses = {reply.result(timeout=60)[0] for reply in in_flight}
        assert 200 in statuses
        assert statuses <= {200, 503}
        assert server.process.wait(timeout=60) == 0
        assert not psutil.wait_procs(family, timeout=60)[1]
        assert not (tmp_path / "url").exists()


def test_a_second_sigterm_hurries_all_of_them(tmp_path: Path) -> None:
    slow = '[server]\nworkers = 2\ndrain_timeout_s = 3600\n[judge]\nkind = "scripted"\ndelay_s = 3600.0\n'
    with serving(tmp_path, slow) as server, ThreadPoolExecutor() as pool:
        held = pool.submit(server.fetch, "/v1/rewards", GROUP, 120)
        until(lambda: any(worker.net_connections() for worker in workers_of(server.process.pid)))
        threading.Event().wait(0.5)
        server.process.send_signal(signal.SIGTERM)
        threading.Event().wait(1.5)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=60) == 0
        held.exception(timeout=60)


def test_workers_leave_with_a_killed_supervisor(tmp_path: Path) -> None:
    with serving(tmp_path, TWO) as server:
        workers = workers_of(server.process.pid)
        server.process.kill()
        until(lambda: not any(worker.is_running() for worker in workers))


def test_a_judge_with_a_model_here_is_refused() -> None:
    from judge.errors import ConfigError

    nested = {"kind": "cascade", "stages": [{"kind": "rules"}, {"kind": "critic", "backend": "local", "model": "m"}]}
    for table in ({"kind": "default"}, nested):
        with pytest.raises(ConfigError, match="workers = 2"):
            check_workers(2, table)
        check_workers(1, table)
    check_workers(8, {"kind": "vote", "members": [{"kind": "rules"}, {"kind": "critic"}]})
