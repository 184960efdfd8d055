"""Throws generated requests at a real server and prints what came back; exit status 1 when anything was a fault.

    python benchmarks/server_fuzz.py                 # some minutes
    python benchmarks/server_fuzz.py --examples 500  # longer

Three parts: schemathesis over ``/openapi.json`` (bodies that fit the schema and bodies that do not), raw bytes as
bodies, and raw bytes as HTTP. A fault is a 500, a status that is not documented, a reply that does not fit its schema,
a bad body that is taken, or a server that does not live to the end.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from http_calls import KEY, Target, serve

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "response_headers_conformance,negative_data_rejection,ignored_auth,unsupported_method"
)
SCHEMA_CONFIG = """
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "409", "413", "415", "422", "429"]
"""
SERVER = '[judge]\nkind = "scripted"\n[limits]\nmax_text_chars = 2000\nmax_problem_chars = 1000\n'
SEED_BODY = (
    b'{"groups": [{"group_id": "g", "problem": "p",'
    b' "responses": [{"id": "0", "text": "a WRONG b", "outcome": false}]}]}'
)
SEED_HTTP = (
    b"POST /v1/rewards HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
)


def main() -> int:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=50, help="generated requests for each route and mode")
    parser.add_argument("--raw", type=int, default=2000, help="mutated bodies, and as many mutated requests")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--post-only", action="store_true", help="only the routes that read a body")
    args = parser.parse_args()
    settings = SERVER + "[auth]\nmax_failures_per_minute = 0\n"
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder), settings) as target:
        faults = by_schema(target, Path(folder), args.examples, args.seed, args.post_only)
        rng = random.Random(args.seed)
        faults += raw_bodies(target, rng, args.raw)
        faults += raw_http(target, rng, args.raw)
        faults += target.get("/livez") != 200
    print(f"faults: {faults}")
    return 1 if faults else 0


def by_schema(target: Target, folder: Path, examples: int, seed: int, post_only: bool) -> int:
    """Run schemathesis as its own users do; the number of its failures."""
    config = folder / "schemathesis.toml"
    config.write_text(SCHEMA_CONFIG)
    command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config), "run"]
    command += [f"{target.url}/openapi.json", "-H", f"Authorization: Bearer {KEY}", "--mode", "all"]
    command += ["--phases", "coverage,fuzzing", "-n", str(examples), "--seed", str(seed), "--checks", CHECKS]
    command += ["--continue-on-failure", "--max-failures", "20"]
    command += ["--include-method", "POST"] if post_only else []
    started = time.monotonic()
    environment = os.environ | {"COLUMNS": "160"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    _, _, summary = done.stdout.partition("= SUMMARY =")
    lines = [line for line in summary.splitlines() if line.strip(" =")]
    print(f"schemathesis, {time.monotonic() - started:.0f} s, status {done.returncode}")
    for line in lines or done.stdout.splitlines()[-5:]:
        print("  " + line[:200])
    if done.returncode:
        for line in done.stdout.splitlines():
            if line.startswith(("- ", "[", "    {")) or "/v1/" in line[:200]:
                print("  " + line[:300])
    return int(done.returncode != 0)


def raw_bodies(target: Target, rng: random.Random, count: int) -> int:
    """Mutated bodies of a good request; every reply is 200, 4xx or the line of a draining server."""
    statuses = Counter(target.post("/v1/rewards", mutated(SEED_BODY, rng)) for _ in range(count))
    print(f"raw bodies: {dict(sorted(statuses.items()))}")
    return sum(number for status, number in statuses.items() if status not in (200, 413, 422))


def raw_http(target: Target, rng: random.Random, count: int) -> int:
    """Mutated requests on the socket; a refusal, a reply or a closed connection, and never a 5xx."""
    seen: Counter[str] = Counter()
    for _ in range(count):
        with socket.create_connection(target.address, timeout=30) as client:
            client.sendall(mutated(SEED_HTTP, rng))
            client.shutdown(socket.SHUT_WR)
            try:
                answer = client.recv(4096)
            except ConnectionResetError:
                answer = b""
        seen[answer[9:12].decode("ascii", "replace") or "closed"] += 1
    print(f"raw HTTP: {dict(sorted(seen.items()))}")
    return sum(number for status, number in seen.items() if status.startswith("5"))


def mutated(seed: bytes, rng: random.Random) -> bytes:
    """The seed with a few bytes put in, taken out or changed."""
    data = bytearray(seed)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                data[place:place] = rng.randbytes(rng.randint(1, 4))
            case 1:
                del data[place : place + rng.randint(1, 12)]
            case 2:
                data[place : place + 1] = rng.choice(
                    [b'"', b"\\", b"\x00", b"\xff", b"{", b"]", b"NaN", b"1e999", b"\r\n"]
                )
            case _:
                cut = data[place : place + 20]
                data[place:place] = cut * rng.randint(1, 3)
    return bytes(data)


if __name__ == "__main__":
    sys.exit(main())
