"""A real browser for pages: Debian's Chromium, driven by Playwright, with no network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, closed at the end of the module; skipped where it is not installed."""
    if CHROMIUM is None:
        pytest.skip("no chromium: apt-get install chromium fonts-wqy-microhei")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def open_page(
    browser: Browser, url: str, *, width: int = 1280, **context: object
) -> Iterator[Page]:
    """A page that is offline; errors and messages of its console, and requests, fail the test."""
    opened = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **context)
    page = opened.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("requestfailed", lambda request: problems.append(f"{request.failure}: {request.url}"))
    page.goto(url)
    yield page
    opened.close()
    # A download ends the request of the page that began it.
    assert not [problem for problem in problems if not problem.startswith("net::ERR_ABORTED")]
