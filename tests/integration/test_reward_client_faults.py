"""The reward client against a server that misbehaves on a real socket: what it tries again, and what not."""

from __future__ import annotations

import asyncio
import time

import pytest

from sgpo_client.client_settings import ClientSettings
from sgpo_client.errors import Interrupted, RewardError, RewardRejected, RewardUnavailable
from sgpo_client.reward_client import RewardClient
from sgpo_client.wire import ShapingParams
from tests.integration.client_calls import ask, free_port
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


@pytest.mark.parametrize("fault", [refuses(503), refuses(502), refuses(504), refuses(429), reset, cut])
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


def test_a_wait_that_is_given_up_ends_at_once() -> None:
    asked = []

    def gives_up() -> bool:
        asked.append(True)
        return len(asked) == 2

    settings = ClientSettings(url=f"http://127.0.0.1:{free_port()}", deadline_s=3600)
    with RewardClient(settings, gives_up) as client, pytest.raises(Interrupted, match=settings.url):
        client.score(make_groups(1), ShapingParams())


async def test_request_and_call_that_run_out_of_time_together() -> None:
    """Either may end first; the call must end in both cases."""
    async with stub(hang) as server:
        for _ in range(5):
            with pytest.raises(RewardUnavailable, match=r"gave no answer within 0.2 s"):
                await asyncio.wait_for(ask(server.url, make_groups(1), timeout_s=0.2, deadline_s=0.2), 60)


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


async def test_one_failing_request_stops_the_others() -> None:
    async with stub(refuses(422), hang) as server:
        begin = time.monotonic()
        with pytest.raises(RewardRejected):
            await ask(server.url, make_groups(40), max_concurrency=4)
        assert time.monotonic() - begin < 20
        assert len(server.requests) <= 4
