"""The charts follow what the server does, without a reload."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.page_server import Opener
from tests.integration.http_server import Server, request, wrong


def tile(page: Page, name: str) -> str:
    return page.locator(".tile", has_text=name).locator("b").inner_text()


def answer(page: Page, **changes: Any) -> None:
    """From now on the page is told this."""
    series = {name: [0] * 12 for name in ("groups", "responses", "all_negative", "rescued", "unscored", "queue")}
    for name in series:
        series[name] = changes.pop(name, series[name])
    reply = {
        "series": series,
        "totals": {"groups": 1234},
        "queue": 0,
        "requests_in_line": 0,
        "workers": 1,
        "judge": {"id": "told@1"},
        "draining": False,
    }
    body = json.dumps(reply | changes)
    page.route("**/v1/activity", lambda route: route.fulfill(body=body, content_type="application/json"))
    expect(page.locator("#judge")).to_have_text("told@1")


def test_tiles_follow_the_requests(opened: Opener, server: Server) -> None:
    page = opened()
    minute = page.locator(".tile", has_text="groups in the last minute")
    expect(minute).to_contain_text("0 since the start")
    assert tile(page, "all-negative groups") == "–"
    for _ in range(3):
        server.post("/v1/rewards", request(wrong("Line zero\nLine one is WRONG"), wrong("Line zero is WRONG", "1")))
    server.post("/v1/rewards", request({"id": "0", "text": "x", "outcome": True}))
    expect(minute).to_contain_text("4 since the start")
    shares = [tile(page, name) for name in ("all-negative groups", "of them rescued", "unscored responses")]
    assert shares == ["75.0%", "100%", "0%"]


def test_charts_are_drawn_to_scale(opened: Opener) -> None:
    page = opened()
    # Two minutes of an hour: in the first, three of four groups all-negative; in the second, nothing but a queue.
    answer(
        page,
        groups=[0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        all_negative=[0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        rescued=[0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        queue=[0] * 11 + [30],
    )
    rate, queue, shares = page.locator(".chart svg").all()
    assert [chart.get_attribute("aria-label") for chart in (rate, queue, shares)] == [
        "Groups per second over the last hour: at most 0.4, now 0",
        "Responses waiting for the judge over the last hour: at most 30",
        "Shares over the last hour: 75.0% of the groups all-negative, 100% of those rescued",
    ]
    bars = rate.locator("path.area").get_attribute("d")
    # 360 wide, one for each ten seconds; 0.4 of the axis' 0.5 is four fifths of 100, counted from the top.
    assert (
        bars == "M348.00 100V100.00H349.00V20.00H350.00" + "".join(f"V100.00H{x}.00" for x in range(351, 361)) + "V100Z"
    )
    assert str(queue.locator("path.area").get_attribute("d")).endswith("V40.00H360.00V100Z")
    assert shares.locator("path.line").get_attribute("d") == "M351.00 25.00h3.00"
    assert shares.locator("path.dashed").get_attribute("d") == "M351.00 0.00h3.00"


def test_trouble_is_said_in_words(opened: Opener) -> None:
    page = opened()
    answer(page, draining=True, workers=4, requests_in_line=17)
    expect(page.locator("#state")).to_have_text("shutting down")
    expect(page.locator("#workers")).to_contain_text("One of 4 worker processes")
    expect(page.locator(".tile", has_text="waiting for the judge")).to_contain_text("and 17 requests in line")


def test_a_server_that_does_not_answer_is_said_to_be_so(opened: Opener) -> None:
    page = opened()
    expect(page.locator("#state")).to_have_text("running")
    page.context.set_offline(True)
    expect(page.locator("#state")).to_have_text("the server does not answer")
    page.context.set_offline(False)
    expect(page.locator("#state")).to_have_text("running")
