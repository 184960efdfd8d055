"""The steps have the right colours and the right words, whatever the theme and the text."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.page_server import Opener, judge
from tests.integration.http_server import Server, request, wrong
from tests.unit.page_styles import THEMES, palette

FOUR = "Line zero p=0.1\nLine one p=0.45\nLine two WRONG p=0.9\nLine three p=0.3"


def grounds(steps: Locator) -> list[str]:
    """Computed background colours as #rrggbb."""
    colours: list[str] = steps.evaluate_all(
        """steps => steps.map(step => "#" + getComputedStyle(step).backgroundColor
            .match(/\\d+/g).slice(0, 3).map(part => Number(part).toString(16).padStart(2, "0")).join(""))"""
    )
    return colours


def words(steps: Locator) -> list[str]:
    return [text.replace("✓", "").replace("✗", "").strip() for text in steps.locator(".word").all_inner_texts()]


@pytest.mark.parametrize("scheme", THEMES)
def test_green_up_to_the_first_error_red_from_there_shaded_by_probability(opened: Opener, scheme: str) -> None:
    page = opened(scheme=scheme)
    judge(page, FOUR)
    steps = page.locator("li.step")
    colours = palette(scheme)
    shades = ["right-4", "right-2", "wrong-4", "wrong-1"]
    assert grounds(steps) == [colours[name] for name in shades]
    assert words(steps) == ["right", "right", "first wrong step", "after the error"]
    assert steps.locator(".prob").all_inner_texts() == ["10% wrong", "45% wrong", "90% wrong", "30% wrong"]
    ink = page.locator(".step .text").first.evaluate("element => getComputedStyle(element).color")
    assert ink == "rgb({}, {}, {})".format(*bytes.fromhex(colours["ink"][1:]))


def test_a_judge_without_probabilities_has_one_shade_for_each_kind(opened: Opener) -> None:
    page = opened()
    judge(page, "Line zero\nLine one is WRONG\nLine two is here")
    colours = palette("light")
    assert grounds(page.locator("li.step")) == [colours[name] for name in ("right-2", "wrong-4", "wrong-1")]
    assert page.locator(".prob").count() == 0


def test_reward_rts_and_critique_stand_beside_the_steps(opened: Opener) -> None:
    page = opened()
    judge(page, f"{FOUR} not in the cache")
    facts = page.locator(".facts > div").all_inner_texts()
    assert [fact.replace("\n", " ") for fact in facts] == [
        "reward 0.25",
        "rts 0.5",
        "answer wrong",
        "steps 4",
        "first error step 2",
        "confidence 75%",
    ]
    expect(page.locator(".critique")).to_contain_text("Line two WRONG p=0.9")
    expect(page.locator("#result-status")).to_have_text("1 response; all-negative; first wrong step 2.")


def test_a_right_response_is_green_throughout_and_the_verdict_is_for_show(opened: Opener) -> None:
    page = opened()
    judge(page, "Line zero p=0.05\nLine one p=0.1", outcome="right")
    assert words(page.locator("li.step")) == ["right", "right"]
    assert grounds(page.locator("li.step")) == [palette("light")["right-4"]] * 2
    expect(page.locator(".notice")).to_contain_text("pays nothing")


def test_what_is_not_judged_has_no_colour_and_a_reason(opened: Opener) -> None:
    page = opened()
    judge(page, "Line zero is fine\nLine one is fine")
    assert words(page.locator("li.step")) == ["not judged", "not judged"]
    assert grounds(page.locator("li.step")) == [palette("light")["plain"]] * 2
    expect(page.locator(".notice")).to_contain_text("no error found")


def test_steps_are_cut_where_the_server_cuts_them(opened: Opener) -> None:
    """The server counts code points; JavaScript counts UTF-16 units, two for each of these."""
    page = opened()
    judge(page, "\U0001f600\U0001f9ee Line zero p=0.1\n---\n\U00010348 Line one is WRONG p=0.8")
    assert page.locator("li.step .text").all_inner_texts() == [
        "\U0001f600\U0001f9ee Line zero p=0.1",
        "---",
        "\U00010348 Line one is WRONG p=0.8",
    ]
    expect(page.locator("li.outside .label")).to_have_text("no step")


def test_several_responses_each_have_their_own(opened: Opener) -> None:
    page = opened()
    judge(page, FOUR, "Line zero is WRONG p=0.7\nLine one p=0.2")
    first, second = page.locator("details.item").all()
    assert words(second.locator("li.step")) == ["first wrong step", "after the error"]
    assert len(words(first.locator("li.step"))) == 4
    expect(page.locator("#result-status")).to_contain_text("rescued")


def open_recent(page: Page, index: int) -> None:
    page.get_by_role("button", name="Refresh").click()
    page.locator("#recent-list button").nth(index).click()
    expect(page.locator("#result-title")).to_be_focused()


def test_a_recent_group_opens_and_says_so_when_it_is_gone(opened: Opener, server: Server) -> None:
    page = opened()
    server.post("/v1/rewards", request(wrong(FOUR, "a"), wrong("Line zero is WRONG", "b")))
    open_recent(page, 0)
    expect(page.locator("#result-title")).to_have_text("Group g")
    assert words(page.locator("li.step"))[:4] == ["right", "right", "first wrong step", "after the error"]
    for _ in range(50):
        server.post("/v1/rewards", request(wrong("Line zero is WRONG")))
    page.locator("#recent-list button").first.click()
    expect(page.locator("#recent-error")).to_contain_text("not kept any more")


def test_the_steps_of_many_responses_are_made_when_they_are_opened(opened: Opener, server: Server) -> None:
    page = opened()
    server.post("/v1/rewards", request(*(wrong(f"Line {index} is WRONG", str(index)) for index in range(20))))
    open_recent(page, 0)
    assert page.locator("details.item").count() == 20
    assert page.locator("li.step").count() == 6
    page.locator("details.item").nth(19).locator("summary").click()
    expect(page.locator("li.step")).to_have_count(7)
    expect(page.locator("details.item").nth(19)).to_contain_text("Line 19 is WRONG")
