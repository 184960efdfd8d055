"""Whatever a response says, the page shows it and does nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from reward_server.web.assets import read_assets
from tests.browser.page_server import Heard, Opener, judge, listen, new_context, open_page
from tests.browser.payloads import PAYLOADS, UNSEEN
from tests.integration.http_server import Server, wrong

SHOWN = {
    "DIV",
    "P",
    "H3",
    "H4",
    "B",
    "BDI",
    "SPAN",
    "SMALL",
    "CODE",
    "OL",
    "LI",
    "DL",
    "DT",
    "DD",
    "DETAILS",
    "SUMMARY",
}
"""The elements of which a group is made."""


@pytest.fixture
def watched(browser: Browser, server: Server) -> Iterator[tuple[Page, Heard]]:
    context = new_context(browser)
    heard = listen(context)
    yield open_page(context, server), heard
    context.close()


def check(page: Page, heard: Heard, server: Server) -> None:
    """Nothing ran, nothing was loaded from elsewhere, and no element came out of a text."""
    assert heard.dialogs == []
    assert heard.errors == []
    assert set(page.locator("#result *").evaluate_all("all => all.map(one => one.tagName.toUpperCase())")) <= SHOWN
    assert page.evaluate("document.scripts.length") == 1
    files = {asset.path for asset in read_assets()}
    for url in heard.requests:
        parts = urlsplit(url)
        assert parts.netloc == f"127.0.0.1:{server.port}"
        assert parts.path in files or parts.path.startswith("/v1/")
    handlers = page.locator("#result *, #recent-list *").evaluate_all(
        "all => all.flatMap(one => one.getAttributeNames()).filter(name => name.startsWith('on') || name === 'href')"
    )
    assert handlers == []


def test_the_check_notices_what_it_is_for(watched: tuple[Page, Heard], server: Server) -> None:
    page, heard = watched
    page.evaluate("() => { setTimeout(() => alert('seen')) }")
    page.evaluate(
        "() => { const image = new Image(); image.src = '//evil.example/x.png'; document.body.append(image) }"
    )
    page.evaluate("() => { try { document.body.innerHTML += '<b>x</b>' } catch { console.error('trusted types') } }")
    page.wait_for_function("() => true")
    expect(page.locator("h1")).to_be_visible()
    assert heard.dialogs == ["seen"]
    assert any("evil.example" in error for error in heard.errors)
    assert any("trusted types" in error for error in heard.errors)
    with pytest.raises(AssertionError):
        check(page, heard, server)


def test_payloads_in_every_field_of_a_recent_group_stay_text(watched: tuple[Page, Heard], server: Server) -> None:
    page, heard = watched
    for payload in PAYLOADS:
        # The judge's critique repeats the step, and so carries the payload too.
        group = {
            "group_id": payload,
            "problem": payload,
            "reference_answer": payload,
            "reference_solution": payload,
            "responses": [wrong(f"{payload}\n{payload} is WRONG here", payload), wrong(f"WRONG {payload}", "1")],
        }
        assert server.post("/v1/rewards", {"groups": [group]}).status == 200
    page.locator("#refresh").click()
    buttons = page.locator("#recent-list button")
    expect(buttons.nth(len(PAYLOADS) - 1)).to_be_visible()
    for index, payload in enumerate(reversed(PAYLOADS)):
        assert payload in buttons.nth(index).locator(".head").inner_text()
        buttons.nth(index).click()
        expect(page.locator("#result-title")).to_have_text(f"Group {payload}")
        result = page.locator("#result")
        assert result.locator(".problem > .text").inner_text() == payload
        assert result.locator("summary h3").first.inner_text() == f"Response {payload}"
        assert payload in result.locator(".critique .text").first.text_content()  # type: ignore[operator]
        result.locator("summary", has_text="Reference solution").click()
        page.locator("li.step").first.hover()
    check(page, heard, server)


def test_payloads_in_the_form_stay_text(watched: tuple[Page, Heard], server: Server) -> None:
    page, heard = watched
    judge(page, *(f"{payload} WRONG" for payload in PAYLOADS[::5]), problem=PAYLOADS[4])
    assert page.locator("li.step").count() >= 6
    check(page, heard, server)


def test_the_servers_own_words_are_text_too(watched: tuple[Page, Heard], server: Server) -> None:
    page, heard = watched
    evil = json.dumps({"error": {"code": "x", "message": "<img src=x onerror=alert(1)>", "request_id": "x"}})
    page.route("**/v1/explain", lambda route: route.fulfill(status=422, body=evil, content_type="application/json"))
    page.get_by_label("Problem").fill("p")
    page.get_by_label("Response 0", exact=True).fill("r")
    page.get_by_role("button", name="Show the steps").click()
    expect(page.locator("#try-error")).to_have_text("Not judged: <img src=x onerror=alert(1)>")
    assert heard.dialogs == []
    assert page.locator("img").count() == 0


def test_what_cannot_be_seen_is_written_out(opened: Opener, server: Server) -> None:
    page = opened()
    text = "".join(f"a{character}b " for character in UNSEEN) + "is WRONG"
    group = {"group_id": "\u202eg", "problem": text, "responses": [wrong(text, "\u200bid")]}
    assert server.post("/v1/rewards", {"groups": [group]}).status == 200
    page.locator("#refresh").click()
    page.locator("#recent-list button").first.click()
    expect(page.locator("#result-title")).to_have_text("Group U+202Eg")
    expect(page.locator("summary h3")).to_have_text("Response U+200Bid")
    for place in (".problem > .text", "ol.steps", "#recent-list button .head"):
        assert page.locator(place).first.locator(".ghost").all_inner_texts() == list(UNSEEN.values())
    assert page.locator("#result").evaluate("element => /[\\p{Cf}\\p{Co}]/u.test(element.textContent)") is False


def test_a_text_cannot_leave_its_box(opened: Opener) -> None:
    """Hundreds of accents on one letter are cut off at the step's border."""
    page = opened()
    judge(page, "Line zero p=0.1\nZ" + "\u0335\u0346\u0319" * 300 + " is WRONG\nLine two p=0.2")
    assert page.locator("li.step").nth(1).evaluate("step => getComputedStyle(step).overflowY") == "clip"
