"""The reward client on real sockets: order, concurrency, keys, readiness, and how it is opened and closed."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
import textwrap
import time
from zlib import crc32

import pytest

from sgpo_client.client_settings import ClientSettings
from sgpo_client.errors import ConfigError, RewardError, RewardRejected, RewardUnavailable
from sgpo_client.reward_client import AsyncRewardClient, RewardClient
from sgpo_client.wire import GroupScores
from tests.integration.client_calls import SHAPING, ask, free_port
from tests.integration.faulty_server import assert_scores_of, good, make_groups, raw, refuses, reset, says, stub


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


async def test_waiting_for_a_free_place_is_not_counted_as_a_slow_request() -> None:
    async def slow(body: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        await good(body, writer)

    async with stub(slow) as server:
        await ask(server.url, make_groups(15), max_concurrency=1, groups_per_request=1, timeout_s=3)
        assert len(server.requests) == 15


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
        import signal, socket, sys, threading, time
        from sgpo_client.reward_client import ClientSettings, RewardClient

        # Ignored in what a shell starts in the background, and so in its children.
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
