"""What the page is tested with: a judge that reads its verdict in the steps, and short ways to use the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, expect

from judge.types import Solution, Unscored, UnscoredReason, Verdict
from tests.integration.http_server import Server

Opener = Callable[..., Page]
PATIENCE_MS = 90_000
PROBABILITY = re.compile(r"p=(0\.\d+|1)")


class Probed:
    """A judge for whom the first step with ``WRONG`` is the first error; ``p=0.8`` is that step's probability."""

    judge_id = "probed@1"

    async def judge(self, batch: Sequence[Solution]) -> list[Verdict | Unscored]:
        return [self._judge_one(solution) for solution in batch]

    async def aclose(self) -> None:
        pass

    def _judge_one(self, solution: Solution) -> Verdict | Unscored:
        found = next((index for index, step in enumerate(solution.steps) if "WRONG" in step), None)
        if found is None and solution.known_wrong:
            return Unscored(UnscoredReason.NO_ERROR_FOUND, "no step is marked", self.judge_id)
        stated = [PROBABILITY.search(step) for step in solution.steps]
        probs = tuple(float(match[1]) for match in stated if match)
        return Verdict(
            found,
            self.judge_id,
            step_error_probs=probs if len(probs) == len(solution.steps) else None,
            confidence=0.75,
            critique=None if found is None else solution.steps[found],
        )


@dataclass
class Heard:
    """What a page did beside showing itself."""

    dialogs: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """A fresh browser profile that waits long: the machine may be busy."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    return context


def open_page(context: BrowserContext, server: Server) -> Page:
    """Open the page and wait until it has drawn what the server did."""
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{server.port}/")
    expect(page.locator(".chart")).to_have_count(3)
    return page


def listen(context: BrowserContext) -> Heard:
    """Note every dialog, error and request of a context's pages from now on."""
    heard = Heard()

    def dialog(opened: Dialog) -> None:
        heard.dialogs.append(opened.message)
        opened.dismiss()

    def console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            heard.errors.append(message.text)

    def requested(request: Request) -> None:
        heard.requests.append(request.url)

    context.on("dialog", dialog)
    context.on("console", console)
    context.on("request", requested)
    context.on("weberror", lambda error: heard.errors.append(str(error.error)))
    return heard


def judge(page: Page, *responses: str, problem: str = "How many?", outcome: str = "wrong") -> None:
    """Fill the form in, send it, and wait for the steps."""
    page.get_by_label("Problem").fill(problem)
    for index, text in enumerate(responses):
        if index:
            page.get_by_role("button", name="Add a response").click()
        page.get_by_label(f"Response {index}", exact=True).fill(text)
        page.get_by_label("Its answer").nth(index).select_option(outcome)
    page.get_by_role("button", name="Show the steps").click()
    expect(page.locator("#result-title")).to_be_focused()
