"""Pages in a browser, watched for errors and requests."""

from pathlib import Path

from playwright.sync_api import Page


class Watched:
    """A page, and what it complained of or asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, path: Path) -> Page:
        """Opens a file and waits for all of its images, also those far below."""
        self.page.goto(path.as_uri())
        self.page.evaluate("for (const each of document.images) each.loading = 'eager'")
        self.page.wait_for_function("[...document.images].every(each => each.complete)")
        return self.page
