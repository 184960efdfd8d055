"""The page in narrow windows, in both themes, and on paper."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page_server import Opener, judge
from tests.integration.http_server import Server, wrong
from tests.unit.page_styles import THEMES, palette

LONG = "x" * 3000


def overflow(page: Page) -> int:
    """Pixels that stand out to the side."""
    pixels: int = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return pixels


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_stands_out_to_the_side(opened: Opener, server: Server, width: int) -> None:
    group = {
        "group_id": "g" * 200,
        "problem": LONG,
        "reference_answer": LONG,
        "responses": [wrong(f"{LONG}\n{LONG} WRONG", "i" * 200), wrong("Line zero is WRONG", "1")],
    }
    assert server.post("/v1/rewards", {"groups": [group]}).status == 200
    page = opened(width=width)
    assert overflow(page) == 0
    page.locator("#recent-list button").first.click()
    expect(page.locator("li.step").first).to_be_visible()
    assert overflow(page) == 0
    text = page.locator("li.step .text").first
    assert text.evaluate("element => element.getBoundingClientRect().right") <= width


def test_the_steps_follow_the_form_in_a_narrow_window(opened: Opener) -> None:
    narrow, wide = opened(width=360), opened(width=1280)
    places = [top(narrow, name) for name in ("try-title", "result-title", "recent-title")]
    assert places == sorted(places)
    assert abs(top(wide, "try-title") - top(wide, "result-title")) < 40


def top(page: Page, name: str) -> float:
    box = page.locator(f"#{name}").bounding_box()
    assert box is not None
    return box["y"]


@pytest.mark.parametrize("scheme", THEMES)
def test_the_theme_is_the_readers(opened: Opener, scheme: str) -> None:
    page = opened(scheme=scheme)
    colours = palette(scheme)
    ground, ink = page.evaluate(
        "() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert [ground, ink] == ["rgb({}, {}, {})".format(*bytes.fromhex(colours[name][1:])) for name in ("page", "ink")]


def test_paper_gets_the_steps_and_not_the_form(opened: Opener) -> None:
    page = opened()
    judge(page, "Line zero is fine\nLine one is WRONG")
    page.emulate_media(media="print")
    expect(page.locator("#try-form")).to_be_hidden()
    expect(page.locator("#recent-list")).to_be_hidden()
    expect(page.locator("li.step")).to_have_count(2)
    expect(page.locator("li.step").first).to_be_visible()
    assert page.locator("li.step").first.evaluate("step => getComputedStyle(step).printColorAdjust") == "exact"
