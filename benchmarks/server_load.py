"""How much load the reward server takes: real sockets, real processes, one command.

    python benchmarks/server_load.py                 # everything but the in-process model, about 6 minutes
    python benchmarks/server_load.py --only cached overload --seconds 60
    python benchmarks/server_load.py --only model    # needs the weights (make weights)

Every scenario starts its own server (one worker) and sends from another process (`load_client`). Groups are 8 responses
of some 4 kB with known outcomes, all wrong, so that each one would be judged. Prints Markdown, and a line of JSON per
scenario with ``--json FILE``. On a machine of few cores the sender takes its share of them: the figures are
lower bounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from load_client import Plan, write_plan

HERE = Path(__file__).parent
GROUP = 8
CONNECTIONS = 64


def main() -> None:
    """Run the scenarios and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=sorted(SCENARIOS), metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="of each measurement; the overload takes 3 times that"
    )
    parser.add_argument("--connections", type=int, default=16_000, help="of the scenario 'connections'")
    parser.add_argument("--cpu-workers", type=int, default=1, help="processes of the server that read texts")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    raise_descriptor_limit()
    names = options.only or [name for name in SCENARIOS if name != "model"]
    machine = f"{os.cpu_count()} CPU cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"{machine}; {options.seconds:g} s each; [server] cpu_workers = {options.cpu_workers}\n")
    print("| scenario | figure | value |\n| --- | --- | ---: |", flush=True)
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            figures = SCENARIOS[name](options, Path(folder))
        for figure, value in figures.items():
            print(f"| {name} | {figure} | {value} |", flush=True)
        if options.json:
            with options.json.open("a") as file:
                file.write(json.dumps({"scenario": name, **figures}) + "\n")


def stub(options: argparse.Namespace, delay_s: float) -> str:
    """A configuration with a judge that only takes time."""
    server = f"[server]\ncpu_workers = {options.cpu_workers}\n"
    return server + f'[judge]\nkind = "scripted"\npattern = "bad"\ndelay_s = {delay_s}\n'


def raise_descriptor_limit() -> None:
    """As many open sockets as this user may have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def group_body(*, number: str, chars: int = 4000) -> str:
    """A request with one group; ``number`` makes it another one."""
    line = "We add 12 and 7 to get 19 eggs in the basket, so number {index} goes on.\n"
    text = "".join(line.format(index=index) for index in range(chars // 70))
    responses = [
        {"id": str(index), "text": f"Response {index} of {number}.\n{text}This is bad.", "outcome": False}
        for index in range(GROUP)
    ]
    return json.dumps({"groups": [{"group_id": "q", "problem": "How many eggs?", "responses": responses}]})


@dataclass
class Server:
    """A server process that listens."""

    url: str
    process: subprocess.Popen[bytes]
    health: list[float] = field(default_factory=list)

    def rss_mib(self) -> float:
        """Resident memory of the process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Ask /livez ten times a second meanwhile."""
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.1):
                started = time.perf_counter()
                try:
                    with urlopen(f"{self.url}/livez", timeout=20):
                        self.health.append(time.perf_counter() - started)
                except (URLError, HTTPError, OSError):
                    self.health.append(float("inf"))

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@contextmanager
def our_server(folder: Path, config: str) -> Iterator[Server]:
    """sgpo-serve with this configuration."""
    (folder / "server.toml").write_text(config)
    url_file = folder / "url"
    command = [sys.executable, "-m", "reward_server", "--config", str(folder / "server.toml")]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([*command, "--port", "0", "--url-file", str(url_file)], stderr=log)
        try:
            wait_for(url_file.exists, process, folder / "server.log")
            yield Server(url_file.read_text(), process)
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def peer_server(folder: Path, name: str, port: int, delay_s: float = 0.0) -> Iterator[Server]:
    """One of `load_peers` under uvicorn."""
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "--factory", f"load_peers:{name}"]
    environment = {**os.environ, "DELAY_S": str(delay_s)}
    with (folder / "peer.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--no-access-log"], stderr=log, stdout=log, env=environment
        )
        try:
            wait_for(lambda: answers(f"http://127.0.0.1:{port}/"), process, folder / "peer.log")
            yield Server(f"http://127.0.0.1:{port}", process)
        finally:
            process.terminate()
            process.wait(60)


def answers(url: str) -> bool:
    """True when something speaks HTTP there."""
    try:
        urlopen(url, timeout=5).close()
    except HTTPError:
        return True
    except OSError:
        return False
    return True


def wait_for(done: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Until a server is up."""
    for _ in range(1200):
        if done():
            return
        if process.poll() is not None:
            sys.exit(f"the server did not start: {log.read_text()}")
        time.sleep(0.1)
    sys.exit("the server did not start within two minutes")


def send(folder: Path, server: Server, bodies: list[str], **plan: Any) -> dict[str, Any]:
    """Send load from another process."""
    path = write_plan(Plan(url=f"{server.url}/v1/rewards", bodies=bodies, **plan), folder / "plan.json")
    output = subprocess.run([sys.executable, str(HERE / "load_client.py"), str(path)], capture_output=True, text=True)
    if output.returncode:
        sys.exit(f"the load client failed: {output.stderr}")
    found: dict[str, Any] = json.loads(output.stdout)
    if not found["ok_per_s"]:
        logs = "\n".join(log.read_text()[-2000:] for log in folder.glob("*.log"))
        sys.exit(f"no request was answered with 200: {found['statuses']}\n{logs}")
    return found


def cached(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Groups whose verdicts are known, and the least that FastAPI could do with them."""
    bodies = [group_body(number=str(number)) for number in range(32)]
    with our_server(folder, stub(options, 0)) as server:
        send(folder, server, bodies, connections=4, seconds=60, most=64)
        peak = send(folder, server, bodies, connections=16, seconds=options.seconds)
        rate = peak["ok_per_s"] / 2
        half = send(folder, server, bodies, connections=256, seconds=options.seconds, rate=rate)
    with peer_server(folder, "echo", 9471) as server:
        echo = send(folder, server, bodies, connections=16, seconds=options.seconds)
    return {
        "groups/s": peak["ok_per_s"],
        "p50 at half of that (ms)": half["p50_ms"],
        "p99 at half of that (ms)": half["p99_ms"],
        "statuses": dict(Counter(peak["statuses"]) + Counter(half["statuses"])),
        "plain FastAPI echo, groups/s": echo["ok_per_s"],
        "share of the echo's rate": round(peak["ok_per_s"] / echo["ok_per_s"], 3),
    }


def uncached(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """New groups, a judge that takes 20 ms, and a reward server that runs its model on the event loop."""
    bodies = [group_body(number="@@@@@@@@")]
    with our_server(folder, stub(options, 0.02)) as server:
        peak = send(folder, server, bodies, connections=CONNECTIONS, seconds=options.seconds)
    with peer_server(folder, "inline", 9472, delay_s=0.02) as server:
        inline = send(folder, server, bodies, connections=CONNECTIONS, seconds=options.seconds)
    return {
        "groups/s": peak["ok_per_s"],
        "p99 with 64 clients (ms)": peak["p99_ms"],
        "statuses": peak["statuses"],
        "inline reward server, groups/s": inline["ok_per_s"],
        "against the inline server": round(peak["ok_per_s"] / inline["ok_per_s"], 2),
    }


def overload(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Twice as many requests as it can do, at a server that is set to short waits.

    It works on as many requests at a time as there are clients at the peak, and lets one stand in line for half as
    long as the slowest of those clients waited.
    """
    bodies = [group_body(number="@@@@@@@@")]
    with our_server(folder, stub(options, 0.02)) as server:
        peak = send(folder, server, bodies, connections=CONNECTIONS, seconds=options.seconds)
    max_wait_s = round(peak["p99_ms"] / 2000, 2)
    short = f"[admission]\nmax_in_flight_requests = {CONNECTIONS}\nmax_wait_s = {max_wait_s}\n"
    with our_server(folder, short + stub(options, 0.02)) as server:
        send(folder, server, bodies, connections=CONNECTIONS, seconds=options.seconds / 4)
        with server.watched():
            rate = 2 * peak["ok_per_s"]
            over = send(folder, server, bodies, connections=4096, seconds=3 * options.seconds, rate=rate)
        after = send(folder, server, bodies, connections=CONNECTIONS, seconds=options.seconds / 2)
    health = sorted(server.health)
    return {
        "peak, groups/s": peak["ok_per_s"],
        "max_wait_s": max_wait_s,
        "goodput, share of the peak": round(over["ok_per_s"] / peak["ok_per_s"], 3),
        "p99 of the accepted (ms), at the peak (ms)": f"{over['p99_ms']}, {peak['p99_ms']}",
        "statuses": over["statuses"],
        "/livez p50, p99 (ms), n": f"{quantile_ms(health, 0.5)}, {quantile_ms(health, 0.99)}, {len(health)}",
        "afterwards, share of the peak": round(after["ok_per_s"] / peak["ok_per_s"], 3),
    }


def quantile_ms(ordered: list[float], share: float) -> str:
    """A quantile of seconds, in milliseconds."""
    return f"{1000 * ordered[int(share * (len(ordered) - 1))]:.0f}"


def connections(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Everyone at once."""
    bodies = [group_body(number="@@@@@@@@", chars=400)]
    number = options.connections
    with our_server(folder, stub(options, 0.02)) as server:
        send(folder, server, bodies, connections=4, seconds=60, most=64)
        before = server.rss_mib()
        found = send(
            folder, server, bodies, connections=number, seconds=600, most=number, connect_first=True, patience_s=300
        )
        after = server.rss_mib()
    return {
        "connections": number,
        "statuses": found["statuses"],
        "answered": sum(count for status, count in found["statuses"].items() if status.isdecimal()),
        "seconds": found["seconds"],
        "memory before, after (MiB)": f"{before:.0f}, {after:.0f}",
    }


def model(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The default judge behind the server against the same judge called directly."""
    from server_load_model import compare_with_direct_calls

    return compare_with_direct_calls(options, folder)


SCENARIOS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "cached": cached,
    "uncached": uncached,
    "overload": overload,
    "connections": connections,
    "model": model,
}

if __name__ == "__main__":
    main()
