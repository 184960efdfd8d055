"""The page without a mouse and without eyes: order, focus, names, and what is said aloud."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.page_server import Opener, judge
from tests.integration.http_server import Server, request, wrong

ACTIVE = """() => {
    const active = document.activeElement, style = getComputedStyle(active);
    const outline = style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
    return { id: active.id, tag: active.tagName, outline };
}"""


def tab(page: Page) -> dict[str, Any]:
    page.keyboard.press("Tab")
    found: dict[str, Any] = page.evaluate(ACTIVE)
    return found


def tab_to(page: Page, id_: str) -> None:
    for _ in range(30):
        if tab(page)["id"] == id_:
            return
    raise AssertionError(f"Tab never came to #{id_}")


def test_a_problem_is_judged_with_the_keyboard_alone(opened: Opener) -> None:
    page = opened()
    assert tab(page)["tag"] == "A"
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    tab_to(page, "problem")
    page.keyboard.type("How many apples?")
    tab_to(page, "response-0")
    page.keyboard.type("Line zero is fine")
    page.keyboard.press("Enter")
    page.keyboard.type("Line one is WRONG")
    tab_to(page, "response-0-outcome")
    page.keyboard.press("ArrowDown")
    tab_to(page, "judge-button")
    page.keyboard.press("Space")
    expect(page.locator("#result-title")).to_be_focused()
    expect(page.locator("li.step")).to_have_count(2)
    assert tab(page)["tag"] == "SUMMARY"
    page.keyboard.press("Enter")
    expect(page.locator("li.step").first).to_be_hidden()


def test_every_stop_can_be_seen_and_none_is_a_trap(opened: Opener, server: Server) -> None:
    server.post("/v1/rewards", request(wrong("Line zero is WRONG")))
    page = opened()
    page.get_by_role("button", name="Refresh").click()
    page.get_by_role("button", name="Fill in an example").click()
    page.locator("h1").click()
    expect(page.locator("#recent-list button").first).to_be_visible()
    num_stops = page.locator("button:visible, input:visible, textarea:visible, select:visible, summary:visible").count()
    stops = []
    while len(stops) < 100:
        stop = tab(page)
        if stop["tag"] == "BODY":
            break
        stops.append(stop)
    assert len(stops) >= num_stops
    assert [stop for stop in stops if stop["outline"] < 2] == []
    assert len(stops) < 100


def test_everything_has_a_name(opened: Opener, server: Server) -> None:
    page = opened()
    expect(page.locator("main")).to_match_aria_snapshot(
        """
        - main:
          - region "Activity":
            - heading "Activity" [level=2]
            - list:
              - listitem: /groups in the last minute/
              - listitem: /waiting for the judge/
              - listitem: /all-negative groups/
              - listitem: /of them rescued/
              - listitem: /unscored responses/
            - figure "Groups per second":
              - img /Groups per second over the last hour. at most .*, now .*/
            - figure "Waiting for the judge":
              - img /Responses waiting for the judge over the last hour. at most .*/
            - figure /Shares/:
              - img /Shares over the last hour. .* all-negative, .* rescued/
          - region "Try a response":
            - button "Fill in an example"
            - textbox "Problem"
            - textbox "Reference answer (optional)"
            - textbox "Response 0"
            - combobox "Its answer"
            - button "Show the steps"
            - button "Add a response"
          - region "Steps"
          - region "Recent groups":
            - button "Refresh"
        """
    )
    judge(page, "Line zero p=0.1\nLine one is WRONG p=0.9\nLine two p=0.1")
    expect(page.locator("ol.steps")).to_match_aria_snapshot(
        """
        - list:
          - listitem: /Step 0 right 10% wrong Line zero/
          - listitem: /Step 1 first wrong step 90% wrong Line one/
          - listitem: /Step 2 after the error 10% wrong Line two/
        """
    )


def test_what_comes_out_is_said_aloud(opened: Opener) -> None:
    page = opened()
    judge(page, "Line zero is fine\nLine one is WRONG")
    expect(page.get_by_role("status").filter(has_text="first wrong step 1")).to_have_count(1)
    assert page.locator("#try-error").get_attribute("role") == "alert"


def test_a_missing_text_is_named_and_gets_the_keyboard(opened: Opener) -> None:
    page = opened()
    page.get_by_role("button", name="Show the steps").click()
    expect(page.get_by_role("alert").filter(has_text="Give a problem.")).to_be_visible()
    expect(page.get_by_label("Problem")).to_be_focused()
    assert page.get_by_label("Problem").get_attribute("aria-invalid") == "true"
    page.get_by_label("Problem").fill("p")
    page.get_by_role("button", name="Show the steps").click()
    expect(page.get_by_label("Response 0", exact=True)).to_be_focused()
    assert page.get_by_label("Problem").get_attribute("aria-invalid") is None


def test_responses_are_added_and_removed(opened: Opener) -> None:
    page = opened()
    assert page.get_by_role("button", name="Remove response").count() == 0
    page.get_by_role("button", name="Add a response").click()
    expect(page.get_by_label("Response 1", exact=True)).to_be_focused()
    page.get_by_label("Response 1", exact=True).fill("the second")
    page.get_by_role("button", name="Remove response 0").click()
    expect(page.get_by_label("Response 0", exact=True)).to_have_value("the second")
    expect(page.get_by_label("Response 0", exact=True)).to_be_focused()
    assert page.get_by_role("button", name="Remove response").count() == 0
