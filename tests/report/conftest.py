"""A real browser for the pages."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture(scope="session")
def chromium():
    """Chromium without a window; tests that need it skip where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: the [test] extra")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(names)} is on the PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Opens an address as somebody new; complains of whatever the browser complains of, and of any other host."""
    contexts, complaints = [], []

    def opened(url, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        # What is still being fetched when one leaves a page is aborted.
        page.on(
            "requestfailed", lambda request: request.failure == "net::ERR_ABORTED" or complaints.append(request.url)
        )
        page.on(
            "request",
            lambda request: request.url.startswith(("file:", "data:", "blob:")) or complaints.append(request.url),
        )
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
