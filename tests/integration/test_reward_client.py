"""The reward client against a server that misbehaves on a real socket."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import subprocess
import sys
import textwrap
import time
from typing import Any
from zlib import crc32

import pytest

from sgpo_client.client_settings import ClientSettings
from sgpo_client.errors import ConfigError, RewardError, RewardRejected, RewardUnavailable
from sgpo_client.reward_client import AsyncRewardClient, RewardClient
from sgpo_client.wire import GroupScores, RewardGroup, ShapingParams
from tests.integration.faulty_server import (
    Answer,
    assert_scores_of,
    cut,
    drip,
    edits,
    good,
    hang,
    make_groups,
    raw,
    refuses,
    reset,
    says,
    stub,
)

SHAPING = ShapingParams()


async def ask(url: str, groups: list[RewardGroup], **settings: Any) -> list[GroupScores]:
    async with AsyncRewardClient(ClientSettings(url=url, **settings)) as client:
        return await client.score(groups, SHAPING)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_thousands_of_groups_keep_their_order() -> None:
    async def after_a_moment(body: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(crc32(body) % 5 / 1000)  # so that replies overtake each other
        await good(body, writer)

    groups = make_groups(3001)
    async with stub(after_a_moment) as server:
        scores = await ask(server.url, groups, max_concurrency=8, groups_per_request=7)
        assert_scores_of(groups, scores)
        assert len(server.requests) == 429  # ceil(3001 / 7)
        assert 2 <= server.most <= 8


async def test_concurrency_is_bounded_over_several_calls() -> None:
    async def slow(body: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        await good(body, writer)

    async with (
        stub(slow) as server,
        AsyncRewardClient(ClientSettings(url=server.url, max_concurrency=3, groups_per_request=1)) as client,
    ):
        await asyncio.gather(*(client.score(make_groups(10), SHAPING) for _ in range(3)))
        assert server.most == 3


async def test_no_groups_need_no_server() -> None:
    assert await ask(f"http://127.0.0.1:{free_port()}", []) == []


@pytest.mark.parametrize("fault", [refuses(503), refuses(429), reset, cut], ids=["503", "429", "reset", "cut"])
async def test_passing_fault_is_tried_again(fault: Answer) -> None:
    groups = make_groups(1)
    async with stub(fault, good) as server:
        assert_scores_of(groups, await ask(server.url, groups, deadline_s=20))
        assert len(server.requests) == 2
        assert server.requests[0][1] == server.requests[1][1]


async def test_retry_after_is_waited_for() -> None:
    async with stub(refuses(503, "Retry-After: 2"), good) as server:
        await ask(server.url, make_groups(1), deadline_s=20)
        assert 2.0 <= server.times[1] - server.times[0] < 20


async def test_retry_after_beyond_the_deadline_fails_at_once() -> None:
    async with stub(refuses(429, "Retry-After: 3600")) as server:
        begin = time.monotonic()
        with pytest.raises(RewardUnavailable, match="429 some_code: some message"):
            await ask(server.url, make_groups(1), deadline_s=30)
        assert time.monotonic() - begin < 20


async def test_server_that_is_down_and_comes_up(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    groups = make_groups(20)
    call = asyncio.create_task(ask(f"http://127.0.0.1:{port}", groups, deadline_s=30))
    await asyncio.sleep(0.7)
    assert not call.done()
    async with stub(good, port=port):
        assert_scores_of(groups, await call)
    told = [record for record in caplog.records if record.name == "sgpo_client.async_client"]
    assert len(told) == 1, "the log says once a call that the client waits"
    assert "trying again" in told[0].getMessage()


async def test_server_that_stays_down() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    begin = time.monotonic()
    with pytest.raises(RewardUnavailable) as caught:
        await ask(url, make_groups(50), deadline_s=1)
    assert time.monotonic() - begin < 20
    for word in (url, "deadline_s", "1 s", "Cannot connect"):
        assert word in str(caught.value)


@pytest.mark.parametrize("fault", [hang, drip], ids=["hang", "drip"])
async def test_slow_request_is_given_up_and_tried_again(fault: Answer) -> None:
    groups = make_groups(1)
    async with stub(fault, good) as server:
        assert_scores_of(groups, await ask(server.url, groups, timeout_s=0.4, deadline_s=20))
        assert len(server.requests) == 2


async def test_deadline_holds_while_every_request_hangs() -> None:
    async with stub(hang) as server:
        begin = time.monotonic()
        with pytest.raises(RewardUnavailable, match=r"no reply within 0.3 s \(timeout_s\)"):
            await ask(server.url, make_groups(9), timeout_s=0.3, deadline_s=1.5)
        assert time.monotonic() - begin < 20


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (refuses(400), RewardRejected, ["400", "some_code", "some message"]),
        (refuses(401), RewardRejected, ["401", "api_key_env"]),
        (refuses(413), RewardRejected, ["413", "groups_per_request"]),
        (refuses(422), RewardRejected, ["422", "some message"]),
        (refuses(500), RewardError, ["500", "some_code"]),
        (refuses(502), RewardError, ["502"]),
        (refuses(504), RewardError, ["504"]),
        (refuses(302, "Location: http://127.0.0.1:1/"), RewardError, ["302"]),
        (says(raw(200, b"<html>hello</html>")), RewardError, ["malformed reply", "<html>"]),
        (says(raw(200, b"")), RewardError, ["malformed reply"]),
        (says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), RewardError, ["/v1/rewards"]),
        (edits(lambda reply: reply["groups"].pop()), RewardError, ["2 groups for the 3"]),
        (edits(lambda reply: reply["groups"].reverse()), RewardError, ["about group 'q2' where 'q0'"]),
        (edits(lambda reply: reply["groups"][0]["responses"].reverse()), RewardError, ["id '0'", "about '1'"]),
        (
            edits(lambda reply: reply["groups"][1]["responses"][0].update(reward=float("nan"))),
            RewardError,
            ["groups.1", "reward is nan"],
        ),
    ],
)
async def test_lasting_fault_is_an_error_at_once(fault: Answer, kind: type[RewardError], words: list[str]) -> None:
    async with stub(fault) as server:
        with pytest.raises(RewardError) as caught:
            await ask(server.url, make_groups(3), deadline_s=20)
        assert type(caught.value) is kind
        assert len(server.requests) == 1
        for word in [server.url, *words]:
            assert word in str(caught.value)


async def test_tls_fault_is_an_error_at_once() -> None:
    connections = []

    async def speak_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(await reader.read(1))
        writer.write(b"This port speaks no TLS.\r\n")
        writer.close()

    async with await asyncio.start_server(speak_plainly, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(RewardError, match="SSL") as caught:
            await ask(url, make_groups(1), deadline_s=5)
    assert type(caught.value) is RewardError
    assert len(connections) == 1


async def test_waiting_for_a_free_place_is_not_counted_as_a_slow_request() -> None:
    async def slow(body: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        await good(body, writer)

    async with stub(slow) as server:
        await ask(server.url, make_groups(15), max_concurrency=1, groups_per_request=1, timeout_s=3)
        assert len(server.requests) == 15


async def test_one_failing_request_stops_the_others() -> None:
    async with stub(refuses(422), hang) as server:
        begin = time.monotonic()
        with pytest.raises(RewardRejected):
            await ask(server.url, make_groups(40), max_concurrency=4)
        assert time.monotonic() - begin < 20
        assert len(server.requests) <= 4


async def test_key_is_sent_and_never_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    errors = []
    for fault in (good, refuses(401), reset, says(b"no HTTP\r\n\r\n"), refuses(503)):
        async with stub(fault) as server:
            try:
                await ask(server.url, make_groups(1), deadline_s=0.5, api_key="canary-key")
            except RewardError as error:
                errors.append(error)
            assert "Authorization: Bearer canary-key" in server.requests[0][0]
    assert len(errors) == 4
    told = caplog.text + "".join(f"{error} {error!r} {error.__cause__!r}" for error in errors)
    assert "canary" not in told


async def test_missing_key_variable_is_told_on_entering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    settings = ClientSettings(api_key_env="NO_SUCH_KEY")
    with pytest.raises(ConfigError, match="NO_SUCH_KEY"):
        async with AsyncRewardClient(settings):
            pass
    with pytest.raises(ConfigError, match="NO_SUCH_KEY"), RewardClient(settings):
        pass


async def test_wait_ready_polls_until_the_judge_works() -> None:
    async with (
        stub(refuses(503, "Retry-After: 60"), reset, refuses(503), says(raw(200, b"{}"))) as server,
        AsyncRewardClient(ClientSettings(url=server.url)) as client,
    ):
        await client.wait_ready(20)
        assert [head.split()[1] for head, _ in server.requests] == ["/readyz"] * 4


async def test_wait_ready_says_why_it_gave_up() -> None:
    async with stub(refuses(503)) as server, AsyncRewardClient(ClientSettings(url=server.url)) as client:
        with pytest.raises(RewardUnavailable, match=r"0.5 s.*some_code: some message"):
            await client.wait_ready(0.5)


async def test_wait_ready_does_not_wait_for_another_kind_of_server() -> None:
    async with stub(refuses(404)) as server, AsyncRewardClient(ClientSettings(url=server.url)) as client:
        with pytest.raises(RewardRejected, match="base URL of a reward server"):
            await client.wait_ready(20)


@pytest.mark.parametrize("payload", [b"[]", b"nope", b""])
async def test_info_must_be_an_object(payload: bytes) -> None:
    async with (
        stub(says(raw(200, payload))) as server,
        AsyncRewardClient(ClientSettings(url=server.url)) as client,
    ):
        with pytest.raises(RewardError, match="/v1/info: malformed reply"):
            await client.info()


async def test_sync_client_does_the_same_with_and_without_a_loop() -> None:
    groups = make_groups(9)

    def in_this_thread(url: str) -> list[GroupScores]:
        with RewardClient(ClientSettings(url=url)) as client:
            return client.score(groups, SHAPING)

    async with stub(good) as server:
        assert_scores_of(groups, await asyncio.to_thread(in_this_thread, server.url))
    code = f"""
        import asyncio
        from sgpo_client.reward_client import ClientSettings, RewardClient
        from sgpo_client.errors import RewardUnavailable
        async def main():
            with RewardClient(ClientSettings(url="http://127.0.0.1:{free_port()}", deadline_s=0.3)) as client:
                try:
                    client.info()
                except RewardUnavailable:
                    print("unavailable")
        asyncio.run(main())
    """
    done = await asyncio.to_thread(run_python, code)
    assert (done.stdout, done.returncode) == ("unavailable\n", 0)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )


def test_clients_that_are_not_open_say_so() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        RewardClient(ClientSettings()).info()
    with pytest.raises(RuntimeError, match="not open"):
        asyncio.run(AsyncRewardClient(ClientSettings()).info())
    client = RewardClient(ClientSettings(url=f"http://127.0.0.1:{free_port()}"))
    with client:
        assert client.not_ready_reason() is not None
    with pytest.raises(RuntimeError, match="not open"):
        client.info()


def test_ctrl_c_ends_the_requests_of_a_sync_client() -> None:
    code = """
        import socket, sys, threading, time
        from sgpo_client.reward_client import ClientSettings, RewardClient

        listener = socket.create_server(("127.0.0.1", 0))
        connections = []
        def hang_up():
            while True:
                connection, _ = listener.accept()
                connections.append(1)
                connection.close()
        threading.Thread(target=hang_up, daemon=True).start()
        with RewardClient(ClientSettings(url=f"http://127.0.0.1:{listener.getsockname()[1]}")) as client:
            print("waiting", flush=True)
            try:
                client.info()
            except KeyboardInterrupt:
                time.sleep(0.2)
                before = len(connections)
                time.sleep(2.5)
                print("ended" if len(connections) == before else "goes on", flush=True)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "ended\n"
        assert process.wait(10) == 0
