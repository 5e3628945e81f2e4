"""The pages of the service in a real browser: log in, search, read a customer and the report."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.businesses import Business, copied
from tests.support.services import KEY

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = (1280, 390)
REPORT = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Report</title>
<style>body { margin: 3rem; }</style></head><body><main><h1>Report</h1>
<a href="report_files/lists/when.csv" download>list</a></main></body></html>"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no chromium on this machine"),
    pytest.mark.skipif(
        importlib.util.find_spec("axe_playwright_python") is None, reason="no axe is installed"
    ),
]


@contextmanager
def served(home: Path):
    """The address of `lifecycle serve` over a home."""
    environment = {**os.environ, "LIFECYCLE_HOME": str(home), "LIFECYCLE_API_KEYS": KEY}
    command = [sys.executable, "-m", "lifecycle", "serve", "--port", "0"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as service:
        try:
            lines = iter(service.stdout.readline, "")
            line = next(each for each in lines if "answering at " in each)
            yield line.split("answering at ")[1].strip()
        finally:
            service.terminate()


@pytest.fixture
def home_with_report(trained_shop: Business, home: Path) -> Business:
    business = copied(trained_shop, home)
    folder = business.run.folder / "report"
    (folder / "report_files" / "lists").mkdir(parents=True)
    (folder / "report.html").write_text(REPORT)
    (folder / "report_files" / "lists" / "when.csv").write_text("customer_id\n000001\n")
    return business


def test_a_person_logs_in_searches_reads_and_downloads(home_with_report):
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    with served(home_with_report.home) as address, sync_playwright() as player:
        browser = player.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        for width in WIDTHS:
            context = browser.new_context(viewport={"width": width, "height": 900})
            page, errors = context.new_page(), []
            page.on("console", lambda message, to=errors: to.append(message.text))
            page.on("pageerror", lambda error, to=errors: to.append(str(error)))
            page.goto(address)
            assert_accessible(Axe(), page)
            page.get_by_label("API key").fill(KEY)
            page.keyboard.press("Enter")
            page.get_by_label("Customer id").wait_for()
            # The answer without a key is 401, which the browser writes down.
            assert [each for each in errors if "401" not in each] == []
            errors.clear()
            assert_accessible(Axe(), page)
            page.get_by_label("Customer id").fill("000001")
            page.keyboard.press("Enter")
            page.wait_for_url("**/customers/000001")
            assert page.get_by_role("heading", level=1).inner_text() == "Customer 000001"
            assert_accessible(Axe(), page)
            page.get_by_role("link", name="中文").click()
            page.wait_for_url("**/zh/customers/000001")
            assert_accessible(Axe(), page)
            width_of_page = page.evaluate("document.documentElement.scrollWidth")
            assert width_of_page <= width
            page.goto(f"{address}/reference")
            assert_accessible(Axe(), page)
            page.get_by_role("link", name="Report", exact=True).click()
            page.get_by_role("heading", name="Report").wait_for()
            assert page.evaluate("getComputedStyle(document.body).marginTop") == "48px"
            with page.expect_download() as download:
                page.get_by_role("link", name="list").click()
            assert download.value.suggested_filename == "when.csv"
            assert errors == []
            context.close()
        browser.close()


def assert_accessible(axe, page) -> None:
    """No violation that axe calls serious or critical."""
    violations = axe.run(page).response["violations"]
    bad = [each["id"] for each in violations if each["impact"] in ("serious", "critical")]
    assert bad == [], violations
