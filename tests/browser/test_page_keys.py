"""The page of a server with keys: how it is opened, and where the key goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, Route, expect

from reward_server.config import AuthSettings
from reward_server.edge.auth import load_keys
from tests.browser.page_server import judge, new_context
from tests.integration.http_server import Server, running

CONFIG = {
    "judge": {"kind": "scripted"},
    "auth": {"max_failures_per_minute": 0},
    "defences": {"enabled": False},
}
KEY = "0123456789abcdef0123456789-first"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    keys = load_keys(AuthSettings(), {"SGPO_API_KEYS": f"{KEY},another-{KEY}"})
    with running(CONFIG, keys) as server:
        yield server


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = new_context(browser, http_credentials={"username": "anyone", "password": KEY})
    yield context
    context.close()


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}/"


def test_without_a_key_there_is_no_page(browser: Browser, guarded: Server) -> None:
    context = new_context(browser)
    with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
        context.new_page().goto(address(guarded))
    context.close()


def test_the_key_as_the_browsers_password_opens_everything(context: BrowserContext, guarded: Server) -> None:
    page = context.new_page()
    page.goto(address(guarded))
    expect(page.locator("#state")).to_have_text("running")
    expect(page.locator("#key-panel")).to_be_hidden()
    judge(page, "Line zero is WRONG")
    expect(page.locator("li.step")).to_have_count(1)


def locked(context: BrowserContext, server: Server) -> tuple[Page, list[str]]:
    """The page in a browser that keeps the password for itself; and the headers that the page itself sent."""
    sent: list[str] = []

    def without_password(route: Route) -> None:
        headers = dict(route.request.headers)
        if headers.get("authorization", "").startswith("Bearer "):
            sent.append(headers["authorization"])
        else:
            headers["authorization"] = "none"
        route.continue_(headers=headers)

    page = context.new_page()
    page.route("**/v1/**", without_password)
    page.goto(address(server))
    expect(page.get_by_label("API key")).to_be_focused()
    return page, sent


def test_the_page_asks_for_the_key_and_sends_it_in_a_header(context: BrowserContext, guarded: Server) -> None:
    page, sent = locked(context, guarded)
    expect(page.locator("#state")).to_have_text("needs a key")
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("running")
    expect(page.locator("#key-panel")).to_be_hidden()
    judge(page, "Line zero is WRONG")
    assert set(sent) == {f"Bearer {KEY}"}
    page.reload()
    expect(page.locator("#state")).to_have_text("running")
    kept = page.evaluate(
        "() => [location.href, document.cookie, JSON.stringify(localStorage), document.body.outerHTML]"
    )
    assert not any(KEY in place for place in kept)
    assert page.get_by_label("API key").input_value() == ""


@pytest.mark.parametrize("wrong", [KEY[:-1], "k\u00e9y", "two words"])
def test_a_wrong_key_is_refused_in_words_and_not_kept(context: BrowserContext, guarded: Server, wrong: str) -> None:
    page, _ = locked(context, guarded)
    page.get_by_label("API key").fill(wrong)
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("#key-error")).not_to_be_empty()
    expect(page.locator("#key-panel")).to_be_visible()
    assert page.evaluate("() => JSON.stringify(sessionStorage)") == "{}"
    expect(page.locator("#recent-error")).to_be_empty()
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("#state")).to_have_text("running")


def test_a_key_that_ends_is_asked_for_anew(context: BrowserContext, guarded: Server) -> None:
    page, _ = locked(context, guarded)
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("#state")).to_have_text("running")
    page.evaluate("() => sessionStorage.setItem('sgpo-key', 'a-key-that-was-taken-back')")
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("alert").filter(has_text="does not accept this key")).to_be_visible()
    expect(page.locator("#key-panel")).to_be_visible()
