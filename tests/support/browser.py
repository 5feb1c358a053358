"""A real Chromium without a screen, as a user of the pages has it."""

from __future__ import annotations

import contextlib
import lzma
import shutil
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.project import PROJECT

AXE = PROJECT / "tests" / "data" / "axe" / "axe.min.js.xz"
"""axe-core 4.14.1, which finds what people with a screen reader or a keyboard cannot use."""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
expect.set_options(timeout=20_000)
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium; it ends with the block."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path is not None, "chromium is not installed: .ci/system-packages --tests installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """A page of its own, without the cookies of others; ``complaints`` are the browser's."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.complaints: list[str] = []
        self.bytes = 0
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._said)
        network = self.context.new_cdp_session(self.page)
        network.send("Network.enable")
        network.on("Network.dataReceived", self._received)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _received(self, event: dict[str, Any]) -> None:
        self.bytes += max(event["dataLength"], event["encodedDataLength"])

    def live(self) -> None:
        """Wait until the page gets updates."""
        expect(self.page.locator("#connection")).to_have_text("live")

    def violations(self) -> list[str]:
        """Return what axe-core finds, a line each."""
        self.page.evaluate(lzma.decompress(AXE.read_bytes()).decode())
        found = self.page.evaluate(
            "(rules) => axe.run(document, {runOnly: rules})"
            ".then(r => r.violations.map(v => [v.id, v.help, v.nodes.map(n => n.html)]))",
            RULES,
        )
        return [f"{rule}: {text}: {nodes[:3]}" for rule, text, nodes in found]

    def close(self) -> None:
        """Close it."""
        self.context.close()
