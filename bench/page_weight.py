"""The pages: requests, bytes over the wire, and the time until each can be used.

Needs a server that runs already, such as `make run`, chromium, and playwright:

    python bench/page_weight.py [--url http://127.0.0.1:8000] [/ui/other …]

Each visit is that of a new browser profile; then the page is loaded once more. A page can be used
when the first control that its script makes is shown, and the last task of more than 50 ms is over.
"""

import argparse
import asyncio
import secrets
import shutil
import statistics
import sys
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from aiohttp import ClientSession
from playwright.async_api import Browser, Page, async_playwright

MOST_BYTES = 100_000
PAGES = {
    "/ui/": "sign in",
    "/ui/#profile": "the account page, signed in",
    "/ui/verify-email": "verify an address",
    "/ui/reset-password": "reset a password",
}
CONTROL = "#view :is(input, button, a)"
WATCH = """
    window.usable = 0;
    window.lastLong = 0;
    new PerformanceObserver((list) => {
        for (const task of list.getEntries()) lastLong = task.startTime + task.duration;
    }).observe({type: "longtask", buffered: true});
    new MutationObserver(() => {
        const control = document.querySelector("CONTROL");
        if (!usable && control?.checkVisibility()) usable = performance.now();
    }).observe(document, {childList: true, subtree: true});
""".replace("CONTROL", CONTROL)


@dataclass(frozen=True)
class Load:
    """What one load of a page took."""

    requests: int
    bytes: int
    milliseconds: float


async def load(page: Page, act: Any) -> Load:
    """Call `act`, which loads the page, and return what that took."""
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    sizes: list[int] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    await act()
    await page.locator(CONTROL).first.wait_for()
    await page.wait_for_load_state("networkidle")
    time = await page.evaluate("Math.max(usable, lastLong)")
    await session.detach()
    return Load(len(sizes), sum(map(int, sizes)), time)


async def visit(browser: Browser, url: str, token: str) -> tuple[Load, Load]:
    """Return the first load of a page by a new browser profile, and the second."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    await context.add_init_script(WATCH)
    if token:
        key = '`latchkey:${location.pathname.replace(/[^/]*$/, "")}:token`'
        await context.add_init_script(f"sessionStorage.setItem({key}, '{token}')")
    page = await context.new_page()
    first = await load(page, lambda: page.goto(url))
    second = await load(page, page.reload)
    await context.close()
    return first, second


async def register(url: str) -> str:
    """Return the token of a new account that has a picture."""
    fields = {"username": f"weight{secrets.token_hex(6)}", "password": secrets.token_hex(12)}
    async with ClientSession(raise_for_status=True) as session:
        async with session.post(urljoin(url, "/latchkey/v1/accounts"), json=fields) as response:
            token = str((await response.json())["token"])
        headers = {"Authorization": f"Bearer {token}"}
        path = urljoin(url, "/latchkey/v1/account/picture")
        async with session.put(path, json={"gallery": 6}, headers=headers):
            return token


async def measure(url: str, paths: list[str], times: int) -> int:
    """Print a table; return the exit status, which is 1 if a page is too heavy."""
    program = shutil.which("chromium")
    if not program:
        sys.exit("page_weight: chromium is not installed")
    token = await register(url)
    print("| page | requests | bytes | again | usable after, ms (median, most) |")
    print("| --- | --- | --- | --- | --- |")
    heaviest = 0
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for path in paths:
            used = "" if path == "/ui/" else token
            loads = [await visit(browser, urljoin(url, path), used) for _ in range(times)]
            first, second = loads[-1]
            took = [load.milliseconds for load, _ in loads]
            heaviest = max(heaviest, *(load.bytes for load, _ in loads))
            print(
                f"| `{path.partition('#')[0]}`: {PAGES.get(path, path)} | {first.requests} "
                f"| {first.bytes} | {second.bytes} "
                f"| {statistics.median(took):.0f}, {max(took):.0f} |"
            )
        await browser.close()
    return int(heaviest > MOST_BYTES)


def main() -> int:
    """Read the options, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("paths", nargs="*", help="other pages")
    options = parser.parse_args()
    return asyncio.run(measure(options.url, [*PAGES, *options.paths], options.times))


if __name__ == "__main__":
    sys.exit(main())
