"""/docs in a real browser: a developer enters a key, sends a message from the page and sees the 202.

Needs Chromium and its driver (Debian, Ubuntu: apt install chromium chromium-driver); without them the test skips.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.api_server import Api, running

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1600",
)
WAIT_S = 30


@pytest.fixture
async def api(valkey_url: str, postgres_url: str) -> AsyncIterator[Api]:
    async with running(valkey_url, postgres_url) as api:
        yield api


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs Chromium and chromedriver (Debian, Ubuntu: apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


def asked_hosts(browser: webdriver.Chrome) -> set[str]:
    """Every host that the page asked for something."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return {url.split("/")[2] for url in urls if url.startswith("http")}


def until(browser: webdriver.Chrome, css: str, holds: Callable[[Any], bool] = lambda e: e.is_displayed()) -> Any:
    """The first element of this selector for which something holds."""
    found: Any = WebDriverWait(browser, WAIT_S).until(
        lambda b: next((e for e in b.find_elements(By.CSS_SELECTOR, css) if holds(e)), False)
    )
    return found


def shot(browser: webdriver.Chrome, name: str) -> None:
    """A picture for people, where SLUICE_SCREENSHOTS names a directory."""
    if directory := os.environ.get("SLUICE_SCREENSHOTS"):
        browser.save_screenshot(f"{directory}/{name}.png")


def send_from_the_page(browser: webdriver.Chrome, url: str, secret: str) -> dict[str, Any]:
    """What a person does; what the page shows in the end."""
    browser.get(f"{url}/docs")
    until(browser, ".btn.authorize")
    shot(browser, "docs")
    until(browser, ".btn.authorize").click()
    until(browser, ".auth-container input").send_keys(secret)
    until(browser, ".modal-ux .btn.authorize").click()
    until(browser, ".modal-ux .btn-done").click()
    until(browser, "#operations-Messages-sendMessage .opblock-summary-control").click()
    until(browser, "#operations-Messages-sendMessage .execute").click()
    status = until(browser, "#operations-Messages-sendMessage .live-responses-table tbody .response-col_status").text
    body = until(browser, "#operations-Messages-sendMessage .live-responses-table .highlight-code code").text
    shot(browser, "docs-sent")
    return {"status": status.split()[0], "body": json.loads(body)}


async def test_a_message_is_sent_from_the_page_and_nothing_is_asked_of_other_hosts(
    api: Api, browser: webdriver.Chrome
) -> None:
    shown = await asyncio.to_thread(send_from_the_page, browser, api.server.url, api.secrets["acme"])
    assert shown["status"] == "202" and shown["body"]["state"] == "accepted", shown
    assert (await api.get(f"/v1/messages/{shown['body']['id']}")).json["text"] == "Your code is 4711"
    assert asked_hosts(browser) == {api.server.url.removeprefix("http://")}
    complaints = [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert not complaints, complaints


async def test_without_a_key_the_page_shows_the_problem_and_its_page_explains_it(
    api: Api, browser: webdriver.Chrome
) -> None:
    def look() -> tuple[str, str]:
        browser.get(f"{api.server.url}/docs#/Messages/listMessages")
        until(browser, "#operations-Messages-listMessages .execute").click()
        shown = until(browser, "#operations-Messages-listMessages .live-responses-table .highlight-code code").text
        browser.get(api.server.url + json.loads(shown)["type"])
        text = until(browser, "body").text
        shot(browser, "problem")
        return str(json.loads(shown)["code"]), text

    code, page = await asyncio.to_thread(look)
    assert code == "no_key"
    assert "What to do" in page and "sluice keys create" in page
