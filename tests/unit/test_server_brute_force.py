"""Wrong keys slowed down, good ones let through: the key layer alone, with a clock of the test's own."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from reward_server.edge.auth import AuthMiddleware
from reward_server.edge.keys import Key, KeyRing
from reward_server.edge.rates import MAX_NAMES, WINDOW_S, Rate
from reward_server.errors import ApiError

GOOD = "good-key-" + "g" * 32
RING = KeyRing([Key(hashlib.sha256(GOOD.encode()).digest(), "trainer")])


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Door:
    """The layer around an app that notes who came in."""

    def __init__(self, failures: Rate | None = None) -> None:
        self.tenants: list[str] = []
        self.layer = AuthMiddleware(self.app, RING, failures or Rate(0))

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.tenants.append(scope["state"]["tenant"])

    async def knock(
        self,
        path: str = "/v1/info",
        authorization: str = "",
        query: str = "",
        address: str = "10.0.0.1",
        **headers: str,
    ) -> int:
        """200 when let in, else the status of the refusal."""
        pairs = headers | ({"authorization": authorization} if authorization else {})
        scope = {
            "type": "http",
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in pairs.items()],
            "client": (address, 1),
        }

        async def nothing(*_: Any) -> Any:
            raise AssertionError("the key layer reads no body")

        try:
            await self.layer(scope, nothing, nothing)
        except ApiError as error:
            self.refusal = error
            return error.status
        return 200


async def test_ten_failures_a_minute_then_429_and_good_keys_pass() -> None:
    clock = Clock()
    door = Door(Rate(10, clock))
    assert [await door.knock(authorization=f"Bearer wrong-{n}") for n in range(10)] == [401] * 10
    clock.now = 20.0
    assert await door.knock(authorization="Bearer wrong") == 429
    assert door.refusal.code == "too_many_failures"
    assert door.refusal.headers["retry-after"] == "40"
    assert await door.knock(authorization=f"Bearer {GOOD}") == 200, "whoever else guesses from there"
    assert await door.knock(authorization="Bearer wrong", address="10.0.0.2") == 401
    assert await door.knock() == 401, "no key is no guess"
    clock.now = WINDOW_S - 0.1
    assert await door.knock(authorization="Bearer wrong") == 429, "a patient guesser's minute does not begin anew"
    clock.now = WINDOW_S
    assert await door.knock(authorization="Bearer wrong") == 401


async def test_the_addresses_of_one_ipv6_household_count_together() -> None:
    door = Door(Rate(1, Clock()))
    assert await door.knock(authorization="Bearer x", address="2001:db8:1:2::1") == 401
    assert await door.knock(authorization="Bearer x", address="2001:db8:1:2:ffff::9") == 429
    assert await door.knock(authorization="Bearer x", address="2001:db8:1:3::1") == 401


def test_counting_takes_bounded_memory() -> None:
    rate = Rate(1, Clock())
    for number in range(MAX_NAMES + 500):
        rate.hit(str(number))
    assert len(rate._windows) == MAX_NAMES


@pytest.mark.parametrize("path", ["/v1/openrlhf", "/v1/slime", "/nemo_gym/verify", "/v1/slime/x"])
async def test_dialects_take_a_key_from_the_url(path: str) -> None:
    door = Door()
    assert await door.knock(path, query=f"a=1&key={GOOD}") == 200
    assert door.tenants == ["trainer"]
    for query in ("key=", "key=x", f"Key={GOOD}", f"k={GOOD}", "&".join("a=1" for _ in range(500)) + f"&key={GOOD}"):
        assert await door.knock(path, query=query) == 401


@pytest.mark.parametrize("path", ["/v1/rewards", "/v1/info", "/metrics", "/", "/v1/openrlhfx", "//v1/slime", "/v1"])
async def test_nothing_else_takes_a_key_from_the_url(path: str) -> None:
    assert await Door().knock(path, query=f"key={GOOD}") == 401


async def test_a_key_may_come_as_a_password_for_browsers() -> None:
    door = Door()
    basic = base64.b64encode(f"anyone:{GOOD}".encode()).decode()
    assert await door.knock("/", authorization=f"Basic {basic}") == 200
    for wrong in ("Basic", f"Basic {GOOD}", "Basic " + base64.b64encode(GOOD.encode()).decode(), f"Digest {GOOD}"):
        assert await door.knock("/", authorization=wrong) == 401
    assert door.refusal.headers["www-authenticate"] == "Bearer"
    assert await door.knock("/", accept="text/html,*/*") == 401
    assert door.refusal.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_health_is_open(path: str) -> None:
    assert await Door().knock(path) == 200


@pytest.mark.parametrize("path", ["/livez/", "//livez", "/livez/../v1/info", "/readyz/x", "/LIVEZ", "", "livez"])
async def test_what_only_looks_like_health_is_not(path: str) -> None:
    assert await Door().knock(path, host="x/livez?") == 401
