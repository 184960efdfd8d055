"""A headless Chromium for each file of tests: `SGPO_CHROMIUM`, else the system's ``chromium``.

Each file ends its own: Playwright keeps an event loop running as long as it lives, and no asyncio test can run then.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.page_server import PATIENCE_MS, Opener, Probed, new_context, open_page
from tests.integration.http_server import Server, running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = os.environ.get("SGPO_CHROMIUM") or shutil.which("chromium")
    if found is None:
        pytest.skip("no Chromium: install Debian's package `chromium`, or name one in SGPO_CHROMIUM")
    # Chromium's sandbox does not run as root, as containers often do.
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=args)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose judge says what the steps say of themselves, and whose rewards are made of that alone."""
    with running({"defences": {"enabled": False}}, judge=Probed()) as server:
        yield server


@pytest.fixture
def opened(browser: Browser, server: Server) -> Iterator[Opener]:
    """``opened(width=..., scheme=...)`` opens the page in a browser profile of its own."""
    contexts: list[BrowserContext] = []

    def opener(width: int = 1280, scheme: str = "light") -> Page:
        context = new_context(browser, viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        return open_page(context, server)

    yield opener
    for context in contexts:
        context.close()
